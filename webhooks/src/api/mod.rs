//! Endpoints over HTTP. Whose they are follows from the caller's token and from nothing else.

mod body;
mod change;
mod create;
mod delete;
mod deliveries;
mod list;
mod ping;
mod problems;
mod replay;
mod secret;

use axum::{
    extract::{FromRef, FromRequest, Request},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use guildhall_event_store::FeedFilter;
use guildhall_web::{Caller, Problem, Role, TokenKeys, body_bytes, from_json, json::require_media_type, problem::kind};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Webhooks, guard};

const TAG: &str = "webhooks";
/// The most bytes a body may have.
const BODY: usize = 16 * 1024;
/// The most characters a description may have.
const LONGEST_DESCRIPTION: usize = 200;

/// What the routes work with. Cheap to clone.
#[derive(Clone)]
pub struct WebhookApi {
    /// What is managed.
    pub webhooks: Webhooks,
    /// What tokens are verified with.
    pub keys: TokenKeys,
}

impl FromRef<WebhookApi> for TokenKeys {
    fn from_ref(api: &WebhookApi) -> Self {
        api.keys.clone()
    }
}

#[derive(OpenApi)]
#[openapi(tags((name = TAG, description = "Where partners are told of events")))]
struct Described;

/// All routes of this room.
pub fn router(api: WebhookApi) -> OpenApiRouter {
    routes().with_state(api)
}

/// What the routes are, for people and for programs.
pub fn document() -> Document {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<WebhookApi> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(list::list_webhooks, create::create_webhook))
        .routes(routes!(list::webhook, change::change_webhook, delete::delete_webhook))
        .routes(routes!(secret::rotate_webhook_secret))
        .routes(routes!(replay::replay_webhook))
        .routes(routes!(ping::ping_webhook))
        .routes(routes!(deliveries::webhook_deliveries))
}

/// Endpoints are for those who may send commands: what they are told of leaves the house.
fn admit(caller: &Caller) -> Result<(), Problem> {
    caller.require(&[Role::Api])
}

/// A body of JSON.
struct Json<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_media_type(request.headers(), "application/json")?;
        from_json(&body_bytes(request.into_body(), BODY).await?).map(Self)
    }
}

/// An answer of JSON that nobody keeps: it may hold a secret, and is soon out of date.
fn answer(body: &impl Serialize) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    match serde_json::to_vec(body) {
        Ok(body) => (headers, body).into_response(),
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// What is wrong with a part of the body.
fn wrong(pointer: &'static str, detail: String) -> Problem {
    Problem::new(kind::INVALID_BODY, "The body asks for what cannot be: see `errors`.").at(pointer, detail)
}

fn checked_url(api: &WebhookApi, url: String) -> Result<String, Problem> {
    let parsed = guard::parse(&url, api.webhooks.options.allow_insecure);
    parsed.map(|_| url).map_err(|error| wrong("/url", error.to_string()))
}

fn checked_categories(caller: &Caller, mut categories: Vec<String>) -> Result<Vec<String>, Problem> {
    FeedFilter::parse(caller.tenant, categories.iter().map(String::as_str))
        .map_err(|error| wrong("/categories", error.to_string()))?;
    categories.sort();
    categories.dedup();
    Ok(categories)
}

fn checked_description(description: String) -> Result<String, Problem> {
    if description.chars().count() > LONGEST_DESCRIPTION || description.chars().any(char::is_control) {
        let detail = format!("it has at most {LONGEST_DESCRIPTION} characters and no control characters");
        return Err(wrong("/description", detail));
    }
    Ok(description)
}

/// A position that history has come to.
async fn checked_position(api: &WebhookApi, pointer: &'static str, position: u64) -> Result<u64, Problem> {
    let head = api.webhooks.store.head().await.map_err(problems::of_store)?;
    if position > head {
        return Err(wrong(pointer, format!("history ends at {head}")));
    }
    Ok(position)
}
