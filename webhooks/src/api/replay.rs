//! `POST /v1/webhooks/{webhook_id}/replay`: everything after a position once more.

use axum::{extract::State, response::Response};
use guildhall_web::{Caller, Named, Problem};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Json, WebhookApi,
    body::WebhookBody,
    checked_position,
    problems::{BodyProblem, OneProblem, not_found, of_error},
};

/// From where on everything is sent again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayWebhook {
    /// The position after which it begins; 0 for the first event. One that lies ahead leaves events out.
    after: u64,
}

/// Send events again
///
/// Everything after a position, under the same message ids as before. One that is disabled begins when it is enabled.
/// Needs the scope `api`.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook_id}/replay",
    tag = super::TAG,
    security(("bearer" = [])),
    params(("webhook_id" = Uuid, Path, description = "Which webhook")),
    request_body = ReplayWebhook,
    responses((status = OK, description = "The webhook as it is now", body = WebhookBody), OneProblem, BodyProblem),
)]
pub(super) async fn replay_webhook(
    State(api): State<WebhookApi>,
    caller: Caller,
    Named(id): Named<Uuid>,
    Json(asked): Json<ReplayWebhook>,
) -> Result<Response, Problem> {
    super::admit(&caller)?;
    let after = checked_position(&api, "/after", asked.after).await?;
    let endpoint = api.webhooks.replay(caller.tenant, id, after).await.map_err(of_error)?.ok_or_else(not_found)?;
    Ok(super::answer(&WebhookBody::from(endpoint)))
}
