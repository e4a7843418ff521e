//! Kafka → whoever is given: the records of a group's partitions as the events they were.
//!
//! The group only says who reads which partition. Where to begin comes from whoever applies the events, because
//! only they know what they have durably applied; offsets are committed to Kafka too, but for lag tools alone.
//!
//! What is read is checked against the record before it. A record seen before is dropped. A record that misses its
//! predecessor stops its partition until the missing events were taken from history. A record that cannot be read is
//! left out, and so becomes a gap that the next one shows. So is one that history contradicts: what it says stands at its
//! position is compared with what does, before anything is handed over. These rules cover what brokers can do to us:
//! duplicates, zombies, expired, lost and forged records, topics made anew.

mod assignment;
#[cfg(test)]
mod fencing;
mod lane;
mod look;
mod session;
mod watch;
mod worker;

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use futures::FutureExt;
use guildhall_event_store::{EventStore, RecordedEvent, StoreError};
use rdkafka::{ClientConfig, error::KafkaError};
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    options::{KafkaOptions, OptionsError, check_present},
    topics::{Place, Topic, TopicError},
};
use assignment::{Lanes, ResumeFn, lock};
use lane::Lane;
use worker::Worker;

/// Rounds that wait for the caller. One, so that the next is being read while one is being applied.
const ROUNDS_AHEAD: usize = 1;
/// Reports of applied rounds that wait to be committed. They only serve lag tools, so more may be lost.
const REPORTS_AHEAD: usize = 16;

/// What a consumer reads and how.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// How to reach Kafka, and which generation of topics.
    pub kafka: KafkaOptions,
    /// The group that shares the work, such as `guildhall.directory`.
    pub group: String,
    /// What to read.
    pub topics: Vec<Topic>,
    /// How the group agrees on who reads what.
    pub protocol: GroupProtocol,
    /// The most records of one round.
    pub round_records: usize,
    /// About the most bytes of payloads of one round: it ends with the record that exceeds them.
    pub round_bytes: usize,
    /// Whether what records say stands at their positions is compared with history before anything is handed over: one
    /// query for each round.
    pub compare: bool,
    /// How long a partition may stand still though the broker has more, before the consumer is made anew.
    pub stalled_after: Duration,
}

impl ConsumerOptions {
    /// All topics, in rounds of at most 2,000 records or about 8 MiB, each compared with history, and no patience with a partition that stands
    /// still for half a minute.
    pub fn new(kafka: KafkaOptions, group: impl Into<String>) -> Self {
        Self {
            kafka,
            group: group.into(),
            topics: Topic::ALL.to_vec(),
            protocol: GroupProtocol::Classic,
            round_records: 2_000,
            round_bytes: 8 * 1024 * 1024,
            compare: true,
            stalled_after: Duration::from_secs(30),
        }
    }

    /// The names of all sources that the group reads, as [`PartitionBatch::source`] gives them: what has been told
    /// nothing yet is to be waited for, too.
    pub fn sources(&self) -> Vec<String> {
        let KafkaOptions { prefix, partitions, .. } = &self.kafka;
        let places = Place::all(*partitions).filter(|place| self.topics.contains(&place.topic));
        places.map(|place| source(&place.topic.name(prefix), place.number())).collect()
    }

    fn check(&self) -> Result<(), OptionsError> {
        self.kafka.check()?;
        check_present(&[
            ("the consumer's group", !self.group.is_empty()),
            ("the consumer's topics", !self.topics.is_empty()),
            ("round_records", self.round_records > 0),
            ("round_bytes", self.round_bytes > 0),
            ("stalled_after", !self.stalled_after.is_zero()),
        ])
    }

    fn client(&self) -> ClientConfig {
        let mut config = self.kafka.client();
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "true")
            .set("enable.auto.offset.store", "false")
            // Where a partition is to begin is gone: begin with the oldest record there is. It tells what is missing.
            .set("auto.offset.reset", "earliest")
            // Nothing of ours is transactional, and a stranger's open transaction shall not stop us.
            .set("isolation.level", "read_uncommitted")
            .set("queued.max.messages.kbytes", "16384");
        match self.protocol {
            GroupProtocol::Classic => {
                // A member that was killed keeps its partitions until then, and everybody waits for it.
                config.set("session.timeout.ms", "10000").set("partition.assignment.strategy", "cooperative-sticky")
            }
            // Here the brokers say how long (`group.consumer.session.timeout.ms`).
            GroupProtocol::Consumer => config.set("group.protocol", "consumer"),
        };
        config
    }
}

