//! `PATCH /v1/webhooks/{webhook_id}`: another address, other categories; on and off.

use axum::{extract::State, response::Response};
use guildhall_web::{Caller, Named, Problem};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Json, WebhookApi,
    body::WebhookBody,
    checked_categories, checked_description, checked_url,
    problems::{BodyProblem, OneProblem, not_found, of_error},
};
use crate::endpoint::Change;

/// What is to become different. What is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeWebhook {
    /// Where messages go.
    #[schema(max_length = 2_048)]
    url: Option<String>,
    /// Events of which categories, from here on; of all where empty.
    categories: Option<Vec<String>>,
    /// What you call it.
    #[schema(max_length = 200)]
    description: Option<String>,
    /// Whether messages are sent. One that is enabled again is sent everything since it was disabled.
    enabled: Option<bool>,
}

/// Change a webhook
///
/// A webhook that is enabled again goes on from where it stood. Needs the scope `api`.
#[utoipa::path(
    patch,
    path = "/v1/webhooks/{webhook_id}",
    tag = super::TAG,
    security(("bearer" = [])),
    params(("webhook_id" = Uuid, Path, description = "Which webhook")),
    request_body = ChangeWebhook,
    responses((status = OK, description = "The webhook as it is now", body = WebhookBody), OneProblem, BodyProblem),
)]
pub(super) async fn change_webhook(
    State(api): State<WebhookApi>,
    caller: Caller,
    Named(id): Named<Uuid>,
    Json(asked): Json<ChangeWebhook>,
) -> Result<Response, Problem> {
    super::admit(&caller)?;
    let change = Change {
        url: asked.url.map(|url| checked_url(&api, url)).transpose()?,
        categories: asked.categories.map(|categories| checked_categories(&caller, categories)).transpose()?,
        description: asked.description.map(checked_description).transpose()?,
        enabled: asked.enabled,
    };
    let endpoint = api.webhooks.change(caller.tenant, id, change).await.map_err(of_error)?.ok_or_else(not_found)?;
    Ok(super::answer(&WebhookBody::from(endpoint)))
}
