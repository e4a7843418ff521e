//! Promises 1 and 2 under `kill -9`: the node, Postgres or both are killed again and again at any moment of their work,
//! and started again. What was acknowledged is there, every command took effect once, and history has no hole.

use std::{
    collections::HashMap,
    fs::File,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use guildhall_aggregates::ids::derived;
use guildhall_sandbox::{postgres::Postgres, testing::TestDatabase};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
};
use uuid::Uuid;

use crate::server::{Client, Server, eventually};

const ASSOCIATION: &str = "lakeside";
const SENDERS: usize = 16;
const MEMBERS: u64 = 50;
/// A round ends after fewer answers than this; how many is chance.
const ANSWERS: u128 = 120;

/// What a sender sent under which key, and the receipt it got.
type Acknowledged = Vec<(String, Value, Value)>;

struct Load {
    /// The node as it can be reached now.
    node: watch::Receiver<Client>,
    over: AtomicBool,
    answers: AtomicU64,
    /// Commands whose first sending was not answered with a receipt.
    interrupted: AtomicU64,
}

impl Load {
    /// Sends one command after another, each under one key until there is a receipt, as a careful client does.
    async fn send(self: Arc<Self>, sender: usize) -> Acknowledged {
        let (mut node, mut acknowledged) = (self.node.clone(), Vec::new());
        for n in 0_u64.. {
            let key = format!("note-{sender}-{n}");
            let member = member((n + sender as u64) % MEMBERS);
            let body = json!({ "member_id": member, "text": format!("Call {n} by {sender}.") });
            let Some(receipt) = self.until_acknowledged(&mut node, &key, &body).await else { break };
            acknowledged.push((key, body, receipt));
        }
        acknowledged
    }

    /// None once the load is over; the command may be stored then, but nobody was told.
    async fn until_acknowledged(&self, node: &mut watch::Receiver<Client>, key: &str, body: &Value) -> Option<Value> {
        let mut first = true;
        while !self.over.load(Ordering::SeqCst) {
            let client = node.borrow_and_update().clone();
            match client.send("AddNote", key, body).await {
                Ok((200, receipt)) => {
                    self.answers.fetch_add(1, Ordering::SeqCst);
                    return Some(receipt);
                }
                Ok((503, _)) | Err(_) => {
                    self.interrupted.fetch_add(u64::from(first), Ordering::SeqCst);
                    first = false;
                    // The next node is announced; until then this one may come back to its senses.
                    let _announced = tokio::time::timeout(Duration::from_millis(50), node.changed()).await;
                }
                Ok((status, answer)) => panic!("{key} was answered {status}: {answer}"),
            }
        }
        None
    }
}

fn member(n: u64) -> Uuid {
    derived(Uuid::nil(), &["member", &n.to_string()])
}

/// After how many answers a round ends. The end of a fresh id is random.
fn chance() -> u64 {
    u64::try_from(1 + Uuid::now_v7().as_u128() % ANSWERS).expect("it is below the number of answers")
}

