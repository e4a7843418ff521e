//! Appending what was decided, and what to do about each outcome.

use std::{
    collections::VecDeque,
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use guildhall_aggregates::Decide;
use guildhall_event_store::{Receipt, RecordedCommand, StoreError, Unit, UnitOutcome};
use tokio::{runtime::Handle, sync::MutexGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{
    ExecuteError, ExecutorOptions, Shared,
    error::Trouble,
    lane::{Answer, Answered, Lane, RETRY_AFTER, State, Waiting},
    round::Round,
};

/// The answer to a command in a lane, and what drives the lane if it was idle: a command that is alone needs no task of
/// its own. Should the caller leave, or be answered while others wait, a task takes over; so a caller who leaves takes
/// nobody's command along.
///
/// With the lane to drive it must be polled or dropped. For callers who may do neither for a while, spawn [`drive`].
pub(super) struct Pending<E> {
    answered: Answered<E>,
    drive: Option<BoxFuture<'static, ()>>,
    tasks: TaskTracker,
}

impl<E> Pending<E> {
    /// In a lane that somebody else drives.
    pub(super) fn elsewhere(answered: Answered<E>, tasks: &TaskTracker) -> Self {
        Self { answered, drive: None, tasks: tasks.clone() }
    }

    /// In a lane that was idle.
    pub(super) fn here(
        answered: Answered<E>,
        drive: impl Future<Output = ()> + Send + 'static,
        tasks: &TaskTracker,
    ) -> Self {
        // A decision that panics is no reason for its caller to panic: the caller learns that the outcome is not known.
        let drive = AssertUnwindSafe(tasks.track_future(drive)).catch_unwind();
        Self { answered, drive: Some(drive.map(|_| ()).boxed()), tasks: tasks.clone() }
    }

    /// Drives until there is an answer.
    pub(super) async fn answer(mut self) -> Answer<E> {
        let answer = poll_fn(|context| {
            if self.drive.as_mut().is_some_and(|drive| drive.as_mut().poll(context).is_ready()) {
                self.drive = None;
            }
            Pin::new(&mut self.answered).poll(context)
        });
        let dropped = || Err(ExecuteError::Unavailable("the command was dropped while it was executed".into()));
        answer.await.unwrap_or_else(|_| dropped())
    }
}

impl<E> Drop for Pending<E> {
    fn drop(&mut self) {
        // Without a runtime nothing goes on, and whoever waits learns that the outcome is not known.
        if let (Some(drive), Ok(runtime)) = (self.drive.take(), Handle::try_current()) {
            self.tasks.spawn_on(drive, &runtime);
        }
    }
}

/// Executes what waits in a lane until nothing does. One driver per lane.
pub(super) async fn drive<A: Decide>(lane: Arc<Lane<A>>, shared: Arc<Shared>) {
    let mut driving = Driving { lane: &lane, broke: true };
    let options = shared.options;
    while let Some(pending) = lane.next(options.unit_commands) {
        Drive { lane: &lane, shared: &shared, options, pending, began: Instant::now(), conflicts: 0, current: false }
            .run()
            .await;
    }
    driving.broke = false;
}

/// Clears the lane should a decision panic: a lane that looks driven and is not would wait for ever.
struct Driving<'a, A: Decide> {
    lane: &'a Lane<A>,
    broke: bool,
}

impl<A: Decide> Drop for Driving<'_, A> {
    fn drop(&mut self) {
        if self.broke {
            self.lane.abandon();
        }
    }
}

/// The commands that were taken from a lane together, until each is answered.
struct Drive<'a, A: Decide> {
    lane: &'a Lane<A>,
    shared: &'a Shared,
    options: ExecutorOptions,
    pending: VecDeque<Waiting<A>>,
    /// When the round began.
    began: Instant,
    /// How often in a row another node was faster.
    conflicts: u32,
    /// Whether the state was seen to be current after these commands came.
    current: bool,
}

