//! What the tests append, in few words.

use std::{
    collections::HashMap,
    fs::File,
    io::Write as _,
    time::{Duration, Instant},
};

use bytes::Bytes;
use guildhall_aggregates::TenantId;
use guildhall_event_store::{
    Claim, Clock, DecidedCommand, EventStore, KeyEncryptionKey, NewEvent, Receipt, StoreError, StoreOptions, StreamId,
    Unit, UnitOutcome, VerifyOptions,
};
use guildhall_sandbox::testing::TestDatabase;
use tokio_postgres::Client;
use uuid::Uuid;

/// Whether the long forms are wanted: `make torture` sets this.
pub(crate) fn torture() -> bool {
    std::env::var_os("GUILDHALL_TORTURE").is_some_and(|wanted| wanted == "1")
}

/// Says what a long form came to, where `make torture` collects it.
pub(crate) fn came_to(what: &str, figures: &str) {
    let Some(results) = std::env::var_os("GUILDHALL_TORTURE_RESULTS") else { return };
    let mut results = File::options().append(true).create(true).open(results).expect("the results can be written");
    writeln!(results, "| {what} | {figures} |").expect("the results can be written");
}

/// How long a test waits for something that will happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) async fn open_store() -> (TestDatabase, EventStore) {
    let database = TestDatabase::create().await;
    let store = another_node(database.url()).await;
    (database, store)
}

/// A store of its own on a database, as another process would have it.
pub(crate) async fn another_node(url: &str) -> EventStore {
    let options = StoreOptions { pool_size: 4, ..StoreOptions::new(url, key()) };
    EventStore::open(options, Clock::system()).await.expect("the database was migrated for this test")
}

/// The same key for all nodes of a test.
pub(crate) fn key() -> KeyEncryptionKey {
    KeyEncryptionKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("32 bytes")
}

pub(crate) fn tenant(number: u128) -> TenantId {
    TenantId::new(Uuid::from_u128(number))
}

pub(crate) fn stream() -> StreamId {
    StreamId::new("counter", Uuid::now_v7())
}

pub(crate) fn event(payload: &str) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        type_name: "Counted".into(),
        schema_version: 1,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

pub(crate) fn command(events: usize) -> DecidedCommand {
    DecidedCommand {
        command_id: Uuid::now_v7(),
        request_hash: [7; 32],
        metadata: Bytes::from_static(b"{}"),
        events: (0..events).map(|nth| event(&format!("{{\"nth\":{nth}}}"))).collect(),
        claims: Vec::new(),
    }
}

/// One command with this many events.
pub(crate) fn unit(tenant: TenantId, stream: &StreamId, expected_version: u64, events: usize) -> Unit {
    Unit { tenant, stream: stream.clone(), expected_version, commands: vec![command(events)] }
}

/// One event that claims a value, or lets go of what the stream holds.
pub(crate) fn claiming(tenant: TenantId, stream: &StreamId, expected_version: u64, value: Option<u8>) -> Unit {
    let mut unit = unit(tenant, stream, expected_version, 1);
    unit.commands[0].claims.push(Claim { kind: "email", value_hmac: value.map(|value| [value; 32]) });
    unit
}

pub(crate) fn receipts(outcome: Result<UnitOutcome, StoreError>) -> Vec<Receipt> {
    match outcome {
        Ok(UnitOutcome::Appended(receipts)) => receipts,
        other => panic!("expected to be appended, got {other:?}"),
    }
}

/// Takes the log's lock, as a node does that is in the middle of an append: nobody appends until this client commits.
pub(crate) async fn hold_the_log(client: &Client) {
    client.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(x'475548414c4c'::bigint + 1)").await.expect("it is free");
}

/// Every receipt that was given stands for events that are stored once, and there are no others.
pub(crate) async fn assert_each_once(store: &EventStore, given: &[Receipt]) {
    let stored = everything(store).await;
    let acknowledged: usize = given.iter().map(|receipt| receipt.events.len()).sum();
    assert_eq!(stored.len(), acknowledged, "what is stored is what was acknowledged, each once");
    for receipt in given {
        for event in &receipt.events {
            let place = (receipt.stream.clone(), event.version, event.event_id);
            assert_eq!(stored.get(&event.position), Some(&place), "at position {}", event.position);
        }
    }
    let report = store.verify(VerifyOptions::default(), |_| ()).await.expect("history is there");
    assert_eq!(report.first_difference, None);
}

/// History by position: which version of which stream stands there.
async fn everything(store: &EventStore) -> HashMap<u64, (StreamId, u64, Uuid)> {
    let (mut stored, mut position) = (HashMap::new(), 0);
    loop {
        let page = store.read_after(position, 1_000).await.expect("there is no hole");
        let Some(last) = page.last() else { return stored };
        position = last.position;
        stored.extend(page.into_iter().map(|event| (event.position, (event.stream, event.version, event.event_id))));
    }
}

/// Does what blocks, such as starting a server, where it may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        tokio::task::yield_now().await;
    }
}
