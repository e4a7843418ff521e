//! A copy of the made-up export in `fixtures`, to be changed and read.

use std::{fs, path::PathBuf};

use chrono::NaiveDate;
use guildhall_aggregates::{money::Currency, tenant_of_slug};
use guildhall_imports::{
    Import, RowReport,
    civicrm::{self, ImportError, ImportOptions},
};
use serde_json::Value;
use tempfile::TempDir;

/// The export of the Bell Ringers of Exampleton, taken on 30 June 2026.
pub(crate) struct Export {
    dir: TempDir,
}

impl Export {
    /// The whole of it, as a later release of the source would write it.
    pub(crate) fn of_the_ringers() -> Self {
        let export = Self::empty();
        let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bell-ringers");
        for file in fs::read_dir(fixture).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), export.dir.path().join(file.file_name())).unwrap();
        }
        export
    }

    /// A folder without a table.
    pub(crate) fn empty() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, table: &str) -> PathBuf {
        self.dir.path().join(format!("{table}.csv"))
    }

    pub(crate) fn write(&self, table: &str, csv: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(table), csv).unwrap();
        self
    }

    pub(crate) fn remove(&self, table: &str) -> &Self {
        fs::remove_file(self.path(table)).unwrap();
        self
    }

    /// Adds a row at the end.
    pub(crate) fn add(&self, table: &str, row: impl AsRef<[u8]>) -> &Self {
        let mut csv = fs::read(self.path(table)).unwrap();
        csv.extend_from_slice(row.as_ref());
        csv.push(b'\n');
        self.write(table, csv)
    }

    /// Changes what is written somewhere; it must be there.
    pub(crate) fn replace(&self, table: &str, from: &str, to: &str) -> &Self {
        let csv = fs::read_to_string(self.path(table)).unwrap();
        assert!(csv.contains(from), "{table}.csv has no {from:?}");
        self.write(table, csv.replace(from, to))
    }

    /// Takes columns away, as another release would.
    pub(crate) fn without_columns(&self, table: &str, columns: &[&str]) -> &Self {
        let mut csv = csv::Reader::from_path(self.path(table)).unwrap();
        let header = csv.headers().unwrap().clone();
        let kept: Vec<_> = (0..header.len()).filter(|&at| !columns.contains(&&header[at])).collect();
        assert_eq!(kept.len() + columns.len(), header.len(), "{table}.csv does not have all of {columns:?}");
        let mut fewer = csv::Writer::from_writer(Vec::new());
        fewer.write_record(kept.iter().map(|&at| &header[at])).unwrap();
        for row in csv.records().map(Result::unwrap) {
            fewer.write_record(kept.iter().map(|&at| &row[at])).unwrap();
        }
        self.write(table, fewer.into_inner().unwrap())
    }

    pub(crate) fn read(&self) -> Import {
        self.try_read().unwrap()
    }

    pub(crate) fn try_read(&self) -> Result<Import, ImportError> {
        civicrm::read(self.dir.path(), &options("bell-ringers"))
    }
}

pub(crate) fn options(association: &str) -> ImportOptions {
    ImportOptions {
        tenant: tenant_of_slug(association),
        association: association.to_owned(),
        as_of: day("2026-06-30"),
        currency: Currency::GBP,
        time_zone: chrono_tz::Europe::London,
    }
}

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// What is reported of a row.
pub(crate) fn row<'i>(import: &'i Import, table: &str, id: u64) -> &'i RowReport {
    import.report.rows.iter().find(|row| row.table == table && row.id == Some(id)).expect("every row is reported")
}

/// What is said about a row, in one text.
pub(crate) fn remarks(import: &Import, table: &str, id: u64) -> String {
    row(import, table, id).reasons.join("; ")
}

/// The body of the command that a row asks for, if it does.
pub(crate) fn find<'i>(import: &'i Import, command: &str, table: &str, id: u64) -> Option<&'i Value> {
    let key = format!("civicrm/{table}/{id}/{command}");
    import.lines.iter().find(|line| line.idempotency_key == key).map(|line| &line.body)
}

/// The body of the command that a row asks for.
pub(crate) fn body<'i>(import: &'i Import, command: &str, table: &str, id: u64) -> &'i Value {
    find(import, command, table, id).expect("the row asks for the command")
}
