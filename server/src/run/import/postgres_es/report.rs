//! What an import of `postgres-es` came to.

use std::{collections::BTreeMap, fmt::Write as _, fs::File, io::BufWriter, path::Path};

use serde::Serialize;

use super::source::Row;

/// Refused streams named on the screen; the report's file names all.
const REFUSED_SHOWN: usize = 20;

/// What became of the rows.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    association: String,
    /// Nothing was recorded: what stands under `appended` would have been.
    pub(super) dry_run: bool,
    /// Rows by what `postgres-es` calls the aggregate type.
    aggregate_types: BTreeMap<String, OfType>,
    /// Streams that were not taken, or not to their end.
    pub(super) refused: Vec<RefusedStream>,
}

/// What became of the rows of one aggregate type.
#[derive(Debug, Default, Serialize)]
pub(super) struct OfType {
    /// The category of its streams here.
    pub(super) category: Option<String>,
    /// Streams in the source.
    pub(super) streams: u64,
    /// Rows in the source.
    pub(super) rows: u64,
    /// Rows that were recorded.
    pub(super) appended: u64,
    /// Rows that had been recorded before.
    pub(super) unchanged: u64,
    /// Rows that were not taken.
    pub(super) refused: u64,
}

/// A stream of which nothing was taken from some row on.
#[derive(Debug, Serialize)]
pub(super) struct RefusedStream {
    aggregate_type: String,
    aggregate_id: String,
    /// The first row that was not taken.
    sequence: i64,
    reason: String,
}

impl Report {
    pub(super) fn new(association: String, dry_run: bool) -> Self {
        Self { association, dry_run, aggregate_types: BTreeMap::new(), refused: Vec::new() }
    }

    /// Counts a row of the source.
    pub(super) fn saw(&mut self, row: &Row) {
        let of_type = self.of(&row.aggregate_type);
        of_type.rows += 1;
        of_type.streams += u64::from(row.place == 1);
    }

    /// The figures of an aggregate type.
    pub(super) fn of(&mut self, aggregate_type: &str) -> &mut OfType {
        if !self.aggregate_types.contains_key(aggregate_type) {
            self.aggregate_types.insert(aggregate_type.to_owned(), OfType::default());
        }
        self.aggregate_types.get_mut(aggregate_type).expect("it was inserted where it was missing")
    }

    /// Names a stream that is not taken from this row on.
    pub(super) fn refuse(&mut self, aggregate_type: &str, aggregate_id: &str, sequence: i64, reason: String) {
        let (aggregate_type, aggregate_id) = (aggregate_type.to_owned(), aggregate_id.to_owned());
        self.refused.push(RefusedStream { aggregate_type, aggregate_id, sequence, reason });
    }

    /// Rows recorded, or that would have been.
    pub(super) fn appended(&self) -> u64 {
        self.aggregate_types.values().map(|of_type| of_type.appended).sum()
    }

    /// Writes all of it as JSON.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(serde_json::to_writer_pretty(BufWriter::new(File::create(path)?), self)?)
    }

    /// For people.
    pub(super) fn described(&self) -> String {
        let done = if self.dry_run { "would be recorded" } else { "recorded" };
        let mut text = format!("{}: {} events {done}.\n\n", self.association, self.appended());
        let _ = writeln!(
            text,
            "  {:<24}{:<26}{:>9}{:>10}{:>10}{:>11}{:>9}",
            "aggregate type", "category", "streams", "rows", "appended", "unchanged", "refused"
        );
        for (name, of_type) in &self.aggregate_types {
            let _ = writeln!(
                text,
                "  {name:<24}{:<26}{:>9}{:>10}{:>10}{:>11}{:>9}",
                of_type.category.as_deref().unwrap_or("none"),
                of_type.streams,
                of_type.rows,
                of_type.appended,
                of_type.unchanged,
                of_type.refused
            );
        }
        for stream in self.refused.iter().take(REFUSED_SHOWN) {
            let RefusedStream { aggregate_type, aggregate_id, sequence, reason } = stream;
            let _ =
                writeln!(text, "  {aggregate_type} {aggregate_id}, not taken from sequence {sequence} on: {reason}");
        }
        if self.refused.len() > REFUSED_SHOWN {
            let _ = writeln!(text, "  … and {} more; --report FILE names them all", self.refused.len() - REFUSED_SHOWN);
        }
        text
    }
}

/// Sees that the report can be written, before anything else is.
pub(super) fn check_name(path: &Path) -> anyhow::Result<()> {
    let json = path.extension().is_some_and(|extension| extension == "json");
    anyhow::ensure!(json, "--report: the report's name must end in .json");
    Ok(())
}
