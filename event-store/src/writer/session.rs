//! The writer's own connection, and one batch on its way through it.

use std::{
    convert::Infallible,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::Pool;
use tokio_postgres::{Client, Config, NoTls, Statement};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use uuid::Uuid;

use super::{
    columns::{APPEND, Columns, TYPES, Verdict},
    group::{Group, events_of, receipts},
    known::{KnownStreams, Partition},
    meters::Meters,
    queue::{Answer, Waiting},
};
use crate::{
    Receipt, RecordedCommand, StoreError, Unit, UnitOutcome,
    error::{Trouble, said},
    eviction,
    head::Head,
    read,
};

/// An answer may be outstanding for this many times what one batch may take, because two are under way.
const ANSWER_TIMEOUTS: u32 = 3;
/// When an answer is outstanding for this long, somebody may have stopped while holding the log's lock; who holds it for
/// so long waiting for its client has.
const STALLED_AFTER: Duration = Duration::from_secs(2);
const STALLED_FOR: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Partitions are made this many positions ahead, and looked after again when half of them are used.
const AHEAD: u64 = 10_000_000;

/// A connection that appends. Its statements are pipelined: what is sent while another batch is being flushed is
/// executed right behind it, in the order it was sent.
pub(super) struct Session<'a> {
    client: Client,
    append: Statement,
    answer_timeout: Duration,
    known: Mutex<KnownStreams>,
    /// The first position that no partition holds yet.
    room: AtomicU64,
    pool: &'a Pool,
    head: &'a Head,
    meters: &'a Meters,
    _connection: AbortOnDropHandle<()>,
}

/// A batch, or what is left of it, that must be sent again over another connection.
pub(super) struct Unsettled {
    pub(super) groups: Vec<Group>,
    pub(super) reason: String,
}

