//! The canonical envelope of an event and its hash.
//!
//! Two programs that have never met must compute the same hash from the same event, for ever. So the envelope
//! is bytes, not JSON: a domain, then each field in a fixed order, each preceded by its length as eight bytes,
//! big end first. The position is not in it: it is not known before the append, and the order of history is what
//! checkpoints over the hashes attest.

use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Utc};
use guildhall_aggregates::TenantId;
use uuid::Uuid;

use crate::record::{RecordedEvent, StreamId};

const DOMAIN: &[u8] = b"guildhall event v1";

/// What is hashed of one event, in this order.
pub(crate) struct Envelope<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) stream: &'a StreamId,
    pub(crate) version: u64,
    pub(crate) event_id: Uuid,
    pub(crate) type_name: &'a str,
    pub(crate) schema_version: u16,
    pub(crate) metadata: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) command_id: Uuid,
    pub(crate) recorded_at: DateTime<Utc>,
}

impl Envelope<'_> {
    /// SHA-256 over the canonical bytes.
    pub(crate) fn leaf_hash(&self) -> [u8; 32] {
        let mut hash = Context::new(&SHA256);
        let mut field = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        field(DOMAIN);
        field(self.tenant.uuid().as_bytes());
        field(self.stream.category.as_bytes());
        field(self.stream.id.as_bytes());
        field(&self.version.to_be_bytes());
        field(self.event_id.as_bytes());
        field(self.type_name.as_bytes());
        field(&self.schema_version.to_be_bytes());
        field(self.metadata);
        field(self.payload);
        field(self.command_id.as_bytes());
        field(&self.recorded_at.timestamp_micros().to_be_bytes());
        hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

impl RecordedEvent {
    /// The hash this event should have, by what it says now. Differs from [`RecordedEvent::leaf_hash`] when
    /// anything of it was changed after it was recorded.
    pub fn computed_leaf_hash(&self) -> [u8; 32] {
        Envelope {
            tenant: self.tenant,
            stream: &self.stream,
            version: self.version,
            event_id: self.event_id,
            type_name: &self.type_name,
            schema_version: self.schema_version,
            metadata: &self.metadata,
            payload: &self.payload,
            command_id: self.command_id,
            recorded_at: self.recorded_at,
        }
        .leaf_hash()
    }
}
