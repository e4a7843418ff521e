//! What an audit can find.

use std::fmt;

use guildhall_aggregates::TenantId;
use guildhall_event_store::verify::Difference;

use crate::NoteError;

/// Something that is not as it was recorded or signed.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// A record.
    Record(Difference),
    /// A checkpoint, in the database or kept elsewhere.
    Checkpoint {
        /// Its number.
        number: u64,
        /// What is wrong.
        problem: CheckpointProblem,
    },
    /// Hashes that are kept to prove with.
    Tile {
        /// Whose.
        association: TenantId,
        /// The level of the tile, from 0.
        level: u8,
        /// Its place in the level, from 0.
        index: u64,
        /// What is wrong.
        problem: TileProblem,
    },
}

/// What can be wrong with a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointProblem {
    /// It is none, or not signed as it should be.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// It is missing among the others.
    #[error("it is missing from the database, and later ones are there")]
    Missing,
    /// It was kept elsewhere and is not in the database.
    #[error("it was signed and kept, and is missing from the database")]
    Removed,
    /// It was kept elsewhere, and another one stands in its place.
    #[error("it was signed and kept, and the database has another one in its place")]
    Replaced,
    /// The columns of its row do not repeat what was signed.
    #[error("its row says something else than its text")]
    Repeated,
    /// An earlier one of the association has more records.
    #[error("an earlier checkpoint has more records")]
    Shrunk,
    /// There are not so many records.
    #[error("it is of {signed} records, and only {found} are there")]
    CutOff {
        /// How many it has.
        signed: u64,
        /// How many there are.
        found: u64,
    },
    /// The records are other ones, or in another order.
    #[error("its {0} records are not the ones that are there")]
    Contradicted(u64),
}

/// What can be wrong with a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TileProblem {
    /// A checkpoint covers it, and it is not there.
    #[error("it is missing")]
    Missing,
    /// It is not what the records give.
    #[error("it is not what follows from the records")]
    Changed,
    /// There are no records for it.
    #[error("there are no records for it")]
    Foreign,
    /// Another one has its place.
    #[error("it is there twice")]
    Doubled,
}

/// Written for a person.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(difference) => difference.fmt(f),
            Self::Checkpoint { number, problem } => write!(f, "checkpoint {number}: {problem}"),
            Self::Tile { association, level, index, problem } => {
                write!(f, "tile {index} of level {level} of association {association}: {problem}")
            }
        }
    }
}
