//! What other systems exported, turned into commands.
//!
//! A source is read once and becomes an [`Import`]: command lines in an order that works, and a [`Report`]
//! with a verdict on every row of the export. Sending the lines is the caller's business; it tells the
//! report how each one ended ([`Report::settle`]). Nothing here knows of SQL, HTTP or Kafka, and nothing is
//! read but the folder that is named.
//!
//! Ids and idempotency keys follow from the source's own ids, so importing the same export again changes
//! nothing. No row is dropped in silence: it is taken, adjusted or refused, and the last two say why.
//!
//! To add a source: a folder beside [`civicrm`] with a `read` that gives an [`Import`].

pub mod civicrm;
mod decimal;
mod line;
mod report;

pub use line::{CommandLine, Import};
pub use report::{LeftOut, Outcome, Report, RowOutcome, RowReport, TableReport, Verdict};
