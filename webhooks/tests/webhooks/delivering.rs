//! What comes to a partner, in which order, with which signatures.

use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use guildhall_aggregates::{
    Clear, MemberId, association::AssociationRecord, member::MemberEvent, personal::PersonName,
};
use guildhall_event_store::CloudEvent;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    partner::{Got, Partner},
    world::{World, lawyers, nurses, options},
};

fn ids(got: &[Got]) -> Vec<String> {
    got.iter().map(|got| got.id.clone()).collect()
}

async fn rename(world: &World, tenant: guildhall_aggregates::TenantId, name: &str) {
    world.record(tenant, 0xA550, &[AssociationRecord::AssociationRenamed { name: name.into() }]).await;
}

#[tokio::test]
async fn exactly_the_events_of_the_association_and_its_categories_come_in_order() {
    let (world, partner) = (World::new().await, Partner::open().await);
    world.credentials(nurses(), 1, &["RN", "PE"]).await;
    world.credentials(lawyers(), 2, &["JD"]).await;
    rename(&world, nurses(), "Guild").await;
    let (path, secret) = world.endpoint(&partner, json!({ "categories": ["member"] })).await;
    let node = world.deliver(options()).await;
    partner.wait_for(2).await;
    world.credentials(lawyers(), 2, &["LLM"]).await;
    world.credentials(nurses(), 3, &["MD"]).await;
    rename(&world, nurses(), "Union").await;
    let head = world.store.head().await.unwrap();
    world.once(&path, |endpoint| endpoint["position"] == head).await;

    let got = partner.wait_for(3).await;
    assert_eq!(ids(&got), world.ids(nurses(), "member").await);
    let events = world.store.read_tenant_after(nurses(), 0, 100).await.unwrap();
    for got in &got {
        let event = events.iter().find(|event| event.event_id.to_string() == got.id).unwrap();
        let message = json!({
            "type": "guildhall.member.CredentialAdded",
            "timestamp": "2026-03-01T12:00:00.000000Z",
            "data": serde_json::to_value(CloudEvent::from(event)).unwrap(),
        });
        assert_eq!(got.json(), message);
        let data = format!("\"data\":{}", std::str::from_utf8(&event.payload).unwrap());
        assert!(std::str::from_utf8(&got.body).unwrap().contains(&data), "the payload stands there byte for byte");
        assert_eq!(got.signatures.len(), 1);
        assert!(got.is_signed_with(&secret));
    }
    node.stop().await;
}

#[tokio::test]
async fn an_endpoint_begins_where_it_is_told_to() {
    let (world, partner) = (World::new().await, Partner::open().await);
    world.credentials(nurses(), 1, &["A", "B", "C"]).await;
    let (path, _) = world.endpoint(&partner, json!({ "from": 2 })).await;
    let node = world.deliver(options()).await;
    assert_eq!(partner.wait_for(1).await[0].position(), 3);
    world.once(&path, |endpoint| endpoint["position"] == 3).await;

    let later = Partner::open().await;
    world.endpoint(&later, json!({ "from": "now" })).await;
    world.credentials(nurses(), 1, &["D"]).await;
    assert_eq!(later.wait_for(1).await[0].position(), 4);
    assert_eq!(partner.wait_for(2).await[1].position(), 4);
    node.stop().await;
}

#[tokio::test]
async fn many_events_come_to_many_partners_each_in_order() {
    let world = World::new().await;
    let node = world.deliver(options()).await;
    let mut partners = Vec::new();
    for _ in 0..3 {
        let partner = Partner::open().await;
        world.endpoint(&partner, json!({})).await;
        partners.push(partner);
    }
    for member in 0..40 {
        world.credentials(nurses(), member % 4, &["A", "B", "C"]).await;
        world.credentials(lawyers(), member % 4, &["D"]).await;
    }
    let expected = world.ids(nurses(), "member").await;
    for partner in &partners {
        assert_eq!(ids(&partner.wait_for(120).await), expected);
    }
    node.stop().await;
}

#[tokio::test]
async fn while_a_secret_is_replaced_both_sign() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, old) = world.endpoint(&partner, json!({})).await;
    let (status, rotated) = world.call(Method::POST, &format!("{path}/secret"), Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{rotated}");
    let new = rotated["secret"].as_str().unwrap();
    assert_eq!(rotated["previous_until"], "2026-03-02T12:00:00Z");
    let node = world.deliver(options()).await;
    world.credentials(nurses(), 1, &["RN"]).await;
    let during = partner.wait_for(1).await.remove(0);
    assert_eq!(during.signatures.len(), 2);
    assert!(during.is_signed_with(&old) && during.is_signed_with(new));

    world.clock.advance(TimeDelta::hours(24));
    world.credentials(nurses(), 1, &["PE"]).await;
    let after = partner.wait_for(2).await.remove(1);
    assert_eq!(after.signatures.len(), 1);
    assert!(after.is_signed_with(new) && !after.is_signed_with(&old));
    node.stop().await;
}

#[tokio::test]
async fn what_was_sent_can_be_sent_again_under_the_same_ids() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    world.credentials(nurses(), 1, &["A", "B", "C"]).await;
    let node = world.deliver(options()).await;
    partner.wait_for(3).await;
    world.once(&path, |endpoint| endpoint["position"] == 3).await;
    let (status, _) = world.call(Method::POST, &format!("{path}/replay"), json!({ "after": 1 })).await;
    assert_eq!(status, StatusCode::OK);
    let got = partner.wait_for(5).await;
    assert_eq!(ids(&got[3..]), ids(&got[1..3]));
    assert_eq!(got[3].body, got[1].body);
    world.once(&path, |endpoint| endpoint["position"] == 3).await;
    let (status, problem) = world.call(Method::POST, &format!("{path}/replay"), json!({ "after": 4 })).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/after")));
    node.stop().await;
}

#[tokio::test]
async fn personal_data_is_sealed_in_messages_also_when_somebody_is_forgotten() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, _) = world.endpoint(&partner, json!({})).await;
    let member = MemberId::new(Uuid::from_u128(1));
    let name = PersonName { display: "Ada Lovelace".into(), first: None, middle: None, last: None };
    let vault = world.store.vault();
    let name = vault.seal(nurses(), member.into(), Uuid::from_u128(7), &Clear(name)).await.unwrap();
    world.record(nurses(), 1, &[MemberEvent::NameChanged { name }]).await;
    let node = world.deliver(options()).await;
    world.once(&path, |endpoint| endpoint["position"] == 1).await;
    vault.forget(nurses(), member.into()).await.unwrap();
    world.call(Method::POST, &format!("{path}/replay"), json!({ "after": 0 })).await;
    let got = partner.wait_for(2).await;
    assert!(!String::from_utf8_lossy(&got[0].body).contains("Lovelace"));
    assert_eq!(got[0].body, got[1].body);
    node.stop().await;
}

#[tokio::test]
async fn a_ping_is_signed_and_says_what_came_of_it() {
    let (world, partner) = (World::new().await, Partner::open().await);
    let (path, secret) = world.endpoint(&partner, json!({})).await;
    let (status, answer) = world.call(Method::POST, &format!("{path}/ping"), Value::Null).await;
    assert_eq!((status, &answer["delivered"], &answer["status"]), (StatusCode::OK, &json!(true), &json!(204)));
    let got = partner.got().remove(0);
    assert_eq!((got.json()["type"].as_str(), &answer["message_id"]), (Some("guildhall.webhook.Ping"), &json!(got.id)));
    assert!(got.is_signed_with(&secret));
    assert_eq!(world.log(&path).await, Vec::<Value>::new());
}
