//! History → Kafka: one relay at a time reads history in order and sends each event once, or again after an error.
//!
//! It never asks whether a record arrived; it counts acknowledgements, and its checkpoint moves only over what is
//! acknowledged without a gap. After any failed delivery it drops its producer and begins again from the checkpoint,
//! so records may be sent twice, but never in another order and never with one left out. A relay that was paused
//! past its lease and does not know that it has been replaced does no harm either: consumers drop what they have
//! seen, and its next checkpoint is refused.

pub(crate) mod continuity;
pub(crate) mod lease;
mod producer;
mod session;
mod standing;

use std::time::Duration;

use guildhall_event_store::{EventStore, StoreError};
use rdkafka::error::KafkaError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    options::{KafkaOptions, OptionsError, check_present},
    patience::Patience,
    topics::{self, TopicError},
};
use lease::{Checkpoint, Lease};
use session::Session;
pub use standing::{RelayStanding, standing};

/// What a relay does and how often.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// How to reach Kafka, and which generation of topics to fill.
    pub kafka: KafkaOptions,
    /// The most events of one batch.
    pub batch_events: usize,
    /// How many batches may be on their way at once.
    pub batches_in_flight: usize,
    /// How long events are gathered after a batch that was not full: each batch, however small, is work for the brokers and
    /// for every group that reads.
    pub gather: Duration,
    /// How long a relay that has gone silent keeps others waiting.
    pub lease: Duration,
    /// How often the checkpoint is written while events flow.
    pub checkpoint_every: Duration,
    /// How often partitions that had no event are told how far the others are, for the sake of other readers than ours, which
    /// ask for the checkpoint.
    pub watermark_every: Duration,
    /// How often every partition is told, also when nothing happens: those who come new to a partition whose records
    /// have expired learn by it what they miss.
    pub remind_every: Duration,
    /// How often history is asked whether it is still the one that was relayed.
    pub audit_every: Duration,
}

impl RelayOptions {
    /// Batches of 2,000 events or what comes within 15 ms, 4 of them under way; a lease of 10 s; a checkpoint each 5 ms,
    /// watermarks each second and for everybody each minute, a look at history each 10 s.
    pub fn new(kafka: KafkaOptions) -> Self {
        Self {
            kafka,
            batch_events: 2_000,
            batches_in_flight: 4,
            gather: Duration::from_millis(15),
            lease: Duration::from_secs(10),
            checkpoint_every: Duration::from_millis(5),
            watermark_every: Duration::from_secs(1),
            remind_every: Duration::from_mins(1),
            audit_every: Duration::from_secs(10),
        }
    }

    fn check(&self) -> Result<(), OptionsError> {
        self.kafka.check()?;
        check_present(&[
            ("batch_events", self.batch_events > 0),
            ("batches_in_flight", self.batches_in_flight > 0),
            ("lease", !self.lease.is_zero()),
        ])
    }
}

/// Why a relay ended, or begins again. Only [`Relay::run`]'s callers see one, and only one that lasts.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// History is not what Kafka was told.
    #[error(
        "history at position {position} is not what was relayed to Kafka: the database was restored or lost its newest \
         events, or these topics belong to another one. Nothing more is relayed. Restore the database, or choose another \
         topic prefix to begin a new generation"
    )]
    Diverged {
        /// The position that was relayed and is now another event, or none.
        position: u64,
    },
    /// An event that belongs to no topic.
    #[error("events of {category:?} have no topic; this program is older than the history it relays, or lacks a topic")]
    NoTopic {
        /// The stream's category.
        category: String,
    },
    /// A generation was begun with another partition count.
    #[error(
        "the topics with prefix {prefix:?} were begun with {found} partitions, but {wanted} are configured; configure \
         {found}, or another prefix to begin a new generation with {wanted}"
    )]
    PartitionCount {
        /// The generation.
        prefix: String,
        /// Its partitions.
        found: i32,
        /// The partitions configured.
        wanted: u16,
    },
    /// The topics are not as configured.
    #[error(transparent)]
    Topics(#[from] TopicError),
    /// History could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Kafka answered with an error, or did not take a record.
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The lease could not be read or written.
    #[error("the relay's lease: {0}")]
    Lease(String),
    /// More was to be sent again than was ever sent.
    #[error(
        "{asked} is beyond what was relayed: Kafka has everything up to {relayed}; choose a position from 0 to {relayed}"
    )]
    BeyondRelayed {
        /// The position asked for.
        asked: u64,
        /// How far the relay has come.
        relayed: u64,
    },
    /// Another relay has taken over.
    #[error("another relay has taken over")]
    Replaced,
}

