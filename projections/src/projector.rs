//! What a projection is: a fold of history into tables.

use deadpool_postgres::Transaction;
use guildhall_event_store::{Batch, Selection};

/// Folds events into the rows of its tables.
///
/// It gets a batch and a transaction and nothing else, so it cannot send mail, call anybody or read the clock. Order
/// holds within a stream only: the tables must come out the same under every interleaving of streams.
///
/// Statements name tables without a schema. Live they are those of schema `read`; during a rebuild, copies.
pub trait Projector: Send + Sync + 'static {
    /// Its name in checkpoints, metrics and on the command line.
    const NAME: &'static str;

    /// Raised whenever the same history gives other rows than before; the tables are then rebuilt.
    const VERSION: i32;

    /// The tables it writes, all of them and nobody else's.
    const TABLES: &'static [&'static str];

    /// The events it reads. Others may be in a batch and may be left out of it: they change nothing.
    const READS: Selection;

    /// Folds a batch into the tables.
    fn apply(
        batch: &Batch,
        tx: &Transaction<'_>,
        stage: Stage,
    ) -> impl Future<Output = Result<(), ProjectError>> + Send;

    /// Makes the rows that [`Stage::Build`] has left out, once all of history is folded.
    fn complete(tx: &Transaction<'_>) -> impl Future<Output = Result<(), tokio_postgres::Error>> + Send {
        // Nothing was left out.
        let _ = tx;
        async { Ok(()) }
    }
}

/// What the tables are while a batch is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Up to date after each batch: somebody may read them.
    Live,
    /// Being built from the first event on by several at once, each with streams of its own. Rows that follow from several
    /// streams may be left to [`Projector::complete`], which makes each of them once.
    Build,
}

/// An event a projector cannot read or fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Where it stands in history.
    pub position: u64,
    /// What is wrong with it, without personal data.
    pub reason: String,
}

/// Why a batch was not folded.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Some of its events cannot be read or folded; the others can.
    #[error("{} event(s) cannot be folded, the first at position {}", .0.len(), .0.first().map_or(0, |p| p.position))]
    Poison(Vec<Poison>),
    /// Postgres refused a statement, or is not there.
    #[error("the read model's database: {0}")]
    Database(#[from] tokio_postgres::Error),
}
