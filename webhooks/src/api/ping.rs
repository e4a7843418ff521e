//! `POST /v1/webhooks/{webhook_id}/ping`: a message that tells of nothing.

use axum::{extract::State, response::Response};
use guildhall_web::{Caller, Named, Problem, problem::kind};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    WebhookApi,
    problems::{OneProblem, not_found, of_error},
};
use crate::message::Message;

/// What came of a message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookPing)]
pub(super) struct PingBody {
    /// The message's id.
    message_id: String,
    /// Whether it was taken.
    delivered: bool,
    /// The status that was answered; null where no answer came.
    status: Option<u16>,
    /// The same for people.
    detail: String,
    /// How long it took, in milliseconds.
    millis: u64,
}

/// Try a webhook
///
/// Sends one message of the type `guildhall.webhook.Ping`, also to a webhook that is disabled, and says what came of it.
/// It changes nothing and is not in the log. Needs the scope `api`.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook_id}/ping",
    tag = super::TAG,
    security(("bearer" = [])),
    params(("webhook_id" = Uuid, Path, description = "Which webhook")),
    responses((status = OK, description = "What came of it", body = PingBody), OneProblem),
)]
pub(super) async fn ping_webhook(
    State(api): State<WebhookApi>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<Response, Problem> {
    super::admit(&caller)?;
    let webhooks = &api.webhooks;
    let Ok(_place) = webhooks.pings.try_acquire() else {
        let detail = "As many webhooks are being tried as may be; come back shortly.";
        return Err(Problem::new(kind::OVERLOADED, detail).retry_after(webhooks.options.timeout));
    };
    let endpoint = webhooks.endpoint(caller.tenant, id).await.map_err(of_error)?.ok_or_else(not_found)?;
    let secrets = webhooks.secrets_of(&endpoint).map_err(of_error)?;
    let now = webhooks.store.clock().now();
    let message = Message::ping(caller.tenant, now);
    let sent = webhooks.sender.send(&endpoint.url, &secrets, &message, now).await;
    Ok(super::answer(&PingBody {
        message_id: message.id,
        delivered: sent.taken(),
        status: sent.status,
        millis: u64::try_from(sent.took.as_millis()).unwrap_or(u64::MAX),
        detail: sent.detail,
    }))
}
