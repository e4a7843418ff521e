//! How far an answer is, and what a client that has it already is told.

use std::time::Duration;

use axum::http::{HeaderName, StatusCode, header};
use guildhall_event_store::StreamId;
use guildhall_projections::Directory;
use guildhall_web::Role;

use crate::{
    story,
    world::{CORRELATION, Reply, World, nurses},
};

async fn told() -> World {
    let world = World::new().await;
    story::tell(&world, nurses(), "nurses", "Nightingale").await;
    world
}

#[tokio::test]
async fn an_answer_says_which_position_it_stands_at() {
    let world = told().await;
    let before = world.get("/v1/directory").await;
    assert_eq!((before.header("guildhall-position"), before.json()["position"].as_str()), ("p-0", Some("p-0")));
    world.project().await;
    let head = format!("p-{}", world.store.head().await.unwrap());
    let after = world.get("/v1/directory").await;
    assert_eq!((after.header("guildhall-position"), after.json()["position"].as_str()), (&*head, Some(&*head)));
}

#[tokio::test]
async fn a_read_waits_until_what_was_written_is_in_it() {
    let world = told().await;
    let head = world.store.head().await.unwrap();
    let path = format!("/v1/directory?at_least=p-{head}");
    // The read is polled first, finds nothing and waits; the projector comes while it does.
    let (reply, ()) = tokio::join!(world.get(&path), world.project_one::<Directory>());
    assert_eq!((reply.status, reply.header("guildhall-position")), (StatusCode::OK, &*format!("p-{head}")));
    assert!(reply.body.contains("Ada Nightingale"), "{}", reply.body);
}

#[tokio::test]
async fn a_read_model_of_another_version_is_not_read() {
    let world = told().await;
    world.project().await;
    let other = "UPDATE read.projection SET version = version + 1 WHERE name = 'directory'";
    world.store.pool().get().await.unwrap().batch_execute(other).await.unwrap();
    let reply = world.get("/v1/directory").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.body.contains("being-rebuilt") && !reply.header("retry-after").is_empty(), "{}", reply.body);
    assert_eq!(world.get("/v1/journal").await.status, StatusCode::OK, "each read model stands for itself");
}

const BEHIND: [&str; 3] = ["/v1/directory", "/v1/reports/memberships", "/v1/journal"];

#[tokio::test]
async fn a_read_that_waited_long_enough_is_answered_and_says_that_it_is_stale() {
    let world = World::with_patience(Duration::from_millis(20)).await;
    story::tell(&world, nurses(), "nurses", "Nightingale").await;
    let head = world.store.head().await.unwrap();
    for path in BEHIND {
        let reply = world.get(&format!("{path}?at_least=p-{head}")).await;
        assert_eq!((reply.status, reply.header("guildhall-stale")), (StatusCode::OK, "true"), "{path}");
        let json = reply.json();
        assert_eq!((reply.header("guildhall-position"), &json["position"]), ("p-0", &"p-0".into()));
        assert_eq!(json["stale"], true);
        let table = world.get(&format!("{path}?at_least=p-{head}&format=csv")).await;
        assert_eq!((table.status, table.header("guildhall-stale")), (StatusCode::OK, "true"), "{path}");
    }
    world.project().await;
    for path in BEHIND {
        let reply = world.get(&format!("{path}?at_least=p-{head}")).await;
        assert!(!reply.headers.contains_key("guildhall-stale"), "{path}");
        assert!(reply.json().get("stale").is_none(), "{path}");
    }
}

#[tokio::test]
async fn a_strict_caller_is_told_to_come_again() {
    let world = World::with_patience(Duration::from_millis(20)).await;
    story::tell(&world, nurses(), "nurses", "Nightingale").await;
    let head = world.store.head().await.unwrap();
    let token = world.token("nurses", &Role::ALL);
    let ask = async |path: &str, wish: &'static str| {
        let prefer = HeaderName::from_static("prefer");
        world.get_as(&token, &format!("{path}?at_least=p-{head}"), &[(prefer, wish)]).await
    };
    for path in BEHIND {
        for wish in ["handling=strict", "respond-async, Handling=strict", "handling=strict; wait=10"] {
            let reply = ask(path, wish).await;
            let told = (reply.status, reply.problem());
            assert_eq!(told, (StatusCode::SERVICE_UNAVAILABLE, "position-not-reached".into()), "{path} {wish}");
            assert_eq!(reply.header("retry-after"), "1");
        }
        assert_eq!(ask(path, "handling=lenient").await.status, StatusCode::OK, "{path}");
    }
    world.project().await;
    for path in BEHIND {
        let reply = ask(path, "handling=strict").await;
        assert_eq!((reply.status, reply.header("preference-applied")), (StatusCode::OK, "handling=strict"), "{path}");
    }
}

