//! The general journal as ERPs and bookkeeping programs read it.
//!
//! [`Export`] writes entries one after another, so a journal of any length passes through without being held. Every entry
//! carries its external id: what is sent twice is known to be the same.
//!
//! Pure: no I/O but the writer it is given. To add a format: a file with a writer of the same three steps, and a variant
//! of [`Format`].

mod beancount;
mod csv;
mod hledger;
mod ledger;
#[cfg(test)]
mod testing;

use std::io;

use guildhall_projections::erp_journal::JournalEntry;

/// How a journal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One row for each line, with a header; RFC 4180, UTF-8.
    Csv,
    /// A journal for `hledger`; passes `hledger check --strict`.
    Hledger,
    /// A ledger for `beancount`; passes `bean-check`.
    Beancount,
}

impl Format {
    /// The media type of what is written.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Hledger | Self::Beancount => "text/plain; charset=utf-8",
        }
    }

    /// The usual ending of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Hledger => "journal",
            Self::Beancount => "beancount",
        }
    }
}

/// A text that names no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a journal is written as `csv`, `hledger` or `beancount`")]
pub struct NotAFormat;

impl std::str::FromStr for Format {
    type Err = NotAFormat;
    fn from_str(text: &str) -> Result<Self, NotAFormat> {
        match text {
            "csv" => Ok(Self::Csv),
            "hledger" => Ok(Self::Hledger),
            "beancount" => Ok(Self::Beancount),
            _ => Err(NotAFormat),
        }
    }
}

/// A journal on its way to a writer.
///
/// ```
/// use guildhall_erp_sync::{Export, Format};
/// let mut export = Export::begin(Format::Hledger, Vec::new(), "Society of Examples")?;
/// for entry in [] {
///     export.entry(&entry)?;
/// }
/// let text = String::from_utf8(export.finish()?).expect("journals are UTF-8");
/// assert!(text.starts_with("; General journal of Society of Examples"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Export<W: io::Write>(Writer<W>);

enum Writer<W: io::Write> {
    Csv(Box<csv::Writer<W>>),
    Hledger(hledger::Writer<W>),
    Beancount(beancount::Writer<W>),
}

impl<W: io::Write> Export<W> {
    /// Writes what comes before the first entry.
    pub fn begin(format: Format, out: W, association: &str) -> io::Result<Self> {
        Ok(Self(match format {
            Format::Csv => Writer::Csv(Box::new(csv::Writer::begin(out)?)),
            Format::Hledger => Writer::Hledger(hledger::Writer::begin(out, association)?),
            Format::Beancount => Writer::Beancount(beancount::Writer::begin(out, association)?),
        }))
    }

    /// Writes an entry.
    pub fn entry(&mut self, entry: &JournalEntry) -> io::Result<()> {
        match &mut self.0 {
            Writer::Csv(writer) => writer.entry(entry),
            Writer::Hledger(writer) => writer.entry(entry),
            Writer::Beancount(writer) => writer.entry(entry),
        }
    }

    /// Writes what comes after the last entry, such as the accounts that were met, and gives the writer back.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Writer::Csv(writer) => writer.finish(),
            Writer::Hledger(writer) => writer.finish(),
            Writer::Beancount(writer) => writer.finish(),
        }
    }
}
