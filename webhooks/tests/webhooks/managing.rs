//! Endpoints over HTTP: whose they are, how many there may be, and what is kept.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use guildhall_web::Role;
use guildhall_webhooks::WebhookOptions;
use serde_json::{Value, json};

use crate::{
    partner::Partner,
    world::{World, nurses, options},
};

/// Every operation on one endpoint, with a body that it takes.
fn operations(path: &str) -> Vec<(Method, String, Value)> {
    vec![
        (Method::GET, path.to_owned(), Value::Null),
        (Method::PATCH, path.to_owned(), json!({ "enabled": false })),
        (Method::POST, format!("{path}/secret"), Value::Null),
        (Method::POST, format!("{path}/replay"), json!({ "after": 0 })),
        (Method::POST, format!("{path}/ping"), Value::Null),
        (Method::GET, format!("{path}/deliveries"), Value::Null),
        (Method::DELETE, path.to_owned(), Value::Null),
    ]
}

#[tokio::test]
async fn associations_are_walls() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    let described = guildhall_webhooks::document();
    let described: usize =
        described.paths.paths.values().map(|item| serde_json::to_value(item).unwrap().as_object().unwrap().len()).sum();
    assert_eq!(operations(&path).len() + 2, described, "an operation nobody knows here has to be tried, too");
    let before = world.once(&path, |_| true).await;
    for (method, path, body) in operations(&path) {
        let (status, problem) = world.call_as("lawyers", &Role::ALL, method.clone(), &path, body).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
        assert_eq!(problem["type"], "urn:guildhall:problem:not-found");
    }
    let (_, list) = world.call_as("lawyers", &Role::ALL, Method::GET, "/v1/webhooks", Value::Null).await;
    assert_eq!(list, json!({ "data": [] }));
    assert_eq!(world.once(&path, |_| true).await, before);
    assert_eq!(partner.got().len(), 0);
}

#[tokio::test]
async fn only_clients_manage_endpoints() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    let mut all = operations(&path);
    all.push((Method::GET, "/v1/webhooks".into(), Value::Null));
    all.push((Method::POST, "/v1/webhooks".into(), json!({ "url": partner.url })));
    for (method, path, body) in all {
        let (status, _) = world.call_as("nurses", &[Role::Analyst, Role::Auditor], method.clone(), &path, body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}");
    }
}

#[tokio::test]
async fn a_secret_is_told_once_and_kept_sealed() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, secret) = world.endpoint(&partner, json!({ "description": "the club's books" })).await;
    let (_, list) = world.call(Method::GET, "/v1/webhooks", Value::Null).await;
    assert_eq!(list["data"][0]["description"], "the club's books");
    assert_eq!(list["data"][0], world.once(&path, |_| true).await);
    assert!(!list.to_string().contains("whsec_"));
    let client = world.database.connect().await;
    let row = client.query_one("SELECT encode(secret, 'base64') FROM webhook.endpoint", &[]).await.unwrap();
    assert!(!row.get::<_, String>(0).contains(&secret["whsec_".len()..secret.len() - 2]));
}

#[tokio::test]
async fn an_association_has_so_many_endpoints_and_no_more() {
    let world = World::with(WebhookOptions { endpoints: 2, ..options() }).await;
    let partner = Partner::open().await;
    let another = || world.call(Method::POST, "/v1/webhooks", json!({ "url": partner.url }));
    let made = futures::future::join_all((0..5).map(|_| another())).await;
    let refused: Vec<_> = made.iter().filter(|(status, _)| *status == StatusCode::CONFLICT).collect();
    assert_eq!(refused.len(), 3, "{made:?}");
    assert_eq!(refused[0].1["type"], "urn:guildhall:problem:too-many-webhooks");
    let (_, list) = world.call(Method::GET, "/v1/webhooks", Value::Null).await;
    let path = format!("/v1/webhooks/{}", list["data"][0]["webhook_id"].as_str().unwrap());
    assert_eq!(world.call(Method::DELETE, &path, Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(another().await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_body_that_cannot_be_is_pointed_at() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let url = &partner.url;
    for (body, pointer) in [
        (json!({ "url": "https://user:password@partner.example/" }), "/url"),
        (json!({ "url": url, "categories": ["members"] }), "/categories"),
        (json!({ "url": url, "categories": ["app_account"] }), "/categories"),
        (json!({ "url": url, "description": "x".repeat(201) }), "/description"),
        (json!({ "url": url, "description": "a\nb" }), "/description"),
        (json!({ "url": url, "from": 1 }), "/from"),
        (json!({ "url": url, "from": "yesterday" }), "/from"),
        (json!({ "url": url, "secret": "mine" }), "/secret"),
        (json!({}), ""),
    ] {
        let (status, problem) = world.call(Method::POST, "/v1/webhooks", body.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    let (status, _) = world.call(Method::GET, "/v1/webhooks/mine", Value::Null).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_log_is_read_page_by_page_and_does_not_grow_for_ever() {
    let world = World::new().await;
    let partner = Partner::open().await;
    let (path, _) = world.endpoint(&partner, json!({})).await;
    world.credentials(nurses(), 1, &["A", "B", "C", "D", "E"]).await;
    let node = world.deliver(options()).await;
    world.once(&path, |endpoint| endpoint["position"] == 5).await;
    node.stop().await;
    let mut seen = Vec::new();
    let mut before = String::new();
    loop {
        let (_, page) = world.call(Method::GET, &format!("{path}/deliveries?limit=2{before}"), Value::Null).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|row| row["number"].as_u64().unwrap()));
        let Some(next) = page["next"].as_u64() else { break };
        before = format!("&before={next}");
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);

    // A node keeps house when it begins.
    let month = Duration::from_hours(30 * 24);
    let lines = async |count: usize| {
        let started = std::time::Instant::now();
        while world.log(&path).await.len() != count {
            assert!(started.elapsed() < crate::world::LONG);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let node = world.deliver(WebhookOptions { log: (month, 3), ..options() }).await;
    lines(3).await;
    node.stop().await;
    world.clock.advance(TimeDelta::days(31));
    let node = world.deliver(options()).await;
    lines(0).await;
    node.stop().await;
}
