//! An event as a Kafka record: `CloudEvents` 1.0 in Kafka's binary mode.
//!
//! The value is the payload, byte for byte, and the attributes are headers. Nothing of what history holds is
//! lost on the way: a [`RecordedEvent`] read from Kafka equals the one in the store, its exact metadata
//! included, so its leaf hash can be checked. `ce_dataschema` says where the JSON Schema of the payload is. What
//! `CloudEvents` calls extensions are
//!
//! | header | holds |
//! |---|---|
//! | `ce_position` | the event's place in all of history |
//! | `ce_prevposition` | the position of the event before it in this partition; 0 for the first |
//! | `ce_streamversion`, `ce_schemaversion` | its place in its stream; the version of its type's schema |
//! | `ce_commandid`, `ce_correlationid`, `ce_causationid`, `ce_traceparent` | what it came of |
//! | `ce_leafhash` | SHA-256 over the canonical envelope and the payload, base64 |
//! | `ce_metadata` | the stored metadata, byte for byte |
//!
//! A **watermark** (`guildhall.watermark`) is a record without a value. It tells a partition that no event of it
//! stands between `ce_prevposition` and `ce_position`, so that "everything up to p" can be answered for partitions
//! where nothing happens.

use std::{collections::HashSet, str, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use guildhall_aggregates::TenantId;
use guildhall_event_store::{RecordedEvent, StreamId};
use rdkafka::message::{Header, Headers, OwnedHeaders};

use crate::topics::Place;

pub(crate) const SPEC_VERSION: &str = "1.0";
pub(crate) const CONTENT_TYPE: &str = "application/json";
pub(crate) const SOURCE_PREFIX: &str = "/associations/";
pub(crate) const TYPE_PREFIX: &str = "guildhall.";
pub(crate) const WATERMARK_TYPE: &str = "guildhall.watermark";
pub(crate) const WATERMARK_SOURCE: &str = "/relay";

/// The names a [`Decoder`] keeps. There are far fewer; records made to fill its memory shall not.
const MOST_NAMES: usize = 10_000;

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The position of the event before it in its partition; 0 where there is none.
    pub previous: u64,
    /// What it carries.
    pub content: Content,
}

/// What a record carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An event.
    Event(RecordedEvent),
    /// Nothing, up to and including a position.
    Watermark(Watermark),
}

/// How far history has been relayed, told to a partition that had no event of late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// Every event of the partition up to this position comes before the watermark.
    pub position: u64,
    /// The leaf hash of the event at this position, in whichever partition that one is.
    pub leaf_hash: [u8; 32],
}

impl Content {
    /// The position it stands for, and the leaf hash of the event there.
    pub fn stands_at(&self) -> (u64, [u8; 32]) {
        match self {
            Self::Event(event) => (event.position, event.leaf_hash),
            Self::Watermark(watermark) => (watermark.position, watermark.leaf_hash),
        }
    }
}

/// Why a record is none of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A header is missing.
    #[error("the record has no header {0}")]
    Missing(&'static str),
    /// A header's value is not what it should be.
    #[error("the record's header {name} cannot be read: {value:?}")]
    Unreadable {
        /// The header.
        name: &'static str,
        /// Its value, as far as it is text.
        value: String,
    },
    /// The record has no value.
    #[error("the record of an event has no value")]
    NoPayload,
    /// The event is not the one its leaf hash was made of.
    #[error("the record does not agree with its leaf hash")]
    Altered,
}

/// The key of a stream's records: everything of one stream lands in one partition, in order.
pub fn key(tenant: TenantId, stream: &StreamId) -> String {
    format!("{tenant}/{stream}")
}

