//! A hundred places, a thousand who want one, two nodes.

use std::collections::BTreeSet;

use axum::{Router, body::Body, http::StatusCode};
use guildhall_aggregates::event_roster::{EventRoster, Registrant, RosterEvent};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Reply, WriteSide, answer, founders};

const EVENT: Uuid = Uuid::from_u128(4);

async fn open_event(side: &WriteSide, places: u32) {
    let schedule =
        json!({"starts": "2027-06-01T09:00:00", "ends": "2027-06-01T17:00:00", "time_zone": "Europe/Berlin"});
    let details = json!({"title": "Annual meeting"});
    let scheduled = side
        .send("ScheduleEvent", "schedule", json!({"event_id": EVENT, "details": details, "schedule": schedule}))
        .await;
    assert_eq!(scheduled.status, StatusCode::CREATED, "{scheduled:?}");
    let ticket = json!({"code": "standard", "fee": {"minor": 5_000, "currency": "EUR"},
        "member_fee": {"minor": 0, "currency": "EUR"}, "pools": ["hall"]});
    let free = json!({"code": "free", "fee": {"minor": 0, "currency": "EUR"}, "pools": ["hall"]});
    let opened = side
        .send(
            "OpenRegistration",
            "open",
            json!({"event_id": EVENT, "pools": [{"name": "hall", "size": places}], "ticket_types": [ticket, free]}),
        )
        .await;
    assert_eq!(opened.status, StatusCode::CREATED, "{opened:?}");
}

fn guest(n: u128, ticket_type: &str) -> Value {
    let registrant =
        json!({"kind": "guest", "guest_id": Uuid::from_u128(n), "name": {"display": format!("Guest {n}")}});
    json!({"event_id": EVENT, "registration_id": Uuid::from_u128(n), "registrant": registrant, "ticket_type": ticket_type})
}

