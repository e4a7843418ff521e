//! The baseline: `cqrs-es` on `postgres-es`, in process, without HTTP, tokens, idempotency keys, personal
//! data or hashes. One event a command, as ours.

use async_trait::async_trait;
use cqrs_es::{Aggregate, DomainEvent, EventEnvelope, Query, View, event_sink::EventSink, persist::GenericQuery};
use postgres_es::{PostgresCqrs, PostgresEventRepository, PostgresViewRepository, postgres_cqrs};
use serde::{Deserialize, Serialize};
use sqlx::{Executor, PgPool, postgres::PgPoolOptions};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
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
pub struct AddNote(pub String);

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

/// A fresh database with the tables, and its pool.
pub async fn open(url: &str, connections: u32) -> anyhow::Result<PgPool> {
    let pool = PgPoolOptions::new().max_connections(connections).connect(url).await?;
    pool.execute(TABLES).await?;
    Ok(pool)
}

/// Commands per second of `workers` that write `commands` in all, spread over `streams`. A conflict is
/// tried again until it is stored, as an application would.
pub async fn commands_per_second(pool: &PgPool, workers: u64, streams: u64, commands: u64) -> anyhow::Result<f64> {
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (pool, next) = (pool.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            let cqrs: PostgresCqrs<Notebook> = postgres_cqrs(pool, vec![], ());
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= commands {
                    return;
                }
                let id = format!("notebook-{}", index % streams);
                while cqrs.execute(&id, AddNote("Called about the annual meeting.".to_owned())).await.is_err() {
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(commands as f64 / started.elapsed().as_secs_f64())
}

/// Events per second of a replay of everything into the view table.
pub async fn rebuild_events_per_second(pool: &PgPool, streams: u64) -> anyhow::Result<f64> {
    pool.execute("TRUNCATE member_view").await?;
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(pool).await?;
    let views = Arc::new(PostgresViewRepository::<NotebookView, Notebook>::new("member_view", pool.clone()));
    let query = Dispatch(GenericQuery::new(views));
    let replay =
        cqrs_es::persist::QueryReplay::<_, _, Notebook>::new(PostgresEventRepository::new(pool.clone()), query);
    let started = Instant::now();
    replay.replay_all().await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let seconds = started.elapsed().as_secs_f64();
    let rebuilt: i64 = sqlx::query_scalar("SELECT count(*) FROM member_view").fetch_one(pool).await?;
    anyhow::ensure!(rebuilt == i64::try_from(streams)?, "the baseline rebuilt {rebuilt} of {streams} views");
    Ok(events as f64 / seconds)
}
