//! The one writer of this process: takes whatever waits and appends it, many units to one commit.
//!
//! It has a connection of its own and keeps two batches under way on it: while the first is being flushed to disk the
//! second is already there. It never lingers for company when idle; under load, company comes by itself while a batch
//! is being flushed, and a batch sent behind another waits until it is nearly as large.
//!
//! When the connection is lost after a batch was sent, nobody knows whether it was stored. The same units are sent
//! again, with the same ids: what was stored is recognised before anything else is asked, and gets its receipt.

mod columns;
mod group;
mod known;
mod meters;
mod queue;
mod session;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use chrono::{DateTime, Utc};
use deadpool_postgres::Pool;
use futures::{StreamExt, stream::FuturesOrdered};
use tokio_postgres::Config;
use tokio_util::task::TaskTracker;

use crate::{
    Clock, StoreError, StoreOptions, Unit, UnitOutcome,
    head::Head,
    options::{MAX_EVENT_BYTES, MAX_METADATA_BYTES},
};
use group::{Group, events_of};
use meters::Meters;
use queue::{Limits, Queue, Size, Waiting};
use session::{Session, Unsettled};

/// Batches under way on the connection.
const IN_FLIGHT: usize = 2;

/// So many units are worth a batch behind another.
const FEW: usize = 4;

/// How often those are looked for who have waited for too long.
const LOOK_FOR_OLD: Duration = Duration::from_millis(100);

/// Bytes that may wait, in batches.
const QUEUED_BATCHES: usize = 64;

/// Where units are handed in.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    batch: Size,
}

impl Writer {
    /// Starts the writer. It connects when there is something to write.
    pub(crate) fn start(
        options: &StoreOptions,
        config: Config,
        pool: Pool,
        clock: Clock,
        head: Arc<Head>,
        tasks: &TaskTracker,
    ) -> Self {
        let batch = Size { rows: options.batch_events, bytes: options.batch_bytes };
        let limits = Limits {
            units: options.queue_units,
            units_of_tenant: options.queue_units.div_ceil(2),
            bytes: options.batch_bytes.saturating_mul(QUEUED_BATCHES),
            batch,
        };
        let meters = Arc::new(Meters::new());
        let queue = Arc::new(Queue::new(limits, Arc::clone(&meters)));
        let appending = Appending {
            queue: Arc::clone(&queue),
            config,
            pool,
            head,
            meters,
            tasks: tasks.clone(),
            stamp: Stamp { clock, last: DateTime::default() },
            unsettled: VecDeque::new(),
            pauses: pauses(),
            append_timeout: options.append_timeout,
            give_up_after: options.give_up_after,
        };
        tasks.spawn(appending.run());
        tasks.spawn(keep_young(Arc::clone(&queue), options.queue_age));
        Self { queue, batch }
    }

    /// Appends a unit and says what became of it. Once taken in, it is appended also when nobody waits any more.
    pub(crate) async fn append(&self, unit: Unit) -> Result<UnitOutcome, StoreError> {
        let size = self.measure(&unit)?;
        let (waiting, answered) = Waiting::new(unit, size);
        self.queue.push(waiting)?;
        answered.await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable { reason: "the writer has stopped".to_owned(), may_be_stored: true })
        })
    }

    /// Lets nothing in any more; what waits is still appended.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    fn measure(&self, unit: &Unit) -> Result<Size, StoreError> {
        if unit.commands.is_empty() {
            return Err(StoreError::Malformed("it has no command"));
        }
        let mut size = Size { rows: unit.commands.len().max(events_of(unit)), bytes: 0 };
        for command in &unit.commands {
            within("the metadata of a command, in bytes,", command.metadata.len(), MAX_METADATA_BYTES)?;
            size.bytes += command.metadata.len();
            for event in &command.events {
                within("the payload of an event, in bytes,", event.payload.len(), MAX_EVENT_BYTES)?;
                size.bytes += command.metadata.len() + event.payload.len();
                if i16::try_from(event.schema_version).is_err() {
                    return Err(StoreError::Malformed("a schema version is above 32,767"));
                }
            }
        }
        within("a unit, in events or commands,", size.rows, self.batch.rows)?;
        within("a unit, in bytes,", size.bytes, self.batch.bytes)?;
        Ok(size)
    }
}

