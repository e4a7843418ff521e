//! What can go wrong between history and its proof.

use std::{io, path::PathBuf};

use guildhall_event_store::StoreError;

use crate::checkpoint::NoteError;

/// Why something could not be sealed, signed or proved.
#[derive(Debug, thiserror::Error)]
pub enum IntegrityError {
    /// History could not be read, or what proves it not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// History is not what an earlier checkpoint says. Nothing more is signed for this association.
    #[error(
        "history of association {association} does not agree with its checkpoint {number}: {reason}; nothing is signed; \
         run `guildhall audit verify`"
    )]
    Contradicted {
        /// The association.
        association: guildhall_aggregates::TenantId,
        /// The checkpoint's number.
        number: u64,
        /// In what they differ.
        reason: String,
    },
    /// A checkpoint cannot be trusted.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// There is nothing that could be proved, or nothing to prove it with. The text says what to do.
    #[error("{0}")]
    NotProvable(String),
    /// A hash that should be stored, or follow from what is, is missing.
    #[error("the log of the association is not whole: {0}; run `guildhall audit verify`")]
    Incomplete(String),
    /// Events that are needed were moved to an archive.
    #[error(
        "positions {first} to {last} are archived, and not all of them are under a checkpoint of their association; bring \
         them back with `guildhall store attach FOLDER` first"
    )]
    Archived {
        /// The first position that is archived.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A checkpoint could not be brought to a place outside the database.
    #[error("{0}")]
    NotPublished(String),
    /// A record is not text, and so was not written by us.
    #[error("the record at position {0} is not text; run `guildhall audit verify`")]
    NotText(u64),
}

impl From<tokio_postgres::Error> for IntegrityError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<deadpool_postgres::PoolError> for IntegrityError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Store(error.into())
    }
}

impl From<tlog_tiles::Error> for IntegrityError {
    fn from(error: tlog_tiles::Error) -> Self {
        Self::Incomplete(error.to_string())
    }
}