#[tokio::test]
async fn nobody_waits_for_what_was_never_written() {
    let world = told().await;
    let beyond = world.store.head().await.unwrap() + 1;
    for path in ["/v1/directory", "/v1/records"] {
        let reply = world.get(&format!("{path}?at_least=p-{beyond}")).await;
        assert_eq!((reply.status, reply.problem()), (StatusCode::BAD_REQUEST, "invalid-query".into()), "{path}");
    }
}

#[tokio::test]
async fn a_waiting_read_holds_no_connection() {
    let world = told().await;
    let path = format!("/v1/directory?at_least=p-{}", world.store.head().await.unwrap());
    let waiting = futures::future::join_all((0..20).map(|_| world.get(&path)));
    let (replies, ()) = tokio::join!(waiting, async {
        // Twenty wait and the pool has eight: whoever does not wait is answered all the same.
        let reply = tokio::time::timeout(Duration::from_secs(10), world.get("/v1/events")).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK);
        world.project_one::<Directory>().await;
    });
    assert!(replies.iter().all(|reply| reply.status == StatusCode::OK));
}

async fn again(world: &World, path: &str, tag: &str) -> Reply {
    let token = world.token("nurses", &Role::ALL);
    world.get_as(&token, path, &[(header::IF_NONE_MATCH, tag)]).await
}

