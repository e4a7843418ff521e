//! Read models: events folded into tables, and the queries on those tables.
//!
//! A [`Projector`] gets a batch and a transaction and nothing else; the [`Runner`] commits its rows together with the
//! checkpoint, so every event takes effect exactly once, whatever crashes. [`rebuild`] folds history again beside the live
//! tables and compares them row for row.
//!
//! This room knows nothing about HTTP or Kafka and never appends. A read table is named in exactly one file here; other
//! rooms call the queries.
//!
//! To add a projection: a migration with its tables (no generated columns, a primary key each) in `migrations/read/`, a
//! folder here with rows, fold and queries, and its name in [`NAMES`] and in the tests of `tests/`.

pub mod analyst;
pub mod checkpoint;
mod decode;
pub mod directory;
pub mod erp_journal;
mod fold;
pub mod parked;
pub mod progress;
mod projector;
mod rebuild;
pub mod reporting;
mod rows;
mod runner;
mod shares;
mod standing;

pub use checkpoint::{Claim, STORE, reached};
pub use directory::Directory;
pub use erp_journal::ErpJournal;
pub use projector::{Poison, ProjectError, Projector, Stage};
pub use rebuild::{Difference, MOST_SHARES, RebuildError, RebuildOptions, RebuildReport, TableReport, rebuild};
pub use reporting::Reporting;
pub use runner::{Delivery, RunError, Runner};

/// The names of all projections.
pub const NAMES: [&str; 3] = [Directory::NAME, Reporting::NAME, ErpJournal::NAME];
