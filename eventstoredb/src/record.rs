//! An event of ours as an event of theirs.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use guildhall_event_store::{Batch, RecordedEvent};
use serde_json::{Value, json, value::RawValue};
use tonic::Status;

use crate::{
    access::Access,
    asked::Form,
    history::{History, of_vault},
    wire::{
        StreamName, Timestamp, Uuid,
        read::{Content, Event, ReadEvent},
    },
};

/// Units of 100 ns since 1970, in which clients expect times.
pub(crate) fn ticks(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros().saturating_mul(10)
}

pub(crate) fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: at.timestamp(), nanos: i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0) }
}

/// A page of events as the caller may see them.
pub(crate) enum Shown {
    /// As they are stored.
    Stored(Vec<RecordedEvent>),
    /// With the personal data in them opened.
    Opened(Batch),
}

impl Shown {
    pub(crate) async fn to(access: &Access, history: &History, events: Vec<RecordedEvent>) -> Result<Self, Status> {
        if access.opens && !events.is_empty() {
            return Ok(Self::Opened(history.with_keys(events).await?));
        }
        Ok(Self::Stored(events))
    }

    pub(crate) fn events(&self) -> &[RecordedEvent] {
        match self {
            Self::Stored(events) => events,
            Self::Opened(batch) => &batch.events,
        }
    }

    /// One of the events as a message.
    pub(crate) fn content(&self, event: &RecordedEvent, form: Form) -> Result<Content, Status> {
        let stored = || event.payload.clone();
        let data = match self {
            Self::Stored(_) => stored(),
            Self::Opened(batch) => batch
                .revealed(event)
                .map_err(|error| of_vault(&error))?
                .map_or_else(stored, |clear| clear.to_string().into()),
        };
        Ok(content(event, data, form))
    }
}

fn content(event: &RecordedEvent, data: Bytes, form: Form) -> Content {
    let id = if form.structured_ids { Uuid::structured(event.event_id) } else { Uuid::text(event.event_id) };
    let metadata = [
        ("type", event.type_name.to_string()),
        ("content-type", content_type(&data).to_owned()),
        ("created", ticks(event.recorded_at).to_string()),
    ];
    let event = Event {
        id: Some(id),
        stream: Some(StreamName { name: event.stream.to_string().into() }),
        revision: event.version.saturating_sub(1),
        prepare_position: event.position,
        commit_position: event.position,
        metadata: BTreeMap::from(metadata.map(|(name, value)| (name.to_owned(), value))),
        custom_metadata: custom_metadata(event),
        data,
    };
    let commit_position = Some(event.commit_position);
    Content::Event(ReadEvent { event: Some(event), commit_position })
}

/// JSON, unless the record was damaged: then clients must not take it for JSON.
fn content_type(data: &[u8]) -> &'static str {
    match serde_json::from_slice::<&RawValue>(data) {
        Ok(_) => "application/json",
        Err(_) => "application/octet-stream",
    }
}

/// The metadata as it is stored, byte for byte, with more fields at its end: what EventStoreDB's tools follow from event
/// to event, and what the record's hash was made of besides. Stored bytes that are no metadata are shown as they are.
fn custom_metadata(event: &RecordedEvent) -> Bytes {
    let Ok(metadata) = event.parsed_metadata() else { return event.metadata.clone() };
    let Some(stored) = event.metadata.trim_ascii().strip_suffix(b"}") else { return event.metadata.clone() };
    let more = json!({
        "$correlationId": metadata.correlation_id,
        "$causationId": metadata.causation_id.unwrap_or(event.command_id),
        "guildhall": hashed_with(event),
    });
    let more = more.to_string();
    [stored, b",", more.trim_start_matches('{').as_bytes()].concat().into()
}

fn hashed_with(event: &RecordedEvent) -> Value {
    let leaf_hash: Vec<String> = event.leaf_hash.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "command_id": event.command_id,
        "schema_version": event.schema_version,
        "recorded_at": event.recorded_at,
        "leaf_hash": leaf_hash.concat(),
    })
}

#[cfg(test)]
mod tests {
    use guildhall_aggregates::tenant_of_slug;
    use guildhall_event_store::StreamId;

    use super::*;

    fn event(metadata: &'static str) -> RecordedEvent {
        RecordedEvent {
            position: 70,
            tenant: tenant_of_slug("nurses"),
            stream: StreamId::new("member", uuid::Uuid::from_u128(1)),
            version: 3,
            event_id: uuid::Uuid::from_u128(0xE),
            type_name: "MemberRegistered".into(),
            schema_version: 1,
            payload: r#"{"name":"gp1.x"}"#.into(),
            metadata: metadata.into(),
            command_id: uuid::Uuid::from_u128(0xC),
            leaf_hash: [0xab; 32],
            recorded_at: DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap(),
        }
    }

    const METADATA: &str = r#"{"command":"RegisterMember", "actor":{"kind":"caller","name":"front-desk"},"correlation_id":"00000000-0000-0000-0000-0000000000c0"}"#;

    #[test]
    fn stored_metadata_stays_byte_for_byte_and_more_follows() {
        let shown = custom_metadata(&event(METADATA));
        let stored = METADATA.strip_suffix('}').unwrap();
        assert!(shown.starts_with(stored.as_bytes()));
        let shown: Value = serde_json::from_slice(&shown).unwrap();
        assert_eq!(shown["$correlationId"], shown["correlation_id"]);
        assert_eq!(shown["$causationId"], "00000000-0000-0000-0000-00000000000c");
        assert_eq!(shown["guildhall"]["schema_version"], 1);
        assert_eq!(shown["guildhall"]["leaf_hash"], "ab".repeat(32));
        assert_eq!(shown["guildhall"]["recorded_at"], "2027-01-15T08:00:00.123456Z");
    }

    #[test]
    fn damaged_metadata_is_shown_as_it_is() {
        for damaged in ["", "{}", "no json", "[]"] {
            assert_eq!(custom_metadata(&event(damaged)), damaged);
        }
    }

    #[test]
    fn an_event_has_the_names_and_numbers_clients_expect() {
        let form = Form { structured_ids: true, tells_the_end: false };
        let shown_with = |data: &'static str| match content(&event(METADATA), data.into(), form) {
            Content::Event(read) => (read.commit_position, read.event.unwrap()),
            other => panic!("{other:?}"),
        };
        let (position, shown) = shown_with("{}");
        assert_eq!((shown.revision, shown.commit_position, position), (2, 70, Some(70)));
        assert_eq!(shown.metadata["content-type"], "application/json");
        assert_eq!(shown_with("no json").1.metadata["content-type"], "application/octet-stream");
        assert_eq!(shown.metadata["created"], "18000000001234560");
        assert_eq!(shown.stream.unwrap().name, "member-00000000-0000-0000-0000-000000000001");
        assert_eq!(shown.id, Some(Uuid::structured(uuid::Uuid::from_u128(0xE))));
    }
}
