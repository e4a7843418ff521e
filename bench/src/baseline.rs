//! The baseline: `cqrs-es` on `postgres-es`, in process, without HTTP, tokens, idempotency keys, personal
//! data or hashes. One event a command, as ours.

use async_trait::async_trait;
use cqrs_es::{
    Aggregate, AggregateContext as _, DomainEvent, EventEnvelope, EventStore as _, Query, View,
    event_sink::EventSink,
    persist::{GenericQuery, PersistedEventStore, QueryReplay},
};
use guildhall_sandbox::testing::TestDatabase;
use hdrhistogram::Histogram;
use postgres_es::{PostgresCqrs, PostgresEventRepository, PostgresViewRepository, postgres_cqrs};
use serde::{Deserialize, Serialize};
use sqlx::{Executor, PgPool, postgres::PgPoolOptions};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    load::{self, Outcome},
    node::text,
};

/// The tables `postgres-es` documents.
const TABLES: &str = "
CREATE TABLE events (
    aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint CHECK (sequence >= 0) NOT NULL,
    event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence));
CREATE TABLE snapshots (
    aggregate_type text NOT NULL, aggregate_id text NOT NULL, last_sequence bigint NOT NULL,
    current_snapshot bigint NOT NULL, payload json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, last_sequence));
CREATE TABLE member_view (
    view_id text NOT NULL, version bigint CHECK (version >= 0) NOT NULL, payload json NOT NULL,
    PRIMARY KEY (view_id));";

/// A member record that takes notes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Notebook {
    notes: u64,
}

/// Note something.
#[derive(Debug)]
pub struct AddNote(String);

/// Something was noted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum NotebookEvent {
    /// The note.
    NoteAdded { text: String },
}

impl DomainEvent for NotebookEvent {
    fn event_type(&self) -> String {
        "NoteAdded".to_owned()
    }
    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// A notebook never refuses.
#[derive(Debug, thiserror::Error)]
pub enum Never {}

impl Aggregate for Notebook {
    const TYPE: &'static str = "notebook";
    type Command = AddNote;
    type Event = NotebookEvent;
    type Error = Never;
    type Services = ();

    async fn handle(&mut self, command: AddNote, (): &(), sink: &EventSink<Self>) -> Result<(), Never> {
        sink.write(NotebookEvent::NoteAdded { text: command.0 }, self).await;
        Ok(())
    }

    fn apply(&mut self, _event: NotebookEvent) {
        self.notes += 1;
    }
}

/// What a directory would show: how many notes there are.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct NotebookView {
    notes: u64,
    last: String,
}

impl View<Notebook> for NotebookView {
    fn update(&mut self, event: &EventEnvelope<Notebook>) {
        let NotebookEvent::NoteAdded { text } = &event.payload;
        self.notes += 1;
        self.last.clone_from(text);
    }
}

struct Dispatch(GenericQuery<PostgresViewRepository<NotebookView, Notebook>, NotebookView, Notebook>);

#[async_trait]
impl Query<Notebook> for Dispatch {
    async fn dispatch(&self, aggregate_id: &str, events: &[EventEnvelope<Notebook>]) {
        self.0.dispatch(aggregate_id, events).await;
    }
}

/// The baseline on a database of its own, which goes when this is dropped.
pub struct Baseline {
    pool: PgPool,
    _database: TestDatabase,
}

impl Baseline {
    /// Makes the tables, and notebooks with so many notes each.
    pub async fn start(server: &str, connections: u32, notebooks: usize, notes: usize) -> anyhow::Result<Self> {
        let database = TestDatabase::create_on(server).await?;
        let pool = PgPoolOptions::new().max_connections(connections).connect(database.url()).await?;
        pool.execute(TABLES).await?;
        let baseline = Self { pool, _database: database };
        baseline.fill("notebook", notebooks, notes).await?;
        Ok(baseline)
    }

    /// Makes notebooks `<prefix>-0` … with so many notes each, as the library itself would have stored them: the notes
    /// of one stand between those of the others, as ours do.
    /// one stand between those of the others, as ours do.
    pub async fn fill(&self, prefix: &str, notebooks: usize, notes: usize) -> anyhow::Result<()> {
        let payload = serde_json::to_string(&NotebookEvent::NoteAdded { text: text(0) })?;
        sqlx::query(
            "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
             SELECT $1, $2 || '-' || id, sequence, 'NoteAdded', '1', $3::json, '{}'
             FROM generate_series(0, $4 - 1) id, generate_series(1, $5) sequence
             ORDER BY sequence, id",
        )
        .bind(Notebook::TYPE)
        .bind(prefix)
        .bind(payload)
        .bind(i64::try_from(notebooks)?)
        .bind(i64::try_from(notes)?)
        .execute(&self.pool)
        .await?;
        self.pool.execute("VACUUM ANALYZE events").await?;
        Ok(())
    }