/// Registers through a node; one who is told to come back comes back.
async fn register(side: &WriteSide, router: &Router, n: u128) -> Reply {
    let body = guest(n, "free").to_string();
    loop {
        let request = side.request("founders", "RegisterForEvent", &format!("guest-{n}"));
        let reply = answer(router, request.body(Body::from(body.clone())).expect("well formed")).await;
        if !matches!(reply.status, StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE) {
            return reply;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_want_a_hundred_places_at_two_nodes_are_all_served_once() {
    let side = WriteSide::start().await;
    let (_store, _executor, other) = side.another_node().await;
    open_event(&side, 100).await;
    let everyone = (0..1_000_u128).map(|n| {
        let router = if n % 2 == 0 { &side.router } else { &other };
        register(&side, router, 1_000 + n)
    });
    let replies = futures::future::join_all(everyone).await;
    let outcome = |name: &str| replies.iter().filter(|reply| reply.recorded() == [name]).count();
    assert_eq!((outcome("PlaceConfirmed"), outcome("RegistrationWaitlisted")), (100, 900));

    let (mut placed, mut waiting) = (Vec::new(), Vec::new());
    for event in side.history(founders()).await {
        if &*event.stream.category != "event_roster" {
            continue;
        }
        match event.decode::<RosterEvent>().expect("a roster's event can be read") {
            RosterEvent::PlaceConfirmed { registration } => placed.push(registration.registrant),
            RosterEvent::RegistrationWaitlisted { registration, .. } => waiting.push(registration.registrant),
            other => assert!(matches!(other, RosterEvent::RegistrationOpened { .. }), "{other:?}"),
        }
        assert!(waiting.is_empty() || placed.len() == 100, "nobody waits while there is room");
    }
    let people: BTreeSet<_> = placed.iter().chain(&waiting).map(Registrant::subject).collect();
    assert_eq!((placed.len(), waiting.len(), people.len()), (100, 900, 1_000), "none lost, none twice");
}

#[tokio::test]
async fn the_member_price_needs_a_membership_that_is_current_on_the_day() {
    let side = WriteSide::start().await;
    open_event(&side, 10).await;
    let (ada, plan) = (side.member(1).await, side.plan(2).await);
    let membership = Uuid::from_u128(3);
    let source = json!({"system": "other", "table": "membership", "id": "1"});
    let import = async |key: &str, end: &str| {
        let body = json!({"membership_id": membership, "member_id": ada, "plan_id": plan, "joined_on": "2020-01-01",
            "term": {"start": "2020-01-01", "end": end}, "as_of": "2026-01-01", "source": source});
        assert_eq!(side.send("ImportMembership", key, body).await.status, StatusCode::CREATED);
    };
    import("import", "2027-06-01").await;
    let register = json!({"event_id": EVENT, "registrant": {"kind": "member", "member_id": ada},
        "ticket_type": "standard", "membership_id": membership});
    let reply = side.send("RegisterForEvent", "ada", register).await;
    assert_eq!(reply.recorded(), ["PlaceConfirmed"], "nothing is to be paid: {reply:?}");

    let bob = side.member(11).await;
    let borrowed = json!({"event_id": EVENT, "registrant": {"kind": "member", "member_id": bob},
        "ticket_type": "standard", "membership_id": membership});
    let reply = side.send("RegisterForEvent", "bob", borrowed).await;
    assert_eq!(reply.word(), "unknown-reference", "a membership is nobody else's");
    let full =
        json!({"event_id": EVENT, "registrant": {"kind": "member", "member_id": bob}, "ticket_type": "standard"});
    assert_eq!(side.send("RegisterForEvent", "bob-full", full).await.recorded(), ["PlaceHeld"]);
}

#[tokio::test]
async fn nobody_gets_a_place_at_an_event_that_was_called_off() {
    let side = WriteSide::start().await;
    open_event(&side, 10).await;
    side.send("CancelEvent", "cancel", json!({"event_id": EVENT, "reason": "the hall burnt down"})).await;
    let reply = side.send("RegisterForEvent", "late", guest(21, "free")).await;
    assert_eq!((reply.status, reply.word()), (StatusCode::CONFLICT, "event-is-cancelled"));
}

#[tokio::test]
async fn a_place_given_back_is_offered_in_the_same_breath() {
    let side = WriteSide::start().await;
    open_event(&side, 1).await;
    side.send("RegisterForEvent", "a", guest(21, "free")).await;
    side.send("RegisterForEvent", "b", guest(22, "free")).await;
    let cancel = json!({"event_id": EVENT, "registration_id": Uuid::from_u128(21), "reason": "has a cold"});
    let reply = side.send("CancelRegistration", "cancel", cancel).await;
    assert_eq!(reply.recorded(), ["RegistrationCancelled", "PlaceOffered"], "{reply:?}");
    let history = side.history(founders()).await;
    assert!(history.iter().all(|event| !String::from_utf8_lossy(&event.payload).contains("has a cold")));
}

#[tokio::test]
async fn a_node_finds_a_registration_that_another_one_has_just_recorded() {
    let side = WriteSide::start().await;
    let (_store, other, router) = side.another_node().await;
    open_event(&side, 10).await;
    for n in 5_000..5_003 {
        // What the other node knows of the roster is a moment old, and does not have this one.
        other.find::<EventRoster, _>(founders(), EVENT, |roster| Some(roster.version)).await.expect("it can be read");
        let reply = side.send("RegisterForEvent", &format!("in-{n}"), guest(n, "free")).await;
        assert_eq!(reply.recorded(), ["PlaceConfirmed"], "{reply:?}");
        let body = json!({"event_id": EVENT, "registration_id": Uuid::from_u128(n), "reason": "Ill."}).to_string();
        let request = side.request("founders", "CancelRegistration", &format!("out-{n}"));
        let reply = answer(&router, request.body(Body::from(body)).expect("well formed")).await;
        assert_eq!(reply.recorded(), ["RegistrationCancelled"], "{reply:?}");
    }
}
