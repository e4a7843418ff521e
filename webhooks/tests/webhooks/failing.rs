//! Partners that do not take what is sent: tried again, disabled, enabled, and nothing lost.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use guildhall_webhooks::WebhookOptions;
use serde_json::{Value, json};

use crate::{
    partner::{Answer, Partner},
    world::{World, nurses, options},
};

fn retry_at(endpoint: &Value) -> DateTime<Utc> {
    endpoint["retry_at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_later_and_the_next_waits() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, secret) = world.endpoint(&partner, json!({})).await;
    partner.answer([Answer::Status(500), Answer::Status(404)]);
    world.credentials(nurses(), 1, &["A", "B"]).await;
    let node = world.deliver(options()).await;
    for (failures, seconds) in [(1, 5), (2, 300)] {
        let endpoint = world.once(&path, |endpoint| endpoint["failures"] == failures).await;
        let pause = (retry_at(&endpoint) - world.now()).as_seconds_f64();
        assert!((f64::from(seconds) * 0.9..=f64::from(seconds) * 1.1).contains(&pause), "{endpoint}");
        assert_eq!((&endpoint["position"], &endpoint["enabled"]), (&json!(0), &json!(true)));
        assert_eq!(partner.got().len(), failures, "the next waits");
        world.clock.advance(TimeDelta::seconds(i64::from(seconds) * 2));
    }
    let got = partner.wait_for(4).await;
    let expected = world.ids(nurses(), "member").await;
    let ids: Vec<_> = got.iter().map(|got| got.id.clone()).collect();
    assert_eq!(ids, [&expected[0], &expected[0], &expected[0], &expected[1]].map(String::clone));
    assert_eq!((&got[0].body, got[0].is_signed_with(&secret)), (&got[2].body, true));
    let endpoint = world.once(&path, |endpoint| endpoint["position"] == 2).await;
    assert_eq!((&endpoint["failures"], &endpoint["retry_at"]), (&json!(0), &Value::Null));

    let log = world.log(&path).await;
    let told = |row: &Value| (row["attempt"].clone(), row["status"].clone(), row["delivered"].clone());
    let expected = [(1, 500, false), (2, 404, false), (3, 204, true), (1, 204, true)]
        .map(|(n, s, d)| (json!(n), json!(s), json!(d)));
    assert_eq!(log.iter().map(told).collect::<Vec<_>>(), expected);
    node.stop().await;
}

#[tokio::test]
async fn a_partner_may_ask_to_be_left_alone_for_a_while() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    partner.answer([Answer::With(503, "retry-after", "3600".into())]);
    world.credentials(nurses(), 1, &["A"]).await;
    let node = world.deliver(options()).await;
    let endpoint = world.once(&path, |endpoint| endpoint["failures"] == 1).await;
    assert_eq!(retry_at(&endpoint) - world.now(), TimeDelta::hours(1));
    world.clock.advance(TimeDelta::hours(1));
    partner.wait_for(2).await;
    node.stop().await;
}

#[tokio::test]
async fn who_takes_nothing_for_days_is_disabled_and_misses_nothing_when_enabled_again() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    partner.answer((0..3).map(|_| Answer::Status(500)));
    world.credentials(nurses(), 1, &["A", "B"]).await;
    let retries = vec![Duration::from_secs(5), Duration::from_hours(70)];
    let node = world.deliver(WebhookOptions { retries, ..options() }).await;
    for failures in 1..=2 {
        world.once(&path, |endpoint| endpoint["failures"] == failures).await;
        world.clock.advance(TimeDelta::hours(80));
    }
    let endpoint = world.once(&path, |endpoint| endpoint["enabled"] == false).await;
    let reason = "it did not take a message in 3 attempts; the last: 500 Internal Server Error";
    assert_eq!(endpoint["disabled"]["reason"], reason);
    world.credentials(nurses(), 1, &["C"]).await;
    assert_eq!(partner.got().len(), 3);

    let (status, endpoint) = world.call(Method::PATCH, &path, json!({ "enabled": true })).await;
    assert_eq!((status, &endpoint["enabled"], &endpoint["disabled"]), (StatusCode::OK, &json!(true), &Value::Null));
    let got = partner.wait_for(6).await;
    let ids: Vec<_> = got[3..].iter().map(|got| got.id.clone()).collect();
    assert_eq!(ids, world.ids(nurses(), "member").await);
    node.stop().await;
}

