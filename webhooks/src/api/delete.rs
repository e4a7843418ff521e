//! `DELETE /v1/webhooks/{webhook_id}`.

use axum::{extract::State, http::StatusCode};
use guildhall_web::{Caller, Named, Problem};
use uuid::Uuid;

use super::{
    WebhookApi,
    problems::{OneProblem, not_found, of_error},
};

/// Delete a webhook
///
/// With its secret and the log of its deliveries. A message that is on its way may still arrive. Needs the scope `api`.
#[utoipa::path(
    delete,
    path = "/v1/webhooks/{webhook_id}",
    tag = super::TAG,
    security(("bearer" = [])),
    params(("webhook_id" = Uuid, Path, description = "Which webhook")),
    responses((status = NO_CONTENT, description = "It is gone"), OneProblem),
)]
pub(super) async fn delete_webhook(
    State(api): State<WebhookApi>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<StatusCode, Problem> {
    super::admit(&caller)?;
    let deleted = api.webhooks.delete(caller.tenant, id).await.map_err(of_error)?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(not_found()) }
}
