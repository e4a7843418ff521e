//! Many commands by the stream.

use axum::body::Body;
use futures::{
    StreamExt,
    stream::{self, FuturesUnordered},
};
use guildhall_commands::{bulk, registry::Sender};
use guildhall_event_store::Actor;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{WriteSide, answer, founders, member, plan};

fn line(command: &str, key: &str, body: Value) -> String {
    json!({"command": command, "idempotency_key": key, "body": body}).to_string()
}

fn credential(n: u128, name: &str) -> Value {
    json!({"member_id": Uuid::from_u128(n), "credential": name})
}

#[tokio::test]
async fn every_line_has_its_outcome_in_its_place() {
    let side = WriteSide::start().await;
    let outcomes = side
        .bulk(&[
            line("RegisterMember", "a", member(1)),
            "{\"command\":".into(),
            line("RegisterMember", "b", json!({"kind": "robot"})),
            String::new(),
            line("Conjure", "c", json!({})),
            line("RegisterMember", "d e", member(2)),
            line("RegisterMember", "a", member(1)),
            "x".repeat(200_000),
            line("RegisterMember", "f", member(3)),
        ])
        .await;
    let shown = |outcome: &Value| {
        let word = outcome["problem"]["type"].as_str().map(|urn| urn.trim_start_matches("urn:guildhall:problem:"));
        format!("{} {} {}", outcome["line"], outcome["status"], word.unwrap_or("receipt"))
    };
    insta::assert_snapshot!(outcomes.iter().map(shown).collect::<Vec<_>>().join("\n"), @r#"
1 201 receipt
2 400 malformed-body
3 422 invalid-body
5 422 unknown-command
6 422 invalid-body
7 201 receipt
8 413 too-large
9 201 receipt
"#);
    insta::assert_snapshot!(outcomes[2], @r#"{"idempotency_key":"b","line":3,"problem":{"detail":"The body is JSON, but not what this path reads: see `errors`.","errors":[{"detail":"unknown variant `robot`, expected one of `person`, `organization`, `household`","pointer":"/kind"}],"instance":"urn:uuid:00000000-0000-0000-0000-000000000063","status":422,"title":"The body is not what this path reads","type":"urn:guildhall:problem:invalid-body"},"status":422}"#);
}

#[tokio::test]
async fn lines_of_one_stream_are_decided_in_their_order() {
    let side = WriteSide::start().await;
    let mut lines = vec![line("RegisterMember", "ada", member(1))];
    for n in 0..150 {
        lines.push(line("AddCredential", &format!("add-{n}"), credential(1, "RN")));
        lines.push(line("RemoveCredential", &format!("remove-{n}"), credential(1, "RN")));
    }
    let outcomes = side.bulk(&lines).await;
    assert_eq!(outcomes.len(), lines.len());
    let versions: Vec<_> = outcomes.iter().map(|outcome| outcome["receipt"]["version"].as_u64()).collect();
    let expected: Vec<_> = (1..=301).map(Some).collect();
    assert_eq!(versions, expected, "each of them changed something, and in this order");
}

#[tokio::test]
async fn a_line_finds_what_an_earlier_line_made() {
    let side = WriteSide::empty().await;
    let (ada, plan_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let membership = json!({"membership_id": Uuid::from_u128(3), "member_id": ada, "plan_id": plan_id});
    let association = json!({"name": "Society of Bell Founders", "slug": "founders", "time_zone": "Europe/Berlin", "currency": "EUR"});
    let outcomes = side
        .bulk(&[
            line("FoundAssociation", "found", association),
            line("RegisterMember", "ada", member(1)),
            line("CreatePlan", "plan", plan(2)),
            line("ApplyForMembership", "apply", membership),
            line("ChangeName", "name", json!({"member_id": ada, "name": {"display": "Ada King"}})),
            line("CancelMembership", "cancel", json!({"membership_id": Uuid::from_u128(3), "reason": "moves away"})),
        ])
        .await;
    let statuses: Vec<_> = outcomes.iter().filter_map(|outcome| outcome["status"].as_u64()).collect();
    assert_eq!(statuses, [201, 201, 201, 201, 200, 200], "{outcomes:?}");
}

#[tokio::test]
async fn sent_again_nothing_takes_effect_twice() {
    let side = WriteSide::start().await;
    let lines: Vec<_> = (1..=600).map(|n| line("RegisterMember", &format!("m-{n}"), member(n))).collect();
    let first = side.bulk(&lines).await;
    let again = side.bulk(&lines).await;
    assert_eq!(first, again);
    assert_eq!(side.history(founders()).await.len(), 601);
}

#[tokio::test]
async fn too_much_work_is_refused_one_by_one_and_waited_for_in_bulk() {
    let side = WriteSide::start().await;
    let (_store, _executor, router) = side.small_node(2).await;
    // Whoever holds the lock of history keeps the writer from committing, so that the queue fills up.
    let database = side.database().connect().await;
    let lock_of_history = "x'475548414c4c'::bigint + 1";
    database.batch_execute(&format!("SELECT pg_advisory_lock({lock_of_history})")).await.expect("the lock is free");

    let lines: Vec<_> = (1..=12).map(|n| line("RegisterMember", &format!("m-{n}"), member(n))).collect();
    let bulk = side.bulk_at(&router, &lines);
    let singles = async {
        let single = async |n: u128| {
            let request = side.request("founders", "RegisterMember", &format!("m-{n}"));
            answer(&router, request.body(Body::from(member(n).to_string())).expect("well formed")).await
        };
        let mut answers: FuturesUnordered<_> = (101..=130).map(single).collect();
        let refused = answers.next().await.expect("one is refused while nothing can be recorded");
        assert_eq!((refused.status.as_u16(), refused.word()), (503, "overloaded"));
        assert_eq!(refused.headers["retry-after"], "1");
        database.batch_execute(&format!("SELECT pg_advisory_unlock({lock_of_history})")).await.expect("it is held");
        answers.collect::<Vec<_>>().await
    };
    let (outcomes, _) = tokio::join!(bulk, singles);
    assert!(outcomes.iter().all(|outcome| outcome["status"] == 201), "{outcomes:?}");
}

#[tokio::test]
async fn no_more_is_read_than_is_answered() {
    let side = WriteSide::start().await;
    let sender = Sender {
        tenant: founders(),
        actor: Actor::Import("test".into()),
        correlation_id: Uuid::from_u128(1),
        traceparent: None,
    };
    let read = std::sync::atomic::AtomicUsize::new(0);
    let lines = stream::iter(1..=100).map(|n: u128| {
        read.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(line("RegisterMember", &format!("m-{n}"), member(n)).into())
    });
    let mut outcomes = std::pin::pin!(bulk::run(side.executor.clone(), sender, 8, lines));
    for taken in 1..=20 {
        let outcome = outcomes.next().await.expect("there is an outcome for every line");
        assert!(outcome.outcome.is_ok());
        let read = read.load(std::sync::atomic::Ordering::SeqCst);
        assert!(read <= taken + 8, "{read} lines were read when {taken} outcomes were taken");
    }
}