impl RelayError {
    /// Whether trying again cannot help.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Diverged { .. } | Self::NoTopic { .. } | Self::PartitionCount { .. } | Self::BeyondRelayed { .. } => {
                true
            }
            Self::Topics(error) => error.is_lasting(),
            Self::Store(error) => matches!(error, StoreError::Hole { .. }),
            Self::Kafka(_) | Self::Lease(_) | Self::Replaced => false,
        }
    }
}

/// Carries history to Kafka, as long as no other relay does.
pub struct Relay {
    store: EventStore,
    options: RelayOptions,
    /// Tells this relay's lease from that of another process, or of another relay in this one.
    holder: Uuid,
}

impl Relay {
    /// A relay that does nothing yet.
    ///
    /// # Errors
    /// The options cannot be used.
    pub fn new(store: EventStore, options: RelayOptions) -> Result<Self, OptionsError> {
        options.check()?;
        Ok(Self { store, options, holder: Uuid::now_v7() })
    }

    /// Relays until told to stop; then whatever is under way is finished and the lease let go.
    ///
    /// # Errors
    /// Something that a person has to look at. What may pass is tried again, without end.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), RelayError> {
        let mut patience = Patience::new();
        loop {
            patience.begin();
            let relayed = Box::pin(self.relay_as_long_as_we_may(&shutdown)).await;
            let Err(error) = relayed else { return Ok(()) };
            if error.is_lasting() {
                tracing::error!(%error, "the relay stops");
                return Err(error);
            }
            let delay = patience.delay();
            tracing::warn!(%error, ?delay, "the relay begins again from its checkpoint");
            if shutdown.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Sets the checkpoint back, so that the next relay sends everything after a position again; 0 is all of history. Takes the
    /// lease from a relay at work, which then goes on from there or stands by. Consumers drop what they have seen. Gives how far
    /// the relay had come.
    ///
    /// # Errors
    /// Nothing up to this position was relayed, history has no event there or another one than was relayed, or the
    /// database does not answer. Nothing has changed then.
    pub async fn set_back(&self, position: u64) -> Result<u64, RelayError> {
        let (kafka, pool) = (&self.options.kafka, self.store.pool());
        let relayed = lease::relayed(pool, &kafka.prefix).await?;
        if position > relayed {
            return Err(RelayError::BeyondRelayed { asked: position, relayed });
        }
        // Before the lease is taken: it may take longer than that is held.
        let set_back = continuity::checkpoint_at(&self.store, kafka.partitions, position).await?;
        let (lease, found) = Lease::take_over(pool, kafka, self.holder, self.options.lease).await?;
        let saved = match continuity::check(&self.store, &found).await {
            Ok(()) => lease.save(&set_back).await,
            Err(error) => Err(error),
        };
        let released = lease.release().await;
        saved.and(released)?;
        Ok(found.position)
    }

    async fn relay_as_long_as_we_may(&self, shutdown: &CancellationToken) -> Result<(), RelayError> {
        let Some(taken) = shutdown.run_until_cancelled(self.lease()).await else { return Ok(()) };
        let (lease, checkpoint) = taken?;
        let outcome = self.session(shutdown, &lease, checkpoint).await;
        metrics::gauge!("relay_active").set(0);
        // Whoever waits may go on at once; if this fails, they go on when the lease runs out.
        let released = lease.release().await;
        outcome.and(released)
    }

    /// Waits for the lease.
    async fn lease(&self) -> Result<(Lease, Checkpoint), RelayError> {
        let (kafka, term) = (&self.options.kafka, self.options.lease);
        loop {
            if let Some(taken) = Lease::take(self.store.pool(), kafka, self.holder, term).await? {
                return Ok(taken);
            }
            tokio::time::sleep(term / 4).await;
        }
    }

    /// Makes sure that topics, history and checkpoint belong together.
    async fn prepare(&self, checkpoint: &Checkpoint) -> Result<(), RelayError> {
        topics::ensure(&self.options.kafka).await?;
        continuity::check(&self.store, checkpoint).await?;
        continuity::check_kafka(&self.store, &self.options.kafka).await
    }

    async fn session(
        &self,
        shutdown: &CancellationToken,
        lease: &Lease,
        checkpoint: Checkpoint,
    ) -> Result<(), RelayError> {
        let Some(ready) = shutdown.run_until_cancelled(self.prepare(&checkpoint)).await else { return Ok(()) };
        ready?;
        tracing::info!(checkpoint.position, "relaying");
        metrics::gauge!("relay_active").set(1);
        let mut session = Session::new(&self.store, &self.options, lease, checkpoint)?;
        match session.run(shutdown).await {
            Ok(()) => session.finish().await,
            Err(error) => {
                session.discard();
                Err(error)
            }
        }
    }
}
