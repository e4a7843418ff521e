//! What the tables are poured into: the lines and the report so far.

use std::fmt::Display;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use guildhall_aggregates::{SourceRef, ids::derived, money::Currency};
use serde_json::Value;
use uuid::Uuid;

use super::{ImportOptions, table::Row};
use crate::{CommandLine, Import, Report, report::RowIndex};

/// The name of the source in ids, keys and source references. Never changed: everything follows from it.
const SYSTEM: &str = "civicrm";

/// An import that is being put together.
pub(super) struct Intake<'o> {
    pub(super) options: &'o ImportOptions,
    pub(super) report: Report,
    lines: Vec<CommandLine>,
}

impl<'o> Intake<'o> {
    pub(super) fn new(options: &'o ImportOptions) -> Self {
        let report = Report::new(SYSTEM, options.association.clone(), options.as_of);
        Self { options, report, lines: Vec::new() }
    }

    pub(super) fn finish(self) -> Import {
        Import { lines: self.lines, report: self.report }
    }

    /// The identity of what a row stands for: the same whenever the row is imported into the association.
    pub(super) fn id_of(&self, table: &str, id: u64) -> Uuid {
        derived(self.options.tenant.uuid(), &[SYSTEM, table, &id.to_string()])
    }

    /// Enters a row that is taken, with what there is to say about it.
    pub(super) fn take(&mut self, row: Row<'_>, remarks: Vec<String>) -> RowIndex {
        self.report.take(row.table, row.id, row.line, remarks)
    }

    /// Enters a row that is not taken.
    pub(super) fn refuse(&mut self, row: Row<'_>, reason: impl Into<String>) {
        self.report.refuse(row.table, Some(row.id), row.line, reason.into());
    }

    /// Adds a command that a row asks for, on behalf of all rows that have a part in it.
    pub(super) fn order(&mut self, command: &'static str, of: (&str, impl Display), rows: &[RowIndex], body: Value) {
        let (table, id) = of;
        self.report.bind(rows);
        let idempotency_key = format!("{SYSTEM}/{table}/{id}/{command}");
        self.lines.push(CommandLine { command, idempotency_key, body });
    }

    /// The moment of a local time. A time the zone skips is taken an hour later, one it has twice as the first.
    pub(super) fn moment(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let zone = self.options.time_zone;
        let moment = zone.from_local_datetime(&local).earliest();
        let moment = moment.or_else(|| zone.from_local_datetime(&(local + TimeDelta::hours(1))).earliest());
        moment.map_or_else(|| local.and_utc(), |moment| moment.to_utc())
    }
}

/// Where a row's facts come from.
pub(super) fn source_of(row: Row<'_>) -> SourceRef {
    SourceRef { system: SYSTEM.to_owned(), table: row.table.to_owned(), id: row.id.to_string() }
}

/// The currency a row names, or the one that is meant where it names none.
pub(super) fn currency_of(row: Row<'_>, column: &str, otherwise: Currency) -> Result<Currency, String> {
    let Some(code) = row.text(column) else { return Ok(otherwise) };
    Currency::from_code(&code.to_uppercase()).ok_or_else(|| format!("{column} {code:?} is not a currency"))
}
