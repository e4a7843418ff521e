//! Load, decide, append.
//!
//! Each stream has a *lane*. Commands that wait in a lane together are decided one after another on the
//! state in memory and appended as one unit with one expected version, so a stream everybody wants is as
//! fast as many streams. The state in memory is never trusted: the version check is in the database, and a
//! stale state means a conflict and a catch-up read, never a wrong decision. A refusal counts only where
//! the state it was decided on is known to have been current.
//!
//! * `lane`: who waits for a stream, and its state.
//! * `round`: deciding what waits, without touching what is known to be recorded.
//! * `drive`: appending, and what to do about each outcome.

mod drive;
mod error;
mod lane;
mod round;

use std::{any::Any, sync::Arc, time::Instant};

use bytes::Bytes;
use guildhall_aggregates::{Decide, StoredEvent, TenantId};
use guildhall_event_store::{Claim, EventStore, Loaded, Metadata, Receipt, StreamId};
use moka::sync::Cache;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use error::ExecuteError;
use lane::{Answer, Lane, Waiting};

/// The limits of an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutorOptions {
    /// How many streams are kept in memory. One that is dropped is folded again when it is wanted.
    pub cached_streams: u64,
    /// How many commands may wait for one stream.
    pub waiting_per_stream: usize,
    /// How many commands one unit holds at most.
    pub unit_commands: usize,
    /// After how many events no further command is taken into a unit.
    pub unit_events: usize,
    /// After how many bytes of events no further command is taken into a unit.
    pub unit_bytes: usize,
    /// How often a stream is decided anew because another node was faster.
    pub conflict_attempts: u32,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self {
            cached_streams: 100_000,
            waiting_per_stream: 10_000,
            unit_commands: 256,
            unit_events: 384,
            unit_bytes: 512 * 1024,
            conflict_attempts: 10,
        }
    }
}

/// What a caller expects of the stream before the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It exists.
    Exists,
    /// It is at this version; 0 for one that does not exist.
    Version(u64),
}

impl Expected {
    fn holds(self, version: u64) -> bool {
        match self {
            Self::Exists => version > 0,
            Self::Version(expected) => version == expected,
        }
    }
}

/// A command on its way to a stream.
#[derive(Debug)]
pub struct Order<A: Decide> {
    /// Whose stream.
    pub tenant: TenantId,
    /// The thing's id: which stream of the aggregate's category.
    pub id: Uuid,
    /// What is asked.
    pub command: A::Command,
    /// The command's identity: it takes effect once.
    pub command_id: Uuid,
    /// A keyed hash of the request it came with.
    pub request_hash: [u8; 32],
    /// Who sent it and why.
    pub metadata: Metadata,
    /// What the stream claims for itself alone.
    pub claims: Vec<Claim>,
    /// What the stream must be like.
    pub expected_version: Option<Expected>,
}

/// How a command waits for its turn.
#[derive(Debug, Default)]
pub struct Manner {
    /// Wait where there is too much work, instead of being told to come back. For those who send no more than
    /// is answered.
    pub patient: bool,
    /// Dropped once the command has its place in its lane: who comes after that is decided after it.
    pub entered: Option<oneshot::Sender<()>>,
}

/// Executes commands. Cheap to clone; clones share lanes.
#[derive(Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

struct Inner {
    store: EventStore,
    options: ExecutorOptions,
    /// Each lane is a `Lane<A>` of the aggregate its category names.
    lanes: Cache<LaneKey, Arc<dyn Any + Send + Sync>>,
    drivers: TaskTracker,
}

