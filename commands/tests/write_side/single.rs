//! One command, one receipt.

use axum::{body::Body, http::StatusCode};
use guildhall_event_store::Actor;
use serde_json::json;
use uuid::Uuid;

use crate::support::{WriteSide, answer, founders, member};

#[tokio::test]
async fn a_command_is_answered_with_a_receipt() {
    let side = WriteSide::start().await;
    let reply = side.send("RegisterMember", "ada", member(1)).await;
    insta::assert_snapshot!(reply.shown(), @r#"
201 Created
{
  "command_id": "e5e96671-2ded-5ba5-9ec0-0db487590a66",
  "events": [
    {
      "event_id": "…",
      "position": 2,
      "type": "MemberRegistered",
      "version": 1
    }
  ],
  "position": 2,
  "stream": "member-00000000-0000-0000-0000-000000000001",
  "token": "p-2",
  "version": 1
}
"#);
    assert_eq!(reply.headers["etag"], "\"1\"");
    assert_eq!(reply.headers["location"], "/v1/streams/member-00000000-0000-0000-0000-000000000001");
}

#[tokio::test]
async fn what_is_recorded_says_who_and_why() {
    let side = WriteSide::start().await;
    let correlation = Uuid::from_u128(77);
    let request = side.request("founders", "RegisterMember", "ada").header("x-correlation-id", correlation.to_string());
    answer(&side.router, request.body(Body::from(member(1).to_string())).expect("well formed")).await;
    let recorded = side.history(founders()).await.pop().expect("something was recorded");
    let metadata = recorded.parsed_metadata().expect("metadata can be read");
    assert_eq!(metadata.command, "RegisterMember");
    assert_eq!(metadata.actor, Actor::Caller("front-desk".into()));
    assert_eq!(metadata.correlation_id, correlation);
}

#[tokio::test]
async fn names_are_not_stored_in_the_clear() {
    let side = WriteSide::start().await;
    side.member(1).await;
    let history = side.history(founders()).await;
    assert!(history.iter().all(|event| !String::from_utf8_lossy(&event.payload).contains("Member 1")));
}

#[tokio::test]
async fn the_same_key_gets_the_same_receipt() {
    let side = WriteSide::start().await;
    let first = side.send("RegisterMember", "ada", member(1)).await;
    let again = side.send("RegisterMember", "ada", member(1)).await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(side.history(founders()).await.len(), 2, "the founding and one member");
}

#[tokio::test]
async fn a_command_that_makes_an_id_makes_it_once() {
    let side = WriteSide::start().await;
    let body = json!({"kind": "person", "name": {"display": "Ada"}});
    let first = side.send("RegisterMember", "ada", body.clone()).await;
    let again = side.send("RegisterMember", "ada", body.clone()).await;
    let other = side.send("RegisterMember", "another ada".replace(' ', "-").as_str(), body).await;
    assert_eq!(first.body["stream"], again.body["stream"]);
    assert_ne!(first.body["stream"], other.body["stream"]);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let side = WriteSide::start().await;
    side.send("RegisterMember", "ada", member(1)).await;
    let reused = side.send("RegisterMember", "ada", member(2)).await;
    assert_eq!((reused.status, reused.word()), (StatusCode::UNPROCESSABLE_ENTITY, "key-reused"));
    let reused = side.send("ForgetMember", "ada", json!({"member_id": Uuid::from_u128(1)})).await;
    assert_eq!(reused.word(), "key-reused", "another command is another request, too");
}

#[tokio::test]
async fn the_same_key_at_the_same_time_takes_effect_once() {
    let side = WriteSide::start().await;
    let replies = futures::future::join_all((0..20).map(|_| side.send("RegisterMember", "ada", member(1)))).await;
    for reply in &replies {
        let fine = reply.status == StatusCode::CREATED || reply.word() == "in-progress";
        assert!(fine, "{reply:?}");
    }
    assert!(replies.iter().any(|reply| reply.status == StatusCode::CREATED));
    assert_eq!(side.history(founders()).await.len(), 2);
}

#[tokio::test]
async fn a_command_sent_again_has_its_receipt_also_when_it_would_be_refused_by_now() {
    let side = WriteSide::start().await;
    side.member(1).await;
    let body = json!({"member_id": Uuid::from_u128(1), "name": {"display": "Ada King"}});
    let first = side.send("ChangeName", "married", body.clone()).await;
    side.send("ForgetMember", "forget", json!({"member_id": Uuid::from_u128(1)})).await;
    let again = side.send("ChangeName", "married", body.clone()).await;
    assert_eq!(first.body, again.body);
    let anew = side.send("ChangeName", "anew", body).await;
    assert_eq!((anew.status, anew.word()), (StatusCode::CONFLICT, "member-forgotten"));
}

#[tokio::test]
async fn if_match_is_checked_against_the_stream() {
    let side = WriteSide::start().await;
    let body = json!({"member_id": Uuid::from_u128(1), "credential": "RN"});
    let send = async |key: &str, version: &str| {
        let request = side.request("founders", "AddCredential", key).header("if-match", version);
        answer(&side.router, request.body(Body::from(body.to_string())).expect("well formed")).await
    };
    assert_eq!(send("a", "*").await.word(), "version-mismatch");
    side.member(1).await;
    let stale = send("b", "\"2\"").await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    insta::assert_snapshot!(stale.shown(), @r#"
412 Precondition Failed
{
  "detail": "The stream is at version 1. Read it again, and decide again.",
  "instance": "…",
  "status": 412,
  "title": "It is at another version than If-Match says",
  "type": "urn:guildhall:problem:version-mismatch"
}
"#);
    assert_eq!(send("c", "\"1\"").await.status, StatusCode::OK);
    assert_eq!(send("c", "\"1\"").await.status, StatusCode::OK, "the same command again, though the version moved");
    assert_eq!(send("d", "*").await.status, StatusCode::OK);
    assert_eq!(send("e", "1").await.word(), "invalid-header");
}

#[tokio::test]
async fn a_command_that_asks_for_what_is_so_has_a_receipt_without_events() {
    let side = WriteSide::start().await;
    side.member(1).await;
    let body = json!({"member_id": Uuid::from_u128(1), "credential": "RN"});
    side.send("AddCredential", "a", body.clone()).await;
    let reply = side.send("AddCredential", "b", body.clone()).await;
    assert_eq!((reply.status, reply.recorded()), (StatusCode::OK, vec![]));
    assert_eq!(side.send("AddCredential", "b", body).await.body, reply.body);
}

#[tokio::test]
async fn an_email_address_belongs_to_one_member() {
    let side = WriteSide::start().await;
    let with_email = |n: u128, email: &str, shared: bool| {
        let mut body = member(n);
        body["contact"] = json!({ "email": email });
        body["email_shared"] = json!(shared);
        body
    };
    side.send("RegisterMember", "ada", with_email(1, "ada@example.org", false)).await;
    let taken = side.send("RegisterMember", "eve", with_email(2, "ADA@example.org", false)).await;
    assert_eq!((taken.status, taken.word()), (StatusCode::CONFLICT, "already-taken"));
    let shared = side.send("RegisterMember", "bob", with_email(3, "ada@example.org", true)).await;
    assert_eq!(shared.status, StatusCode::CREATED);
    side.send("ForgetMember", "forget", json!({"member_id": Uuid::from_u128(1)})).await;
    let free = side.send("RegisterMember", "eve-again", with_email(2, "ada@example.org", false)).await;
    assert_eq!(free.status, StatusCode::CREATED, "{free:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_pointed_at() {
    let side = WriteSide::start().await;
    let mut unknown = member(1);
    unknown["nickname"] = json!("Ada");
    insta::assert_snapshot!(side.send("RegisterMember", "a", unknown).await.shown(), @r#"
422 Unprocessable Entity
{
  "detail": "The body is JSON, but not what this path reads: see `errors`.",
  "errors": [
    {
      "detail": "unknown field `nickname`, expected one of `member_id`, `kind`, `name`, `contact`, `email_shared`, `birth_date`, `member_number`, `source`",
      "pointer": "/nickname"
    }
  ],
  "instance": "…",
  "status": 422,
  "title": "The body is not what this path reads",
  "type": "urn:guildhall:problem:invalid-body"
}
"#);
    let wrong = json!({"kind": "person", "name": {"display": 7}});
    assert_eq!(side.send("RegisterMember", "b", wrong).await.body["errors"][0]["pointer"], "/name/display");
    let blank = json!({"kind": "person", "name": {"display": " "}});
    assert_eq!(side.send("RegisterMember", "c", blank).await.body["errors"][0]["detail"], "must not be blank");
    let nobody = json!({"member_id": Uuid::from_u128(9), "plan_id": Uuid::from_u128(9)});
    insta::assert_snapshot!(side.send("ApplyForMembership", "d", nobody).await.shown(), @r#"
422 Unprocessable Entity
{
  "detail": "The request names something that does not exist in this association.",
  "errors": [
    {
      "detail": "there is no 00000000-0000-0000-0000-000000000009",
      "pointer": "/member_id"
    }
  ],
  "instance": "…",
  "status": 422,
  "title": "The body names something that is not there",
  "type": "urn:guildhall:problem:unknown-reference"
}
"#);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_a_problem() {
    let side = WriteSide::start().await;
    let send = async |name: &'static str, value: Option<&'static str>, body: &'static str| {
        let mut request =
            side.request("founders", "RegisterMember", "key").body(Body::from(body)).expect("well formed");
        let headers = request.headers_mut();
        headers.remove(name);
        if let Some(value) = value {
            headers.insert(name, value.parse().expect("the value can stand in a header"));
        }
        let reply = answer(&side.router, request).await;
        (reply.status.as_u16(), reply.word().to_owned())
    };
    assert_eq!(send("authorization", None, "{}").await, (401, "unauthenticated".into()));
    assert_eq!(send("authorization", Some("Bearer x.y.z"), "{}").await, (401, "unauthenticated".into()));
    assert_eq!(send("content-type", Some("text/plain"), "{}").await, (415, "unsupported-media-type".into()));
    assert_eq!(send("idempotency-key", None, "{}").await, (400, "invalid-header".into()));
    assert_eq!(send("idempotency-key", Some("a b"), "{}").await, (400, "invalid-header".into()));
    assert_eq!(send("x-any", None, "{\"kind\":").await, (400, "malformed-body".into()));
    let large: &'static str = Box::leak("x".repeat(200_000).into_boxed_str());
    assert_eq!(send("x-any", None, large).await, (413, "too-large".into()));
    let wrong_scope = side.token("founders", &[guildhall_web::Role::Auditor]);
    let scope: &'static str = Box::leak(format!("Bearer {wrong_scope}").into_boxed_str());
    assert_eq!(send("authorization", Some(scope), "{}").await, (403, "forbidden".into()));
}

#[tokio::test]
async fn nothing_is_recorded_before_the_association_is_founded() {
    let side = WriteSide::empty().await;
    let reply = side.send("RegisterMember", "ada", member(1)).await;
    assert_eq!((reply.status, reply.word()), (StatusCode::NOT_FOUND, "association-unknown"));
}

#[tokio::test]
async fn a_payment_told_five_times_is_one_payment() {
    let side = WriteSide::start().await;
    let body = json!({"provider": "bank", "reference": "2026/17", "amount": {"minor": 500, "currency": "EUR"}});
    for key in ["a", "b", "c", "d", "e"] {
        assert!(side.send("RecordPayment", key, body.clone()).await.status.is_success());
    }
    assert_eq!(side.history(founders()).await.len(), 2);
}
