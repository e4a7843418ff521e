//! A stored event as an auditor sees it.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use guildhall_event_store::RecordedEvent;
use guildhall_web::Problem;
use serde::Serialize;
use serde_json::{json, value::RawValue};
use utoipa::ToSchema;
use uuid::Uuid;

use super::personal::Opener;
use crate::csv::{Cell, Tabular};

/// One record of history: what happened, when, who caused it and why.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Record {
    /// Its place in all of history.
    position: u64,
    /// The stream it belongs to.
    #[schema(example = "membership-0198c0de-0000-7000-8000-000000000001")]
    stream: String,
    /// Its place in the stream.
    version: u64,
    /// Its own identity.
    event_id: Uuid,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "MembershipRenewed")]
    type_name: String,
    /// The version of the schema it was written in.
    schema_version: u16,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// The command it came of.
    command_id: Uuid,
    /// Who and why, as stored: `command`, `actor`, `correlation_id`, and where there is one `causation_id`
    /// (the record that made a process send the command) and `traceparent`.
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    /// What was recorded, as stored; with personal data opened where that was asked for. Bytes that are no
    /// JSON, which no program of ours wrote, are shown as `{"base64": …}`.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
    /// SHA-256 over the record's canonical envelope and the exact stored payload, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    leaf_hash: String,
}

impl Record {
    /// The record, exactly as it is stored.
    pub(super) fn stored(event: &RecordedEvent) -> Self {
        Self {
            position: event.position,
            stream: event.stream.to_string(),
            version: event.version,
            event_id: event.event_id,
            type_name: event.type_name.to_string(),
            schema_version: event.schema_version,
            recorded_at: event.recorded_at,
            command_id: event.command_id,
            metadata: as_stored(&event.metadata),
            payload: as_stored(&event.payload),
            leaf_hash: hexadecimal(&event.leaf_hash),
        }
    }

    /// The same record with the personal data in it opened.
    pub(super) async fn opened(self, opener: &Opener<'_>) -> Result<Self, Problem> {
        let stored = serde_json::from_str(self.payload.get()).map_err(|error| Problem::internal(&error))?;
        let clear = opener.open(stored).await?;
        let payload = serde_json::value::to_raw_value(&clear).map_err(|error| Problem::internal(&error))?;
        Ok(Self { payload, ..self })
    }
}

/// The records of a page, with personal data opened where there is an opener.
pub(super) async fn of_events(events: &[RecordedEvent], opener: Option<&Opener<'_>>) -> Result<Vec<Record>, Problem> {
    let mut records = Vec::with_capacity(events.len());
    for event in events {
        let record = Record::stored(event);
        records.push(match opener {
            Some(opener) => record.opened(opener).await?,
            None => record,
        });
    }
    Ok(records)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

/// Stored bytes as JSON. An auditor must see a damaged record, so bytes that are none do not fail.
fn as_stored(bytes: &[u8]) -> Box<RawValue> {
    serde_json::from_slice(bytes)
        .or_else(|_| serde_json::value::to_raw_value(&json!({ "base64": STANDARD.encode(bytes) })))
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

impl Tabular for Record {
    const COLUMNS: &'static [&'static str] = &[
        "position",
        "stream",
        "version",
        "event_id",
        "type",
        "schema_version",
        "recorded_at",
        "command_id",
        "metadata",
        "payload",
        "leaf_hash",
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::plain(self.position),
            Cell::plain(&self.stream),
            Cell::plain(self.version),
            Cell::plain(self.event_id),
            Cell::plain(&self.type_name),
            Cell::plain(self.schema_version),
            Cell::plain(self.recorded_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)),
            Cell::plain(self.command_id),
            Cell::plain(self.metadata.get()),
            Cell::plain(self.payload.get()),
            Cell::plain(&self.leaf_hash),
        ]
    }
}