/// How the members of a group agree on who reads what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Among themselves, cooperatively. Every broker knows it.
    Classic,
    /// By the broker (KIP-848). Faster to join; needs Kafka 4.
    Consumer,
}

/// Where a partition is to be taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resume {
    /// The offset of the next record. 0 for a partition never read.
    pub next_offset: i64,
    /// The position up to which every event of the partition was applied. 0 for none.
    pub reached: u64,
    /// Tells this taking up from any other; what is read under it says so ([`PartitionBatch::claim`]).
    pub claim: i64,
}

/// What arrived for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionBatch {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The events, in the order of history; none when the partition only got further.
    pub events: Vec<RecordedEvent>,
    /// Where to go on after these, to be stored together with what they change.
    pub next_offset: i64,
    /// Every event of this partition up to this position is in this batch or was in one before.
    pub reached: u64,
    /// The [`Resume::claim`] that this follows from. Where the partition was taken up again since, it went elsewhere in
    /// between, or the consumer began anew: this batch is to be dropped, and will be read again.
    pub claim: i64,
}

impl PartitionBatch {
    /// The partition's name as a source of events, such as `kafka:guildhall.members:3`.
    pub fn source(&self) -> String {
        source(&self.topic, self.partition)
    }
}

/// The name of a partition as a source of events.
///
/// ```
/// assert_eq!(guildhall_kafka::source("guildhall.members", 3), "kafka:guildhall.members:3");
/// ```
pub fn source(topic: &str, partition: i32) -> String {
    format!("kafka:{topic}:{partition}")
}

/// Why a consumer ended. What may pass is retried instead, without end.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// Kafka has been told of events that history does not have.
    #[error(
        "Kafka holds records after position {after}, where history ends: they belong to another database, or this one \
         lost its newest events. Restore the database, or choose another topic prefix to begin a new generation"
    )]
    BeyondHistory {
        /// The last position that history has.
        after: u64,
    },
    /// Kafka has been told of another history.
    #[error(
        "Kafka's newest records are not what history has at position {position}: the database was restored or lost its newest \
         events, or these topics belong to another one. Restore the database, or choose another topic prefix to begin a new \
         generation"
    )]
    Diverged {
        /// The position that was relayed and is now another event.
        position: u64,
    },
    /// The topics are not as configured.
    #[error(transparent)]
    Topics(#[from] TopicError),
    /// History could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The relay's checkpoint could not be read.
    #[error("how far events were relayed: {0}")]
    Relay(String),
    /// Kafka answered with an error.
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// Whoever applies the events could not say where to begin.
    #[error("where to begin is not known: {0}")]
    Resume(String),
    /// The consumer was shut down, or has ended with an error before.
    #[error("the consumer has ended")]
    Ended,
}

impl ConsumerError {
    /// Whether trying again cannot help.
    fn is_lasting(&self) -> bool {
        match self {
            Self::BeyondHistory { .. } | Self::Diverged { .. } | Self::Ended => true,
            Self::Topics(error) => error.is_lasting(),
            Self::Store(error) => matches!(error, StoreError::Hole { .. }),
            Self::Relay(_) | Self::Kafka(_) | Self::Resume(_) => false,
        }
    }
}

/// The partitions of a group that are this process's to read.
///
/// A thread of its own polls Kafka, because the client's callbacks want one; it stops when the consumer is dropped.
///
/// ```no_run
/// # use guildhall_kafka::{Consumer, ConsumerOptions, KafkaOptions, PartitionBatch, Resume};
/// # async fn checkpoint(topic: &str, partition: i32) -> std::io::Result<Resume> { unreachable!() }
/// # async fn apply_and_move_checkpoint(batch: PartitionBatch) {}
/// # async fn example(store: guildhall_event_store::EventStore) -> Result<(), Box<dyn std::error::Error>> {
/// let options = ConsumerOptions::new(KafkaOptions::new("localhost:9092"), "guildhall.directory");
/// let resume = |topic: String, partition| async move { checkpoint(&topic, partition).await };
/// let mut consumer = Consumer::start(options, store, resume)?;
/// loop {
///     for batch in consumer.next().await? {
///         apply_and_move_checkpoint(batch).await;
///     }
/// }
/// # }
/// ```
pub struct Consumer {
    rounds: mpsc::Receiver<Result<Vec<PartitionBatch>, ConsumerError>>,
    applied: mpsc::Sender<Vec<Mark>>,
    handed_over: Vec<Mark>,
    lanes: Lanes,
    worker: JoinHandle<()>,
    stop: DropGuard,
}

