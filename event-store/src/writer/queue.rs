//! What waits to be appended: bounded, and fair between associations.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use guildhall_aggregates::TenantId;
use quick_cache::DefaultHashBuilder;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::meters::Meters;
use crate::{Claim, DecidedCommand, StoreError, StreamId, Unit, UnitOutcome};

/// When it is worth trying again after the queue was full: by then it has been emptied many times over.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What becomes of a unit.
pub(super) type Answer = Result<UnitOutcome, StoreError>;

/// A unit on its way into history, and who waits for the outcome.
pub(super) struct Waiting {
    pub(super) unit: Unit,
    pub(super) size: Size,
    pub(super) since: Instant,
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
    meters: Arc<Meters>,
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
    /// How many units somebody waits for.
    wanted: usize,
}

impl Queue {
    pub(super) fn new(limits: Limits, meters: Arc<Meters>) -> Self {
        Self { limits, meters, state: Mutex::default(), arrived: Notify::new() }
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
        let enough = state.units == state.wanted;
        drop(state);
        if enough {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Lets nothing in any more. What waits is still taken out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Waits until so many units wait, or the queue is closed, and takes as much of them as one batch holds. `None` when
    /// the queue is closed and empty. Taking nothing if dropped, it may be raced against other futures.
    pub(super) async fn next(&self, at_least: usize) -> Option<Vec<Waiting>> {
        loop {
            {
                let mut state = self.lock();
                if state.units >= if state.closed { 1 } else { at_least } {
                    return Some(state.take(self.limits.batch, &self.meters));
                }
                if state.closed {
                    return None;
                }
                state.wanted = at_least;
            }
            self.arrived.notified().await;
        }
    }

    /// Sends those back that have waited for longer than `age`, and says whether others may come.
    pub(super) fn refuse_older_than(&self, age: Duration) -> bool {
        let mut state = self.lock();
        let mut refused = Vec::new();
        for lane in state.lanes.values_mut() {
            while lane.front().is_some_and(|first| first.since.elapsed() > age) {
                refused.extend(lane.pop_front());
            }
        }
        state.units -= refused.len();
        state.bytes -= refused.iter().map(|waiting| waiting.size.bytes).sum::<usize>();
        let State { lanes, turns, .. } = &mut *state;
        lanes.retain(|_, lane| !lane.is_empty());
        turns.retain(|tenant| lanes.contains_key(tenant));
        let open = !state.closed;
        drop(state);
        for waiting in refused {
            waiting.answer(Err(StoreError::Overloaded { retry_after: RETRY_AFTER }));
        }
        open
    }

    /// Takes out everything that waits. What is dropped unanswered is told that the writer has stopped.
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
    fn take(&mut self, limit: Size, meters: &Meters) -> Vec<Waiting> {
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
            meters.taken(first.since.elapsed());
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
struct Independent(HashSet<Touched, DefaultHashBuilder>);

#[derive(PartialEq, Eq, Hash)]
enum Touched {
    Stream(TenantId, StreamId),
    Command(TenantId, Uuid),
    Claim(TenantId, &'static str, [u8; 32]),
}

impl Independent {
    fn admits(&mut self, unit: &Unit) -> bool {
        let tenant = unit.tenant;
        let of_command = |command: &DecidedCommand| Touched::Command(tenant, command.command_id);
        let of_claim = |claim: &Claim| claim.value_hmac.map(|value| Touched::Claim(tenant, claim.kind, value));
        let touched = || {
            let claims = unit.commands.iter().flat_map(|command| &command.claims).filter_map(of_claim);
            let stream = std::iter::once_with(|| Touched::Stream(tenant, unit.stream.clone()));
            stream.chain(unit.commands.iter().map(of_command)).chain(claims)
        };
        if touched().any(|thing| self.0.contains(&thing)) {
            return false;
        }
        self.0.extend(touched());
        true
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    const LIMITS: Limits =
        Limits { units: 100, units_of_tenant: 50, bytes: 1_000, batch: Size { rows: 10, bytes: 100 } };

    fn queue() -> Queue {
        Queue::new(LIMITS, Arc::new(Meters::new()))
    }

    fn unit(tenant: u128, stream: u128) -> Unit {
        let command = DecidedCommand {
            command_id: Uuid::now_v7(),
            request_hash: [0; 32],
            metadata: Vec::new().into(),
            events: Vec::new(),
            claims: Vec::new(),
        };
        Unit {
            tenant: TenantId::new(Uuid::from_u128(tenant)),
            stream: StreamId::new("counter", Uuid::from_u128(stream)),
            expected_version: 0,
            commands: vec![command],
        }
    }

    fn push(queue: &Queue, unit: Unit, rows: usize, bytes: usize) -> Result<(), StoreError> {
        queue.push(Waiting::new(unit, Size { rows, bytes }).0)
    }

    /// The streams of the next batch.
    async fn next(queue: &Queue) -> Vec<u128> {
        let batch = queue.next(1).await.expect("something waits");
        batch.iter().map(|waiting| waiting.unit.stream.id.as_u128()).collect()
    }

    #[tokio::test]
    async fn a_bulk_import_delays_another_association_by_one_round() {
        let queue = queue();
        for stream in 0..40 {
            push(&queue, unit(1, stream), 1, 1).unwrap();
        }
        push(&queue, unit(2, 100), 1, 1).unwrap();
        push(&queue, unit(3, 200), 1, 1).unwrap();
        assert_eq!(next(&queue).await, [0, 100, 200, 1, 2, 3, 4, 5, 6, 7]);
        push(&queue, unit(2, 101), 1, 1).unwrap();
        assert_eq!(next(&queue).await[..3], [8, 101, 9]);
    }

    #[tokio::test]
    async fn a_batch_ends_before_the_unit_that_does_not_fit() {
        let queue = queue();
        for (stream, rows, bytes) in [(0, 9, 1), (1, 2, 1), (2, 1, 99), (3, 1, 2), (4, 10, 100)] {
            push(&queue, unit(1, stream), rows, bytes).unwrap();
        }
        queue.close();
        let batches = [next(&queue).await, next(&queue).await, next(&queue).await, next(&queue).await];
        assert_eq!(batches, [vec![0], vec![1, 2], vec![3], vec![4]]);
    }

    #[tokio::test]
    async fn units_that_touch_the_same_thing_go_into_different_batches_in_their_order() {
        let queue = queue();
        let claim = Claim { kind: "email", value_hmac: Some([1; 32]) };
        let (mut first, mut same_claim) = (unit(1, 10), unit(1, 11));
        first.commands[0].claims.push(claim.clone());
        same_claim.commands[0].claims.push(claim.clone());
        let mut same_command = unit(1, 12);
        same_command.commands[0].command_id = same_claim.commands[0].command_id;
        let mut elsewhere = unit(2, 10);
        elsewhere.commands[0].claims.push(claim);
        for unit in [first, same_claim, same_command, unit(1, 12), unit(1, 13), elsewhere] {
            push(&queue, unit, 1, 1).unwrap();
        }
        queue.close();
        let batches = [next(&queue).await, next(&queue).await, next(&queue).await, next(&queue).await];
        assert_eq!(batches, [vec![10, 10], vec![11], vec![12], vec![12, 13]]);
    }

    #[tokio::test]
    async fn a_unit_may_touch_the_same_thing_twice() {
        let queue = queue();
        let mut twice = unit(1, 10);
        twice.commands[0].claims = vec![Claim { kind: "email", value_hmac: Some([1; 32]) }; 2];
        push(&queue, twice, 1, 1).unwrap();
        assert_eq!(next(&queue).await, [10]);
    }

    #[tokio::test]
    async fn several_are_waited_for_while_others_can_come() {
        let queue = queue();
        push(&queue, unit(1, 0), 1, 1).unwrap();
        let mut several = pin!(queue.next(2));
        assert!(futures::poll!(&mut several).is_pending());
        push(&queue, unit(2, 1), 1, 1).unwrap();
        assert_eq!(several.await.map(|batch| batch.len()), Some(2));
        push(&queue, unit(1, 2), 1, 1).unwrap();
        let mut several = pin!(queue.next(2));
        assert!(futures::poll!(&mut several).is_pending());
        queue.close();
        assert_eq!(several.await.map(|batch| batch.len()), Some(1));
    }

    #[tokio::test]
    async fn too_many_units_or_bytes_are_refused_until_some_were_taken() {
        let queue = queue();
        for stream in 0..50 {
            push(&queue, unit(1, stream), 1, 1).unwrap();
        }
        assert!(matches!(push(&queue, unit(1, 50), 1, 1), Err(StoreError::Overloaded { .. })));
        assert!(matches!(push(&queue, unit(2, 0), 1, 951), Err(StoreError::Overloaded { .. })));
        next(&queue).await;
        push(&queue, unit(1, 50), 1, 1).unwrap();
        push(&queue, unit(2, 0), 1, 951).unwrap();
    }

    #[tokio::test]
    async fn who_has_waited_too_long_is_sent_back_and_leaves_room() {
        let queue = queue();
        let (waiting, answered) = Waiting::new(unit(1, 0), Size { rows: 1, bytes: 951 });
        queue.push(waiting).unwrap();
        push(&queue, unit(2, 0), 1, 1).unwrap();
        assert!(queue.refuse_older_than(Duration::from_hours(1)));
        assert!(push(&queue, unit(2, 1), 1, 951).is_err());
        assert!(queue.refuse_older_than(Duration::ZERO));
        assert!(matches!(answered.await, Ok(Err(StoreError::Overloaded { .. }))));
        push(&queue, unit(2, 1), 1, 951).unwrap();
        assert_eq!(next(&queue).await, [1]);
        queue.close();
        assert!(!queue.refuse_older_than(Duration::ZERO));
    }

    #[tokio::test]
    async fn a_closed_queue_gives_out_what_it_holds_and_then_ends() {
        let queue = queue();
        push(&queue, unit(1, 0), 1, 1).unwrap();
        queue.close();
        assert!(push(&queue, unit(1, 1), 1, 1).is_err());
        assert_eq!(next(&queue).await, [0]);
        assert!(queue.next(1).await.is_none());
    }
}
