//! One table of an export: a CSV file with a header row, read with distrust.
//!
//! Columns are found by name, so their number and order do not matter. A row that is not UTF-8, has more or
//! fewer fields than the header, or has no id of its own is refused with its line, and reading goes on. An
//! empty field and `""` both read as "not known": the source's forms do not tell them apart either.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    ops::RangeInclusive,
    path::Path,
};

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime};
use csv::{ByteRecord, ReaderBuilder, StringRecord};
use guildhall_aggregates::{Money, money::Currency};

use super::{ImportError, schema::TableSpec};
use crate::{decimal, report::Report};

/// The largest file that is read; the tables of an import are held in memory together.
const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// The longest name, title or other text on one line that commands take, in characters.
const LONGEST_LINE: usize = 255;

/// The longest text of several lines that commands take, in characters.
const LONGEST_PROSE: usize = 10_000;

/// The years of the calendar that commands take.
const YEARS: RangeInclusive<i32> = 1800..=9999;

/// What separates several values in one column, and stands around them.
const SEPARATOR: char = '\u{1}';

/// A table in memory; without rows when the export does not have it.
pub(super) struct Table {
    pub(super) name: &'static str,
    columns: HashMap<&'static str, usize>,
    rows: Vec<RawRow>,
}

struct RawRow {
    id: u64,
    line: u64,
    fields: StringRecord,
}

/// A row whose form is sound. What stands in it may still be anything.
#[derive(Clone, Copy)]
pub(super) struct Row<'t> {
    /// Its own id.
    pub(super) id: u64,
    /// The line it begins on.
    pub(super) line: u64,
    /// Its table's name.
    pub(super) table: &'static str,
    columns: &'t HashMap<&'static str, usize>,
    fields: &'t StringRecord,
}

impl Table {
    /// A table the export does not have.
    pub(super) fn absent(spec: &TableSpec) -> Self {
        Self { name: spec.name, columns: HashMap::new(), rows: Vec::new() }
    }

    /// Reads the table's file. Sound rows are kept, the others refused in the report. Needed columns that are
    /// not there are added to `missing` instead.
    pub(super) fn read(
        path: &Path,
        spec: &TableSpec,
        report: &mut Report,
        missing: &mut Vec<String>,
    ) -> Result<Self, ImportError> {
        let mut csv = open(path)?;
        let failed = |error| ImportError::Unreadable { path: path.to_owned(), reason: unreadable(error) };
        let header = csv.byte_headers().map_err(failed)?.clone();
        let names = column_names(&header);
        let columns: HashMap<_, _> =
            spec.columns().filter_map(|wanted| Some((wanted, names.iter().position(|name| name == wanted)?))).collect();
        missing.extend(spec.missing(|column| columns.contains_key(column)));
        let not_read = names.into_iter().filter(|name| !columns.contains_key(name.as_str())).collect();
        report.tables.entry(spec.name).or_default().columns_not_read = not_read;
        let mut table = Self { name: spec.name, columns, rows: Vec::new() };
        let (mut ids, mut record) = (HashSet::new(), ByteRecord::new());
        while csv.read_byte_record(&mut record).map_err(failed)? {
            let line = record.position().map_or(0, csv::Position::line);
            match sound(&record, header.len(), table.columns.get("id").copied(), &mut ids) {
                Ok((id, fields)) => table.rows.push(RawRow { id, line, fields }),
                Err(reason) => report.refuse(spec.name, None, line, reason),
            }
        }
        Ok(table)
    }

    /// The rows in the order of the file.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let (table, columns) = (self.name, &self.columns);
        self.rows.iter().map(move |RawRow { id, line, fields }| Row { id: *id, line: *line, table, columns, fields })
    }

    /// Whether the export has the column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }
}

/// How many rows the file has, whatever is in them.
pub(super) fn count_rows(path: &Path) -> Result<usize, ImportError> {
    let failed = |error| ImportError::Unreadable { path: path.to_owned(), reason: unreadable(error) };
    let (mut csv, mut record, mut rows) = (open(path)?, ByteRecord::new(), 0);
    while csv.read_byte_record(&mut record).map_err(failed)? {
        rows += 1;
    }
    Ok(rows)
}

