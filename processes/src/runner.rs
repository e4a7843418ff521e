//! Reads history in order and lets the processes react; lets lapse what is due.
//!
//! One node at a time is active, by an advisory lock that its connection holds; the others stand by. A
//! node that lost the lock without noticing does no harm: every reaction has its effect once.

use std::{collections::HashMap, time::Duration};

use deadpool_postgres::{ClientWrapper, Object};
use futures::{StreamExt, TryStreamExt, stream};
use guildhall_commands::Executor;
use guildhall_event_store::{EventStore, RecordedEvent, StreamId};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::{
    deadlines,
    hands::{Hands, ProcessError},
    reactions,
};

/// The advisory lock of the active node.
const ACTIVE_NODE: i64 = 0x6775_696c_6470_726f;
const CHECKPOINT: &str = "processes";

/// How the processes run.
#[derive(Debug, Clone)]
pub struct ProcessOptions {
    /// Most events read at once.
    pub batch: usize,
    /// Most streams reacted to at the same time.
    pub concurrency: usize,
    /// How long events are gathered after a round that was not full.
    pub gather: Duration,
    /// How often deadlines are looked at.
    pub timer: Duration,
    /// How often a node that stands by asks whether it may become active.
    pub standby: Duration,
}

impl Default for ProcessOptions {
    fn default() -> Self {
        Self {
            batch: 500,
            concurrency: 64,
            gather: Duration::from_millis(10),
            timer: Duration::from_millis(500),
            standby: Duration::from_secs(1),
        }
    }
}

/// All processes of one node.
pub struct Processes {
    hands: Hands,
    options: ProcessOptions,
}

impl Processes {
    /// Processes that send their commands through `executor`.
    pub fn new(executor: Executor, store: EventStore, options: ProcessOptions) -> Self {
        Self { hands: Hands::new(executor, store), options }
    }

    /// Runs until told to stop. Whatever goes wrong is logged and tried again.
    pub async fn run(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let result = tokio::select! {
                () = shutdown.cancelled() => return,
                result = self.run_active() => result,
            };
            if let Err(error) = result {
                metrics::counter!("process_errors_total").increment(1);
                tracing::error!(%error, "processes pause and go on");
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(self.options.standby) => {}
            }
        }
    }

    /// Reacts to everything up to the present head and lets lapse what is due: one round, for tools and
    /// tests that want to know when it is done.
    ///
    /// # Errors
    /// As soon as something goes wrong; what was done stays done.
    pub async fn settle(&self) -> Result<u64, ProcessError> {
        let client = self.client().await?;
        loop {
            let mut position = reached(&client).await?;
            let target = self.hands.store().head().await?;
            while position < target {
                position = self.react_after(&client, position).await?;
            }
            let lapsed = deadlines::expire_due(&self.hands, self.hands.store().pool()).await?;
            if lapsed == 0 && position >= self.hands.store().head().await? {
                return Ok(position);
            }
        }
    }

    async fn client(&self) -> Result<Object, ProcessError> {
        self.hands.store().pool().get().await.map_err(|error| ProcessError::Tables(error.to_string()))
    }

    /// Returns when this node may not be active; fails when something goes wrong.
    async fn run_active(&self) -> Result<(), ProcessError> {
        let client = self.client().await?;
        let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&ACTIVE_NODE]).await.map_err(tables)?;
        if !row.get::<_, bool>(0) {
            return Ok(());
        }
        // The connection is dropped, not returned to the pool: the lock must not outlive this run.
        let client = Object::take(client);
        // What a crash takes back of deadlines and checkpoint is done again: both go back, and every reaction has its effect once.
        client.batch_execute("SET synchronous_commit = off").await.map_err(tables)?;
        tracing::info!("processes are active on this node");
        tokio::select! {
            ended = self.let_lapse() => ended,
            ended = self.follow(&client) => ended,
        }
    }

    async fn let_lapse(&self) -> Result<(), ProcessError> {
        loop {
            while deadlines::expire_due(&self.hands, self.hands.store().pool()).await? > 0 {}
            tokio::time::sleep(self.options.timer).await;
        }
    }

    async fn follow(&self, client: &ClientWrapper) -> Result<(), ProcessError> {
        let mut position = reached(client).await?;
        loop {
            let head = self.hands.store().wait_past(position, Duration::from_secs(1)).await?;
            if client.is_closed() {
                return Err(ProcessError::Tables("the connection that holds this node's lock is gone".to_owned()));
            }
            #[expect(clippy::cast_precision_loss, reason = "a gauge is no count")]
            metrics::gauge!("process_lag_positions").set(head.saturating_sub(position) as f64);
            if head > position {
                position = self.react_after(client, position).await?;
                if position >= head {
                    tokio::time::sleep(self.options.gather).await;
                }
            }
        }
    }

    /// Reacts to the next events and moves the checkpoint over them.
    async fn react_after(&self, client: &ClientWrapper, position: u64) -> Result<u64, ProcessError> {
        let events = self.hands.store().read_after(position, self.options.batch).await?;
        let Some(reached) = events.last().map(|event| event.position) else { return Ok(position) };
        let due: Vec<_> = events.iter().map(deadlines::set_by).collect::<Result<_, _>>()?;
        deadlines::note(client, &due.concat()).await.map_err(tables)?;
        stream::iter(by_stream(events))
            .map(|events| self.react_in_order(events))
            .buffer_unordered(self.options.concurrency)
            .try_collect::<()>()
            .await?;
        move_checkpoint(client, reached).await.map_err(tables)?;
        Ok(reached)
    }

    async fn react_in_order(&self, events: Vec<RecordedEvent>) -> Result<(), ProcessError> {
        for event in &events {
            reactions::react(&self.hands, event).await?;
        }
        Ok(())
    }
}

/// Events in order within each stream; streams have no order among themselves.
fn by_stream(events: Vec<RecordedEvent>) -> Vec<Vec<RecordedEvent>> {
    let mut at: HashMap<StreamId, usize> = HashMap::new();
    let mut streams: Vec<Vec<RecordedEvent>> = Vec::new();
    for event in events {
        let index = *at.entry(event.stream.clone()).or_insert_with(|| {
            streams.push(Vec::new());
            streams.len() - 1
        });
        streams[index].push(event);
    }
    streams
}

async fn move_checkpoint(client: &ClientWrapper, reached: u64) -> Result<(), tokio_postgres::Error> {
    let sql = "INSERT INTO process.checkpoint (name, position) VALUES ($1, $2)
               ON CONFLICT (name) DO UPDATE SET position = greatest(process.checkpoint.position, excluded.position)";
    let position = i64::try_from(reached).unwrap_or(i64::MAX);
    client.execute(&client.prepare_cached(sql).await?, &[&CHECKPOINT, &position]).await?;
    Ok(())
}

/// Up to which position processes have reacted to history; 0 where none ever ran.
///
/// # Errors
/// The checkpoint cannot be read.
pub async fn reached(client: &Client) -> Result<u64, ProcessError> {
    let row = client
        .query_opt("SELECT position FROM process.checkpoint WHERE name = $1", &[&CHECKPOINT])
        .await
        .map_err(tables)?;
    Ok(row.map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)))
}

fn tables(error: tokio_postgres::Error) -> ProcessError {
    ProcessError::Tables(error.to_string())
}
