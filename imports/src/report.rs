//! What became of every row of an export.

use std::{collections::BTreeMap, io};

use chrono::NaiveDate;
use serde::Serialize;

/// What was decided about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is taken over as it stands.
    Taken,
    /// It is taken over, but not quite as it stands, or with something a person should look at.
    Adjusted,
    /// It is not taken over.
    Refused,
}

/// How one command line ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It recorded something.
    Appended,
    /// What it asks for was so already: an earlier import, or the same fact from elsewhere.
    Unchanged,
    /// Its key was used with another body: the row was imported before, and it or the day of the export was
    /// another one then. What was imported stands; the change is for a person to make.
    Differs,
    /// It was refused.
    Refused {
        /// The problem's words, without personal data.
        problem: String,
    },
}

/// What came of the commands of one row; the later variant outweighs the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowOutcome {
    /// Nothing new was recorded.
    Unchanged,
    /// Something was recorded.
    Appended,
    /// The row was imported before and was another one then.
    Differs,
    /// At least one of its commands was refused.
    Refused,
}

/// One row, and what became of it. Holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowReport {
    /// The table.
    pub table: &'static str,
    /// The row's own id; none where it cannot be read.
    pub id: Option<u64>,
    /// The line of the file it begins on; the header is on line 1.
    pub line: u64,
    /// What was decided.
    pub verdict: Verdict,
    /// Why, when it is not simply taken.
    pub reasons: Vec<String>,
    /// What came of its commands; none before they are sent, and for rows that need none.
    pub outcome: Option<RowOutcome>,
    /// The first of its commands: without that one there is nothing of the row.
    #[serde(skip)]
    first_line: Option<usize>,
}

/// The rows of one table in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// All rows; always the sum of the next three.
    pub rows: usize,
    /// Taken as they stand.
    pub taken: usize,
    /// Taken with a remark.
    pub adjusted: usize,
    /// Not taken.
    pub refused: usize,
    /// Columns the file has and the import does not read, among them all it does not know.
    pub columns_not_read: Vec<String>,
    /// What holds for the table as a whole.
    pub notes: Vec<String>,
}

/// A table that is not imported at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub table: String,
    /// How many rows it has, unreadable ones included.
    pub rows: usize,
    /// Why.
    pub reason: String,
}

/// What became of an export: every row of the tables that are imported, the tables that are not, and what
/// the commands came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The source: `civicrm`.
    pub system: &'static str,
    /// The association imported into.
    pub association: String,
    /// The day the export was taken.
    pub as_of: NaiveDate,
    /// The imported tables.
    pub tables: BTreeMap<&'static str, TableReport>,
    /// The tables that are not imported.
    pub left_out: Vec<LeftOut>,
    /// Every row of the imported tables, table by table.
    pub rows: Vec<RowReport>,
    /// The rows each command line stands for.
    #[serde(skip)]
    rows_of_line: Vec<Vec<usize>>,
}

/// The place of a row in the report it was entered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowIndex(usize);

impl Report {
    pub(crate) fn new(system: &'static str, association: String, as_of: NaiveDate) -> Self {
        let (tables, left_out, rows, rows_of_line) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        Self { system, association, as_of, tables, left_out, rows, rows_of_line }
    }

    /// Enters a row: taken when there is nothing to say about it, adjusted otherwise.
    pub(crate) fn take(&mut self, table: &'static str, id: u64, line: u64, reasons: Vec<String>) -> RowIndex {
        let verdict = if reasons.is_empty() { Verdict::Taken } else { Verdict::Adjusted };
        self.enter(RowReport { table, id: Some(id), line, verdict, reasons, outcome: None, first_line: None })
    }

    /// Enters a row that is not taken over.
    pub(crate) fn refuse(&mut self, table: &'static str, id: Option<u64>, line: u64, reason: String) {
        let (verdict, reasons) = (Verdict::Refused, vec![reason]);
        self.enter(RowReport { table, id, line, verdict, reasons, outcome: None, first_line: None });
    }

    /// Adds a remark to a row that is taken; it is adjusted then.
    pub(crate) fn remark(&mut self, row: RowIndex, remark: String) {
        self.worsen(row.0, Verdict::Adjusted, &remark);
    }