/// The headers of an event's record; its schema is served by the API at `public_url`.
pub fn event_headers(event: &RecordedEvent, previous: u64, public_url: &str) -> OwnedHeaders {
    let RecordedEvent { stream: StreamId { category, .. }, type_name, schema_version, .. } = event;
    let mut attributes = vec![
        ("ce_specversion", SPEC_VERSION.to_owned()),
        ("content-type", CONTENT_TYPE.to_owned()),
        ("ce_id", event.event_id.to_string()),
        ("ce_source", event.cloud_source()),
        ("ce_type", event.cloud_type()),
        ("ce_subject", event.stream.to_string()),
        ("ce_time", event.cloud_time()),
        ("ce_position", event.position.to_string()),
        ("ce_prevposition", previous.to_string()),
        ("ce_streamversion", event.version.to_string()),
        ("ce_schemaversion", schema_version.to_string()),
        ("ce_dataschema", format!("{public_url}/v1/schemas/{category}/{type_name}/{schema_version}")),
        ("ce_commandid", event.command_id.to_string()),
        ("ce_leafhash", STANDARD.encode(event.leaf_hash)),
    ];
    // For those who read the topics with other tools. Metadata that is none is not the relay's to judge: it is
    // carried as it stands, and whoever needs to understand it will complain.
    if let Ok(metadata) = event.parsed_metadata() {
        attributes.push(("ce_correlationid", metadata.correlation_id.to_string()));
        attributes.extend(metadata.causation_id.map(|id| ("ce_causationid", id.to_string())));
        attributes.extend(metadata.traceparent.map(|parent| ("ce_traceparent", parent)));
    }
    headers(&attributes).insert(Header { key: "ce_metadata", value: Some(event.metadata.as_ref()) })
}

/// The headers of a watermark's record. Its place makes its id differ from those of the other partitions.
pub(crate) fn watermark_headers(watermark: Watermark, previous: u64, place: Place) -> OwnedHeaders {
    headers(&[
        ("ce_specversion", SPEC_VERSION.to_owned()),
        ("ce_id", format!("{place}/{}", watermark.position)),
        ("ce_source", WATERMARK_SOURCE.to_owned()),
        ("ce_type", WATERMARK_TYPE.to_owned()),
        ("ce_position", watermark.position.to_string()),
        ("ce_prevposition", previous.to_string()),
        ("ce_leafhash", STANDARD.encode(watermark.leaf_hash)),
    ])
}

fn headers(attributes: &[(&str, String)]) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(attributes.len() + 1);
    attributes.iter().fold(empty, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// Reads records back. Keeps the few names that every event repeats, so that reading one allocates none of them.
#[derive(Debug, Default)]
pub struct Decoder {
    names: HashSet<Arc<str>>,
}

impl Decoder {
    /// What a record says, from its headers and its value.
    ///
    /// # Errors
    /// The record was not written by a relay, or not all of it is there.
    pub fn decode(&mut self, headers: &impl Headers, payload: Option<&[u8]>) -> Result<Incoming, EnvelopeError> {
        let found = Attributes::of(headers);
        let position = parse("ce_position", found.position)?;
        let previous = parse("ce_prevposition", found.previous)?;
        let leaf_hash = leaf_hash(text("ce_leafhash", found.leaf_hash)?)?;
        let typed = text("ce_type", found.typed)?;
        if typed == WATERMARK_TYPE {
            return Ok(Incoming { previous, content: Content::Watermark(Watermark { position, leaf_hash }) });
        }
        let (category, type_name) = typed
            .strip_prefix(TYPE_PREFIX)
            .and_then(|rest| rest.split_once('.'))
            .ok_or_else(|| unreadable("ce_type", typed))?;
        let event = RecordedEvent {
            position,
            tenant: tenant(text("ce_source", found.source)?)?,
            stream: self.stream(text("ce_subject", found.subject)?, category)?,
            version: parse("ce_streamversion", found.version)?,
            event_id: parse("ce_id", found.id)?,
            type_name: self.name(type_name),
            schema_version: parse("ce_schemaversion", found.schema_version)?,
            payload: Bytes::copy_from_slice(payload.ok_or(EnvelopeError::NoPayload)?),
            metadata: Bytes::copy_from_slice(found.metadata.ok_or(EnvelopeError::Missing("ce_metadata"))?),
            command_id: parse("ce_commandid", found.command_id)?,
            leaf_hash,
            recorded_at: parse("ce_time", found.time)?,
        };
        if event.computed_leaf_hash() != leaf_hash {
            return Err(EnvelopeError::Altered);
        }
        Ok(Incoming { previous, content: Content::Event(event) })
    }

    /// The stream a record is about; its category is said twice and must be the same.
    fn stream(&mut self, subject: &str, category: &str) -> Result<StreamId, EnvelopeError> {
        let id = subject.strip_prefix(category).and_then(|rest| rest.strip_prefix('-')).and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| unreadable("ce_subject", subject))?;
        Ok(StreamId { category: self.name(category), id })
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        if self.names.len() < MOST_NAMES {
            self.names.insert(Arc::clone(&name));
        }
        name
    }
}

