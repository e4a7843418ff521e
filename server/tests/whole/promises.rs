//! Acknowledged is durable: the process is killed under load, started again, and nothing acknowledged is missing,
//! nothing is there twice, and the projections equal a rebuild.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use guildhall_aggregates::ids::derived;
use guildhall_sandbox::testing::{TestDatabase, kafka_brokers};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::server::{Client, Server, eventually};

const ASSOCIATION: &str = "lakeside";
const ROUNDS: usize = 3;
const SENDERS: usize = 16;
const MEMBERS: u64 = 20;
/// Answers to wait for before the process is killed.
const ANSWERS: u64 = 150;

/// What was sent under which key, and the receipt if it was answered.
type Sent = Arc<Mutex<HashMap<String, (Value, Option<Value>)>>>;

fn member(n: u64) -> Uuid {
    derived(Uuid::nil(), &["member", &n.to_string()])
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed_on_the_embedded_transport() {
    killed_under_load(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed_on_kafka() {
    let Some(brokers) = kafka_brokers() else { return };
    let prefix = format!("t{}", Uuid::now_v7().simple());
    killed_under_load(Some((&brokers, &prefix))).await;
}

async fn killed_under_load(brokers: Option<(&str, &str)>) {
    let database = TestDatabase::create().await;
    let mut server = Server::configured(database.url(), brokers);
    server.start("all");
    let client = server.client(ASSOCIATION);
    client.found(ASSOCIATION).await;
    for n in 0..MEMBERS {
        let name = format!("Member {n}");
        client
            .accepted(
                "RegisterMember",
                json!({ "member_id": member(n), "kind": "person", "name": { "display": name } }),
            )
            .await;
    }
    let sent: Sent = Arc::default();
    for round in 0..ROUNDS {
        let answered = Arc::new(AtomicU64::new(0));
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            senders.spawn(send_until_it_dies(
                server.client(ASSOCIATION),
                Arc::clone(&sent),
                Arc::clone(&answered),
                round * SENDERS + sender,
            ));
        }
        eventually("enough answers", || async { (answered.load(Ordering::SeqCst) >= ANSWERS).then_some(()) }).await;
        server.kill();
        while senders.join_next().await.is_some() {}
        server.start("all");
    }
    let keys = resend_everything(&server.client(ASSOCIATION), &sent).await;

    let connection = database.connect().await;
    let row = connection
        .query_one(
            "SELECT count(*), count(DISTINCT command_id), max(position) FROM es.event WHERE type = 'NoteAdded'",
            &[],
        )
        .await
        .expect("history can be read");
    let (events, commands): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!((events, commands), (keys, keys), "each command has its effect once");
    assert_eq!(server.report(&["audit", "verify"])["holds"], true);
    for report in server.report(&["rebuild", "all"]).as_array().expect("a report each") {
        assert!(
            report["tables"].as_array().expect("tables").iter().all(|t| t["only_live"] == 0 && t["only_rebuilt"] == 0),
            "{report}"
        );
    }
}

async fn send_until_it_dies(client: Client, sent: Sent, answered: Arc<AtomicU64>, sender: usize) {
    for n in 0_u64.. {
        let key = format!("note-{sender}-{n}");
        let body = json!({ "member_id": member(n % MEMBERS), "text": format!("Call {n} by {sender}.") });
        sent.lock().expect("no sender panics").insert(key.clone(), (body.clone(), None));
        let Ok((status, receipt)) = client.send("AddNote", &key, &body).await else { return };
        assert_eq!(status, 200, "{receipt}");
        sent.lock().expect("no sender panics").insert(key, (body, Some(receipt)));
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sends every command again under its key: those that were answered get the same receipt. Gives how many there are.
async fn resend_everything(client: &Client, sent: &Sent) -> i64 {
    let all: Vec<_> = sent.lock().expect("no sender panics").clone().into_iter().collect();
    let mut unanswered = 0;
    for (key, (body, receipt)) in &all {
        let (status, again) = client.send("AddNote", key, body).await.expect("an answer");
        assert_eq!(status, 200, "{again}");
        match receipt {
            Some(receipt) => assert_eq!(receipt, &again, "{key}: another receipt"),
            None => unanswered += 1,
        }
    }
    assert!(unanswered > 0, "the process was killed while nobody waited: the test shows nothing");
    i64::try_from(all.len()).expect("a count fits")
}

/// A table of the page names a file by its path, one beside it by its name alone, and a test by how its name begins.
#[test]
fn every_test_that_the_guarantees_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the server is a folder of the workspace");
    let page = fs::read_to_string(root.join("docs/guarantees.md")).expect("the page is there");
    let (mut folder, mut text, mut named) = (root.to_owned(), String::new(), 0);
    for name in page.lines().filter(|line| line.starts_with('|')).flat_map(|row| row.split('`').skip(1).step_by(2)) {
        if Path::new(name).extension().is_some_and(|kind| kind == "rs" || kind == "py") {
            let file = if name.contains('/') { root.join(name) } else { folder.join(name) };
            text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            file.parent().expect("a file is in a folder").clone_into(&mut folder);
            named += 1;
        } else if let Some(beginning) = name.strip_suffix('…') {
            assert!(text.contains(&format!("fn {beginning}")), "{name} is not where the page says it is");
        }
    }
    assert!(named > 30, "the page names {named} files");
}