    /// Says something about a table as a whole, once.
    pub(crate) fn note(&mut self, table: &'static str, note: String) {
        let notes = &mut self.tables.entry(table).or_default().notes;
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// Says that the next command line stands for these rows.
    pub(crate) fn bind(&mut self, rows: &[RowIndex]) {
        let line = self.rows_of_line.len();
        for row in rows {
            self.rows[row.0].first_line.get_or_insert(line);
        }
        self.rows_of_line.push(rows.iter().map(|row| row.0).collect());
    }

    /// Tells how the command line at this place of [`crate::Import::lines`] ended. A row whose first command
    /// is refused is refused; one that loses a later command is adjusted.
    pub fn settle(&mut self, line: usize, outcome: &Outcome) {
        for row in self.rows_of_line.get(line).cloned().unwrap_or_default() {
            let first = self.rows[row].first_line == Some(line);
            let (came_to, remark) = match outcome {
                Outcome::Appended => (RowOutcome::Appended, None),
                Outcome::Unchanged => (RowOutcome::Unchanged, None),
                Outcome::Differs => {
                    let remark =
                        "was imported before from another state of the source: the difference is not taken over";
                    (RowOutcome::Differs, Some((Verdict::Adjusted, remark)))
                }
                Outcome::Refused { problem } => {
                    let verdict = if first { Verdict::Refused } else { Verdict::Adjusted };
                    (RowOutcome::Refused, Some((verdict, problem.as_str())))
                }
            };
            let report = &mut self.rows[row];
            report.outcome = report.outcome.max(Some(came_to));
            if let Some((verdict, remark)) = remark {
                self.worsen(row, verdict, remark);
            }
        }
    }

    /// How many rows ended in each way, for all tables together; rows without a command are not counted.
    pub fn outcomes(&self) -> BTreeMap<RowOutcome, usize> {
        let mut outcomes = BTreeMap::new();
        for outcome in self.rows.iter().filter_map(|row| row.outcome) {
            *outcomes.entry(outcome).or_default() += 1;
        }
        outcomes
    }

    /// Writes all rows as CSV, one line each; several reasons are separated by semicolons.
    pub fn write_csv(&self, to: impl io::Write) -> Result<(), csv::Error> {
        let mut csv = csv::Writer::from_writer(to);
        csv.write_record(["table", "id", "line", "verdict", "outcome", "reasons"])?;
        for row in &self.rows {
            let (id, reasons) = (row.id, row.reasons.join("; "));
            csv.serialize((row.table, id, row.line, row.verdict, row.outcome, reasons))?;
        }
        Ok(csv.flush()?)
    }

    fn enter(&mut self, row: RowReport) -> RowIndex {
        let table = self.tables.entry(row.table).or_default();
        table.rows += 1;
        *table.count(row.verdict) += 1;
        self.rows.push(row);
        RowIndex(self.rows.len() - 1)
    }

    fn worsen(&mut self, row: usize, verdict: Verdict, remark: &str) {
        let row = &mut self.rows[row];
        if !row.reasons.iter().any(|reason| reason == remark) {
            row.reasons.push(remark.to_owned());
        }
        if verdict > row.verdict {
            let table = self.tables.entry(row.table).or_default();
            *table.count(row.verdict) -= 1;
            *table.count(verdict) += 1;
            row.verdict = verdict;
        }
    }
}

impl TableReport {
    fn count(&mut self, verdict: Verdict) -> &mut usize {
        match verdict {
            Verdict::Taken => &mut self.taken,
            Verdict::Adjusted => &mut self.adjusted,
            Verdict::Refused => &mut self.refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_report() -> Report {
        Report::new("civicrm", "bell-ringers".to_owned(), NaiveDate::from_ymd_opt(2026, 11, 20).unwrap())
    }

    #[test]
    fn a_row_is_refused_with_its_first_command_and_adjusted_with_a_later_one() {
        let mut report = a_report();
        let (kept, lost) = (report.take("contact", 1, 2, vec![]), report.take("contact", 2, 3, vec![]));
        report.bind(&[kept]);
        report.bind(&[kept]);
        report.bind(&[lost]);
        report.settle(0, &Outcome::Appended);
        report.settle(1, &Outcome::Refused { problem: "too many organizations".to_owned() });
        report.settle(2, &Outcome::Refused { problem: "the name is too long".to_owned() });
        assert_eq!(report.rows[0].verdict, Verdict::Adjusted);
        assert_eq!(report.rows[0].outcome, Some(RowOutcome::Refused));
        assert_eq!(report.rows[1].verdict, Verdict::Refused);
        let table = &report.tables["contact"];
        assert_eq!((table.rows, table.taken, table.adjusted, table.refused), (2, 0, 1, 1));
    }

    #[test]
    fn a_row_that_changed_since_the_last_import_says_so_once() {
        let mut report = a_report();
        let row = report.take("contact", 1, 2, vec![]);
        report.bind(&[row]);
        report.bind(&[row]);
        report.settle(0, &Outcome::Differs);
        report.settle(1, &Outcome::Differs);
        assert_eq!(report.rows[0].outcome, Some(RowOutcome::Differs));
        assert_eq!(report.rows[0].reasons.len(), 1);
        assert_eq!(report.outcomes(), BTreeMap::from([(RowOutcome::Differs, 1)]));
    }

    #[test]
    fn a_report_is_written_as_csv() {
        let mut report = a_report();
        let row = report.take("contact", 7, 2, vec!["no name, so it has none".to_owned(), "deleted".to_owned()]);
        report.bind(&[row]);
        report.refuse("contact", None, 3, "has 4 fields where the header has 5".to_owned());
        report.settle(0, &Outcome::Appended);
        let mut csv = Vec::new();
        report.write_csv(&mut csv).unwrap();
        let expected = "table,id,line,verdict,outcome,reasons\n\
            contact,7,2,adjusted,appended,\"no name, so it has none; deleted\"\n\
            contact,,3,refused,,has 4 fields where the header has 5\n";
        assert_eq!(String::from_utf8(csv).unwrap(), expected);
    }
}