/// The headers of a record, each found once.
#[derive(Default)]
struct Attributes<'a> {
    id: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    typed: Option<&'a [u8]>,
    subject: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
    position: Option<&'a [u8]>,
    previous: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    schema_version: Option<&'a [u8]>,
    command_id: Option<&'a [u8]>,
    leaf_hash: Option<&'a [u8]>,
    metadata: Option<&'a [u8]>,
}

impl<'a> Attributes<'a> {
    fn of(headers: &'a impl Headers) -> Self {
        let mut found = Self::default();
        for Header { key, value } in headers.iter() {
            match key {
                "ce_id" => found.id = value,
                "ce_source" => found.source = value,
                "ce_type" => found.typed = value,
                "ce_subject" => found.subject = value,
                "ce_time" => found.time = value,
                "ce_position" => found.position = value,
                "ce_prevposition" => found.previous = value,
                "ce_streamversion" => found.version = value,
                "ce_schemaversion" => found.schema_version = value,
                "ce_commandid" => found.command_id = value,
                "ce_leafhash" => found.leaf_hash = value,
                "ce_metadata" => found.metadata = value,
                // Headers that others have added, and those that repeat what the metadata says.
                _ => {}
            }
        }
        found
    }
}

fn parse<T: str::FromStr>(name: &'static str, value: Option<&[u8]>) -> Result<T, EnvelopeError> {
    let value = text(name, value)?;
    value.parse().map_err(|_| unreadable(name, value))
}

fn text<'a>(name: &'static str, value: Option<&'a [u8]>) -> Result<&'a str, EnvelopeError> {
    let value = value.ok_or(EnvelopeError::Missing(name))?;
    str::from_utf8(value).map_err(|_| unreadable(name, &String::from_utf8_lossy(value)))
}

fn tenant(source: &str) -> Result<TenantId, EnvelopeError> {
    let id = source.strip_prefix(SOURCE_PREFIX).and_then(|id| id.parse().ok());
    id.ok_or_else(|| unreadable("ce_source", source))
}

fn leaf_hash(encoded: &str) -> Result<[u8; 32], EnvelopeError> {
    let bytes = STANDARD.decode(encoded).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| unreadable("ce_leafhash", encoded))
}

