//! A store and a read model for one test, and few words to fill them.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{DateTime, NaiveDate};
use guildhall_aggregates::{Clear, Personal, PersonalData, StoredEvent, SubjectId, TenantId};
use guildhall_event_store::{
    Actor, Clock, DecidedCommand, EventStore, KeyEncryptionKey, Metadata, NewEvent, RecordedEvent, StoreOptions,
    StreamId, Unit, UnitOutcome,
};
use guildhall_projections::{Delivery, Projector, RebuildError, RebuildOptions, RebuildReport, Runner, STORE, rebuild};
use guildhall_sandbox::testing::TestDatabase;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a test waits for something that will happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) store: EventStore,
    versions: Mutex<HashMap<(TenantId, StreamId), u64>>,
}

impl World {
    pub(crate) async fn open() -> Self {
        let database = TestDatabase::create().await;
        let options = StoreOptions { pool_size: 6, ..StoreOptions::new(database.url(), key()) };
        let store = EventStore::open(options, clock()).await.expect("the database was migrated for this test");
        Self { database, store, versions: Mutex::default() }
    }

    pub(crate) fn pool(&self) -> deadpool_postgres::Pool {
        self.store.pool().clone()
    }

    pub(crate) async fn client(&self) -> deadpool_postgres::Client {
        self.pool().get().await.expect("the test's database answers")
    }

    /// Appends events to a stream, as decided by one command.
    pub(crate) async fn record<E: StoredEvent>(&self, tenant: TenantId, id: Uuid, events: &[E]) {
        let events = events.iter().map(new_event).collect();
        self.record_raw(tenant, StreamId::new(E::CATEGORY, id), events).await;
    }

    pub(crate) async fn record_raw(&self, tenant: TenantId, stream: StreamId, events: Vec<NewEvent>) {
        let count = events.len() as u64;
        let key = (tenant, stream.clone());
        let expected_version = self.versions.lock().expect("no test panics with it").get(&key).copied().unwrap_or(0);
        let command = DecidedCommand {
            command_id: Uuid::now_v7(),
            request_hash: [0; 32],
            metadata: metadata(),
            events,
            claims: vec![],
        };
        let unit = Unit { tenant, stream, expected_version, commands: vec![command] };
        let outcome = self.store.append(unit).await.expect("the store takes events");
        assert!(matches!(outcome, UnitOutcome::Appended(_)), "{outcome:?}");
        self.versions.lock().expect("no test panics with it").insert(key, expected_version + count);
    }

    pub(crate) async fn seal<T: PersonalData>(&self, tenant: TenantId, subject: SubjectId, value: T) -> Personal<T> {
        self.store.vault().seal(tenant, subject, Uuid::now_v7(), &Clear(value)).await.expect("the vault seals")
    }

    pub(crate) fn runner<P: Projector>(&self) -> Runner<P> {
        Runner::open(self.pool(), self.store.clone())
    }

    /// Folds all of history that a projection has not folded yet.
    pub(crate) async fn project<P: Projector>(&self) {
        let mut runner = self.runner::<P>();
        let claim = runner.claim(STORE).await.expect("nobody else projects");
        let events = self.store.read_after(claim.last_position, 10_000).await.expect("history is readable");
        runner.deliver(delivery(events)).await.expect("everything can be folded");
    }

    /// Builds a projection again, to the end.
    pub(crate) async fn rebuild<P: Projector>(&self, options: RebuildOptions) -> Result<RebuildReport, RebuildError> {
        rebuild::<P>(&self.pool(), &self.store, options, &CancellationToken::new(), |_, _| {}).await
    }

    /// The rows of tables as text, in order.
    pub(crate) async fn dump(&self, tables: &[&str]) -> Vec<String> {
        let client = self.client().await;
        let mut rows = Vec::new();
        for table in tables {
            let sql = format!("SELECT '{table} ' || t::text FROM read.{table} t ORDER BY 1");
            let found = client.query(&sql, &[]).await.expect("the table is readable");
            rows.extend(found.iter().map(|row| row.get::<_, String>(0)));
        }
        rows
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.client().await.query_one(sql, &[]).await.expect("the query is right").get(0)
    }
}

/// How a rebuild only compares.
pub(crate) fn compare() -> RebuildOptions {
    RebuildOptions::default()
}

/// How it replaces the rows that differ.
pub(crate) fn repair() -> RebuildOptions {
    RebuildOptions { repair: true, ..RebuildOptions::default() }
}

pub(crate) fn delivery(events: Vec<RecordedEvent>) -> Vec<Delivery> {
    let last = events.last().map_or(0, |event| event.position);
    vec![Delivery { source: STORE.to_owned(), events, next_offset: last.cast_signed(), reached: last }]
}

pub(crate) fn new_event<E: StoredEvent>(event: &E) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        type_name: event.type_name().into(),
        schema_version: event.schema_version(),
        payload: serde_json::to_vec(event).expect("events are JSON").into(),
    }
}

/// An event as no program of ours would write it.
pub(crate) fn raw(type_name: &'static str, payload: &'static str) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        type_name: type_name.into(),
        schema_version: 1,
        payload: payload.as_bytes().into(),
    }
}

pub(crate) fn metadata() -> Bytes {
    let metadata = Metadata {
        command: "Test".to_owned(),
        actor: Actor::Caller("test".to_owned()),
        correlation_id: Uuid::nil(),
        causation_id: None,
        traceparent: None,
    };
    serde_json::to_vec(&metadata).expect("metadata is JSON").into()
}

/// The same key for all nodes of a test.
pub(crate) fn key() -> KeyEncryptionKey {
    KeyEncryptionKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("32 bytes")
}

pub(crate) fn clock() -> Clock {
    Clock::standing_at(DateTime::from_timestamp(1_767_225_600, 0).expect("a date"))
}

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn tenant(number: u128) -> TenantId {
    TenantId::new(Uuid::from_u128(0xA550_0000 + number))
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        tokio::task::yield_now().await;
    }
}