/// How far a partition is applied.
struct Mark {
    topic: String,
    partition: i32,
    next_offset: i64,
}

impl Consumer {
    /// Joins the group. `resume` is asked where to begin each time a partition becomes ours, before any record of it
    /// is read: the moment to fence off whoever had it before.
    ///
    /// # Errors
    /// The options cannot be used.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start<F, R, E>(options: ConsumerOptions, store: EventStore, resume: F) -> Result<Self, OptionsError>
    where
        F: Fn(String, i32) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Resume, E>> + Send + 'static,
        E: Error + 'static,
    {
        options.check()?;
        let resume: ResumeFn = Arc::new(move |topic, partition| {
            let answer = resume(topic, partition);
            async move { answer.await.map_err(|error| error.to_string()) }.boxed()
        });
        let (rounds_in, rounds) = mpsc::channel(ROUNDS_AHEAD);
        let (applied, applied_out) = mpsc::channel(REPORTS_AHEAD);
        let stop = CancellationToken::new();
        let lanes = Lanes::default();
        let worker = Worker {
            options,
            store,
            resume,
            lanes: lanes.clone(),
            runtime: Handle::current(),
            rounds: rounds_in,
            applied: applied_out,
            stop: stop.clone(),
        };
        let worker = tokio::task::spawn_blocking(move || worker.run());
        Ok(Self { rounds, applied, handed_over: Vec::new(), lanes, worker, stop: stop.drop_guard() })
    }

    /// What arrived since the last time, at most one batch for each partition; waits for something to arrive,
    /// however long that takes. Asking again says that the last answer was applied.
    ///
    /// May be dropped while waiting: nothing is lost.
    ///
    /// # Errors
    /// The consumer had to stop, for a reason that a person has to look at.
    pub async fn next(&mut self) -> Result<Vec<PartitionBatch>, ConsumerError> {
        if !self.handed_over.is_empty() {
            // A full channel means that an older report waits; a newer one will follow.
            let _ = self.applied.try_send(std::mem::take(&mut self.handed_over));
        }
        let round = self.rounds.recv().await.ok_or(ConsumerError::Ended)??;
        self.handed_over = round.iter().map(Mark::after).collect();
        Ok(round)
    }

    /// Whether a partition is still the one that was taken up under this claim, as far as this consumer knows. What was
    /// read of one that has gone elsewhere is to be dropped: its new reader has been told where to begin, and reads it again.
    pub fn holds(&self, topic: &str, partition: i32, claim: i64) -> bool {
        let held = |lane: &Lane| lane.topic() == topic && lane.place().number() == partition && lane.claim() == claim;
        lock(&self.lanes).values().any(held)
    }

    /// Leaves the group, so that others take over at once, and waits until that is done.
    pub async fn shutdown(mut self) {
        drop(self.stop);
        self.rounds.close();
        if self.worker.await.is_err() {
            tracing::error!("the consumer's thread had panicked");
        }
    }
}

impl Mark {
    fn after(batch: &PartitionBatch) -> Self {
        Self { topic: batch.topic.clone(), partition: batch.partition, next_offset: batch.next_offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ConsumerOptions {
        ConsumerOptions::new(KafkaOptions::new("localhost:9092"), "guildhall.directory")
    }

    #[test]
    fn every_partition_of_every_topic_read_is_a_source() {
        let mut options = options();
        options.kafka.partitions = 2;
        assert_eq!(options.sources().len(), 2 * Topic::ALL.len());
        options.topics = vec![Topic::Members];
        assert_eq!(options.sources(), ["kafka:guildhall.members:0", "kafka:guildhall.members:1"]);
    }

    #[test]
    fn a_consumer_that_could_never_read_anything_is_refused() {
        let refused = ConsumerOptions { topics: Vec::new(), ..options() }.check();
        assert_eq!(refused, Err(OptionsError::Nothing("the consumer's topics")));
        let refused = ConsumerOptions { round_records: 0, ..options() }.check();
        assert_eq!(refused, Err(OptionsError::Nothing("round_records")));
        assert_eq!(options().check(), Ok(()));
    }
}