type LaneKey = (TenantId, &'static str, Uuid);

impl Executor {
    /// An executor over a store.
    pub fn new(store: EventStore, options: ExecutorOptions) -> Self {
        let lanes = Cache::new(options.cached_streams);
        Self { inner: Arc::new(Inner { store, options, lanes, drivers: TaskTracker::new() }) }
    }

    /// The store it appends to.
    pub fn store(&self) -> &EventStore {
        &self.inner.store
    }

    /// Executes a command: one receipt however often it is sent, and the effect of exactly once. The future
    /// may be dropped; the command is then executed all the same.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn execute<A: Decide>(&self, order: Order<A>) -> Result<Receipt, ExecuteError<A::Error>> {
        self.execute_as(order, Manner::default()).await
    }

    pub(crate) async fn execute_as<A: Decide>(
        &self,
        order: Order<A>,
        manner: Manner,
    ) -> Result<Receipt, ExecuteError<A::Error>> {
        let started = Instant::now();
        let command = metrics::SharedString::from(order.metadata.command.clone());
        let outcome = self.answer(order, manner).await;
        let word = outcome.as_ref().map_or_else(ExecuteError::word, |_| "recorded");
        metrics::counter!("commands_total", "command" => command.clone(), "outcome" => word).increment(1);
        metrics::histogram!("command_seconds", "command" => command).record(started.elapsed().as_secs_f64());
        outcome
    }

    async fn answer<A: Decide>(&self, order: Order<A>, manner: Manner) -> Result<Receipt, ExecuteError<A::Error>> {
        let Order { tenant, command_id, request_hash, .. } = order;
        let refused = match self.enqueue(order, manner)?.await {
            Ok(Err(refused @ (ExecuteError::Refused(_) | ExecuteError::VersionMismatch { .. }))) => refused,
            Ok(outcome) => return outcome,
            Err(_) => return Err(ExecuteError::Unavailable("the command was dropped while it was executed".into())),
        };
        // A command that was recorded and sent again later may well be refused by what happened since. Its
        // answer is the receipt; only refusals pay for asking.
        self.recorded(tenant, command_id, request_hash).await?.ok_or(refused)
    }

    /// The receipt of a command that was recorded before.
    ///
    /// # Errors
    /// It was another request, or history did not answer.
    pub async fn recorded<E>(
        &self,
        tenant: TenantId,
        command_id: Uuid,
        request_hash: [u8; 32],
    ) -> Result<Option<Receipt>, ExecuteError<E>> {
        match self.inner.store.recorded_command(tenant, command_id).await? {
            Some(recorded) if recorded.request_hash != request_hash => Err(ExecuteError::KeyReused),
            recorded => Ok(recorded.map(|recorded| recorded.receipt)),
        }
    }

    fn enqueue<A: Decide>(
        &self,
        order: Order<A>,
        manner: Manner,
    ) -> Result<oneshot::Receiver<Answer<A::Error>>, ExecuteError<A::Error>> {
        let lane = self.lane::<A>(order.tenant, order.id);
        let metadata = serde_json::to_vec(&order.metadata).map_err(|e| ExecuteError::Failed(e.to_string().into()))?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            command: order.command,
            command_id: order.command_id,
            request_hash: order.request_hash,
            metadata: Bytes::from(metadata),
            claims: order.claims,
            expected: order.expected_version,
            patient: manner.patient,
            answer,
        };
        if lane.enter(waiting, self.inner.options.waiting_per_stream)? {
            let store = self.inner.store.clone();
            self.inner.drivers.spawn(drive::drive(lane, store, self.inner.options));
        }
        drop(manner.entered);
        Ok(answered)
    }

    /// Looks at a stream's state of whatever age. For what stays true once it is true, such as that something
    /// exists: a stream that this node knows costs no look at history.
    ///
    /// # Errors
    /// History did not answer.
    pub async fn glance<A: Decide, R>(
        &self,
        tenant: TenantId,
        id: Uuid,
        view: impl FnOnce(&Loaded<A>) -> R,
    ) -> Result<R, ExecuteError<A::Error>> {
        self.lane::<A>(tenant, id).glance(&self.inner.store, view).await
    }

    /// Looks at a stream's state. What this node has recorded is always in it; what other nodes recorded is
    /// in it after a second at most.
    ///
    /// # Errors
    /// History did not answer.
    pub async fn read<A: Decide, R>(
        &self,
        tenant: TenantId,
        id: Uuid,
        view: impl FnOnce(&Loaded<A>) -> R,
    ) -> Result<R, ExecuteError<A::Error>> {
        self.lane::<A>(tenant, id).read(&self.inner.store, view).await
    }

    /// A copy of a stream's state; see [`Executor::read`] for how recent it is.
    ///
    /// # Errors
    /// History did not answer.
    pub async fn state<A: Decide>(&self, tenant: TenantId, id: Uuid) -> Result<Loaded<A>, ExecuteError<A::Error>> {
        self.read(tenant, id, |loaded: &Loaded<A>| Loaded { state: loaded.state.clone(), version: loaded.version })
            .await
    }

    /// Waits until everything that was begun is answered. Commands that come later are executed, too.
    pub async fn drain(&self) {
        self.inner.drivers.close();
        self.inner.drivers.wait().await;
        self.inner.drivers.reopen();
    }

    fn lane<A: Decide>(&self, tenant: TenantId, id: Uuid) -> Arc<Lane<A>> {
        let category = A::Event::CATEGORY;
        let lane = self
            .inner
            .lanes
            .get_with((tenant, category, id), || Arc::new(Lane::<A>::new(tenant, StreamId::new(category, id))));
        lane.downcast().expect("a category belongs to one aggregate")
    }
}