/// How many units must wait to be sent while a batch of so many is under way. They would be executed behind it in any
/// case, and the fewer batches there are, the less each unit costs; but when it lands the next should be there. For a
/// few units that is not worth a batch of their own.
fn worth_sending_behind(under_way: usize) -> usize {
    (under_way * 2 / 3).max(FEW)
}

/// Sends back who has waited for too long, also while the writer itself waits for the database.
async fn keep_young(queue: Arc<Queue>, age: Duration) {
    while queue.refuse_older_than(age) {
        tokio::time::sleep(LOOK_FOR_OLD).await;
    }
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), StoreError> {
    if size > limit { Err(StoreError::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// The task behind the queue.
struct Appending {
    queue: Arc<Queue>,
    config: Config,
    pool: Pool,
    head: Arc<Head>,
    meters: Arc<Meters>,
    tasks: TaskTracker,
    stamp: Stamp,
    /// What was taken from the queue and not answered, oldest first; it goes before anything that waits.
    unsettled: VecDeque<Group>,
    pauses: ExponentialBackoff,
    append_timeout: Duration,
    give_up_after: Duration,
}

/// The pauses between attempts to replace a lost connection.
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(10))
        .with_max_delay(Duration::from_secs(1))
        .without_max_times()
        .with_jitter()
        .build()
}

impl Appending {
    /// Appends until the queue is closed and empty.
    async fn run(mut self) {
        while let Err(lost) = self.serve().await {
            if self.unsettled.iter().any(|group| group.age() > self.give_up_after) {
                self.give_up(&lost);
            } else if let Some(pause) = self.pauses.next() {
                tracing::warn!(reason = %lost, "the writer connects again");
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Appends over one connection, until the queue is closed and empty or the connection is lost.
    async fn serve(&mut self) -> Result<(), String> {
        let Self { queue, stamp, unsettled, .. } = self;
        if unsettled.is_empty() {
            let Some(units) = queue.next(1).await else { return Ok(()) };
            unsettled.push_back(Group::new(units, stamp.next()));
        }
        let connected =
            Session::connect(&self.config, self.append_timeout, &self.pool, &self.head, &self.meters, &self.tasks)
                .await;
        let session = connected.map_err(|error| error.to_string())?;
        let mut flights: FuturesOrdered<_> = unsettled.drain(..).map(|group| session.deliver(group)).collect();
        let mut open = true;
        let mut sent = 0;
        while open || !flights.is_empty() {
            let at_least = if flights.is_empty() { 1 } else { worth_sending_behind(sent) };
            tokio::select! {
                Some(landed) = flights.next() => {
                    if let Err(Unsettled { groups, reason }) = landed {
                        unsettled.extend(groups);
                        while let Some(other) = flights.next().await {
                            unsettled.extend(other.err().into_iter().flat_map(|other| other.groups));
                        }
                        unsettled.iter_mut().flat_map(|group| &mut group.units).for_each(|unit| unit.sent_before = true);
                        return Err(reason);
                    }
                    self.pauses = pauses();
                    // If it does not work now, there is room for millions of events until it must.
                    let _ = session.keep_room().await;
                }
                units = queue.next(at_least), if open && flights.len() < IN_FLIGHT => match units {
                    Some(units) => {
                        sent = units.len();
                        flights.push_back(session.deliver(Group::new(units, stamp.next())));
                    }
                    None => open = false,
                },
            }
        }
        Ok(())
    }

    /// Tells everybody that it did not work out.
    fn give_up(&mut self, reason: &str) {
        tracing::error!(reason, "the writer gives up on what waits");
        let sent = self.unsettled.drain(..).flat_map(|group| group.units);
        for waiting in sent.chain(self.queue.clear()) {
            let may_be_stored = waiting.sent_before;
            waiting.answer(Err(StoreError::Unavailable { reason: reason.to_owned(), may_be_stored }));
        }
        self.pauses = pauses();
    }
}

impl Drop for Appending {
    /// However this task ends, nobody waits for it in vain.
    fn drop(&mut self) {
        self.queue.close();
        self.queue.clear();
    }
}

/// Says when a batch was recorded. The time of this process never goes back in history, whatever its clock does.
struct Stamp {
    clock: Clock,
    last: DateTime<Utc>,
}

impl Stamp {
    fn next(&mut self) -> DateTime<Utc> {
        self.last = self.clock.now().max(self.last);
        self.last
    }
}
