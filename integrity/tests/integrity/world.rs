//! What the tests record and how they look at it, in few words.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use guildhall_aggregates::TenantId;
use guildhall_event_store::{
    Clock, DecidedCommand, EventStore, KeyEncryptionKey, NewEvent, StoreOptions, StreamId, Unit, UnitOutcome,
};
use guildhall_integrity::{Keys, SigningKey};
use guildhall_sandbox::testing::TestDatabase;
use sha2::Sha256;
use tokio_postgres::Client;
use uuid::Uuid;

/// How long a test waits for something that will happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// The second implementation of the tree.
pub(crate) type OtherTree = MemoryBackedTree<Sha256, Vec<u8>>;

pub(crate) const SEED: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const NEXT_SEED: &str = "/////wQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) store: EventStore,
    pub(crate) clock: Clock,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create().await;
        let clock = Clock::standing_at("2026-03-01T12:00:00Z".parse().expect("a time"));
        let store = open(database.url(), clock.clone()).await;
        Self { database, store, clock }
    }

    /// Records so many events of an association, in one stream of its own.
    pub(crate) async fn record(&self, tenant: TenantId, events: usize) {
        let stream = StreamId::new("counter", Uuid::now_v7());
        let mut version = 0;
        while version < events {
            let now = (events - version).min(200);
            let unit = Unit {
                tenant,
                stream: stream.clone(),
                expected_version: version as u64,
                commands: vec![command(version, now)],
            };
            let outcome = self.store.append(unit).await.expect("the database is there");
            assert!(matches!(outcome, UnitOutcome::Appended(_)), "{outcome:?}");
            version += now;
        }
    }

    /// The tree of an association by the second implementation, straight from its events.
    pub(crate) async fn other_tree(&self, tenant: TenantId) -> OtherTree {
        let mut tree = OtherTree::new();
        let mut after = 0;
        loop {
            let page = self.store.read_tenant_after(tenant, after, 1_000).await.expect("history can be read");
            for event in &page {
                tree.push([&event.position.to_be_bytes()[..], &event.computed_leaf_hash()].concat());
                after = event.position;
            }
            if page.is_empty() {
                return tree;
            }
        }
    }

    /// Does what only a superuser can who switches the triggers off.
    pub(crate) async fn attack(&self, sql: &str) {
        let attacker = self.database.connect().await;
        let attack = format!("SET session_replication_role = replica; {sql}");
        attacker.batch_execute(&attack).await.expect("a superuser can do anything");
    }

    pub(crate) async fn client(&self) -> Client {
        self.database.connect().await
    }
}

/// A store of its own on a database, as another process would have it.
pub(crate) async fn open(url: &str, clock: Clock) -> EventStore {
    let key = KeyEncryptionKey::parse(SEED).expect("32 bytes");
    let options = StoreOptions { pool_size: 4, ..StoreOptions::new(url, key) };
    EventStore::open(options, clock).await.expect("the database was migrated for this test")
}

fn command(from: usize, events: usize) -> DecidedCommand {
    let event = |nth: usize| NewEvent {
        event_id: Uuid::now_v7(),
        type_name: "Counted".into(),
        schema_version: 1,
        payload: Bytes::from(format!("{{\"nth\":{}}}", from + nth)),
    };
    DecidedCommand {
        command_id: Uuid::now_v7(),
        request_hash: [7; 32],
        metadata: Bytes::from_static(b"{\"command\":\"Count\"}"),
        events: (0..events).map(event).collect(),
        claims: Vec::new(),
    }
}

pub(crate) fn tenant(number: u128) -> TenantId {
    TenantId::new(Uuid::from_u128(number))
}

pub(crate) fn keys() -> Keys {
    Keys::new(Some(SigningKey::parse(SEED).expect("32 bytes")), None, &[]).expect("no key is retired")
}

/// The root of a tree as the second implementation has it.
pub(crate) fn root(tree: &OtherTree) -> [u8; 32] {
    tree.root().as_bytes().as_slice().try_into().expect("SHA-256 has 32 bytes")
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        tokio::task::yield_now().await;
    }
}