#[tokio::test]
async fn who_has_the_answer_already_is_told_so() {
    let world = told().await;
    world.project().await;
    for path in ["/v1/directory", "/v1/reports/event-fill", "/v1/journal", "/v1/records", "/v1/invoices"] {
        let first = world.get(path).await;
        let same = again(&world, path, first.header("etag")).await;
        assert_eq!((same.status, &*same.body), (StatusCode::NOT_MODIFIED, ""), "{path}");
        assert_eq!(same.header("etag"), first.header("etag"));
        assert_eq!(same.header("guildhall-position"), first.header("guildhall-position"));
        // Another question, another shape or another reader has another answer.
        for other in [format!("{path}?limit=1"), format!("{path}?format=csv")] {
            let reply = again(&world, &other, first.header("etag")).await;
            assert_ne!(reply.status, StatusCode::NOT_MODIFIED, "{other}");
        }
        let analyst = world.token("nurses", &[Role::Analyst, Role::Auditor]);
        let reply = world.get_as(&analyst, path, &[(header::IF_NONE_MATCH, first.header("etag"))]).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn an_answer_is_another_one_once_something_was_recorded() {
    let world = told().await;
    world.project().await;
    let first = world.get("/v1/directory").await;
    let credential = guildhall_aggregates::member::MemberEvent::CredentialAdded { credential: "PE".into() };
    world.record(nurses(), story::ada().uuid(), &[credential]).await;
    assert_eq!(again(&world, "/v1/directory", first.header("etag")).await.status, StatusCode::NOT_MODIFIED);
    world.project().await;
    let next = again(&world, "/v1/directory", first.header("etag")).await;
    assert_eq!(next.status, StatusCode::OK);
    assert!(next.body.contains("\"PE\""), "{}", next.body);
}

#[tokio::test]
async fn a_status_of_today_is_another_answer_tomorrow() {
    let world = told().await;
    world.project().await;
    let today = world.get("/v1/directory?status=current").await;
    world.clock.advance(chrono::TimeDelta::days(400));
    let later = again(&world, "/v1/directory?status=current", today.header("etag")).await;
    assert_eq!((later.status, later.json()["data"].as_array().map(Vec::len)), (StatusCode::OK, Some(0)));
}

#[tokio::test]
async fn a_roster_and_an_invoice_are_never_behind() {
    let world = told().await;
    let roster = world.get(&format!("/v1/events/{}/roster", story::congress())).await;
    assert_eq!(roster.json()["data"].as_array().map(Vec::len), Some(3));
    let invoice = world.get(&format!("/v1/invoices/{}", story::invoice())).await;
    assert_eq!(invoice.json()["data"]["open_minor"], 7_000);
}

#[tokio::test]
async fn the_status_says_how_far_each_read_model_is() {
    let world = told().await;
    world.project_one::<Directory>().await;
    let head = world.store.head().await.unwrap();
    let json = world.get("/v1/status").await.json();
    assert_eq!(json["position"], format!("p-{head}"));
    let projections = &json["data"]["projections"];
    assert_eq!((&projections[0]["name"], &projections[0]["behind"]), (&"directory".into(), &0.into()));
    assert_eq!((&projections[1]["name"], &projections[1]["behind"]), (&"reporting".into(), &head.into()));
}

#[tokio::test]
async fn a_stream_that_cannot_be_followed_is_shown_to_its_association_alone() {
    let world = World::new().await;
    let stream = StreamId::new("member", story::ada().uuid());
    world.append(CORRELATION, nurses(), stream.clone(), vec![("MemberRegistered", 1, b"{}".to_vec())]).await;
    world.project().await;
    let parked = async |association: &str| {
        let reply = world.get_as(&world.token(association, &Role::ALL), "/v1/status", &[]).await;
        reply.json()["data"]["projections"][0]["parked"].clone()
    };
    let seen = parked("nurses").await;
    assert_eq!((&seen[0]["stream"], &seen[0]["first_position"]), (&stream.to_string().into(), &1.into()));
    assert_eq!(parked("lawyers").await, serde_json::json!([]));
}

#[tokio::test]
async fn rows_of_a_stream_that_cannot_be_followed_say_so_and_no_others() {
    let world = told().await;
    world.project().await;
    let member = StreamId::new("member", story::ada().uuid());
    let before = world.get("/v1/directory").await;
    assert!(!before.body.contains("stale") && before.header("guildhall-stale-streams").is_empty(), "{}", before.body);
    world.append(CORRELATION, nurses(), member.clone(), vec![("NameChanged", 1, b"{}".to_vec())]).await;
    world.project().await;

    let stale = async |path: &str| {
        let reply = world.get(path).await;
        let rows = reply.json()["data"].clone();
        let ids = rows.as_array().unwrap().iter().filter(|row| row["stale"] == true);
        let ids: Vec<_> = ids.map(|row| row["member_id"].as_str().unwrap_or_default().to_owned()).collect();
        (ids, reply.header("guildhall-stale-streams").to_owned(), reply.json()["stale_streams"].clone())
    };
    assert_eq!(stale("/v1/directory").await, (vec![story::ada().uuid().to_string()], "1".to_owned(), 1.into()));
    let one = world.get(&format!("/v1/members/{}", story::ada())).await.json();
    assert_eq!((&one["stale_streams"], &one["data"]["stale"]), (&1.into(), &true.into()));
    let table = world.get("/v1/directory?format=csv").await;
    let missing = |line: &&str| line.ends_with(",true");
    let missing: Vec<_> = table.body.lines().filter(missing).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(missing, [story::ada().uuid().to_string()], "{}", table.body);
    // The reports count no names: nothing is missing there. And of others nobody learns anything.
    assert_eq!(stale("/v1/events").await, (vec![], String::new(), serde_json::Value::Null));
    let lawyer = world.get_as(&world.token("lawyers", &Role::ALL), "/v1/directory", &[]).await;
    assert!(!lawyer.body.contains("stale"), "{}", lawyer.body);

    // Released it goes on, and goes on saying that something is missing: another answer at the same position.
    let parked = world.get("/v1/directory").await;
    guildhall_projections::parked::release::<Directory>(world.store.pool(), &world.store, &member, false)
        .await
        .unwrap();
    let released = again(&world, "/v1/directory", parked.header("etag")).await;
    assert_eq!((released.status, released.header("guildhall-stale-streams")), (StatusCode::OK, "1"));
    let status = world.get("/v1/status").await.json();
    let left_out = &status["data"]["projections"][0]["left_out"];
    assert_eq!((&left_out[0]["stream"], left_out.as_array().map(Vec::len)), (&member.to_string().into(), Some(1)));
}
