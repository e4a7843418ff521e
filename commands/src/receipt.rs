//! A receipt as a client sees it.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use guildhall_event_store::Receipt;
use guildhall_web::{Position, etag};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The proof that a command was recorded. The same command gets the same receipt, however often it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(crate) struct ReceiptBody<'a> {
    /// The command.
    command_id: Uuid,
    /// The stream that decided, as `category-id`.
    #[schema(example = "membership-0198c0de-0000-7000-8000-000000000001")]
    stream: String,
    /// The stream's version after it; the same as the `ETag`.
    version: u64,
    /// The position of its last event; where nothing was recorded, the highest position at the time.
    position: u64,
    /// What was recorded, in order. Nothing where what was asked for was so already.
    events: Vec<RecordedBody<'a>>,
    /// Pass it to a read as `at_least` to see what was recorded.
    token: Position,
}

/// One recorded event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceiptEvent)]
pub(crate) struct RecordedBody<'a> {
    /// Its identity.
    event_id: Uuid,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "MembershipApplied")]
    type_name: &'a str,
    /// Its place in the stream.
    version: u64,
    /// Its place in all of history.
    position: u64,
}

impl<'a> From<&'a Receipt> for ReceiptBody<'a> {
    fn from(receipt: &'a Receipt) -> Self {
        let events = receipt.events.iter().map(|event| RecordedBody {
            event_id: event.event_id,
            type_name: &event.type_name,
            version: event.version,
            position: event.position,
        });
        Self {
            command_id: receipt.command_id,
            stream: receipt.stream.to_string(),
            version: receipt.version,
            position: receipt.position,
            events: events.collect(),
            token: Position(receipt.position),
        }
    }
}

/// 201 where the command made its stream, 200 where it did not.
pub(crate) fn status_of(receipt: &Receipt) -> StatusCode {
    match receipt.events.first() {
        Some(event) if event.version == 1 => StatusCode::CREATED,
        _ => StatusCode::OK,
    }
}

/// The answer to a command that was recorded.
pub(crate) fn respond(receipt: &Receipt) -> Response {
    let body = ReceiptBody::from(receipt);
    let location = format!("/v1/streams/{}", body.stream);
    let json = serde_json::to_vec(&body).expect("ids, words and numbers can be written as JSON");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ETAG, etag::of_version(receipt.version)),
        (header::LOCATION, HeaderValue::try_from(location).expect("a stream's name can stand in a header")),
    ];
    (status_of(receipt), headers, json).into_response()
}
