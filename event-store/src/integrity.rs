//! The canonical envelope of an event and its hash.
//!
//! Two programs that have never met must compute the same hash from the same event, for ever. So the envelope
//! is bytes, not JSON: a domain, then each field in a fixed order, each preceded by its length as eight bytes,
//! big end first. The position is not in it: it is not known before the append, and the order of history is what
//! checkpoints over the hashes attest.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use guildhall_aggregates::TenantId;
use uuid::Uuid;

use crate::record::{RecordedEvent, StreamId};

const DOMAIN: &[u8] = b"guildhall event v1";
/// Room for everything but metadata and payload, unless a name is very long.
const LONGEST_NAMES: usize = 384;

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
        // Hashed in one piece: calling for each of two dozen pieces takes longer than hashing them.
        let mut bytes = Vec::with_capacity(LONGEST_NAMES + self.metadata.len() + self.payload.len());
        let mut field = |field: &[u8]| {
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field);
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
        digest(&SHA256, &bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash was computed from the description above by another program, in another language.
    #[test]
    fn the_hash_of_an_event_is_what_the_description_says() {
        let stream = StreamId::new("member", Uuid::from_u128(2));
        let envelope = Envelope {
            tenant: TenantId::new(Uuid::from_u128(1)),
            stream: &stream,
            version: 3,
            event_id: Uuid::from_u128(4),
            type_name: "MemberRegistered",
            schema_version: 5,
            metadata: br#"{"command":"RegisterMember"}"#,
            payload: r#"{"type":"MemberRegistered","name":"é"}"#.as_bytes(),
            command_id: Uuid::from_u128(6),
            recorded_at: DateTime::from_timestamp_micros(1_800_000_000_123_456).expect("a time"),
        };
        let hash: Vec<String> = envelope.leaf_hash().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash.concat(), "0e4b75950aa0d5053e54c45cd4014e94ebda8f6e35776b52c8628b541b21b950");
    }
}
