//! What can go wrong between a caller and history.

use std::{error::Error, time::Duration};

use tokio_postgres::error::SqlState;

use crate::record::DecodeError;

/// Why history could not be written or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// More waits to be appended than the queue may hold. Nothing was stored.
    #[error("too much is waiting to be recorded; try again in {} s", retry_after.as_secs())]
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// One event or unit is larger than any batch may be. Nothing was stored.
    #[error("{what} has {size}, {limit} is the limit; split the work into smaller commands")]
    TooLarge {
        /// What is too large: `the payload of an event, in bytes`.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// A unit that makes no sense, such as one without commands. A defect of the caller.
    #[error("the unit cannot be appended: {0}")]
    Malformed(&'static str),
    /// The database did not answer in time, after several attempts.
    #[error("history is not available: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// Whether the unit may have been stored nevertheless: send the same command again to learn it.
        may_be_stored: bool,
    },
    /// What was asked for was taken out of the database.
    #[error("positions {first} to {last} are archived; bring them back with `guildhall store attach FOLDER` first")]
    Archived {
        /// The first of the positions that are away.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// The database refused this unit and would refuse it again. Nothing was stored.
    #[error("the database refused: {message} ({code})")]
    Refused {
        /// SQLSTATE.
        code: String,
        /// What Postgres said.
        message: String,
    },
    /// A position is missing. History was damaged; stop and run `guildhall audit verify`.
    #[error("history has a hole: position {expected} is missing, {found} comes next; run `guildhall audit verify`")]
    Hole {
        /// The position that should come next.
        expected: u64,
        /// The one that does.
        found: u64,
    },
    /// The database's personal data is under another key-encryption key than the one given.
    #[error("personal data in this database is under key {stored}, the configured key-encryption key is {given}")]
    WrongKey {
        /// The id of the key it is under.
        stored: String,
        /// The id of the key this process has.
        given: String,
    },
    /// The database has no history schema yet.
    #[error("the database has no history in it; run `guildhall migrate` first")]
    NotMigrated,
    /// What was given as a database address or as a key is none.
    #[error("{0}")]
    Misconfigured(String),
}

/// Why an aggregate's state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// History could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored event is not what this program expects.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl StoreError {
    /// Whether the same may go well another time, without anything being wrong with it or with history.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Overloaded { .. } | Self::Archived { .. })
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::UNDEFINED_TABLE) || error.code() == Some(&SqlState::INVALID_SCHEMA_NAME) {
            return Self::NotMigrated;
        }
        match (Trouble::of(&error), error.as_db_error()) {
            (Trouble::Unit, Some(db)) => {
                Self::Refused { code: db.code().code().to_owned(), message: db.message().to_owned() }
            }
            _ => Self::Unavailable { reason: said(&error), may_be_stored: false },
        }
    }
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Unavailable { reason: other.to_string(), may_be_stored: false },
        }
    }
}

/// What an error of a statement says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connection is gone: whether the statement took effect is not known.
    Connection,
    /// The server could not do it now; it was rolled back.
    Passing,
    /// The server will never do it; it was rolled back.
    Unit,
}

impl Trouble {
    pub(crate) fn of(error: &tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else { return Self::Connection };
        match code.code().get(..2) {
            // Connection exceptions, and the server shutting down or recovering (57P01 … 57P03).
            Some("08") => Self::Connection,
            Some("57") if *code != SqlState::QUERY_CANCELED => Self::Connection,
            // Cancelled or out of time, rolled back for the sake of another, out of disk or memory or
            // connections, a lock not to be had, a read-only standby, trouble with files.
            Some("57" | "40" | "53" | "55" | "25" | "58") => Self::Passing,
            _ => Self::Unit,
        }
    }
}

/// What the server said, or what happened to the connection.
pub(crate) fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}