#[tokio::test]
async fn who_says_gone_is_disabled_at_once() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    partner.answer([Answer::Status(410)]);
    world.credentials(nurses(), 1, &["A"]).await;
    let node = world.deliver(options()).await;
    let endpoint = world.once(&path, |endpoint| endpoint["enabled"] == false).await;
    assert_eq!(endpoint["disabled"]["reason"], "it answered 410 Gone");
    assert_eq!((partner.got().len(), &endpoint["position"]), (1, &json!(0)));
    node.stop().await;
}

#[tokio::test]
async fn who_switches_an_endpoint_off_and_on_misses_nothing() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    let node = world.deliver(options()).await;
    world.credentials(nurses(), 1, &["A"]).await;
    world.once(&path, |endpoint| endpoint["position"] == 1).await;
    let (_, endpoint) = world.call(Method::PATCH, &path, json!({ "enabled": false })).await;
    assert_eq!(endpoint["disabled"], json!({ "at": "2026-03-01T12:00:00Z", "reason": "switched off" }));
    // To another address, and back on: what was recorded meanwhile goes there.
    let other = Partner::open().await;
    world.credentials(nurses(), 1, &["B"]).await;
    world.call(Method::PATCH, &path, json!({ "url": other.url, "enabled": true })).await;
    assert_eq!(other.wait_for(1).await[0].position(), 2);
    assert_eq!(partner.got().len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_was_told_more_than_history_holds_is_disabled_and_told_why() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    world.credentials(nurses(), 1, &["A"]).await;
    // As if the events had been lost, and not the cursor.
    let client = world.database.connect().await;
    client.batch_execute("UPDATE webhook.endpoint SET position = 8, tail = 9").await.unwrap();
    let node = world.deliver(options()).await;
    let endpoint = world.once(&path, |endpoint| endpoint["enabled"] == false).await;
    assert_eq!(endpoint["disabled"]["reason"], "it was told of position 8, and history ends at 1");
    assert_eq!(partner.got().len(), 0);
    node.stop().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (world, partner, elsewhere) = (World::new().await, Partner::open().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    partner.answer([Answer::With(307, "location", elsewhere.url.clone())]);
    world.credentials(nurses(), 1, &["A"]).await;
    let node = world.deliver(options()).await;
    world.once(&path, |endpoint| endpoint["failures"] == 1).await;
    assert_eq!((world.log(&path).await[0]["status"].clone(), elsewhere.got().len()), (json!(307), 0));
    node.stop().await;
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for_long_and_says_nothing_of_where_it_is() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    partner.answer([Answer::When(std::sync::Arc::default())]);
    world.credentials(nurses(), 1, &["A"]).await;
    let node = world.deliver(WebhookOptions { timeout: Duration::from_millis(300), ..options() }).await;
    world.once(&path, |endpoint| endpoint["failures"] == 1).await;
    let log = world.log(&path).await;
    assert_eq!((&log[0]["status"], &log[0]["detail"]), (&Value::Null, &json!("no answer in time")));

    let (_, _) = world.call(Method::PATCH, &path, json!({ "url": "http://127.0.0.1:1/secret-path" })).await;
    let (_, answer) = world.call(Method::POST, &format!("{path}/ping"), Value::Null).await;
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.starts_with("no connection: ") && !detail.contains("secret-path"), "{detail}");
    node.stop().await;
}

#[tokio::test]
async fn messages_go_to_the_public_internet_only() {
    let world = World::with(WebhookOptions { allow_insecure: false, ..options() }).await;
    for url in ["http://partner.example/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "no url"]
    {
        let (status, problem) = world.call(Method::POST, "/v1/webhooks", json!({ "url": url })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{url}");
        assert_eq!(problem["errors"][0]["pointer"], "/url", "{url}");
    }
    // A name is judged by what it means when it is connected to.
    let (status, made) = world.call(Method::POST, "/v1/webhooks", json!({ "url": "https://localhost:9/" })).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/v1/webhooks/{}", made["webhook"]["webhook_id"].as_str().unwrap());
    let (_, answer) = world.call(Method::POST, &format!("{path}/ping"), Value::Null).await;
    assert_eq!((&answer["delivered"], &answer["status"]), (&json!(false), &Value::Null));
    assert_eq!(answer["detail"], "no connection: messages do not go to addresses of private networks");
}
