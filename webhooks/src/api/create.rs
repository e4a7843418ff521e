//! `POST /v1/webhooks`: a new endpoint.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use guildhall_web::{Caller, Problem, problem::ProblemBody};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Json, WebhookApi,
    body::NewBody,
    checked_categories, checked_description, checked_position, checked_url,
    problems::{AnyProblem, BodyProblem, of_not_made, of_store},
};
use crate::endpoint::NewEndpoint;

/// What an endpoint is made of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateWebhook {
    /// Where messages go: `https`, to an address in the public internet.
    #[schema(example = "https://partner.example/guildhall", max_length = 2_048)]
    url: String,
    /// Events of which categories; of all where not given.
    #[serde(default)]
    #[schema(example = json!(["member", "membership"]))]
    categories: Vec<String>,
    /// What you call it. No personal data: it is kept in the clear.
    #[serde(default)]
    #[schema(max_length = 200)]
    description: String,
    /// From where on events are sent.
    #[serde(default)]
    from: From,
}

/// From where on events are sent: `"beginning"`, `"now"` or the position after which they come.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = WebhookFrom)]
enum From {
    /// A place that has a name.
    Named(Named),
    /// After a position.
    After(u64),
}

/// A place in history that has a name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookFromNamed)]
enum Named {
    /// Before the first event.
    Beginning,
    /// After the last one there is now.
    Now,
}

impl Default for From {
    fn default() -> Self {
        Self::Named(Named::Now)
    }
}

/// Make a webhook
///
/// Every event of the association from there on is sent to the address, one message each, in order, signed as the Standard
/// Webhooks specification says. The answer tells the secret, once. Needs the scope `api`.
#[utoipa::path(
    post,
    path = "/v1/webhooks",
    tag = super::TAG,
    security(("bearer" = [])),
    request_body = CreateWebhook,
    responses(
        (status = CREATED, description = "The webhook, and its secret", body = NewBody),
        (
            status = CONFLICT,
            description = "There are as many webhooks as may be",
            body = ProblemBody<'_>,
            content_type = "application/problem+json"
        ),
        AnyProblem,
        BodyProblem,
    ),
)]
pub(super) async fn create_webhook(
    State(api): State<WebhookApi>,
    caller: Caller,
    Json(asked): Json<CreateWebhook>,
) -> Result<Response, Problem> {
    super::admit(&caller)?;
    let position = match asked.from {
        From::Named(Named::Beginning) => 0,
        From::Named(Named::Now) => api.webhooks.store.head().await.map_err(of_store)?,
        From::After(position) => checked_position(&api, "/from", position).await?,
    };
    let new = NewEndpoint {
        url: checked_url(&api, asked.url)?,
        categories: checked_categories(&caller, asked.categories)?,
        description: checked_description(asked.description)?,
        position,
    };
    let most = api.webhooks.options.endpoints;
    let made = api.webhooks.create(caller.tenant, new).await;
    let (endpoint, secret) = made.map_err(|error| of_not_made(error, most))?;
    let location = [(header::LOCATION, format!("/v1/webhooks/{}", endpoint.id))];
    let body = NewBody { webhook: endpoint.into(), secret: secret.encoded() };
    Ok((StatusCode::CREATED, location, super::answer(&body)).into_response())
}
