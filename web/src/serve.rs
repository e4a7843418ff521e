//! The layers around every route.

use std::{
    any::Any,
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use axum::{
    Router,
    extract::{MatchedPath, State},
    http::{HeaderValue, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use metrics::{Counter, Histogram};
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::{
    limits::Limits,
    problem::{Problem, kind},
    request::{self, REQUEST_ID, Request},
};

/// Puts around a router what every answer passes: a request id, limits, metrics, and problems for panics
/// and for what no route answers. Call it last, once, on the router that is served.
///
/// All of it is one layer, because every layer is paid for by every request.
pub fn serve(router: Router, limits: Limits) -> Router {
    let gate = Gate { places: Semaphore::new(limits.concurrent_requests), limits, meters: RwLock::default() };
    router
        .fallback(async || Problem::new(kind::NOT_FOUND, "No route of this server has this path."))
        .method_not_allowed_fallback(async || {
            Problem::new(kind::METHOD_NOT_ALLOWED, "The `Allow` header names the methods this path knows.")
        })
        .layer(from_fn_with_state(Arc::new(gate), around))
}

struct Gate {
    places: Semaphore,
    limits: Limits,
    meters: RwLock<HashMap<Box<str>, OfPath>>,
}

/// The meters of one path, by method and status.
type OfPath = HashMap<(&'static str, StatusCode), Meters>;

/// What is counted of the requests to one route that are answered alike.
#[derive(Clone)]
struct Meters {
    requests: Counter,
    seconds: Histogram,
}

/// Gives a request its names, lets it in while there is room, and counts it.
async fn around(State(gate): State<Arc<Gate>>, request: axum::extract::Request, next: Next) -> Response {
    let started = Instant::now();
    let names = Request::of(request.headers());
    let method = method_label(request.method());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let path = path.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        method,
        path,
        request_id = %names.id,
        correlation_id = %names.correlation_id
    );
    let id = HeaderValue::try_from(names.id.to_string()).expect("a UUID can stand in a header");
    let answer = async { AssertUnwindSafe(gate.answer(request, next)).catch_unwind().await.unwrap_or_else(panicked) };
    let mut response = request::scope(names, answer.instrument(span)).await;
    let meters = gate.meters(method, path, response.status());
    meters.requests.increment(1);
    meters.seconds.record(started.elapsed().as_secs_f64());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

impl Gate {
    /// Lets a request in while there is room, and waits for its answer only so long.
    async fn answer(&self, request: axum::extract::Request, next: Next) -> Response {
        let Ok(_place) = self.places.try_acquire() else {
            let problem = Problem::new(kind::OVERLOADED, "Too many requests are being worked on; come back shortly.");
            return problem.retry_after(std::time::Duration::from_secs(1)).into_response();
        };
        tokio::time::timeout(self.limits.request_timeout, next.run(request)).await.unwrap_or_else(|_| {
            let detail = "What became of the request is not known. Sent again with the same key it takes effect once.";
            Problem::new(kind::TIMED_OUT, detail).into_response()
        })
    }

    /// There are as many meters as routes, methods and statuses; a client cannot invent any of them.
    fn meters(&self, method: &'static str, path: &str, status: StatusCode) -> Meters {
        let key = (method, status);
        let known = self.meters.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(meters) = known.get(path).and_then(|of_path| of_path.get(&key)) {
            return meters.clone();
        }
        drop(known);
        let label = path.to_owned();
        let meters = Meters {
            requests: metrics::counter!(
                "http_requests_total", "method" => method, "path" => label.clone(), "status" => status.as_u16().to_string()
            ),
            seconds: metrics::histogram!("http_request_seconds", "method" => method, "path" => label),
        };
        let mut known = self.meters.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(path.into()).or_default().insert(key, meters.clone());
        meters
    }
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

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    Problem::internal(&message).into_response()
}
