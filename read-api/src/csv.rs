//! Lists as CSV (RFC 4180), safe to open in a spreadsheet.

use guildhall_aggregates::money::{Currency, Money};

/// A row of a list that can be had as a table.
pub(crate) trait Tabular {
    /// The header line.
    const COLUMNS: &'static [&'static str];

    /// One cell for each column.
    fn cells(&self) -> Vec<Cell>;
}

/// What stands in a cell. Text comes from people, so it is guarded; the rest is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Written by somebody. A spreadsheet must not take it for a formula.
    Text(String),
    /// A number, a date, an id or a word of ours.
    Plain(String),
    /// Not known, or not for this reader.
    Empty,
}

impl Cell {
    /// Text, where there is one.
    pub(crate) fn text(text: Option<&str>) -> Self {
        text.map_or(Self::Empty, |text| Self::Text(text.to_owned()))
    }

    /// Several texts in one cell.
    pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Text(texts.into_iter().collect::<Vec<_>>().join("; "))
    }

    /// Something that is written in one way only.
    pub(crate) fn plain(value: impl ToString) -> Self {
        Self::Plain(value.to_string())
    }

    /// The same, where there is one.
    pub(crate) fn maybe(value: Option<impl ToString>) -> Self {
        value.map_or(Self::Empty, Self::plain)
    }

    /// Whether something is missing in the row: `true`, or nothing.
    pub(crate) fn stale(stale: bool) -> Self {
        Self::maybe(stale.then_some(true))
    }

    /// An amount as a decimal number; the currency has a column of its own.
    pub(crate) fn amount(minor: i64, currency: &str) -> Self {
        let currency = Currency::from_code(currency);
        Self::Plain(currency.map_or_else(|| minor.to_string(), |currency| Money::new(minor, currency).decimal()))
    }

    /// What is written between the commas. Text that a spreadsheet would run as a formula gets an apostrophe
    /// before it, which spreadsheets hide.
    fn written(self) -> String {
        match self {
            Self::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
            Self::Text(text) | Self::Plain(text) => text,
            Self::Empty => String::new(),
        }
    }
}

/// The rows as a table with a header line.
pub(crate) fn table<T: Tabular>(rows: &[T]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(T::COLUMNS).expect("writing to memory does not fail");
    for row in rows {
        let cells = row.cells().into_iter().map(Cell::written);
        writer.write_record(cells).expect("every row has a cell for every column");
    }
    writer.into_inner().expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row(&'static str, i64);

    impl Tabular for Row {
        const COLUMNS: &'static [&'static str] = &["name", "balance"];
        fn cells(&self) -> Vec<Cell> {
            vec![Cell::text(Some(self.0)), Cell::plain(self.1)]
        }
    }

    fn line(row: Row) -> String {
        let table = String::from_utf8(table(&[row])).unwrap();
        table.strip_prefix("name,balance\r\n").unwrap().to_owned()
    }

    #[test]
    fn a_cell_with_commas_quotes_or_lines_is_quoted() {
        assert_eq!(line(Row("Lovelace, \"Ada\"", 1)), "\"Lovelace, \"\"Ada\"\"\",1\r\n");
        assert_eq!(line(Row("two\nlines", 1)), "\"two\nlines\",1\r\n");
    }

    #[test]
    fn text_is_never_a_formula_and_numbers_stay_numbers() {
        assert_eq!(line(Row("=HYPERLINK(1)", -5)), "'=HYPERLINK(1),-5\r\n");
        for start in ["+1", "-1", "@x", "\tx"] {
            assert!(line(Row(start, 0)).starts_with('\''), "{start:?}");
        }
    }
}
