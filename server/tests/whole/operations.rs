//! What an operator sees and does: `status`, `projections`, the gauges.

use guildhall_aggregates::tenant_of_slug;
use guildhall_event_store::{
    Actor, Clock, DecidedCommand, EventStore, Metadata, NewEvent, StoreOptions, StreamId, Unit, UnitOutcome,
};
use guildhall_sandbox::testing::{TestDatabase, kafka_brokers};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::{Server, eventually};

const ASSOCIATION: &str = "lakeside";

fn member(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

async fn founded(database: &TestDatabase, brokers: Option<(&str, &str)>) -> Server {
    let mut server = Server::configured(database.url(), brokers);
    server.start("all");
    let client = server.client(ASSOCIATION);
    client.found(ASSOCIATION).await;
    for number in 1..=3 {
        let body =
            json!({ "member_id": member(number), "kind": "person", "name": { "display": format!("Member {number}") } });
        client.accepted("RegisterMember", body).await;
    }
    server
}

/// What a subcommand reports, and whether it ended well.
fn report(server: &Server, arguments: &[&str]) -> (Value, bool) {
    let output = server.output(arguments);
    let said = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&said)
        .unwrap_or_else(|_| panic!("{arguments:?}: {said} {}", String::from_utf8_lossy(&output.stderr)));
    (value, output.status.success())
}

/// Waits until everything that follows history has come to its end, and gives the status.
async fn at_rest(server: &Server) -> (Value, bool) {
    eventually("everything is at the end of history", || async {
        let (status, well) = report(server, &["status"]);
        let every = ["projections", "relays"].iter().flat_map(|who| status[who].as_array().expect("a list"));
        let behind = every.chain([&status["processes"]]).any(|one| one["behind"] != 0);
        if behind { None } else { Some((status, well)) }
    })
    .await
}