fn unreadable(name: &'static str, value: &str) -> EnvelopeError {
    EnvelopeError::Unreadable { name, value: value.chars().take(200).collect() }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use guildhall_event_store::{Actor, Metadata};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const API: &str = "https://guildhall.example";

    fn event(position: u64, payload: Vec<u8>, metadata: Vec<u8>, micros: i64) -> RecordedEvent {
        let id = |n: u64| Uuid::from_u64_pair(n, position);
        let mut event = RecordedEvent {
            position,
            tenant: TenantId::new(id(1)),
            stream: StreamId::new("event_roster", id(2)),
            version: position / 2 + 1,
            event_id: id(3),
            type_name: "MemberRegistered".into(),
            schema_version: 3,
            payload: payload.into(),
            metadata: metadata.into(),
            command_id: id(4),
            leaf_hash: [0; 32],
            recorded_at: DateTime::from_timestamp_micros(micros).expect("the range is within what chrono holds"),
        };
        event.leaf_hash = event.computed_leaf_hash();
        event
    }

    fn metadata() -> Vec<u8> {
        let metadata = Metadata {
            command: "RegisterForEvent".to_owned(),
            actor: Actor::Caller("ada".to_owned()),
            correlation_id: Uuid::from_u128(7),
            causation_id: Some(Uuid::from_u128(8)),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        };
        serde_json::to_vec(&metadata).expect("metadata is plain data")
    }

    fn header(headers: &OwnedHeaders, key: &str) -> Option<String> {
        let found = headers.iter().find(|header| header.key == key)?.value?;
        Some(String::from_utf8_lossy(found).into_owned())
    }

    proptest! {
        #[test]
        fn an_event_comes_back_byte_for_byte(
            position in 1..u64::MAX,
            previous: u64,
            payload: Vec<u8>,
            metadata: Vec<u8>,
            micros in 0..4_102_444_800_000_000_i64,
        ) {
            let event = event(position, payload, metadata, micros);
            let read = Decoder::default().decode(&event_headers(&event, previous, API), Some(&event.payload));
            prop_assert_eq!(read, Ok(Incoming { previous, content: Content::Event(event) }));
        }
    }

    #[test]
    fn a_watermark_comes_back_and_has_no_value() {
        let watermark = Watermark { position: 9, leaf_hash: [7; 32] };
        let place = Place { topic: crate::Topic::Billing, partition: 2 };
        let read = Decoder::default().decode(&watermark_headers(watermark, 4, place), None);
        assert_eq!(read, Ok(Incoming { previous: 4, content: Content::Watermark(watermark) }));
    }

    #[test]
    fn the_attributes_are_those_of_a_cloud_event() {
        let event = event(9, b"{}".to_vec(), metadata(), 1_800_000_000_000_001);
        let headers = event_headers(&event, 4, API);
        let value = |key| header(&headers, key).unwrap_or_default();
        assert_eq!(value("ce_specversion"), "1.0");
        assert_eq!(value("ce_type"), "guildhall.event_roster.MemberRegistered");
        assert_eq!(value("ce_source"), format!("/associations/{}", event.tenant));
        assert_eq!(value("ce_dataschema"), format!("{API}/v1/schemas/event_roster/MemberRegistered/3"));
        assert_eq!(value("ce_subject"), event.stream.to_string());
        assert_eq!(value("ce_time"), "2027-01-15T08:00:00.000001Z");
        assert_eq!(value("ce_correlationid"), Uuid::from_u128(7).to_string());
        assert_eq!(value("ce_causationid"), Uuid::from_u128(8).to_string());
        assert!(value("ce_traceparent").starts_with("00-"));
        assert_eq!(key(event.tenant, &event.stream), format!("{}/{}", event.tenant, event.stream));
    }

    #[test]
    fn a_record_that_was_changed_on_the_way_is_recognised() {
        let event = event(9, b"{\"fee\":1}".to_vec(), metadata(), 0);
        let headers = event_headers(&event, 4, API);
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(&headers, Some(b"{\"fee\":0}")), Err(EnvelopeError::Altered));
        assert_eq!(decoder.decode(&headers, None), Err(EnvelopeError::NoPayload));
    }

    #[test]
    fn a_record_of_somebody_else_is_named_as_such() {
        let foreign = OwnedHeaders::new().insert(Header { key: "ce_position", value: Some("ten") });
        let mut decoder = Decoder::default();
        let none = decoder.decode(&OwnedHeaders::new(), Some(b"hello"));
        assert_eq!(none, Err(EnvelopeError::Missing("ce_position")));
        let unreadable = EnvelopeError::Unreadable { name: "ce_position", value: "ten".to_owned() };
        assert_eq!(decoder.decode(&foreign, None), Err(unreadable));
    }
}
