//! Who waits for a stream, and what the stream is like.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use guildhall_aggregates::{Decide, TenantId};
use guildhall_event_store::{Claim, EventStore, LoadError, Loaded, Receipt, RecordedEvent, StreamId};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

use super::{ExecuteError, Expected, lanes::AnyLane};

/// How old the look of another stream may be that a command is prepared with.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// For how many units a stream is taken for contested after another node was seen to write to it.
const CONTESTED_FOR: u8 = 16;
/// How long others go first, in times of a round: they have lost one, read what was recorded, and need another.
const GIVES_WAY_FOR: u32 = 2;
const GIVES_WAY_AT_MOST: Duration = Duration::from_millis(100);
/// When to come back to a lane that is full, or too slow.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) type Answer<E> = Result<Receipt, ExecuteError<E>>;
pub(super) type Answered<E> = oneshot::Receiver<Answer<E>>;

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
    pub(super) since: Instant,
    /// Its place among all that wait in this process.
    pub(super) _place: OwnedSemaphorePermit,
    pub(super) answer: oneshot::Sender<Answer<A::Error>>,
}

impl<A: Decide> Waiting<A> {
    /// Answers the caller, who may have left.
    pub(super) fn answer(self, answer: Answer<A::Error>) {
        let _ = self.answer.send(answer);
    }
}

/// One stream as this process sees it. There may be a hundred thousand of them, nearly all at rest, so what only a
/// lane in use needs is made when it is used.
pub(super) struct Lane<A: Decide> {
    pub(super) tenant: TenantId,
    pub(super) stream: StreamId,
    /// The commands in the lane; none where nobody drives it.
    queue: Mutex<Option<Box<Queue<A>>>>,
    /// The highest version another node was heard to have recorded.
    heard: AtomicU64,
    /// Locked over reads of history, so that a hundred callers who want the same stream read it once.
    pub(super) state: tokio::sync::Mutex<State<A>>,
}

struct Queue<A: Decide> {
    waiting: VecDeque<Waiting<A>>,
    /// The ids of all commands in the lane, waiting or being executed, in the order in which they came.
    ids: VecDeque<Uuid>,
}

impl<A: Decide> Lane<A> {
    pub(super) fn new(tenant: TenantId, stream: StreamId) -> Self {
        let state = tokio::sync::Mutex::new(State::default());
        Self { tenant, stream, queue: Mutex::new(None), heard: AtomicU64::new(0), state }
    }

    /// Lets a command wait. True where nobody drives the lane, so that the caller has to see to it.
    pub(super) fn enter(&self, waiting: Waiting<A>, most: usize) -> Result<bool, ExecuteError<A::Error>> {
        let mut queue = self.queue();
        let Some(queue) = &mut *queue else {
            let ids = VecDeque::from([waiting.command_id]);
            *queue = Some(Box::new(Queue { waiting: VecDeque::from([waiting]), ids }));
            return Ok(true);
        };
        if queue.waiting.len() >= most && !waiting.patient {
            return Err(ExecuteError::Overloaded { retry_after: RETRY_AFTER });
        }
        if queue.ids.contains(&waiting.command_id) {
            return Err(ExecuteError::InProgress);
        }
        queue.ids.push_back(waiting.command_id);
        queue.waiting.push_back(waiting);
        Ok(false)
    }

    /// What waits, `most` at a time; with nothing left, the lane is no longer driven.
    pub(super) fn next(&self, most: usize) -> Option<VecDeque<Waiting<A>>> {
        let mut place = self.queue();
        let queue = place.as_mut()?;
        if queue.waiting.is_empty() {
            *place = None;
            return None;
        }
        let later = queue.waiting.split_off(most.min(queue.waiting.len()));
        Some(std::mem::replace(&mut queue.waiting, later))
    }

    /// Takes an answered command's id out, so that it may come again.
    pub(super) fn leave(&self, command_id: Uuid) {
        if let Some(queue) = &mut *self.queue() {
            // Commands are answered nearly in the order in which they came, so this looks at the first.
            if let Some(at) = queue.ids.iter().position(|id| *id == command_id) {
                queue.ids.remove(at);
            }
        }
    }

    /// Empties the lane because its driver broke. All who wait learn that the outcome is not known.
    pub(super) fn abandon(&self) {
        *self.queue() = None;
    }

    /// Whether another node is known to have recorded what this state has not seen.
    pub(super) fn has_news_for(&self, state: &State<A>) -> bool {
        self.heard.load(Ordering::Relaxed) > state.known.version
    }

    /// Forgets everything; history is read again.
    pub(super) fn forget(&self, state: &mut State<A>) {
        self.heard.store(0, Ordering::Relaxed);
        *state = State::default();
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
        if !state.is_fresh() || self.has_news_for(&state) {
            state.catch_up(store, self).await?;
        }
        Ok(view(&state.known))
    }

    /// Looks for something in the state; reads history where it is not there, whatever the state's age.
    pub(super) async fn find<R>(
        &self,
        store: &EventStore,
        view: impl Fn(&Loaded<A>) -> Option<R>,
    ) -> Result<Option<R>, ExecuteError<A::Error>> {
        let mut state = self.state.lock().await;
        let current = !state.is_fresh() || self.has_news_for(&state);
        if current {
            state.catch_up(store, self).await?;
        }
        let found = view(&state.known);
        if found.is_some() || current {
            return Ok(found);
        }
        state.catch_up(store, self).await?;
        Ok(view(&state.known))
    }

