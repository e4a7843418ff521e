//! A command on its way to a stream, and how it waits.

use guildhall_aggregates::{Decide, TenantId};
use guildhall_event_store::{Claim, Metadata};
use tokio_util::sync::DropGuard;
use uuid::Uuid;

/// What a caller expects of the stream before the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It exists.
    Exists,
    /// It is at this version; 0 for one that does not exist.
    Version(u64),
}

impl Expected {
    pub(super) fn holds(self, version: u64) -> bool {
        match self {
            Self::Exists => version > 0,
            Self::Version(expected) => version == expected,
        }
    }
}

/// A command on its way to a stream.
#[derive(Debug)]
pub struct Order<A: Decide> {
    /// Whose stream.
    pub tenant: TenantId,
    /// The thing's id: which stream of the aggregate's category.
    pub id: Uuid,
    /// What is asked.
    pub command: A::Command,
    /// The command's identity: it takes effect once.
    pub command_id: Uuid,
    /// A keyed hash of the request it came with.
    pub request_hash: [u8; 32],
    /// Who sent it and why.
    pub metadata: Metadata,
    /// What the stream claims for itself alone.
    pub claims: Vec<Claim>,
    /// What the stream must be like.
    pub expected_version: Option<Expected>,
}

/// How a command waits for its turn.
#[derive(Debug, Default)]
pub struct Manner {
    /// Wait where there is too much work, however long, instead of being told to come back. For those who send no
    /// more than is answered.
    pub patient: bool,
    /// Dropped once the command has its place in its lane: who comes after that is decided after it.
    pub entered: Option<DropGuard>,
}
