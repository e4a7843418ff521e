//! Who waits for a stream, and what the stream is like.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use guildhall_aggregates::{Decide, TenantId};
use guildhall_event_store::{Claim, EventStore, LoadError, Loaded, Receipt, StreamId};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{ExecuteError, Expected};

/// How old the look of another stream may be that a command is prepared with.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// When to come back to a lane that is full.
const FULL_LANE_RETRY: Duration = Duration::from_secs(1);

pub(super) type Answer<E> = Result<Receipt, ExecuteError<E>>;

/// A command in a lane.
pub(super) struct Waiting<A: Decide> {
    pub(super) command: A::Command,
    pub(super) command_id: Uuid,
    pub(super) request_hash: [u8; 32],
    pub(super) metadata: Bytes,
    pub(super) claims: Vec<Claim>,
    pub(super) expected: Option<Expected>,
    /// Waits where there is too much work, instead of being told to come back.
    pub(super) patient: bool,
    pub(super) answer: oneshot::Sender<Answer<A::Error>>,
}

impl<A: Decide> Waiting<A> {
    /// Answers the caller, who may have left.
    pub(super) fn answer(self, answer: Answer<A::Error>) {
        let _ = self.answer.send(answer);
    }
}

/// One stream as this process sees it.
pub(super) struct Lane<A: Decide> {
    pub(super) tenant: TenantId,
    pub(super) stream: StreamId,
    queue: Mutex<Queue<A>>,
    /// Locked over reads of history, so that a hundred callers who want the same stream read it once.
    pub(super) state: tokio::sync::Mutex<State<A>>,
}

struct Queue<A: Decide> {
    waiting: VecDeque<Waiting<A>>,
    /// The ids of all commands in the lane, waiting or being executed.
    ids: HashSet<Uuid>,
    driven: bool,
}

impl<A: Decide> Lane<A> {
    pub(super) fn new(tenant: TenantId, stream: StreamId) -> Self {
        let queue = Queue { waiting: VecDeque::new(), ids: HashSet::new(), driven: false };
        Self { tenant, stream, queue: Mutex::new(queue), state: tokio::sync::Mutex::new(State::default()) }
    }

    /// Lets a command wait. True where nobody drives the lane, so that the caller has to see to it.
    pub(super) fn enter(&self, waiting: Waiting<A>, most: usize) -> Result<bool, ExecuteError<A::Error>> {
        let mut queue = self.queue();
        if queue.waiting.len() >= most && !waiting.patient {
            return Err(ExecuteError::Overloaded { retry_after: FULL_LANE_RETRY });
        }
        if !queue.ids.insert(waiting.command_id) {
            return Err(ExecuteError::InProgress);
        }
        queue.waiting.push_back(waiting);
        Ok(!std::mem::replace(&mut queue.driven, true))
    }

    /// What waits, `most` at a time; with nothing left, the lane is no longer driven.
    pub(super) fn next(&self, most: usize) -> Option<VecDeque<Waiting<A>>> {
        let mut queue = self.queue();
        if queue.waiting.is_empty() {
            queue.driven = false;
            return None;
        }
        let most = most.min(queue.waiting.len());
        Some(queue.waiting.drain(..most).collect())
    }

    /// Takes an answered command's id out, so that it may come again.
    pub(super) fn leave(&self, command_id: Uuid) {
        self.queue().ids.remove(&command_id);
    }

    /// Empties the lane because its driver broke. All who wait learn that the outcome is not known.
    pub(super) fn abandon(&self) {
        let mut queue = self.queue();
        queue.waiting.clear();
        queue.ids.clear();
        queue.driven = false;
    }

    /// Looks at the state of whatever age; reads history only where nobody has seen the stream exist.
    pub(super) async fn glance<R>(
        &self,
        store: &EventStore,
        view: impl FnOnce(&Loaded<A>) -> R,
    ) -> Result<R, ExecuteError<A::Error>> {
        let mut state = self.state.lock().await;
        if state.known.version == 0 {
            state.catch_up(store, self).await?;
        }
        Ok(view(&state.known))
    }

    /// Looks at the state; reads history where the state is too old.
    pub(super) async fn read<R>(
        &self,
        store: &EventStore,
        view: impl FnOnce(&Loaded<A>) -> R,
    ) -> Result<R, ExecuteError<A::Error>> {
        let mut state = self.state.lock().await;
        if !state.is_fresh() {
            state.catch_up(store, self).await?;
        }
        Ok(view(&state.known))
    }

    fn queue(&self) -> MutexGuard<'_, Queue<A>> {
        // Nothing in here can be left half done, so a panic elsewhere poisons nothing.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a stream is like.
pub(super) struct State<A> {
    /// The fold of what is recorded, up to its version.
    pub(super) known: Loaded<A>,
    /// `known` and what was decided since. Only there once several commands were decided together, and only
    /// while every one of them was recorded; so a failure costs a copy, and success costs none.
    pub(super) ahead: Option<A>,
    /// When `known` was last seen to be all there is; none where nobody looked yet.
    seen: Option<Instant>,
}

impl<A: Decide> Default for State<A> {
    fn default() -> Self {
        Self { known: Loaded::default(), ahead: None, seen: None }
    }
}

impl<A: Decide> State<A> {
    /// A stream that does not exist is never taken for granted: somebody may just have made it.
    fn is_fresh(&self) -> bool {
        self.known.version > 0 && self.seen.is_some_and(|seen| seen.elapsed() < FRESH_FOR)
    }

    /// Reads what was recorded since. True where that was anything.
    pub(super) async fn catch_up(&mut self, store: &EventStore, lane: &Lane<A>) -> Result<bool, LoadError> {
        let before = self.known.version;
        store.catch_up(lane.tenant, lane.stream.id, &mut self.known).await?;
        self.seen = Some(Instant::now());
        let moved = self.known.version != before;
        if moved {
            self.ahead = None;
        }
        Ok(moved)
    }

    /// Folds in what was just recorded on top of version `base`.
    pub(super) fn keep(&mut self, base: u64, events: Vec<A::Event>) {
        self.seen = Some(Instant::now());
        // A reader may have caught up in the meantime and have it already, perhaps with events of others.
        if self.known.version != base {
            self.ahead = None;
            return;
        }
        let Loaded { mut state, version } = std::mem::take(&mut self.known);
        let recorded = events.len() as u64;
        for event in events {
            state.apply(event);
        }
        self.known = Loaded { state, version: version + recorded };
    }

    /// Forgets everything; history is read again.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