    fn queue(&self) -> MutexGuard<'_, Option<Box<Queue<A>>>> {
        // Nothing in here can be left half done, so a panic elsewhere poisons nothing.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Decide> AnyLane for Lane<A> {
    fn hear(&self, event: &RecordedEvent) {
        self.heard.fetch_max(event.version, Ordering::Relaxed);
        // Whoever works on the state just now asks for news before deciding the next time.
        if let Ok(mut state) = self.state.try_lock() {
            state.hear(event);
        }
    }
}

/// What a stream is like.
pub(super) struct State<A> {
    /// The fold of what is recorded, up to its version.
    pub(super) known: Loaded<A>,
    /// `known` and what was decided since. Only there once several commands were decided together, and only
    /// while every one of them was recorded; so a failure costs a copy, and success costs none.
    pub(super) ahead: Option<Box<Loaded<A>>>,
    /// When `known` was last seen to be all there is; none where nobody looked yet.
    seen: Option<Instant>,
    /// How many more units are taken for contested: another node was writing not long ago.
    contested: u8,
    /// When it is our turn, where others go first.
    turn: Option<Instant>,
}

impl<A: Decide> Default for State<A> {
    fn default() -> Self {
        Self { known: Loaded::default(), ahead: None, seen: None, contested: 0, turn: None }
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

    /// Notes that another node writes to the stream, too.
    pub(super) fn contested(&mut self) {
        self.contested = CONTESTED_FOR;
    }

    /// Notes that a unit was recorded in a round that took so long. On a contested stream others go first for a moment:
    /// else the node that has just won would win again, because the others have yet to read what it did.
    pub(super) fn won(&mut self, took: Duration, now: Instant) {
        if self.contested > 0 {
            self.contested -= 1;
            self.turn = Some(now + GIVES_WAY_AT_MOST.min(GIVES_WAY_FOR * took));
        }
    }

    /// When it is our turn, if others go first. Then there may be something to catch up with.
    pub(super) fn turn(&mut self) -> Option<Instant> {
        self.turn.take()
    }

    /// Folds in what was just recorded on top of version `base`.
    pub(super) fn keep(&mut self, base: u64, events: Vec<A::Event>, now: Instant) {
        // A reader may have caught up in the meantime, or the tail may have read some of it: that is not folded in twice.
        let Some(known) = self.known.version.checked_sub(base) else {
            self.ahead = None;
            return;
        };
        if known > 0 {
            self.ahead = None;
        }
        self.fold(events.into_iter().skip(usize::try_from(known).unwrap_or(usize::MAX)));
        self.seen = Some(now);
    }

    /// Folds in what another node recorded, if it is the next event. Else it is left to whoever needs the state to
    /// catch up; so it is if it cannot be read, and then there is somebody to be told.
    fn hear(&mut self, event: &RecordedEvent) {
        if event.version == self.known.version + 1
            && let Ok(next) = event.decode()
        {
            self.ahead = None;
            self.fold([next]);
        }
    }

    fn fold(&mut self, events: impl IntoIterator<Item = A::Event>) {
        // Taken out while it is worked on: should the fold panic, nobody finds it half way.
        let Loaded { mut state, mut version } = std::mem::take(&mut self.known);
        for event in events {
            state.apply(event);
            version += 1;
        }
        self.known = Loaded { state, version };
    }
}

#[cfg(test)]
mod tests {
    use guildhall_aggregates::{
        association::{Association, AssociationRecord},
        member::Member,
    };

    use super::*;

    fn renamed(name: &str) -> AssociationRecord {
        AssociationRecord::AssociationRenamed { name: name.into() }
    }

    #[test]
    fn a_lane_at_rest_is_small() {
        assert!(size_of::<Lane<Member>>() <= 200, "it has {} bytes", size_of::<Lane<Member>>());
    }

    #[test]
    fn what_was_recorded_is_folded_in_once_however_much_of_it_is_known_already() {
        let recorded = ["one", "two", "three"].map(renamed);
        for known in 0..=3 {
            let mut state = State::<Association>::default();
            state.fold([renamed("zero")]);
            state.fold(recorded[..known].to_vec());
            state.keep(1, recorded.to_vec(), Instant::now());
            assert_eq!(state.known.version, 4);
        }
    }

    #[test]
    fn after_a_round_on_a_contested_stream_others_go_first() {
        let mut state = State::<Association>::default();
        let (round, now) = (Duration::from_secs(1), Instant::now());
        state.won(round, now);
        assert_eq!(state.turn(), None, "nobody else was seen");
        state.contested();
        for _ in 0..CONTESTED_FOR {
            state.won(round, now);
            let turn = state.turn().expect("others go first");
            assert_eq!(turn, now + GIVES_WAY_AT_MOST, "and not for long");
        }
        state.won(round, now);
        assert_eq!(state.turn(), None, "they have not come for long");
    }
}
