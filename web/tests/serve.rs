//! What every answer passes, seen from outside.

use std::time::Duration;

use axum::{
    Json, Router,
    body::Body,
    http::{Request, StatusCode, header},
    response::Response,
    routing::{get, post},
};
use guildhall_web::{Caller, Limits, Query, TokenKeys, serve};
use http_body_util::BodyExt;
use serde::Deserialize;
use tower::ServiceExt;

const SECRET: &str = "c2l4dGVlbiByYW5kb20gYnl0ZXMgYW5kIHNpeHRlZW4=";
const ID: &str = "0198c0de-0000-7000-8000-000000000001";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    limit: Option<u32>,
}

fn router(limits: Limits) -> Router {
    let routes = Router::new()
        .route("/me", get(async |caller: Caller| caller.association))
        .route("/list", get(async |Query(filter): Query<Filter>| Json(filter.limit)))
        .route("/panic", post(async || -> StatusCode { panic!("the ledger is on fire") }))
        .route("/never", get(std::future::pending::<StatusCode>))
        .with_state(TokenKeys::parse(SECRET).expect("the secret is long enough"));
    serve(routes, limits)
}

async fn send(router: Router, method: &str, path: &str) -> Response {
    let request = Request::builder().method(method).uri(path).header("x-request-id", ID).body(Body::empty());
    router.oneshot(request.expect("the request is well formed")).await.expect("a router always answers")
}

async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.expect("the body is whole").to_bytes();
    String::from_utf8(body.to_vec()).expect("problems are UTF-8")
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_that_names_the_request() {
    let response = send(router(Limits::default()), "GET", "/nowhere").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()["x-request-id"], ID);
    insta::assert_snapshot!(text(response).await, @r#"{"type":"urn:guildhall:problem:not-found","title":"Nothing is there","status":404,"detail":"No route of this server has this path.","instance":"urn:uuid:0198c0de-0000-7000-8000-000000000001"}"#);
}

#[tokio::test]
async fn an_unknown_method_is_a_problem_that_says_what_is_allowed() {
    let response = send(router(Limits::default()), "DELETE", "/me").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
}

#[tokio::test]
async fn a_panic_shows_nothing_of_the_inside() {
    let response = send(router(Limits::default()), "POST", "/panic").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = text(response).await;
    assert!(body.contains("urn:guildhall:problem:internal"), "{body}");
    assert!(!body.contains("ledger"), "{body}");
}

#[tokio::test]
async fn nobody_is_let_in_without_a_token() {
    let response = send(router(Limits::default()), "GET", "/me").await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], r#"Bearer realm="guildhall""#);
}

#[tokio::test]
async fn a_misspelt_filter_is_refused() {
    let response = send(router(Limits::default()), "GET", "/list?limits=3").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    insta::assert_snapshot!(text(response).await, @r#"{"type":"urn:guildhall:problem:invalid-query","title":"A query parameter is unknown or cannot be read","status":400,"detail":"The query string cannot be read: limits: unknown field `limits`, expected `limit`.","instance":"urn:uuid:0198c0de-0000-7000-8000-000000000001"}"#);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up() {
    let limits = Limits { request_timeout: Duration::ZERO, ..Limits::default() };
    assert_eq!(send(router(limits), "GET", "/never").await.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_full_server_says_when_to_come_back() {
    let limits = Limits { concurrent_requests: 0, ..Limits::default() };
    let response = send(router(limits), "GET", "/list").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
}
