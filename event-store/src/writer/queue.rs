//! What waits to be appended: bounded, and fair between associations.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use guildhall_aggregates::TenantId;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use crate::{StoreError, StreamId, Unit, UnitOutcome};

/// When it is worth trying again after the queue was full: by then it has been emptied many times over.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What becomes of a unit.
pub(super) type Answer = Result<UnitOutcome, StoreError>;

/// A unit on its way into history, and who waits for the outcome.
pub(super) struct Waiting {
    pub(super) unit: Unit,
    pub(super) size: Size,
    since: Instant,
    /// It was sent before and the answer was lost, so it may be stored already.
    pub(super) sent_before: bool,
    answer: oneshot::Sender<Answer>,
}

impl Waiting {
    pub(super) fn new(unit: Unit, size: Size) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Self { unit, size, since: Instant::now(), sent_before: false, answer }, answered)
    }

    pub(super) fn answer(self, answer: Answer) {
        // Whoever does not wait any more is not told; the unit is stored all the same.
        let _ = self.answer.send(answer);
    }
}

/// How much of a batch a unit takes up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// The larger of its numbers of events and commands, so that commands that record nothing count, too.
    pub(super) rows: usize,
    /// Bytes of payloads and metadata, as they are stored.
    pub(super) bytes: usize,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, bytes: self.bytes + other.bytes }
    }

    fn fits(self, limit: Self) -> bool {
        self.rows <= limit.rows && self.bytes <= limit.bytes
    }
}

/// How much may wait, and how much is taken at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Units waiting.
    pub(super) units: usize,
    /// Units of one association waiting.
    pub(super) units_of_tenant: usize,
    /// Bytes waiting.
    pub(super) bytes: usize,
    /// One batch.
    pub(super) batch: Size,
}

/// Units that wait, a lane for each association. Every association with something in its lane has a turn, one
/// unit each, so a bulk import of one delays another by one round and not by its whole length.
pub(super) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    lanes: HashMap<TenantId, VecDeque<Waiting>>,
    turns: VecDeque<TenantId>,
    units: usize,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default(), arrived: Notify::new() }
    }

    /// Takes a unit in, or refuses it because too much waits already.
    pub(super) fn push(&self, waiting: Waiting) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.closed {
            return Err(StoreError::Unavailable { reason: "it is shutting down".to_owned(), may_be_stored: false });
        }
        let tenant = waiting.unit.tenant;
        let of_tenant = state.lanes.get(&tenant).map_or(0, VecDeque::len);
        let full = state.units >= self.limits.units
            || of_tenant >= self.limits.units_of_tenant
            || state.bytes + waiting.size.bytes > self.limits.bytes;
        if full {
            return Err(StoreError::Overloaded { retry_after: RETRY_AFTER });
        }
        state.units += 1;
        state.bytes += waiting.size.bytes;
        state.lanes.entry(tenant).or_default().push_back(waiting);
        if of_tenant == 0 {
            state.turns.push_back(tenant);
        }
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Lets nothing in any more. What waits is still taken out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Waits until something waits, and takes as much of it as one batch holds. `None` when the queue is closed and
    /// empty. Taking nothing if dropped, it may be raced against other futures.
    pub(super) async fn next(&self) -> Option<Vec<Waiting>> {
        loop {
            {
                let mut state = self.lock();
                if !state.turns.is_empty() {
                    return Some(state.take(self.limits.batch));
                }
                if state.closed {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// Takes out everything that waits.
    pub(super) fn clear(&self) -> Vec<Waiting> {
        let mut state = self.lock();
        state.turns.clear();
        (state.units, state.bytes) = (0, 0);
        std::mem::take(&mut state.lanes).into_values().flatten().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One unit of each association in turn, until the batch is full or nothing is left that may be in it.
    fn take(&mut self, limit: Size) -> Vec<Waiting> {
        let (mut batch, mut size) = (Vec::new(), Size::default());
        let mut taken = Independent::default();
        let mut resting = Vec::new();
        while let Some(tenant) = self.turns.pop_front() {
            let Some(lane) = self.lanes.get_mut(&tenant) else { continue };
            let Some(first) = lane.front() else { continue };
            if !batch.is_empty() && !size.plus(first.size).fits(limit) {
                self.turns.push_front(tenant);
                break;
            }
            if !taken.admits(&first.unit) {
                resting.push(tenant);
                continue;
            }
            size = size.plus(first.size);
            self.units -= 1;
            self.bytes -= first.size.bytes;
            metrics::histogram!("append_queue_age_seconds").record(first.since.elapsed().as_secs_f64());
            batch.extend(lane.pop_front());
            if lane.is_empty() {
                self.lanes.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
        }
        self.turns.extend(resting);
        batch
    }
}

/// What the units of one batch touch. They must not touch the same thing, because they are all judged on the history
/// before the batch. A unit that does waits for the next one, and those of its association behind it, so that a lane
/// keeps its order.
#[derive(Default)]
struct Independent(HashSet<Touched>);

#[derive(PartialEq, Eq, Hash)]
enum Touched {
    Stream(TenantId, StreamId),
    Command(TenantId, Uuid),
    Claim(TenantId, &'static str, [u8; 32]),
}

impl Independent {
    fn admits(&mut self, unit: &Unit) -> bool {
        let tenant = unit.tenant;
        let mut touched = HashSet::from([Touched::Stream(tenant, unit.stream.clone())]);
        for command in &unit.commands {
            touched.insert(Touched::Command(tenant, command.command_id));
            for claim in &command.claims {
                touched.extend(claim.value_hmac.map(|value| Touched::Claim(tenant, claim.kind, value)));
            }
        }
        if touched.iter().any(|thing| self.0.contains(thing)) {
            return false;
        }
        self.0.extend(touched);
        true
    }
}