fn open(path: &Path) -> Result<csv::Reader<File>, ImportError> {
    let failed = |reason: String| ImportError::Unreadable { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let size = file.metadata().map_err(|error| failed(error.to_string()))?.len();
    if size > MOST_BYTES {
        return Err(failed(format!("it has {size} bytes, and at most {MOST_BYTES} can be imported")));
    }
    Ok(ReaderBuilder::new().flexible(true).from_reader(file))
}

fn unreadable(error: csv::Error) -> String {
    format!("it cannot be read as CSV: {error}")
}

fn column_names(header: &ByteRecord) -> Vec<String> {
    let name = |field| String::from_utf8_lossy(field).trim_start_matches('\u{feff}').trim().to_lowercase();
    header.iter().map(name).collect()
}

/// The row's id and fields, or why it cannot be used.
fn sound(
    record: &ByteRecord,
    width: usize,
    id_column: Option<usize>,
    ids: &mut HashSet<u64>,
) -> Result<(u64, StringRecord), String> {
    if record.len() != width {
        let hint = "a quotation mark or a comma may be missing or one too many";
        return Err(format!("has {} fields where the header has {width}: {hint}", record.len()));
    }
    let fields = StringRecord::from_byte_record(record.clone())
        .map_err(|error| format!("column {} is not UTF-8 text", error.utf8_error().field() + 1))?;
    let id = id_column.and_then(|at| fields.get(at)).unwrap_or_default();
    let id: u64 = id.trim().parse().map_err(|_| "has no whole number as its id".to_owned())?;
    if !ids.insert(id) {
        return Err(format!("another row above has the id {id}, too"));
    }
    Ok((id, fields))
}

impl<'t> Row<'t> {
    /// The text of a column; none when it is empty or the export does not have the column.
    pub(super) fn text(&self, column: &str) -> Option<&'t str> {
        let field = self.fields.get(*self.columns.get(column)?)?;
        Some(field.trim_matches(|c: char| c.is_whitespace() || c == SEPARATOR)).filter(|text| !text.is_empty())
    }

    /// The text of a column on one line, as names and titles are kept: white space and control characters,
    /// which nobody meant, become single spaces.
    pub(super) fn line(&self, column: &str) -> Result<Option<String>, String> {
        let Some(text) = self.text(column) else { return Ok(None) };
        let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        let line = words.collect::<Vec<_>>().join(" ");
        if line.chars().nth(LONGEST_LINE).is_some() {
            return Err(format!("{column} has more than {LONGEST_LINE} characters"));
        }
        Ok(Some(line).filter(|line| !line.is_empty()))
    }

    /// The text of a column with its lines; other control characters are nobody's meaning and fall away.
    pub(super) fn prose(&self, column: &str) -> Result<Option<String>, String> {
        let Some(text) = self.text(column) else { return Ok(None) };
        let prose: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')).collect();
        if prose.chars().nth(LONGEST_PROSE).is_some() {
            return Err(format!("{column} has more than {LONGEST_PROSE} characters"));
        }
        Ok(Some(prose).filter(|prose| !prose.trim().is_empty()))
    }

    /// The column's values, where it may hold several.
    pub(super) fn values(&self, column: &str) -> Vec<&'t str> {
        let values = self.text(column).unwrap_or_default().split(SEPARATOR);
        values.map(str::trim).filter(|value| !value.is_empty()).collect()
    }

    /// Whether a yes-or-no column says yes. Not known is no.
    pub(super) fn flag(&self, column: &str) -> bool {
        self.text(column).is_some_and(|text| matches!(text, "1" | "t" | "true"))
    }

    /// The whole number of a column, such as another row's id.
    pub(super) fn number<N: std::str::FromStr>(&self, column: &str) -> Result<Option<N>, String> {
        let parse = |text: &str| text.parse().map_err(|_| format!("{column} {text:?} is not a whole number in range"));
        self.text(column).map(parse).transpose()
    }

    /// The whole number of a column that a row makes no sense without.
    pub(super) fn needed_number(&self, column: &str) -> Result<u64, String> {
        self.number(column)?.ok_or_else(|| format!("{column} is empty"))
    }

    /// The date of a column; its time of day, where there is one, is left out. Zero dates are "not known".
    pub(super) fn date(&self, column: &str) -> Result<Option<NaiveDate>, String> {
        Ok(self.date_time(column)?.map(|local| local.date()))
    }

    /// The date and time of a column; midnight where it is a date alone. Zero dates are "not known".
    pub(super) fn date_time(&self, column: &str) -> Result<Option<NaiveDateTime>, String> {
        let Some(text) = self.text(column).filter(|text| !text.starts_with("0000-00-00")) else { return Ok(None) };
        let whole = text.replacen('T', " ", 1);
        let date_time = NaiveDateTime::parse_from_str(&whole, "%Y-%m-%d %H:%M:%S%.f")
            .or_else(|_| NaiveDateTime::parse_from_str(&whole, "%Y-%m-%d %H:%M"))
            .or_else(|_| NaiveDate::parse_from_str(&whole, "%Y-%m-%d").map(|date| date.and_time(NaiveTime::MIN)));
        match date_time {
            Ok(date_time) if YEARS.contains(&date_time.year()) => Ok(Some(date_time)),
            _ => Err(format!("{column} is not a date between 1800 and 9999")),
        }
    }

    /// The amount of money of a column.
    pub(super) fn amount(&self, column: &str, currency: Currency) -> Result<Option<Money>, String> {
        let parse = |text| decimal::amount(text, currency).map_err(|reason| format!("{column}: {reason}"));
        self.text(column).map(parse).transpose()
    }
}
