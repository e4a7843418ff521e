//! Why a command has no receipt.

use std::{sync::Arc, time::Duration};

use guildhall_aggregates::Impossible;
use guildhall_event_store::{LoadError, StoreError};

/// Why a command has no receipt. Nothing of it was recorded, except where [`ExecuteError::Unavailable`] says
/// that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError<E> {
    /// The aggregate said no.
    #[error("{0}")]
    Refused(E),
    /// Another stream of the association has claimed a value.
    #[error("another record has this {kind} already")]
    ClaimTaken {
        /// What was claimed.
        kind: String,
    },
    /// The command id belongs to another request.
    #[error("the command's id was used for another request")]
    KeyReused,
    /// The same command is being executed right now.
    #[error("the same command is being executed right now")]
    InProgress,
    /// The stream is at another version than was expected.
    #[error("the stream is at version {actual}")]
    VersionMismatch {
        /// The version it is at; 0 for a stream that does not exist.
        actual: u64,
    },
    /// Other nodes changed the stream again and again in the meantime.
    #[error("too many others changed the same thing at the same time")]
    Contended,
    /// Too much waits to be recorded.
    #[error("too much is waiting to be recorded")]
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// What was decided is larger than history takes.
    #[error("what was decided is too large to be recorded: {0}")]
    TooLarge(Arc<str>),
    /// History did not answer. Whether the command was recorded is not known: the same command sent again
    /// takes effect once.
    #[error("history is not available: {0}")]
    Unavailable(Arc<str>),
    /// History refused, and would refuse again: a defect, not a refusal.
    #[error("history refused: {0}")]
    Failed(Arc<str>),
}

impl<E> From<StoreError> for ExecuteError<E> {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded { retry_after } => Self::Overloaded { retry_after },
            StoreError::TooLarge { .. } => Self::TooLarge(error.to_string().into()),
            StoreError::Unavailable { .. } | StoreError::Archived { .. } | StoreError::NotMigrated => {
                Self::Unavailable(error.to_string().into())
            }
            StoreError::Malformed(_)
            | StoreError::Refused { .. }
            | StoreError::Hole { .. }
            | StoreError::WrongKey { .. }
            | StoreError::Misconfigured(_) => Self::Failed(error.to_string().into()),
        }
    }
}

impl<E> From<LoadError> for ExecuteError<E> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => error.into(),
            LoadError::Decode(error) => Self::Failed(error.to_string().into()),
        }
    }
}

impl<E> ExecuteError<E> {
    /// The outcome as metrics count it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::ClaimTaken { .. } => "claim_taken",
            Self::KeyReused => "key_reused",
            Self::InProgress => "in_progress",
            Self::VersionMismatch { .. } => "version_mismatch",
            Self::Contended => "contended",
            Self::Overloaded { .. } => "overloaded",
            Self::TooLarge(_) => "too_large",
            Self::Unavailable(_) => "unavailable",
            Self::Failed(_) => "failed",
        }
    }
}

/// What keeps a whole lane from going on: every error but a refusal.
pub(super) type Trouble = ExecuteError<Impossible>;

impl Trouble {
    /// The same trouble, as the answer to a command that might have been refused.
    pub(super) fn answer<E>(&self) -> ExecuteError<E> {
        match self {
            Self::Refused(never) => match *never {},
            Self::ClaimTaken { kind } => ExecuteError::ClaimTaken { kind: kind.clone() },
            Self::KeyReused => ExecuteError::KeyReused,
            Self::InProgress => ExecuteError::InProgress,
            Self::VersionMismatch { actual } => ExecuteError::VersionMismatch { actual: *actual },
            Self::Contended => ExecuteError::Contended,
            Self::Overloaded { retry_after } => ExecuteError::Overloaded { retry_after: *retry_after },
            Self::TooLarge(why) => ExecuteError::TooLarge(Arc::clone(why)),
            Self::Unavailable(why) => ExecuteError::Unavailable(Arc::clone(why)),
            Self::Failed(why) => ExecuteError::Failed(Arc::clone(why)),
        }
    }
}
