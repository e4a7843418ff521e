//! What history holds: recorded events and what is known about each.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use guildhall_aggregates::{StoredEvent, TenantId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::upcast::Stored;

/// Which stream of an association: the aggregate's category and the thing's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamId {
    /// The aggregate's name, such as `event_roster`.
    pub category: Arc<str>,
    /// The thing's id.
    pub id: Uuid,
}

impl StreamId {
    /// The stream of one thing.
    pub fn new(category: &str, id: Uuid) -> Self {
        Self { category: category.into(), id }
    }
}

/// Written `category-id`, as in `event_roster-0198c0de-…`.
impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.category, self.id)
    }
}

impl std::str::FromStr for StreamId {
    type Err = NotAStream;
    fn from_str(text: &str) -> Result<Self, NotAStream> {
        let (category, id) = text.split_once('-').ok_or(NotAStream)?;
        let known = !category.is_empty() && category.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if !known {
            return Err(NotAStream);
        }
        Ok(Self::new(category, id.parse().map_err(|_| NotAStream)?))
    }
}

/// A text that names no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stream is named `category-uuid`, such as `membership-0198c0de-0000-7000-8000-000000000001`")]
pub struct NotAStream;

/// Who caused a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Actor {
    /// The holder of a token, by its subject.
    Caller(String),
    /// A process of ours, by its name.
    Process(String),
    /// An import, by the system imported from.
    Import(String),
}

/// Who, why and by what an event was caused. Stored beside every event as JSON; holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The command's name, such as `RegisterForEvent`.
    pub command: String,
    /// Who sent it.
    pub actor: Actor,
    /// What it belongs to: the same for everything one request set in motion.
    pub correlation_id: Uuid,
    /// The event that made a process send the command; none where a caller did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// One event as it stands in history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its place in all of history: 1, 2, 3 … in commit order.
    pub position: u64,
    /// Whose it is.
    pub tenant: TenantId,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its place in the stream: 1, 2, 3 ….
    pub version: u64,
    /// Its own identity.
    pub event_id: Uuid,
    /// The variant's name.
    pub type_name: Arc<str>,
    /// The version of the variant's schema.
    pub schema_version: u16,
    /// The event as JSON, byte for byte as it was appended.
    pub payload: Bytes,
    /// [`Metadata`] as JSON, byte for byte as it was appended.
    pub metadata: Bytes,
    /// The command it came of.
    pub command_id: Uuid,
    /// SHA-256 over the canonical envelope and the exact payload.
    pub leaf_hash: [u8; 32],
    /// When it was appended, by the clock of the node that did.
    pub recorded_at: DateTime<Utc>,
}

/// Why stored bytes are not the event they should be.
#[derive(Debug, thiserror::Error)]
#[error("event {type_name} v{schema_version} at position {position} cannot be read: {reason}")]
pub struct DecodeError {
    /// Where it stands.
    pub position: u64,
    /// Its variant.
    pub type_name: Arc<str>,
    /// Its schema version.
    pub schema_version: u16,
    /// What is wrong with it.
    pub reason: String,
}

impl RecordedEvent {
    /// The event, brought up to today's schema.
    ///
    /// # Errors
    /// The stored bytes are no event of this aggregate, or of a schema version newer than this program.
    pub fn decode<E: StoredEvent>(&self) -> Result<E, DecodeError> {
        Stored {
            stream: &self.stream,
            position: self.position,
            version: self.version,
            type_name: &self.type_name,
            schema_version: self.schema_version,
            payload: &self.payload,
        }
        .decode()
    }

    /// Who, why and by what it was caused.
    ///
    /// # Errors
    /// The stored bytes are no metadata.
    pub fn parsed_metadata(&self) -> Result<Metadata, DecodeError> {
        serde_json::from_slice(&self.metadata).map_err(|error| self.unreadable(&error))
    }

    /// An error about this event.
    pub fn unreadable(&self, reason: &dyn fmt::Display) -> DecodeError {
        DecodeError {
            position: self.position,
            type_name: Arc::clone(&self.type_name),
            schema_version: self.schema_version,
            reason: reason.to_string(),
        }
    }
}