impl<'a, A: Decide> Drive<'a, A> {
    async fn run(mut self) {
        while !self.pending.is_empty() {
            self.send_late_ones_back();
            if let Err(trouble) = self.round().await {
                let mut state = self.lane.state.lock().await;
                match trouble {
                    Trouble::Contended => state.ahead = None,
                    _ => self.lane.forget(&mut state),
                }
                drop(state);
                while let Some(waiting) = self.pending.pop_front() {
                    self.answer(waiting, Err(trouble.answer()));
                }
            } else if !self.pending.is_empty() {
                self.began = Instant::now();
            }
        }
    }

    /// Decides and appends once. An error is the answer to all that are still pending.
    async fn round(&mut self) -> Result<(), Trouble> {
        let round = {
            let mut state = self.state_to_decide_on().await?;
            // A stream nobody has read is taken to be new. Most are: commands that make something need no read before
            // they write, and for the others the database or the refusal below says that there is more to know.
            let round = Round::decide(&mut state, &self.pending, self.options);
            if round.decided.is_empty() && !self.current {
                // Nothing will be appended, so the database would not notice a stale state: look first.
                let moved = state.catch_up(&self.shared.store, self.lane).await?;
                self.current = true;
                if moved {
                    return Ok(());
                }
            }
            round
        };
        if round.decided.is_empty() {
            self.settle(round.refused, Vec::new());
            return Ok(());
        }
        self.shared.meters.unit(round.decided.len());
        self.append(round).await
    }

