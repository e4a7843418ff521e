//! An installation whose events Kafka carries: reading what was written at another node, moving to other topics, sending
//! again, and a database that came back without its end.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use guildhall_sandbox::{
    postgres::{Postgres, PostgresOptions},
    testing::{TestDatabase, kafka_brokers},
};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::server::{Client, Server, eventually};

const ASSOCIATION: &str = "lakeside";
const STRICT: (&str, &str) = ("Prefer", "handling=strict");

fn prefix() -> String {
    format!("t{}", Uuid::now_v7().simple())
}

/// Registers somebody, and gives who that is and the receipt's token.
async fn welcome(client: &Client) -> (Uuid, String) {
    let member = Uuid::now_v7();
    let body = json!({ "member_id": member, "kind": "person", "name": { "display": "Ada" } });
    let receipt = client.accepted("RegisterMember", body).await;
    (member, receipt["token"].as_str().expect("a receipt has a token").to_owned())
}

/// Waits until the read models have what was written last.
async fn caught_up(client: &Client, token: &str) {
    for path in ["/v1/directory", "/v1/reports/memberships", "/v1/journal"] {
        eventually(path, || async {
            let answer = client.read(&format!("{path}?at_least={token}"), &[STRICT]).await;
            matches!(answer, Ok((200, _))).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_at_one_node_is_read_at_another_or_said_to_be_missing() {
    let Some(brokers) = kafka_brokers() else { return };
    let database = TestDatabase::create().await;
    let mut first = Server::configured(database.url(), Some((&brokers, &prefix())));
    let (mut second, mut relay, mut projector) = (first.beside(), first.beside(), first.beside());
    first.start("serve");
    second.start("serve");
    relay.spawn(&["relay"]);
    let (writer, reader) = (first.client(ASSOCIATION), second.client(ASSOCIATION));
    writer.found(ASSOCIATION).await;
    // Nobody projects yet: who is content with what there is gets it, and is told.
    let (member, token) = welcome(&writer).await;
    let path = format!("/v1/directory?at_least={token}");
    let (status, answer) = reader.read(&path, &[]).await.expect("an answer");
    assert_eq!((status, &answer["stale"], &answer["data"]), (200, &json!(true), &json!([])), "{answer}");
    let (status, answer) = reader.read(&path, &[STRICT]).await.expect("an answer");
    assert_eq!((status, answer["type"].as_str().map(|kind| kind.ends_with("position-not-reached"))), (503, Some(true)));
    projector.spawn(&["project"]);
    caught_up(&reader, &token).await;
    let mut written = vec![(member, token)];
    for _ in 0..20 {
        written.push(welcome(&writer).await);
        let (member, token) = written.last().expect("one was written");
        let found = eventually("the member", || async {
            match reader.read(&format!("/v1/members/{member}?at_least={token}"), &[STRICT]).await {
                Ok((200, answer)) => Some(answer),
                Ok((503, _)) => None,
                other => panic!("a member that was written is answered {other:?}"),
            }
        });
        let found: Value = found.await;
        assert_eq!(found["data"]["member_id"], member.to_string());
        assert!(found.get("stale").is_none(), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_generation_of_topics_is_filled_from_history_and_read_after_a_rebuild() {
    let Some(brokers) = kafka_brokers() else { return };
    let database = TestDatabase::create().await;
    let old = prefix();
    let mut server = Server::configured(database.url(), Some((&brokers, &old)));
    let (mut relay, mut projector) = (server.beside(), server.beside());
    server.start("serve");
    relay.spawn(&["relay"]);
    projector.spawn(&["project"]);
    let client = server.client(ASSOCIATION);
    client.found(ASSOCIATION).await;
    let mut token = String::new();
    for _ in 0..10 {
        (_, token) = welcome(&client).await;
    }
    caught_up(&client, &token).await;

    let new = server.beside_with_topics(&format!("{old}.g2"));
    let (mut new_relay, mut new_projector) = (new.beside(), new.beside());
    new_relay.spawn(&["relay"]);
    projector.kill();
    new_projector.spawn(&["project"]);
    let (well, said) = new_projector.ended().await;
    assert!(!well && said.contains("guildhall rebuild") && said.contains("new generation"), "{said}");
    new.report(&["rebuild", "all", "--repair"]);
    new_projector.spawn(&["project"]);
    let (_, token) = welcome(&client).await;
    caught_up(&client, &token).await;
    let counted = "SELECT count(*) FROM read.directory_member";
    let members: i64 = database.connect().await.query_one(counted, &[]).await.expect("the read model").get(0);
    assert_eq!(members, 11, "nobody is there twice");
    for report in new.report(&["rebuild", "all"]).as_array().expect("a report each") {
        let tables = report["tables"].as_array().expect("tables");
        assert!(tables.iter().all(|table| table["only_live"] == 0 && table["only_rebuilt"] == 0), "{report}");
    }

    // The old generation's relay is still at work, and can be told to send again; never more than was sent.
    relay.kill();
    let mut again = server.beside();
    again.spawn(&["relay", "--from", "1000000"]);
    let (well, said) = again.ended().await;
    assert!(!well && said.contains("1000000 is beyond what was relayed"), "{said}");
    again.spawn(&["relay", "--from", "0"]);
    let position = "SELECT position FROM es.relay WHERE name = $1 AND epoch > 2";
    let (connection, head) =
        (database.connect().await, token.trim_start_matches("p-").parse::<i64>().expect("a position"));
    eventually("everything to be sent again", || async {
        let row = connection.query_opt(position, &[&old]).await.expect("the relay's row");
        row.filter(|row| row.get::<_, i64>(0) >= head).map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_came_back_without_its_end_halts_relay_and_projectors() {
    let Some(brokers) = kafka_brokers() else { return };
    let home = tempfile::Builder::new().prefix("guildhall-tail-").tempdir().expect("a folder");
    // Postgres runs as another user where we are root.
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).expect("Postgres may enter");
    let options =
        PostgresOptions { data_dir: home.path().join("postgres"), durable: false, settings: Vec::new(), port: None };
    let postgres = spawn_blocking(move || Postgres::start(options).expect("Postgres starts"));
    let postgres = postgres.await.expect("starting does not panic");
    let database = TestDatabase::create_on(&postgres.url()).await.expect("a database");
    let mut server = Server::configured(database.url(), Some((&brokers, &prefix())));
    let (mut relay, mut projector) = (server.beside(), server.beside());
    server.start("serve");
    relay.spawn(&["relay"]);
    projector.spawn(&["project"]);
    let client = server.client(ASSOCIATION);
    client.found(ASSOCIATION).await;
    let (_, token) = welcome(&client).await;
    caught_up(&client, &token).await;

    let (cluster, older) = (postgres.data_dir().join("cluster"), home.path().join("older"));
    let mut postgres = {
        let (cluster, older) = (cluster.clone(), older.clone());
        let copied = spawn_blocking(move || {
            let mut postgres = postgres;
            postgres.stop().expect("Postgres stops");
            copy(&cluster, &older);
            postgres.restart().expect("Postgres comes back");
            postgres
        });
        copied.await.expect("copying does not panic")
    };
    let token = written_to_the_end(&client).await;
    caught_up(&client, &token).await;
    server.kill();
    let back = spawn_blocking(move || {
        postgres.stop_immediately().expect("Postgres stops");
        fs::remove_dir_all(&cluster).expect("the newer data goes");
        copy(&older, &cluster);
        postgres.restart().expect("Postgres comes back");
        postgres
    });
    let postgres = back.await.expect("restoring does not panic");
    server.start("serve");
    let client = server.client(ASSOCIATION);
    for _ in 0..8 {
        welcome(&client).await;
    }
    let (well, said) = relay.ended().await;
    assert!(!well && said.contains("is not what was relayed to Kafka"), "{said}");
    let (well, said) = projector.ended().await;
    // Which of the two it sees first is chance: that what it folded is gone, or that Kafka tells of it still.
    let why = ["where history now holds something else", "lost its newest events"];
    assert!(!well && why.iter().any(|why| said.contains(why)), "{said}");
    drop(server);
    spawn_blocking(move || drop(postgres)).await.expect("stopping does not panic");
}

/// Writes what will be lost, as soon as the node is connected again, and gives the last receipt's token.
async fn written_to_the_end(client: &Client) -> String {
    let mut token = String::new();
    for number in 0..5 {
        let body = json!({ "kind": "person", "name": { "display": "Grace" } });
        let receipt = eventually("a receipt", || async {
            match client.send("RegisterMember", &format!("after-{number}"), &body).await {
                Ok((200 | 201, receipt)) => Some(receipt),
                Ok((503 | 504, _)) | Err(_) => None,
                other => panic!("a member is answered {other:?}"),
            }
        });
        receipt.await["token"].as_str().expect("a token").clone_into(&mut token);
    }
    token
}

/// Copies a folder with its owners and modes.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}
