//! `POST /v1/webhooks/{webhook_id}/secret`: a new secret.

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use guildhall_web::{Caller, Named, Problem};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    WebhookApi,
    problems::{OneProblem, not_found, of_error},
};

/// A secret that is told once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookSecret)]
pub(super) struct SecretBody {
    /// What signs from now on. Keep it.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/]+=*$")]
    secret: String,
    /// Until when the secret before it signs as well.
    previous_until: DateTime<Utc>,
}

/// Give a webhook a new secret
///
/// The old one signs as well for a day: until then each message has both signatures, and either will do. One that was
/// replaced before that is dropped at once. Needs the scope `api`.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook_id}/secret",
    tag = super::TAG,
    security(("bearer" = [])),
    params(("webhook_id" = Uuid, Path, description = "Which webhook")),
    responses((status = OK, description = "The new secret", body = SecretBody), OneProblem),
)]
pub(super) async fn rotate_webhook_secret(
    State(api): State<WebhookApi>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<Response, Problem> {
    super::admit(&caller)?;
    let rotated = api.webhooks.rotate(caller.tenant, id).await.map_err(of_error)?;
    let (secret, previous_until) = rotated.ok_or_else(not_found)?;
    Ok(super::answer(&SecretBody { secret: secret.encoded(), previous_until }))
}
