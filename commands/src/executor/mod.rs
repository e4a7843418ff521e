//! Load, decide, append.
//!
//! Each stream has a *lane*. Commands that wait in a lane together are decided one after another on the
//! state in memory and appended as one unit with one expected version, so a stream everybody wants is as
//! fast as many streams. The state in memory is never trusted: the version check is in the database, and a
//! stale state means a conflict and a catch-up read, never a wrong decision. A refusal counts only where
//! the state it was decided on is known to have been current.
//!
//! Several nodes may do this over one history: see [`Executor::follow`].
//!
//! * `order`: a command on its way, and how it waits.
//! * `lanes`: the lanes in memory; `lane`: who waits for a stream, and its state.
//! * `round`: deciding what waits, without touching what is known to be recorded.
//! * `drive`: appending, and what to do about each outcome.
//! * `tail`: folding in what other nodes recorded.
//! * `meters`: what is counted.

mod drive;
mod error;
mod lane;
mod lanes;
mod meters;
mod options;
mod order;
mod round;
mod tail;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use guildhall_aggregates::{Decide, TenantId};
use guildhall_event_store::{EventStore, Loaded, Receipt, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use drive::{Pending, drive};
pub use error::ExecuteError;
use lane::{RETRY_AFTER, Waiting};
use lanes::Lanes;
use meters::Meters;
pub use options::ExecutorOptions;
pub use order::{Expected, Manner, Order};
use tail::Appended;

/// Executes commands. Cheap to clone; clones share lanes.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

/// What callers, drivers and the tail have in common.
struct Shared {
    store: EventStore,
    options: ExecutorOptions,
    lanes: Lanes,
    /// A place for each command that waits; the patient have places of their own, so that they take nobody else's.
    places: Arc<Semaphore>,
    patient_places: Arc<Semaphore>,
    drivers: TaskTracker,
    appended: Appended,
    meters: Meters,
}

impl Shared {
    /// Notes what was appended here, so that it is not read again.
    fn note(&self, receipts: &[Receipt]) {
        let mut positions = receipts.iter().flat_map(|receipt| &receipt.events).map(|event| event.position);
        if let Some(first) = positions.next() {
            self.appended.note(first, positions.next_back().unwrap_or(first));
        }
    }
}

impl Executor {
    /// An executor over a store.
    pub fn new(store: EventStore, options: ExecutorOptions) -> Self {
        let shared = Shared {
            store,
            options,
            lanes: Lanes::new(options.cached_streams),
            places: Arc::new(Semaphore::new(options.waiting.div_ceil(2))),
            patient_places: Arc::new(Semaphore::new(options.waiting.div_ceil(2))),
            drivers: TaskTracker::new(),
            appended: Appended::default(),
            meters: Meters::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The store it appends to.
    pub fn store(&self) -> &EventStore {
        &self.shared.store
    }

    /// Folds what other nodes record into the streams this one has in memory, until told to stop. A node that does
    /// not follow is as right as one that does; it finds out later, by a conflict.
    ///
    /// # Errors
    /// A position is missing: history was damaged.
    pub async fn follow(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let Shared { store, lanes, appended, .. } = &*self.shared;
        tail::follow(store, lanes, appended, stop).await
    }

    /// Executes a command: one receipt however often it is sent, and the effect of exactly once. The future
    /// may be dropped; the command is then executed all the same. It must not be left alone unpolled: others may
    /// wait behind it.
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
        let since = Instant::now();
        let meter = self.shared.meters.of(&order.metadata.command);
        let outcome = self.answer(order, manner, since).await;
        meter.count(since.elapsed(), outcome.as_ref().err().map(ExecuteError::word));
        outcome
    }

    async fn answer<A: Decide>(
        &self,
        order: Order<A>,
        manner: Manner,
        since: Instant,
    ) -> Result<Receipt, ExecuteError<A::Error>> {
        let Order { tenant, command_id, request_hash, .. } = order;
        let place = self.place(manner.patient).await?;
        let refused = match self.enter(order, manner, since, place)?.answer().await {
            Err(refused @ (ExecuteError::Refused(_) | ExecuteError::VersionMismatch { .. })) => refused,
            outcome => return outcome,
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
        match self.shared.store.recorded_command(tenant, command_id).await? {
            Some(recorded) if recorded.request_hash != request_hash => Err(ExecuteError::KeyReused),
            recorded => Ok(recorded.map(|recorded| recorded.receipt)),
        }
    }

    async fn place<E>(&self, patient: bool) -> Result<OwnedSemaphorePermit, ExecuteError<E>> {
        if patient {
            let places = Arc::clone(&self.shared.patient_places);
            return places.acquire_owned().await.map_err(|error| ExecuteError::Failed(error.to_string().into()));
        }
        let places = Arc::clone(&self.shared.places);
        places.try_acquire_owned().map_err(|_| ExecuteError::Overloaded { retry_after: RETRY_AFTER })
    }

    /// Lets a command into its lane.
    fn enter<A: Decide>(
        &self,
        order: Order<A>,
        manner: Manner,
        since: Instant,
        place: OwnedSemaphorePermit,
    ) -> Result<Pending<A::Error>, ExecuteError<A::Error>> {
        let shared = &self.shared;
        let lane = shared.lanes.of::<A>(order.tenant, order.id);
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
            since,
            _place: place,
            answer,
        };
        let tasks = &shared.drivers;
        let is_idle = lane.enter(waiting, shared.options.waiting_per_stream)?;
        let pending = if !is_idle {
            Pending::elsewhere(answered, tasks)
        } else if manner.patient {
            // Who reads a long answer slowly leaves its commands alone in the meantime.
            tasks.spawn(drive(lane, Arc::clone(shared)));
            Pending::elsewhere(answered, tasks)
        } else {
            Pending::here(answered, drive(lane, Arc::clone(shared)), tasks)
        };
        drop(manner.entered);
        Ok(pending)
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
        self.shared.lanes.of::<A>(tenant, id).glance(&self.shared.store, view).await
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
        self.shared.lanes.of::<A>(tenant, id).read(&self.shared.store, view).await
    }

    /// Looks for something in a stream's state, and where it is not there, in the state as it is now: another node may have
    /// recorded it a moment ago, and whoever sent it there was told so.
    ///
    /// # Errors
    /// History did not answer.
    pub async fn find<A: Decide, R>(
        &self,
        tenant: TenantId,
        id: Uuid,
        view: impl Fn(&Loaded<A>) -> Option<R>,
    ) -> Result<Option<R>, ExecuteError<A::Error>> {
        self.shared.lanes.of::<A>(tenant, id).find(&self.shared.store, view).await
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
        self.shared.drivers.close();
        self.shared.drivers.wait().await;
        self.shared.drivers.reopen();
    }
}