    /// Commands that `workers` send one after another, in turn to each notebook, for so long. A conflict is tried again
    /// until it is stored, as an application would. The p99 is corrected as the one of ours is.
    pub async fn send(&self, workers: u64, notebooks: usize, seconds: u64) -> anyhow::Result<Outcome> {
        let next = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let until = started + Duration::from_secs(seconds);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..workers {
            let (pool, next) = (self.pool.clone(), Arc::clone(&next));
            tasks.spawn(work(pool, next, notebooks as u64, until));
        }
        let mut times = load::times();
        while let Some(ended) = tasks.join_next().await {
            times.add(ended?)?;
        }
        let seconds = started.elapsed().as_secs_f64();
        let commands = times.len();
        let interval = seconds * 1e6 * workers as f64 / commands as f64;
        Ok(Outcome { commands, seconds, p99_ms: load::p99_ms(&times.clone_correct(interval as u64)) })
    }

    /// Loads these notebooks, one after another, and says how many events a second that folds.
    pub async fn load(&self, prefix: &'static str, notebooks: usize, notes: usize) -> anyhow::Result<f64> {
        let repository = PostgresEventRepository::new(self.pool.clone());
        let store = PersistedEventStore::<_, Notebook>::new_event_store(repository);
        let loading = async move {
            store.load_aggregate("nobody").await.map_err(|error| anyhow::anyhow!("loading nobody: {error}"))?;
            let started = Instant::now();
            for id in 0..notebooks {
                let loaded = store.load_aggregate(&format!("{prefix}-{id}")).await;
                let mut loaded = loaded.map_err(|error| anyhow::anyhow!("loading a notebook: {error}"))?;
                let folded = loaded.aggregate().notes;
                anyhow::ensure!(folded == notes as u64, "a notebook of {notes} notes was loaded with {folded}");
            }
            Ok((notebooks * notes) as f64 / started.elapsed().as_secs_f64())
        };
        tokio::spawn(loading).await?
    }

    /// Gives every note to the view, as the library does after each command, with so many workers; and says how many
    /// events a second.
    pub async fn dispatch(&self, workers: usize, notebooks: usize, notes: usize) -> anyhow::Result<f64> {
        self.pool.execute("TRUNCATE member_view").await?;
        let views = PostgresViewRepository::<NotebookView, Notebook>::new("member_view", self.pool.clone());
        let query = Arc::new(Dispatch(GenericQuery::new(Arc::new(views))));
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..workers {
            let query = Arc::clone(&query);
            tasks.spawn(async move {
                for sequence in 1..=notes {
                    for id in (worker..notebooks).step_by(workers) {
                        let aggregate_id = format!("notebook-{id}");
                        let payload = NotebookEvent::NoteAdded { text: text(id as u64) };
                        let event = EventEnvelope { aggregate_id, sequence, payload, metadata: HashMap::new() };
                        query.dispatch(&event.aggregate_id, std::slice::from_ref(&event)).await;
                    }
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        let seconds = started.elapsed().as_secs_f64();
        let viewed: i64 = sqlx::query_scalar("SELECT sum((payload->>'notes')::bigint)::bigint FROM member_view")
            .fetch_one(&self.pool)
            .await?;
        anyhow::ensure!(viewed == i64::try_from(notebooks * notes)?, "the baseline's views have {viewed} notes");
        Ok(viewed as f64 / seconds)
    }

    /// Replays everything into the view table, and says how many events a second.
    pub async fn rebuild(&self, notebooks: usize) -> anyhow::Result<f64> {
        self.pool.execute("TRUNCATE member_view").await?;
        let events: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&self.pool).await?;
        let views = PostgresViewRepository::<NotebookView, Notebook>::new("member_view", self.pool.clone());
        let query = Dispatch(GenericQuery::new(Arc::new(views)));
        let repository = PostgresEventRepository::new(self.pool.clone());
        let replay = QueryReplay::<_, _, Notebook>::new(repository, query);
        let started = Instant::now();
        replay.replay_all().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        let seconds = started.elapsed().as_secs_f64();
        let rebuilt: i64 = sqlx::query_scalar("SELECT count(*) FROM member_view").fetch_one(&self.pool).await?;
        anyhow::ensure!(rebuilt == i64::try_from(notebooks)?, "the baseline rebuilt {rebuilt} of {notebooks} views");
        Ok(events as f64 / seconds)
    }
}

async fn work(pool: PgPool, next: Arc<AtomicU64>, notebooks: u64, until: Instant) -> Histogram<u64> {
    let cqrs: PostgresCqrs<Notebook> = postgres_cqrs(pool, vec![], ());
    let mut times = load::times();
    loop {
        let began = Instant::now();
        if began >= until {
            return times;
        }
        let nth = next.fetch_add(1, Ordering::Relaxed);
        let id = format!("notebook-{}", nth % notebooks);
        while cqrs.execute(&id, AddNote(text(nth))).await.is_err() {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        load::note(&mut times, began.elapsed());
    }
}
