//! `GET /v1/webhooks/{webhook_id}/deliveries`: what came of sending.

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use guildhall_web::{Caller, Named, Problem, Query, problem::kind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    WebhookApi,
    problems::{OneProblem, not_found, of_error},
};
use crate::log::Delivery;

/// The most rows of a page.
const LARGEST: u16 = 200;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveriesQuery {
    /// Only attempts before this number: the `next` of the answer before.
    #[param(minimum = 0)]
    before: Option<u64>,
    /// How many attempts at most.
    #[serde(default = "usual")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u16,
}

fn usual() -> u16 {
    50
}

/// Attempts to deliver, the latest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDeliveries)]
pub(super) struct DeliveriesBody {
    /// The attempts.
    data: Vec<DeliveryBody>,
    /// What to pass as `before` for the next page; null on the last.
    next: Option<u64>,
}

/// One attempt to deliver.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
struct DeliveryBody {
    /// Which attempt of the webhook it was: 1, 2, 3 ….
    number: u64,
    /// When.
    attempted_at: DateTime<Utc>,
    /// The message's id: the event's.
    message_id: String,
    /// What the message told of.
    #[serde(rename = "type")]
    type_name: String,
    /// The event's position.
    position: u64,
    /// Which attempt of this message it was.
    attempt: u32,
    /// Whether it was taken.
    delivered: bool,
    /// The status that was answered; null where no answer came.
    status: Option<u16>,
    /// The same for people.
    detail: String,
    /// How long it took, in milliseconds.
    millis: u64,
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        Self {
            number: delivery.number,
            attempted_at: delivery.attempted_at,
            message_id: delivery.message_id,
            type_name: delivery.type_name,
            position: delivery.position,
            attempt: delivery.attempt,
            delivered: delivery.delivered,
            status: delivery.status,
            detail: delivery.detail,
            millis: u64::try_from(delivery.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// What came of sending
///
/// Every attempt, the latest first: of the last thirty days, and ten thousand at most. Needs the scope `api`.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{webhook_id}/deliveries",
    tag = super::TAG,
    security(("bearer" = [])),
    params(("webhook_id" = Uuid, Path, description = "Which webhook"), DeliveriesQuery),
    responses((status = OK, description = "The attempts", body = DeliveriesBody), OneProblem),
)]
pub(super) async fn webhook_deliveries(
    State(api): State<WebhookApi>,
    caller: Caller,
    Named(id): Named<Uuid>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Response, Problem> {
    super::admit(&caller)?;
    if !(1..=LARGEST).contains(&query.limit) {
        return Err(Problem::new(kind::INVALID_QUERY, format!("`limit` is a whole number from 1 to {LARGEST}.")));
    }
    api.webhooks.endpoint(caller.tenant, id).await.map_err(of_error)?.ok_or_else(not_found)?;
    let mut found = api.webhooks.deliveries(id, query.before, query.limit + 1).await.map_err(of_error)?;
    let more = found.len() > usize::from(query.limit);
    found.truncate(query.limit.into());
    let next = found.last().filter(|_| more).map(|last| last.number);
    Ok(super::answer(&DeliveriesBody { data: found.into_iter().map(DeliveryBody::from).collect(), next }))
}
