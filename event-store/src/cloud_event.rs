//! An event as others are told of it: `CloudEvents` 1.0.
//!
//! Here in the JSON format, for feeds and webhooks; the record in Kafka has the same attributes as headers. They are
//! texts in both, because a position does not fit the integers of `CloudEvents`, which have 32 bits.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::RecordedEvent;

impl RecordedEvent {
    /// Where it comes from, as an attribute of `CloudEvents`: `/associations/` and the association's id.
    pub fn cloud_source(&self) -> String {
        format!("/associations/{}", self.tenant)
    }

    /// What it is, as an attribute of `CloudEvents`, such as `guildhall.member.NameChanged`.
    pub fn cloud_type(&self) -> String {
        format!("guildhall.{}.{}", self.stream.category, self.type_name)
    }

    /// When it was recorded, as an attribute of `CloudEvents`.
    pub fn cloud_time(&self) -> String {
        self.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true)
    }
}

/// An event in the JSON format of `CloudEvents`. Everything that its leaf hash is made of is in it.
#[derive(Debug, Serialize)]
pub struct CloudEvent<'e> {
    specversion: &'static str,
    id: Uuid,
    source: String,
    #[serde(rename = "type")]
    type_name: String,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    position: String,
    streamversion: String,
    schemaversion: String,
    commandid: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    leafhash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'e RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

impl<'e> From<&'e RecordedEvent> for CloudEvent<'e> {
    fn from(event: &'e RecordedEvent) -> Self {
        let caused = event.parsed_metadata().ok();
        let data = verbatim(&event.payload);
        Self {
            specversion: "1.0",
            id: event.event_id,
            source: event.cloud_source(),
            type_name: event.cloud_type(),
            subject: event.stream.to_string(),
            time: event.cloud_time(),
            datacontenttype: "application/json",
            position: event.position.to_string(),
            streamversion: event.version.to_string(),
            schemaversion: event.schema_version.to_string(),
            commandid: event.command_id,
            correlationid: caused.as_ref().map(|caused| caused.correlation_id),
            causationid: caused.as_ref().and_then(|caused| caused.causation_id),
            traceparent: caused.and_then(|caused| caused.traceparent),
            leafhash: STANDARD.encode(event.leaf_hash),
            metadata: std::str::from_utf8(&event.metadata).ok(),
            data_base64: data.is_none().then(|| STANDARD.encode(&event.payload)),
            data,
        }
    }
}

/// A payload as it stands, where it can stand in JSON and on one line without a byte being changed.
fn verbatim(payload: &[u8]) -> Option<&RawValue> {
    let value: &RawValue = serde_json::from_slice(payload).ok()?;
    let whole = value.get().len() == payload.len();
    (whole && !payload.iter().any(|byte| matches!(byte, b'\n' | b'\r'))).then_some(value)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;
    use guildhall_aggregates::TenantId;
    use serde_json::json;

    use super::*;
    use crate::StreamId;

    fn event(payload: &'static [u8], metadata: &'static [u8]) -> RecordedEvent {
        RecordedEvent {
            position: 9_000_000_000,
            tenant: TenantId::new(Uuid::from_u128(1)),
            stream: StreamId::new("member", Uuid::from_u128(2)),
            version: 7,
            event_id: Uuid::from_u128(3),
            type_name: "NameChanged".into(),
            schema_version: 2,
            payload: Bytes::from_static(payload),
            metadata: Bytes::from_static(metadata),
            command_id: Uuid::from_u128(4),
            leaf_hash: [0; 32],
            recorded_at: DateTime::from_timestamp_micros(1_800_000_000_000_001).expect("it is in range"),
        }
    }

    #[test]
    fn the_attributes_are_texts_and_the_payload_stands_as_it_is() {
        let metadata = br#"{"command":"ChangeName","actor":{"kind":"caller","name":"desk"},"correlation_id":"00000000-0000-0000-0000-000000000005"}"#;
        let event = event(br#"{"b": 1.50,  "a":"\u0041"}"#, metadata);
        let text = serde_json::to_string(&CloudEvent::from(&event)).expect("it is JSON");
        assert!(text.contains(r#""data":{"b": 1.50,  "a":"\u0041"}"#), "{text}");
        let mut json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        json["data"].take();
        let uuid = |number: u128| Uuid::from_u128(number).to_string();
        assert_eq!(
            json,
            json!({
                "specversion": "1.0", "id": uuid(3), "source": format!("/associations/{}", uuid(1)),
                "type": "guildhall.member.NameChanged", "subject": format!("member-{}", uuid(2)),
                "time": "2027-01-15T08:00:00.000001Z", "datacontenttype": "application/json",
                "position": "9000000000", "streamversion": "7", "schemaversion": "2", "commandid": uuid(4),
                "correlationid": uuid(5), "leafhash": STANDARD.encode([0; 32]),
                "metadata": std::str::from_utf8(metadata).expect("it is text"), "data": null,
            })
        );
    }

    #[test]
    fn a_payload_that_would_not_stand_as_it_is_goes_in_base64() {
        for payload in [&b"{\"a\":\n1}"[..], b" {}", b"{} ", b"no JSON", b"\xff", b""] {
            let event = event(payload, b"\xff");
            let json = serde_json::to_value(CloudEvent::from(&event)).expect("it is JSON");
            let decoded = STANDARD.decode(json["data_base64"].as_str().expect("it is there")).expect("it is base64");
            assert_eq!((&*decoded, json.get("data"), json.get("metadata")), (payload, None, None));
        }
    }
}