impl<'a> Session<'a> {
    pub(super) async fn connect(
        config: &Config,
        append_timeout: Duration,
        pool: &'a Pool,
        head: &'a Head,
        meters: &'a Meters,
        tasks: &TaskTracker,
    ) -> Result<Self, StoreError> {
        let (client, connection) =
            tokio::time::timeout(CONNECT_TIMEOUT, config.connect(NoTls)).await.map_err(|_| {
                StoreError::Unavailable { reason: "no connection in time".to_owned(), may_be_stored: false }
            })??;
        let connection = AbortOnDropHandle::new(tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the writer's connection ended");
            }
        }));
        // Acknowledged is durable: a server that does not wait for the disk by default must do so here.
        let settings = format!(
            "SET statement_timeout = {}; SET default_transaction_isolation = 'read committed';
             SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
            append_timeout.as_millis()
        );
        client.batch_execute(&settings).await?;
        let append = client.prepare_typed(APPEND, &TYPES).await?;
        let answer_timeout = append_timeout.saturating_mul(ANSWER_TIMEOUTS);
        let (known, room) = (Mutex::new(KnownStreams::new()), AtomicU64::new(0));
        let session = Self { client, append, answer_timeout, known, room, pool, head, meters, _connection: connection };
        session.keep_room().await?;
        Ok(session)
    }

    /// Makes the next partitions in time, and notices when another one is being filled.
    pub(super) async fn keep_room(&self) -> Result<(), StoreError> {
        let head = self.head.known();
        if head + AHEAD / 2 > self.room.load(Ordering::Relaxed) {
            let row = self.client.query_one("SELECT es.ensure_partitions($1)", &[&read::signed(AHEAD)]).await?;
            self.room.store(read::natural(&row, 0)?, Ordering::Relaxed);
        }
        if !self.known().is_filling(head + 1) {
            let statement = "SELECT first, beyond FROM es.partition_around($1)";
            if let Some(row) = self.client.query_opt(statement, &[&read::signed(head + 1)]).await? {
                let partition = Partition { first: read::natural(&row, 0)?, beyond: read::natural(&row, 1)? };
                self.known().fill(partition);
            }
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, KnownStreams> {
        // Nothing in here can be left half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a batch and answers everybody in it. A batch the server refuses as a whole is halved until the bad unit
    /// is alone. What could not be settled on this connection is given back, unanswered.
    pub(super) async fn deliver(&self, group: Group) -> Result<(), Unsettled> {
        let mut parts = vec![group];
        while let Some(mut part) = parts.pop() {
            let trouble = match self.submit(&part).await {
                Ok(verdicts) => {
                    self.answer(part, verdicts).await;
                    continue;
                }
                Err(trouble) => trouble,
            };
            match trouble {
                Refusal::Unit(error) if part.units.len() == 1 => {
                    tracing::error!(%error, "the database refused a unit");
                    part.units.into_iter().for_each(|waiting| self.settle(waiting, Err(error.clone())));
                }
                Refusal::Unit(_) => {
                    let later = part.split_off_half();
                    parts.extend([later, part]);
                }
                Refusal::Connection(reason) => {
                    parts.push(part);
                    parts.reverse();
                    return Err(Unsettled { groups: parts, reason });
                }
            }
        }
        Ok(())
    }

    async fn submit(&self, group: &Group) -> Result<Vec<Verdict>, Refusal> {
        let started = Instant::now();
        let hint = self.head.known();
        let leaf_hashes = group.leaf_hashes();
        let knowledge = self.known().of(group);
        let columns = Columns::of(group, &leaf_hashes, hint, knowledge);
        let params = columns.params();
        let answer = tokio::select! {
            answer = tokio::time::timeout(self.answer_timeout, self.client.query(&self.append, &params)) => answer,
            never = self.evict_who_stalls() => match never {},
        };
        let rows = match answer {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) if Trouble::of(&error) == Trouble::Unit => return Err(Refusal::Unit(error.into())),
            Ok(Err(error)) => return Err(Refusal::Connection(said(&error))),
            Err(_) => return Err(Refusal::Connection("no answer in time".to_owned())),
        };
        // What cannot be read is asked again.
        let verdicts = columns.verdicts(&rows).map_err(|error| Refusal::Connection(error.to_string()))?;
        self.meters.batch(leaf_hashes.len(), group.units.len(), started.elapsed());
        Ok(verdicts)
    }

    /// Ends, again and again, the connection of whoever stopped while appending.
    async fn evict_who_stalls(&self) -> Infallible {
        loop {
            tokio::time::sleep(STALLED_AFTER).await;
            if let Err(error) = eviction::evict_stalled(self.pool, STALLED_FOR).await {
                tracing::debug!(%error, "whether another node stalls the log is not known");
            }
        }
    }

    /// Remembers what the database said of a unit's stream.
    fn learn(&self, unit: &Unit, verdict: &Verdict) {
        let mut known = self.known();
        match *verdict {
            Verdict::Appended { base, key } => {
                let events = events_of(unit) as u64;
                known.learn(unit, key, unit.expected_version + events, base + events);
            }
            Verdict::Conflict { actual, key: Some(key), seen_at } => known.learn(unit, key, actual, seen_at),
            _ => known.forget(unit),
        }
    }

    /// Tells everybody what became of their unit, and local readers how far history reaches now.
    async fn answer(&self, group: Group, verdicts: Vec<Verdict>) {
        let mut duplicates = Vec::new();
        let mut reached = 0;
        for (waiting, verdict) in group.units.into_iter().zip(verdicts) {
            self.learn(&waiting.unit, &verdict);
            let outcome = match verdict {
                Verdict::Appended { base, .. } => {
                    let receipts = receipts(&waiting.unit, base);
                    reached = receipts.last().map_or(reached, |last| last.position);
                    UnitOutcome::Appended(receipts)
                }
                Verdict::Conflict { actual, .. } => UnitOutcome::Conflict { actual },
                Verdict::ClaimTaken { command_id, kind } => UnitOutcome::ClaimTaken { command_id, kind },
                Verdict::Duplicate => {
                    duplicates.push(waiting);
                    continue;
                }
            };
            self.settle(waiting, Ok(outcome));
        }
        self.head.advance(reached);
        for waiting in duplicates {
            let outcome = self.recorded(&waiting).await;
            self.settle(waiting, outcome);
        }
    }

    fn settle(&self, waiting: Waiting, answer: Answer) {
        self.meters.outcome(&answer);
        waiting.answer(answer);
    }

    /// What is recorded of a unit whose commands, or some of them, are in the log already.
    async fn recorded(&self, waiting: &Waiting) -> Result<UnitOutcome, StoreError> {
        let unit = &waiting.unit;
        let ids: Vec<Uuid> = unit.commands.iter().map(|command| command.command_id).collect();
        let client = self.pool.get().await?;
        let found = read::commands(&client, unit.tenant, &ids).await?;
        if waiting.sent_before
            && let Some(receipts) = wholly_ours(unit, &found)
        {
            return Ok(UnitOutcome::Appended(receipts));
        }
        Ok(UnitOutcome::Duplicate(found))
    }
}

/// Why a batch was not appended.
enum Refusal {
    /// Something in it will never be.
    Unit(StoreError),
    /// It may be, later and over another connection; or it was already.
    Connection(String),
}

/// The receipts of a unit whose answer was lost, if what is recorded is exactly that unit: the same events at the same
/// versions. The same commands recorded by another node, decided on another state, are not.
fn wholly_ours(unit: &Unit, found: &[RecordedCommand]) -> Option<Vec<Receipt>> {
    let last = found.iter().map(|command| command.receipt.position).max()?;
    let ours = receipts(unit, last.checked_sub(events_of(unit) as u64)?);
    let matches = |receipt: &&Receipt, hash: &[u8; 32]| {
        found.iter().any(|recorded| recorded.receipt == **receipt && recorded.request_hash == *hash)
    };
    let all = ours.iter().zip(&unit.commands).all(|(receipt, command)| matches(&receipt, &command.request_hash));
    all.then_some(ours)
}
