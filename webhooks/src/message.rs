//! What is sent: one event, in the shape of the Standard Webhooks specification.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use guildhall_aggregates::TenantId;
use guildhall_event_store::{CloudEvent, RecordedEvent};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

/// A message, the same bytes however often it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The event's id: whoever gets it twice knows it by this.
    pub(crate) id: String,
    /// What happened, such as `guildhall.member.NameChanged`.
    pub(crate) type_name: String,
    /// JSON.
    pub(crate) body: Bytes,
}

#[derive(Serialize)]
struct Body<'a, D> {
    #[serde(rename = "type")]
    type_name: &'a str,
    timestamp: String,
    data: D,
}

impl Message {
    /// The message about an event.
    pub(crate) fn about(event: &RecordedEvent) -> Self {
        Self::new(event.event_id, event.cloud_type(), event.cloud_time(), CloudEvent::from(event))
    }

    /// A message that tells of nothing but that messages arrive.
    pub(crate) fn ping(tenant: TenantId, now: DateTime<Utc>) -> Self {
        let (id, time) = (Uuid::now_v7(), now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
        let type_name = "guildhall.webhook.Ping";
        let event = json!({
            "specversion": "1.0", "id": id, "source": format!("/associations/{tenant}"), "type": type_name, "time": time,
        });
        Self::new(id, type_name.to_owned(), time, event)
    }

    fn new(id: Uuid, type_name: String, timestamp: String, data: impl Serialize) -> Self {
        let body = serde_json::to_vec(&Body { type_name: &type_name, timestamp, data });
        let body = body.expect("texts and JSON can be written as JSON").into();
        Self { id: id.to_string(), type_name, body }
    }
}