/// Whom a round kills.
#[derive(Clone, Copy)]
enum Victim {
    Node,
    Postgres,
    Both,
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_again_and_again_of_node_and_of_postgres_loses_nothing_acknowledged_and_does_nothing_twice() {
    let rounds = if std::env::var_os("GUILDHALL_TORTURE").is_some_and(|wanted| wanted == "1") { 210 } else { 6 };
    let postgres = spawn_blocking(|| Postgres::temporary(true, Vec::new()).expect("Postgres starts"));
    let mut postgres = postgres.await.expect("starting does not panic");
    let database = TestDatabase::create_on(&postgres.url()).await.expect("a database");
    let mut server = Server::configured(database.url(), None);
    server.start("serve");
    let client = server.client(ASSOCIATION);
    client.found(ASSOCIATION).await;
    for n in 0..MEMBERS {
        let body = json!({ "member_id": member(n), "kind": "person", "name": { "display": format!("Member {n}") } });
        client.accepted("RegisterMember", body).await;
    }
    let (announce, node) = watch::channel(client);
    let load = Arc::new(Load { node, over: false.into(), answers: AtomicU64::new(0), interrupted: AtomicU64::new(0) });
    let senders: JoinSet<Acknowledged> = (0..SENDERS).map(|sender| Arc::clone(&load).send(sender)).collect();
    let started = Instant::now();
    for round in 0..rounds {
        let enough = load.answers.load(Ordering::SeqCst) + chance();
        eventually("the round's answers", || async { (load.answers.load(Ordering::SeqCst) >= enough).then_some(()) })
            .await;
        let victim = [Victim::Node, Victim::Postgres, Victim::Both][round % 3];
        (server, postgres) = spawn_blocking(move || kill(server, postgres, victim)).await.expect("nothing panics");
        announce.send_replace(server.client(ASSOCIATION));
    }
    load.over.store(true, Ordering::SeqCst);
    let acknowledged = senders.join_all().await.concat();
    let interrupted = load.interrupted.load(Ordering::SeqCst);
    assert!(interrupted > 0, "nobody waited when something was killed: the test shows nothing");
    assert_kept(&server, &database, &acknowledged).await;
    let seconds = started.elapsed().as_secs();
    came_to(&format!(
        "{rounds} rounds in {seconds} s, {} commands acknowledged, {interrupted} of them interrupted: 0 lost, 0 doubled",
        acknowledged.len()
    ));
}

/// One round: somebody is killed as hard as it goes and started again.
fn kill(mut server: Server, mut postgres: Postgres, victim: Victim) -> (Server, Postgres) {
    if matches!(victim, Victim::Node | Victim::Both) {
        server.kill();
    }
    if matches!(victim, Victim::Postgres | Victim::Both) {
        postgres.kill().expect("Postgres can be killed");
        postgres.restart().expect("Postgres comes back");
    }
    if matches!(victim, Victim::Node | Victim::Both) {
        server.start("serve");
    }
    (server, postgres)
}

/// Every receipt is true and given again; every command took effect once; positions and versions have no holes.
async fn assert_kept(server: &Server, database: &TestDatabase, acknowledged: &Acknowledged) {
    let connection = database.connect().await;
    let rows = connection
        .query("SELECT position, event_id, version, command_id, stream_key FROM es.event ORDER BY position", &[])
        .await
        .expect("history can be read");
    let mut versions: HashMap<i64, i64> = HashMap::new();
    let mut stored = HashMap::new();
    for (expected, row) in (1_i64..).zip(&rows) {
        assert_eq!(row.get::<_, i64>(0), expected, "positions have no hole");
        let version = versions.entry(row.get(4)).or_default();
        *version += 1;
        assert_eq!(row.get::<_, i64>(2), *version, "versions have no hole, at position {expected}");
        stored.insert(row.get::<_, Uuid>(1).to_string(), (expected, *version));
    }
    for (key, _, receipt) in acknowledged {
        for event in receipt["events"].as_array().expect("a receipt lists its events") {
            let place = event["position"].as_i64().zip(event["version"].as_i64());
            assert_eq!(stored.get(event["event_id"].as_str().expect("an id")).copied(), place, "{key}");
        }
    }
    let notes = "SELECT count(*), count(DISTINCT command_id) FROM es.event WHERE type = 'NoteAdded'";
    let notes = connection.query_one(notes, &[]).await.expect("history can be read");
    let (events, commands): (i64, i64) = (notes.get(0), notes.get(1));
    assert_eq!(events, commands, "no command took effect twice");
    // What each sender had under way when it was told to stop may be stored.
    let (all, under_way) = (count(acknowledged.len()), count(SENDERS));
    assert!((all..=all + under_way).contains(&events), "{all} were acknowledged, {events} are stored");
    let client = server.client(ASSOCIATION);
    let mut asking = JoinSet::new();
    for part in acknowledged.chunks(acknowledged.len().div_ceil(SENDERS)) {
        let (client, part) = (client.clone(), part.to_vec());
        asking.spawn(async move {
            for (key, body, receipt) in part {
                let again = client.send("AddNote", &key, &body).await.expect("an answer");
                assert_eq!(again, (200, receipt), "{key}: another receipt");
            }
        });
    }
    asking.join_all().await;
    assert_eq!(server.report(&["audit", "verify"])["holds"], true);
}

fn count(of: usize) -> i64 {
    i64::try_from(of).expect("a count fits")
}

/// Says what the long form came to, where `make torture` collects it.
fn came_to(figures: &str) {
    let Some(results) = std::env::var_os("GUILDHALL_TORTURE_RESULTS") else { return };
    let mut results = File::options().append(true).create(true).open(results).expect("the results can be written");
    writeln!(results, "| kill -9 of node, of Postgres, of both | {figures} |").expect("the results can be written");
}