    /// The state, and others before us where it is their turn. What another node is known to have recorded is read now:
    /// decided without it, a unit would be a conflict.
    async fn state_to_decide_on(&mut self) -> Result<MutexGuard<'a, State<A>>, Trouble> {
        let lane = self.lane;
        let mut state = lane.state.lock().await;
        let turn = state.turn();
        if let Some(turn) = turn {
            drop(state);
            tokio::time::sleep_until(turn.into()).await;
            state = lane.state.lock().await;
            self.began = Instant::now();
        }
        if turn.is_some() || lane.has_news_for(&state) {
            let moved = state.catch_up(&self.shared.store, lane).await?;
            if moved && turn.is_some() {
                state.contested();
            }
            self.current = true;
        }
        Ok(state)
    }

    async fn append(&mut self, round: Round<A>) -> Result<(), Trouble> {
        let several = round.len() > 1;
        let Round { base, decided, refused, events, .. } = round;
        let unit = Unit {
            tenant: self.lane.tenant,
            stream: self.lane.stream.clone(),
            expected_version: base,
            commands: decided,
        };
        match self.shared.store.append(unit).await {
            Ok(UnitOutcome::Appended(receipts)) => {
                let mut state = self.lane.state.lock().await;
                let now = Instant::now();
                state.keep(base, events, now);
                state.won(now - self.began, now);
                drop(state);
                self.shared.note(&receipts);
                self.settle(refused, receipts);
                self.conflicts = 0;
                self.current = true;
                Ok(())
            }
            Ok(UnitOutcome::Conflict { actual }) => self.catch_up_after_conflict(base, actual).await,
            Ok(UnitOutcome::Duplicate(recorded)) => self.answer_recorded(recorded).await,
            Ok(UnitOutcome::ClaimTaken { command_id, kind }) => {
                self.lane.state.lock().await.ahead = None;
                self.answer_one(command_id, Err(ExecuteError::ClaimTaken { kind }));
                Ok(())
            }
            Err(StoreError::Overloaded { retry_after }) => {
                self.wait(retry_after).await;
                Ok(())
            }
            // One command is too much for history; which, shows when each is alone.
            Err(StoreError::TooLarge { .. } | StoreError::Refused { .. }) if several => {
                self.lane.state.lock().await.ahead = None;
                self.options.unit_commands = 1;
                Ok(())
            }
            Err(error) => {
                // Alone, it fails alone; what waits behind it may fare better unless history is away.
                if several || matches!(error, StoreError::Unavailable { .. }) {
                    return Err(error.into());
                }
                let mut state = self.lane.state.lock().await;
                self.lane.forget(&mut state);
                drop(state);
                if let Some(waiting) = self.pending.pop_front() {
                    self.answer(waiting, Err(error.into()));
                }
                Ok(())
            }
        }
    }

    /// Sends those back whose callers will not wait much longer. Nothing of what is pending was recorded.
    fn send_late_ones_back(&mut self) {
        let (began, longest_wait) = (self.began, self.options.longest_wait);
        let is_late = |waiting: &Waiting<A>| !waiting.patient && began.duration_since(waiting.since) > longest_wait;
        if self.pending.iter().any(is_late) {
            let (late, in_time) = std::mem::take(&mut self.pending).into_iter().partition(is_late);
            self.pending = in_time;
            self.send_back(late, RETRY_AFTER);
        }
    }

    fn send_back(&self, pending: VecDeque<Waiting<A>>, retry_after: Duration) {
        for waiting in pending {
            self.answer(waiting, Err(ExecuteError::Overloaded { retry_after }));
        }
    }

    /// Sends away those who would rather come back, and lets the patient keep their places in the order.
    async fn wait(&mut self, retry_after: Duration) {
        self.lane.state.lock().await.ahead = None;
        let (patient, others) = std::mem::take(&mut self.pending).into_iter().partition(|waiting| waiting.patient);
        self.pending = patient;
        self.send_back(others, retry_after);
        if !self.pending.is_empty() {
            tokio::time::sleep(retry_after).await;
        }
    }

    async fn catch_up_after_conflict(&mut self, base: u64, actual: u64) -> Result<(), Trouble> {
        if base > 0 {
            metrics::counter!("command_conflicts_total").increment(1);
        }
        self.conflicts += 1;
        if self.conflicts > self.options.conflict_attempts {
            return Err(ExecuteError::Contended);
        }
        let mut state = self.lane.state.lock().await;
        if actual < base {
            // The database has less than it once had: it was restored, or a failover lost its tail.
            tracing::error!(stream = %self.lane.stream, base, actual, "history is shorter than it was");
            self.lane.forget(&mut state);
        }
        state.ahead = None;
        if base > 0 {
            state.contested();
        }
        state.catch_up(&self.shared.store, self.lane).await?;
        self.current = true;
        Ok(())
    }

    /// Some were recorded before, by this node or another: they have their receipts, and the state may be
    /// behind them.
    async fn answer_recorded(&mut self, recorded: Vec<RecordedCommand>) -> Result<(), Trouble> {
        if recorded.is_empty() {
            return Err(ExecuteError::Failed("history knows of a duplicate and does not say which".into()));
        }
        for RecordedCommand { request_hash, receipt } in recorded {
            let id = receipt.command_id;
            let same = self.pending.iter().any(|w| w.command_id == id && w.request_hash == request_hash);
            self.answer_one(id, if same { Ok(receipt) } else { Err(ExecuteError::KeyReused) });
        }
        let mut state = self.lane.state.lock().await;
        state.ahead = None;
        state.catch_up(&self.shared.store, self.lane).await?;
        self.current = true;
        Ok(())
    }

    /// Answers the commands of a round in their order. Refusals wait for this moment, too: one that was
    /// decided on what was not recorded yet would be no more than a guess.
    fn settle(&mut self, refused: Vec<Option<ExecuteError<A::Error>>>, receipts: Vec<Receipt>) {
        let mut receipts = receipts.into_iter();
        for refused in refused {
            let Some(waiting) = self.pending.pop_front() else { return };
            let answer = match refused {
                Some(refused) => Err(refused),
                None => receipts.next().ok_or(ExecuteError::Failed("history gave too few receipts".into())),
            };
            self.answer(waiting, answer);
        }
    }

    fn answer_one(&mut self, command_id: Uuid, answer: Answer<A::Error>) {
        let at = self.pending.iter().position(|waiting| waiting.command_id == command_id);
        if let Some(waiting) = at.and_then(|at| self.pending.remove(at)) {
            self.answer(waiting, answer);
        }
    }

    fn answer(&self, waiting: Waiting<A>, answer: Answer<A::Error>) {
        self.lane.leave(waiting.command_id);
        waiting.answer(answer);
    }
}