/// Appends an event to a member's stream that Postgres does not take into the directory.
async fn poison(database: &TestDatabase, server: &Server, number: u128) {
    let store = EventStore::open(StoreOptions::new(database.url(), server.key_encryption_key()), Clock::system());
    let store = store.await.expect("the database is ours");
    let (tenant, stream) = (tenant_of_slug(ASSOCIATION), StreamId::new("member", member(number)));
    let metadata = Metadata {
        command: "Spoil".to_owned(),
        actor: Actor::Caller("test".to_owned()),
        correlation_id: Uuid::nil(),
        causation_id: None,
        traceparent: None,
    };
    let event = NewEvent {
        event_id: Uuid::now_v7(),
        type_name: "CredentialAdded".into(),
        schema_version: 1,
        payload: br#"{"type":"CredentialAdded","credential":"a \u0000 in a text"}"#.as_slice().into(),
    };
    let command = DecidedCommand {
        command_id: Uuid::now_v7(),
        request_hash: [0; 32],
        metadata: serde_json::to_vec(&metadata).expect("metadata is JSON").into(),
        events: vec![event],
        claims: vec![],
    };
    let expected_version = store.read_stream(tenant, &stream, 0, 100).await.expect("the stream is there").len() as u64;
    let outcome = store.append(Unit { tenant, stream, expected_version, commands: vec![command] }).await;
    assert!(matches!(outcome, Ok(UnitOutcome::Appended(_))), "{outcome:?}");
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_a_parked_stream_and_lets_it_go_on_the_embedded_transport() {
    an_operator_sees_a_parked_stream_and_lets_it_go(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_a_parked_stream_and_lets_it_go_on_kafka() {
    let Some(brokers) = kafka_brokers() else { return };
    let prefix = format!("t{}", Uuid::now_v7().simple());
    an_operator_sees_a_parked_stream_and_lets_it_go(Some((&brokers, &prefix))).await;
}

async fn an_operator_sees_a_parked_stream_and_lets_it_go(brokers: Option<(&str, &str)>) {
    let database = TestDatabase::create().await;
    let server = founded(&database, brokers).await;
    let (status, well) = at_rest(&server).await;
    assert!(well, "{status}");
    assert_eq!(status["problems"], json!([]));
    assert_eq!(status["relays"].as_array().map(Vec::len), Some(usize::from(brokers.is_some())));
    assert_eq!(report(&server, &["projections", "parked"]).0[0]["parked"], json!([]));

    poison(&database, &server, 2).await;
    let stream = format!("member-{}", member(2));
    let (status, well) = at_rest(&server).await;
    assert!(!well, "{status}");
    let directory = &status["projections"][0];
    assert_eq!(
        (&directory["name"], &directory["parked"], &directory["left_out"]),
        (&json!("directory"), &json!(1), &json!(0))
    );
    assert!(
        status["problems"][0]
            .as_str()
            .is_some_and(|problem| problem.contains("guildhall projections parked directory"))
    );
    let (parked, well) = report(&server, &["projections", "parked", "directory"]);
    assert_eq!((&parked[0]["parked"][0]["stream"], well), (&json!(stream), false), "{parked}");

    // The program is the same one: a retry changes nothing. Let go, the stream follows what comes.
    let (retried, well) = report(&server, &["projections", "retry", "directory", "--dry-run"]);
    assert_eq!((&retried[0]["streams"][0]["folded"], well), (&json!(0), false), "{retried}");
    let (released, well) = report(&server, &["projections", "release", "directory", "--stream", &stream]);
    let outcome = &released[0]["streams"][0];
    assert_eq!((outcome["left_out"].as_array().map(Vec::len), &outcome["parked"], well), (Some(1), &Value::Null, true));
    let client = server.client(ASSOCIATION);
    let read = async |path: &str| {
        let request =
            reqwest::Client::new().get(format!("{}{path}", server.url())).bearer_auth(server.token(ASSOCIATION));
        request.send().await.expect("an answer").json::<Value>().await.expect("JSON")
    };
    client.accepted("AddCredential", json!({ "member_id": member(2), "credential": "RN" })).await;
    let (status, well) = at_rest(&server).await;
    assert_eq!((&status["projections"][0]["left_out"], well), (&json!(1), false), "{status}");
    let rows = read("/v1/directory").await;
    let stale: Vec<_> = rows["data"].as_array().expect("rows").iter().filter(|row| row["stale"] == true).collect();
    assert_eq!((stale.len(), &stale[0]["member_id"], &rows["stale_streams"]), (1, &json!(member(2)), &json!(1)));
    assert_eq!(stale[0]["credentials"], json!(["RN"]));
    if brokers.is_some() {
        let connection = database.connect().await;
        let sent = "SELECT count(*) FROM read.poison_event WHERE sent";
        eventually("the outside is told", || async {
            connection.query_one(sent, &[]).await.ok().filter(|row| row.get::<_, i64>(0) == 1)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_serves_no_api_says_how_it_is_where_it_is_told_to() {
    let database = TestDatabase::create().await;
    let mut server = Server::configured(database.url(), None);
    server.start("project");
    let get = async |path: &str| reqwest::get(format!("{}{path}", server.url())).await.expect("an answer");
    assert_eq!(get("/readyz").await.status(), 200);
    eventually("the gauges are set", || async {
        get("/metrics").await.text().await.is_ok_and(|said| said.contains("node_ready 1")).then_some(())
    })
    .await;
    assert_eq!(get("/v1/directory").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_nobody_ever_started_is_wrong() {
    let database = TestDatabase::create().await;
    // Nothing listens there, and the status does not ask.
    let server = Server::configured(database.url(), Some(("127.0.0.1:1", "never")));
    let (status, well) = report(&server, &["status"]);
    assert_eq!((&status["problems"], well), (&json!(["nobody relays to never"]), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lag_over_the_limit_is_wrong_and_counts_from_the_first_event_that_is_missing() {
    let database = TestDatabase::create().await;
    let mut server = founded(&database, None).await;
    at_rest(&server).await;
    server.kill();
    server.start("serve");
    let client = server.client(ASSOCIATION);
    let credential = |name: &str| json!({ "member_id": member(1), "credential": name });
    client.accepted("AddCredential", credential("RN")).await;
    let (first, _) = report(&server, &["status"]);
    client.accepted("AddCredential", credential("PE")).await;
    let (second, well) = report(&server, &["status", "--max-lag-positions", "1"]);
    assert!(!well, "nobody projects: {second}");
    for (name, status, behind) in [("first", &first, 1), ("second", &second, 2)] {
        assert_eq!(status["projections"][0]["behind"], behind, "{name}: {status}");
    }
    let waiting = |status: &Value| status["projections"][0]["behind_seconds"].as_f64().expect("seconds");
    assert!(waiting(&second) > waiting(&first), "the same event has waited longer: {first} {second}");
    assert!(report(&server, &["status", "--max-lag-seconds", "100000"]).1, "any lag may be allowed");
    let refused = server.output(&["status", "--max-lag-seconds=-1"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("0 or more"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_is_another_one_than_was_followed_is_seen_though_nobody_runs() {
    let database = TestDatabase::create().await;
    let mut server = founded(&database, None).await;
    at_rest(&server).await;
    server.kill();
    let connection = database.connect().await;
    let other = "UPDATE read.checkpoint SET last_hash = sha256('another history') WHERE projection = 'reporting'";
    connection.execute(other, &[]).await.expect("the checkpoint is there");
    let (status, well) = report(&server, &["status"]);
    assert!(!well, "{status}");
    let diverged: Vec<_> =
        status["projections"].as_array().expect("projections").iter().filter(|one| one["diverged"] == true).collect();
    assert_eq!((diverged.len(), &diverged[0]["name"]), (1, &json!("reporting")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gauges_say_what_the_status_says() {
    let database = TestDatabase::create().await;
    let server = founded(&database, None).await;
    poison(&database, &server, 3).await;
    let (status, _) = at_rest(&server).await;
    let metrics = async || {
        let answer = reqwest::get(format!("{}/metrics", server.url())).await.expect("an answer");
        answer.text().await.expect("text")
    };
    let wanted = [
        format!("log_head_position {}", status["head"]),
        "projection_parked_streams{projection=\"directory\"} 1".to_owned(),
        "projection_lag_positions{projection=\"directory\",source=\"store\"} 0".to_owned(),
        "projection_lag_seconds{projection=\"reporting\",source=\"store\"} 0".to_owned(),
        "projection_rebuilding{projection=\"erp_journal\"} 0".to_owned(),
        "history_diverged{from=\"directory\"} 0".to_owned(),
        "node_ready 1".to_owned(),
    ];
    eventually("the gauges are set", || async {
        let said = metrics().await;
        wanted.iter().all(|line| said.lines().any(|found| found == line)).then_some(())
    })
    .await;
}
