//! The layers around every route.

use std::{any::Any, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, State},
    http::{HeaderValue, StatusCode},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::{
    limits::Limits,
    problem::{Problem, kind},
    request::{self, REQUEST_ID, Request},
};

/// Puts around a router what every answer passes: a request id, limits, metrics, and problems for panics
/// and for what no route answers. Call it last, once, on the router that is served.
pub fn serve(router: Router, limits: Limits) -> Router {
    let gate = Arc::new(Gate { places: Semaphore::new(limits.concurrent_requests), limits });
    router
        .fallback(async || Problem::new(kind::NOT_FOUND, "No route of this server has this path."))
        .method_not_allowed_fallback(async || {
            Problem::new(kind::METHOD_NOT_ALLOWED, "The `Allow` header names the methods this path knows.")
        })
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(from_fn_with_state(gate, guard))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(named))
}

struct Gate {
    places: Semaphore,
    limits: Limits,
}

/// Lets a request in while there is room, and waits for its answer only so long.
async fn guard(State(gate): State<Arc<Gate>>, request: axum::extract::Request, next: Next) -> Response {
    let Ok(_place) = gate.places.try_acquire() else {
        let problem = Problem::new(kind::OVERLOADED, "Too many requests are being worked on; come back shortly.");
        return problem.retry_after(std::time::Duration::from_secs(1)).into_response();
    };
    tokio::time::timeout(gate.limits.request_timeout, next.run(request)).await.unwrap_or_else(|_| {
        let detail = "What became of the request is not known. Sent again with the same key it takes effect once.";
        Problem::new(kind::TIMED_OUT, detail).into_response()
    })
}

/// Gives a request its names and counts it.
async fn named(request: axum::extract::Request, next: Next) -> Response {
    let names = Request::of(request.headers());
    let method = method_label(request.method());
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| Arc::from("unmatched"), |path| Arc::<str>::from(path.as_str()));
    let span = tracing::info_span!(
        "request",
        method,
        path = &*path,
        request_id = %names.id,
        correlation_id = %names.correlation_id
    );
    let id = HeaderValue::try_from(names.id.to_string()).expect("a UUID can stand in a header");
    let started = Instant::now();
    let mut response = request::scope(names, next.run(request).instrument(span)).await;
    observe(method, path, response.status(), started);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn observe(method: &'static str, path: Arc<str>, status: StatusCode, started: Instant) {
    let path = metrics::SharedString::from(path);
    let status = status.as_u16().to_string();
    metrics::counter!("http_requests_total", "method" => method, "path" => path.clone(), "status" => status)
        .increment(1);
    metrics::histogram!("http_request_seconds", "method" => method, "path" => path)
        .record(started.elapsed().as_secs_f64());
}

/// A client may invent methods; a metric's label may not grow by that.
fn method_label(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    Problem::internal(&message).into_response()
}
