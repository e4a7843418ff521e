//! No node stalls the others: one that stops in the middle of an append is cut off.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use guildhall_sandbox::testing::TestDatabase;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    task::JoinSet,
};
use tokio_postgres::{Client, Config, config::Host, error::SqlState};

use crate::support::{another_node, open_store, receipts, stream, tenant, unit, until};

/// What `es.append` takes first.
const LOCK: &str = "SELECT pg_advisory_xact_lock(x'475548414c4c'::bigint + 1)";

async fn evict(client: &Client) -> Option<i32> {
    client.query_one("SELECT es.evict_stalled_writer('200 ms')", &[]).await.expect("it can be asked").get(0)
}

/// Sends a statement as a node does, up to the last message, which would end its transaction.
async fn send_all_but_sync(database_url: &str, statement: &str) -> UnixStream {
    let config: Config = database_url.parse().expect("a test database has a URL");
    let [Host::Unix(directory)] = config.get_hosts() else { panic!("a test database has a socket") };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let mut socket = UnixStream::connect(directory.join(format!(".s.PGSQL.{port}"))).await.expect("the server answers");
    let (user, name) = (config.get_user().expect("with a user"), config.get_dbname().expect("and a name"));
    let startup = format!("\0\x03\0\0user\0{user}\0database\0{name}\0\0");
    let mut sent = message(startup.as_bytes());
    let parse = format!("\0{statement}\0\0\0");
    for (kind, body) in [(b'P', parse.as_bytes()), (b'B', &[0; 8]), (b'E', &[0; 5])] {
        sent.push(kind);
        sent.extend(message(body));
    }
    socket.write_all(&sent).await.expect("the server reads");
    let mut greeting = [0; 1];
    socket.read_exact(&mut greeting).await.expect("the server answers");
    assert_eq!(&greeting, b"R", "the server lets us in");
    socket
}

/// A length that counts itself, and a body.
fn message(body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).expect("messages are short");
    [&length.to_be_bytes(), body].concat()
}

/// Whether somebody holds the lock and waits for their client: an answered one is seen working for a moment longer.
async fn is_held_idly(client: &Client) -> bool {
    let held = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE l.locktype = 'advisory' AND l.granted AND l.objid = (x'48414c4c'::bigint + 1)::oid
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND a.wait_event_type = 'Client')";
    client.query_one(held, &[]).await.expect("it can be asked").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_before_it_ends_its_append_is_cut_off_and_the_others_go_on() {
    let (database, store) = open_store().await;
    let client = database.connect().await;
    receipts(store.append(unit(tenant(1), &stream(), 0, 1)).await);
    let mut stopped = send_all_but_sync(database.url(), LOCK).await;
    until("the lock is held", || is_held_idly(&client)).await;
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { receipts(store.append(unit(tenant(1), &stream(), 0, 2)).await) });
    assert!(evict(&client).await.is_some());
    let receipt = waiting.join_next().await.expect("it is appending").expect("it is appended").remove(0);
    assert_eq!(receipt.position, 3);
    let mut rest = Vec::new();
    stopped.read_to_end(&mut rest).await.expect("the server has closed the connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_waits_for_one_that_stopped_cuts_it_off_by_itself() {
    let (database, store) = open_store().await;
    let client = database.connect().await;
    let mut stopped = send_all_but_sync(database.url(), LOCK).await;
    until("the lock is held", || is_held_idly(&client)).await;
    receipts(store.append(unit(tenant(1), &stream(), 0, 1)).await);
    let mut rest = Vec::new();
    stopped.read_to_end(&mut rest).await.expect("the server has closed the connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_the_lock_in_an_open_transaction_and_does_nothing_is_cut_off() {
    let (database, store) = open_store().await;
    let (client, idle) = (database.connect().await, database.connect().await);
    idle.batch_execute(&format!("BEGIN; {LOCK}")).await.expect("anybody may take it");
    until("the lock is held", || is_held_idly(&client)).await;
    let process: i32 = client
        .query_one("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'", &[])
        .await
        .expect("it is there")
        .get(0);
    assert_eq!(evict(&client).await, Some(process));
    receipts(store.append(unit(tenant(1), &stream(), 0, 1)).await);
    assert!(idle.batch_execute("SELECT 1").await.is_err(), "its connection is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_cut_off() {
    let (database, store) = open_store().await;
    let elsewhere = TestDatabase::create().await;
    let (client, idle, of_another) = (database.connect().await, database.connect().await, elsewhere.connect().await);
    assert_eq!(evict(&client).await, None, "nobody holds the lock");
    of_another.batch_execute(&format!("BEGIN; {LOCK}")).await.expect("anybody may take it");
    idle.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(42)").await.expect("or another");
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for node in [store, another_node(database.url()).await] {
        let stop = Arc::clone(&stop);
        writers.spawn(async move {
            let stream = stream();
            let mut version = 0;
            while !stop.load(Ordering::Relaxed) {
                receipts(node.append(unit(tenant(1), &stream, version, 1)).await);
                version += 1;
            }
        });
    }
    for _ in 0..5 {
        assert_eq!(evict(&client).await, None, "those who hold it are at work");
    }
    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;
    for connection in [&idle, &of_another] {
        connection.batch_execute("COMMIT").await.expect("it was left alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evicting_lends_nobody_any_power() {
    let (database, _store) = open_store().await;
    let (client, idle) = (database.connect().await, database.connect().await);
    idle.batch_execute(&format!("BEGIN; {LOCK}")).await.expect("anybody may take it");
    client.batch_execute("SET ROLE guildhall_writer").await.expect("the migration made the role");
    assert_eq!(evict(&client).await, None, "the holder belongs to somebody else");
    client.batch_execute("SET ROLE guildhall_reader").await.expect("the migration made the role");
    let refused = client.query_one("SELECT es.evict_stalled_writer()", &[]).await.expect_err("readers may not");
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    idle.batch_execute("COMMIT").await.expect("it was left alone");
}
