//! `GET /v1/webhooks` and `GET /v1/webhooks/{webhook_id}`: what endpoints there are.

use axum::{extract::State, response::Response};
use guildhall_web::{Caller, Named, Problem};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    WebhookApi,
    body::WebhookBody,
    problems::{AnyProblem, OneProblem, not_found, of_error},
};

/// All endpoints of an association; there are few.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhooks)]
pub(super) struct ListBody {
    /// The endpoints, in the order they were made.
    data: Vec<WebhookBody>,
}

/// The webhooks of the association
///
/// Each with how far it was told, and why it is not told more where it is disabled. Needs the scope `api`.
#[utoipa::path(
    get,
    path = "/v1/webhooks",
    tag = super::TAG,
    security(("bearer" = [])),
    responses((status = OK, description = "The webhooks", body = ListBody), AnyProblem),
)]
pub(super) async fn list_webhooks(State(api): State<WebhookApi>, caller: Caller) -> Result<Response, Problem> {
    super::admit(&caller)?;
    let endpoints = api.webhooks.endpoints(caller.tenant).await.map_err(of_error)?;
    Ok(super::answer(&ListBody { data: endpoints.into_iter().map(WebhookBody::from).collect() }))
}

/// One webhook
///
/// Needs the scope `api`.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{webhook_id}",
    tag = super::TAG,
    security(("bearer" = [])),
    params(("webhook_id" = Uuid, Path, description = "Which webhook")),
    responses((status = OK, description = "The webhook", body = WebhookBody), OneProblem),
)]
pub(super) async fn webhook(
    State(api): State<WebhookApi>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<Response, Problem> {
    super::admit(&caller)?;
    let endpoint = api.webhooks.endpoint(caller.tenant, id).await.map_err(of_error)?.ok_or_else(not_found)?;
    Ok(super::answer(&WebhookBody::from(endpoint)))
}
