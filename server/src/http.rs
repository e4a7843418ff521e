//! The HTTP API as one router: commands, reads, webhooks, the API's own description, health and metrics.

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use guildhall_commands::CommandApi;
use guildhall_event_store::EventStore;
use guildhall_read_api::ReadState;
use guildhall_web::Limits;
use guildhall_webhooks::WebhookApi;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_swagger_ui::SwaggerUi;

use crate::{config::Config, descriptions};

#[derive(OpenApi)]
#[openapi(info(
    title = "Guildhall",
    description = "The records of professional associations. Commands change them and are answered with \
                       receipts; reads answer from projections and say which position they have reached.",
    license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
))]
struct Api;

/// What `/readyz` and `/metrics` ask.
#[derive(Clone)]
struct Health {
    store: EventStore,
    metrics: Option<PrometheusHandle>,
}

/// The description of the HTTP API.
pub fn document() -> Document {
    let mut document = Api::openapi();
    document.merge(guildhall_commands::document());
    document.merge(guildhall_read_api::document());
    document.merge(descriptions::document());
    document.merge(guildhall_webhooks::document());
    document
}

/// Everything the API serves.
pub fn router(
    config: &Config,
    commands: CommandApi,
    reads: ReadState,
    webhooks: WebhookApi,
    metrics: Option<PrometheusHandle>,
) -> Router {
    let operations = operations(reads.store.clone(), metrics);
    let routes = guildhall_commands::router(commands)
        .merge(guildhall_read_api::router(reads))
        .merge(guildhall_webhooks::router(webhooks));
    let (routes, _) = routes.split_for_parts();
    let described = SwaggerUi::new("/docs").url("/openapi.json", document());
    guildhall_web::serve(routes.merge(operations).merge(descriptions::router()).merge(described), limits(config))
}

/// How much is taken on at a time.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits {
        request_timeout: std::time::Duration::from_secs(config.http.request_timeout_seconds),
        concurrent_requests: config.http.max_in_flight,
    }
}

/// What every node says of itself, whatever its roles.
pub fn operations(store: EventStore, metrics: Option<PrometheusHandle>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive"))
        .route("/readyz", get(ready))
        .route("/metrics", get(render_metrics))
        .with_state(Health { store, metrics })
}

/// Whether this node can do its work: the database answers.
async fn ready(State(health): State<Health>) -> impl IntoResponse {
    match health.store.head().await {
        Ok(position) => (StatusCode::OK, Json(json!({ "ready": true, "position": position }))),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ready": false, "reason": "the database does not answer" })))
        }
    }
}

async fn render_metrics(State(health): State<Health>) -> impl IntoResponse {
    match health.metrics {
        Some(handle) => (StatusCode::OK, handle.render()),
        None => (StatusCode::NOT_FOUND, "this process collects no metrics\n".to_owned()),
    }
}
