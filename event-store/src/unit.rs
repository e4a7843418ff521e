//! What is appended, and what comes back.

use std::borrow::Cow;

use bytes::Bytes;
use guildhall_aggregates::TenantId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::record::StreamId;

/// The work of one stream: commands decided one after another on one state, appended together or not at all.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Whose stream.
    pub tenant: TenantId,
    /// Which stream.
    pub stream: StreamId,
    /// The version the commands were decided on; 0 for a stream that does not exist.
    pub expected_version: u64,
    /// The commands, in the order they were decided. At least one.
    pub commands: Vec<DecidedCommand>,
}

/// One command and what was decided about it. One that recorded nothing is kept, too, so that its receipt
/// can be given again.
#[derive(Debug, Clone)]
pub struct DecidedCommand {
    /// The command's identity: it takes effect once.
    pub command_id: Uuid,
    /// A keyed hash of the request, to tell the same command from another one under the same key.
    pub request_hash: [u8; 32],
    /// [`crate::Metadata`] as JSON.
    pub metadata: Bytes,
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// What the stream claims for itself alone.
    pub claims: Vec<Claim>,
}

/// An event that has no position yet.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its own identity.
    pub event_id: Uuid,
    /// The variant's name.
    pub type_name: Cow<'static, str>,
    /// The version of the variant's schema.
    pub schema_version: u16,
    /// The event as JSON.
    pub payload: Bytes,
}

/// A value only one stream of an association may have: an e-mail address, a member number.
/// A stream holds at most one value of a kind; claiming another lets go of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What is claimed: `email`, `member_number`, `plan_code`.
    pub kind: &'static str,
    /// A keyed hash of the value; the value itself is not kept. `None` lets go of what the stream holds.
    pub value_hmac: Option<[u8; 32]>,
}

/// The proof that a command was recorded. The same command gets the same receipt, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The command.
    pub command_id: Uuid,
    /// The stream that decided.
    pub stream: StreamId,
    /// The stream's version after it.
    pub version: u64,
    /// The position of its last event; where nothing was recorded, the highest position at the time.
    pub position: u64,
    /// What was recorded, in order.
    pub events: Vec<ReceiptEvent>,
}

/// One event of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptEvent {
    /// Its identity.
    pub event_id: Uuid,
    /// The variant's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its place in the stream.
    pub version: u64,
    /// Its place in all of history.
    pub position: u64,
}

/// A command found in the log, with the hash of the request it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCommand {
    /// The hash of the request it was recorded with.
    pub request_hash: [u8; 32],
    /// Its receipt.
    pub receipt: Receipt,
}

/// What became of a unit. Everything but `Appended` means that nothing of the unit was stored by this
/// append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitOutcome {
    /// Stored, durably. One receipt for each command, in order.
    Appended(Vec<Receipt>),
    /// The stream is at another version than expected.
    Conflict {
        /// The version it is at.
        actual: u64,
    },
    /// Some of the commands were recorded before, some perhaps since; these are they.
    Duplicate(Vec<RecordedCommand>),
    /// Another stream has claimed a value.
    ClaimTaken {
        /// The command that wanted it.
        command_id: Uuid,
        /// What was claimed.
        kind: String,
    },
}
