//! An aggregate and its events between the words of `cqrs-es` and ours.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use cqrs_es::persist::SerializedEvent;
use guildhall_aggregates::{TenantId, ids::derived};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Categories, CategoryError, CqrsError, sequence};
use crate::{Metadata, NewEvent, RecordedEvent, StreamId};

/// One aggregate of `cqrs-es`, by what it is called there, and the stream it has here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignAggregate {
    /// `Aggregate::TYPE`.
    pub aggregate_type: String,
    /// Its id there: any text.
    pub aggregate_id: String,
    /// Its stream here.
    pub stream: StreamId,
}

impl ForeignAggregate {
    /// The aggregate of a type and an id.
    ///
    /// # Errors
    /// The type makes no category.
    pub fn new(
        tenant: TenantId,
        categories: &Categories,
        aggregate_type: &str,
        aggregate_id: &str,
    ) -> Result<Self, CategoryError> {
        let category = categories.of(aggregate_type)?;
        let id = stream_id(tenant, &category, aggregate_id);
        let stream = StreamId::new(&category, id);
        Ok(Self { aggregate_type: aggregate_type.to_owned(), aggregate_id: aggregate_id.to_owned(), stream })
    }

    /// The metadata of a command that recorded this event, and perhaps others of the same version and metadata: ours, and
    /// beside it what `cqrs-es` knows of the event.
    pub fn metadata(&self, about: &Metadata, event: &ForeignEvent) -> Result<Bytes, serde_json::Error> {
        let cqrs_es = Kept {
            aggregate_type: Cow::Borrowed(&self.aggregate_type),
            aggregate_id: Cow::Borrowed(&self.aggregate_id),
            event_version: Cow::Borrowed(&event.event_version),
            metadata: &event.metadata,
        };
        serde_json::to_vec(&Written { about, cqrs_es }).map(Bytes::from)
    }
}

/// A UUID in its usual spelling is the stream's id. From any other text it follows; also from the other spellings of a
/// UUID, because they are other ids to whoever gave them.
fn stream_id(tenant: TenantId, category: &str, aggregate_id: &str) -> Uuid {
    match Uuid::try_parse(aggregate_id) {
        Ok(id) if id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == aggregate_id => id,
        _ => derived(tenant.uuid(), &["cqrs-es", category, aggregate_id]),
    }
}

/// An event of `cqrs-es` that is not recorded yet.
#[derive(Debug, Clone)]
pub struct ForeignEvent {
    /// The variant's name.
    pub event_type: String,
    /// The version of the variant's schema, in whatever way the aggregate counts.
    pub event_version: String,
    /// The event as JSON.
    pub payload: Bytes,
    /// Its metadata: a JSON object of texts.
    pub metadata: Arc<RawValue>,
}

impl ForeignEvent {
    /// The event as history takes it.
    pub fn to_new(&self, event_id: Uuid) -> NewEvent {
        NewEvent {
            event_id,
            type_name: Cow::Owned(self.event_type.clone()),
            schema_version: schema_version(&self.event_version),
            payload: self.payload.clone(),
        }
    }
}

/// The number a version begins with. What begins with none, or with one that history cannot hold, is 1.
fn schema_version(event_version: &str) -> u16 {
    let digits = event_version.bytes().take_while(u8::is_ascii_digit).count();
    event_version[..digits].parse().ok().filter(|number| (1..=i16::MAX.unsigned_abs()).contains(number)).unwrap_or(1)
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    about: &'a Metadata,
    cqrs_es: Kept<'a>,
}

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    cqrs_es: Kept<'a>,
}

/// What would be lost otherwise.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept<'a> {
    #[serde(borrow)]
    aggregate_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) aggregate_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) event_version: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) metadata: &'a RawValue,
}

/// What `cqrs-es` knows of a recorded event.
pub(super) fn kept(event: &RecordedEvent) -> Result<Kept<'_>, CqrsError> {
    let read: Read<'_> = serde_json::from_slice(&event.metadata).map_err(|error| event.unreadable(&error))?;
    Ok(read.cqrs_es)
}

/// The same, of an event that must be this aggregate's.
pub(super) fn kept_of<'e>(event: &'e RecordedEvent, aggregate_id: &str) -> Result<Kept<'e>, CqrsError> {
    let kept = kept(event)?;
    if kept.aggregate_id == aggregate_id {
        return Ok(kept);
    }
    Err(CqrsError::OtherAggregate {
        stream: event.stream.clone(),
        asked: aggregate_id.to_owned(),
        found: kept.aggregate_id.into_owned(),
    })
}

/// A recorded event as `cqrs-es` handed it over.
pub(super) fn serialized(event: &RecordedEvent, kept: &Kept<'_>) -> Result<SerializedEvent, CqrsError> {
    Ok(SerializedEvent {
        aggregate_id: kept.aggregate_id.to_string(),
        sequence: sequence(event.version),
        aggregate_type: kept.aggregate_type.to_string(),
        event_type: event.type_name.to_string(),
        event_version: kept.event_version.to_string(),
        payload: serde_json::from_slice(&event.payload).map_err(|error| event.unreadable(&error))?,
        metadata: serde_json::from_str(kept.metadata.get()).map_err(|error| event.unreadable(&error))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_version_becomes_the_number_it_begins_with() {
        for (text, number) in [("1", 1), ("1.0", 1), ("2.3.4", 2), ("32767", 32_767), ("12-beta", 12)] {
            assert_eq!(schema_version(text), number, "{text}");
        }
        for text in ["", "0.1.0", "v2", "32768", "99999999999999999999", "-1", "é"] {
            assert_eq!(schema_version(text), 1, "{text}");
        }
    }

    #[test]
    fn two_spellings_of_one_uuid_are_two_aggregates() {
        let tenant = TenantId::new(Uuid::from_u128(1));
        let usual = "0198c0de-0000-7000-8000-00000000000a";
        let id_of = |text: &str| stream_id(tenant, "app_account", text);
        assert_eq!(id_of(usual).to_string(), usual);
        let others =
            [usual.to_uppercase(), usual.replace('-', ""), format!("urn:uuid:{usual}"), format!("{{{usual}}}")];
        let mut ids: Vec<_> = others.iter().map(|text| id_of(text)).chain([id_of(usual)]).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 5);
        assert_ne!(id_of("a"), stream_id(tenant, "app_order", "a"));
        assert_ne!(id_of("a"), stream_id(TenantId::new(Uuid::from_u128(2)), "app_account", "a"));
    }
}
