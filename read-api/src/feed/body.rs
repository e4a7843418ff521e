//! A page of the feed as JSON.

use guildhall_event_store::{CloudEvent, FeedPage};
use guildhall_web::Position;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Events, and where to go on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedBody<'e> {
    /// Everything you asked for that was recorded up to here, you have.
    position: Position,
    /// The events, in order.
    #[schema(value_type = Vec<EventBody>)]
    data: Vec<CloudEvent<'e>>,
    /// The same place, to pass as `after`. Always there, and further on where nothing of what you asked for was recorded.
    #[schema(pattern = "^[0-9]{1,19}$", example = "1042")]
    next: String,
}

impl<'e> From<&'e FeedPage> for FeedBody<'e> {
    fn from(page: &'e FeedPage) -> Self {
        let data = page.events.iter().map(CloudEvent::from).collect();
        Self { position: Position(page.seen), data, next: page.seen.to_string() }
    }
}

/// An event in the JSON format of `CloudEvents` 1.0. Numbers are texts, because positions do not fit its integers.
#[derive(ToSchema)]
#[schema(as = CloudEvent)]
#[expect(dead_code, reason = "it describes what `event_store::CloudEvent` writes")]
pub(super) struct EventBody {
    /// `1.0`.
    specversion: String,
    /// The event's own identity: whoever gets an event twice knows it by this.
    id: Uuid,
    /// `/associations/` and the association's id.
    source: String,
    /// `guildhall.`, the category, a full stop, and what happened.
    #[schema(rename = "type", example = "guildhall.membership.MembershipRenewed")]
    typ: String,
    /// The stream: the category and the id of what it happened to.
    subject: String,
    /// When it was recorded.
    time: String,
    /// `application/json`.
    datacontenttype: String,
    /// Its place in all of history.
    position: String,
    /// Its place in its stream.
    streamversion: String,
    /// The version of the schema that `data` was written in.
    schemaversion: String,
    /// The command it came of.
    commandid: Uuid,
    /// What it belongs to: the same for everything that one request set in motion.
    correlationid: Option<Uuid>,
    /// The event that made a process send the command.
    causationid: Option<Uuid>,
    /// W3C trace context of the request.
    traceparent: Option<String>,
    /// SHA-256 over the canonical envelope and the exact payload, in base64.
    leafhash: String,
    /// Who and why: the stored JSON as a text, byte for byte.
    metadata: Option<String>,
    /// What was recorded, byte for byte. Personal data is sealed.
    #[schema(value_type = Option<Object>)]
    data: Option<serde_json::Value>,
    /// The same in base64, where it could not stand in JSON byte for byte.
    data_base64: Option<String>,
}
