//! History → Kafka: one relay at a time reads history in order and sends each event once, or again after an error.
//!
//! It never asks whether a record arrived; it counts acknowledgements, and its checkpoint moves only over what is
//! acknowledged without a gap. After any failed delivery it drops its producer and begins again from the checkpoint,
//! so records may be sent twice, but never in another order and never with one left out. A relay that was paused
//! past its lease and does not know that it has been replaced does no harm either: consumers drop what they have
//! seen, and its next checkpoint is refused.

mod continuity;
mod lease;
mod producer;

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use guildhall_event_store::{EventStore, StoreError};
use rdkafka::error::KafkaError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    options::{KafkaOptions, OptionsError},
    topics::{self, Place, TopicError},
};
use lease::{Checkpoint, LastPositions, Lease};
use producer::Producer;

/// The longest the relay waits for anything before it looks after its other duties.
const WAIT: Duration = Duration::from_millis(500);
/// How long to wait before beginning again after an error: at first, and at most.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// What a relay does and how often.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// How to reach Kafka, and which generation of topics to fill.
    pub kafka: KafkaOptions,
    /// The most events of one batch.
    pub batch_events: usize,
    /// How many batches may be on their way at once.
    pub batches_in_flight: usize,
    /// How long a relay that has gone silent keeps others waiting.
    pub lease: Duration,
    /// How often the checkpoint is written while events flow.
    pub checkpoint_every: Duration,
    /// How often partitions that had no event are told how far the others are.
    pub watermark_every: Duration,
    /// How often history is asked whether it is still the one that was relayed.
    pub audit_every: Duration,
}

impl RelayOptions {
    /// Batches of 2,000 events, 4 of them under way; a lease of 10 s; a checkpoint each 200 ms, watermarks each
    /// 100 ms, a look at history each 10 s.
    pub fn new(kafka: KafkaOptions) -> Self {
        Self {
            kafka,
            batch_events: 2_000,
            batches_in_flight: 4,
            lease: Duration::from_secs(10),
            checkpoint_every: Duration::from_millis(200),
            watermark_every: Duration::from_millis(100),
            audit_every: Duration::from_secs(10),
        }
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
    /// Another relay has taken over.
    #[error("another relay has taken over")]
    Replaced,
}

impl RelayError {
    /// Whether trying again cannot help.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Diverged { .. } | Self::NoTopic { .. } | Self::PartitionCount { .. } => true,
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
        options.kafka.check()?;
        Ok(Self { store, options, holder: Uuid::now_v7() })
    }

    /// Relays until told to stop; then whatever is under way is finished and the lease let go.
    ///
    /// # Errors
    /// Something that a person has to look at. What may pass is tried again, without end.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), RelayError> {
        let mut delays = delays();
        loop {
            let began = Instant::now();
            let Err(error) = self.relay_as_long_as_we_may(&shutdown).await else { return Ok(()) };
            if error.is_lasting() {
                tracing::error!(%error, "the relay stops");
                return Err(error);
            }
            if began.elapsed() > RETRY_AFTER.1 {
                delays = self::delays();
            }
            let delay = delays.next().unwrap_or(RETRY_AFTER.1);
            tracing::warn!(%error, ?delay, "the relay begins again from its checkpoint");
            if shutdown.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                return Ok(());
            }
        }
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

    async fn session(
        &self,
        shutdown: &CancellationToken,
        lease: &Lease,
        checkpoint: Checkpoint,
    ) -> Result<(), RelayError> {
        topics::ensure(&self.options.kafka).await?;
        continuity::check(&self.store, &checkpoint).await?;
        continuity::check_kafka(&self.store, &self.options.kafka).await?;
        tracing::info!(checkpoint.position, "relaying");
        metrics::gauge!("relay_active").set(1);
        let mut session = Session::new(self, lease, checkpoint)?;
        match session.run(shutdown).await {
            Ok(()) => session.finish().await,
            Err(error) => {
                session.producer.discard();
                Err(error)
            }
        }
    }
}

fn delays() -> impl Iterator<Item = Duration> {
    let (first, most) = RETRY_AFTER;
    ExponentialBuilder::default().with_min_delay(first).with_max_delay(most).without_max_times().build()
}

/// One stretch of relaying with one producer, from a checkpoint to an error or the end.
struct Session<'a> {
    store: &'a EventStore,
    options: &'a RelayOptions,
    lease: &'a Lease,
    producer: Producer,
    /// What Kafka has acknowledged, and whether that is written.
    checkpoint: Checkpoint,
    is_saved: bool,
    /// What was sent.
    sent: Checkpoint,
    /// The position of the last watermark in each partition.
    told: LastPositions,
    saved: Instant,
    told_at: Option<Instant>,
    audited: Instant,
}

impl<'a> Session<'a> {
    fn new(relay: &'a Relay, lease: &'a Lease, checkpoint: Checkpoint) -> Result<Self, RelayError> {
        let now = Instant::now();
        Ok(Self {
            store: &relay.store,
            options: &relay.options,
            lease,
            producer: Producer::new(&relay.options.kafka)?,
            sent: checkpoint.clone(),
            checkpoint,
            is_saved: true,
            told: LastPositions::none(relay.options.kafka.partitions),
            saved: now,
            told_at: None,
            audited: now,
        })
    }

    async fn run(&mut self, shutdown: &CancellationToken) -> Result<(), RelayError> {
        while !shutdown.is_cancelled() {
            self.look_after_duties().await?;
            if self.producer.in_flight() >= self.options.batches_in_flight {
                // Time running out is no error: the lease has to be kept while Kafka is slow.
                let _ = tokio::time::timeout(WAIT, self.producer.changed()).await;
                continue;
            }
            let head = tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.producer.changed() => continue,
                head = self.store.wait_past(self.sent.position, self.pause()) => head?,
            };
            #[expect(clippy::cast_precision_loss, reason = "a lag that large needs no exact number")]
            metrics::gauge!("relay_lag_positions").set(head.saturating_sub(self.checkpoint.position) as f64);
            if head > self.sent.position {
                self.send_next(head).await?;
            }
        }
        Ok(())
    }

    async fn send_next(&mut self, head: u64) -> Result<(), RelayError> {
        let events = self.store.read_after(self.sent.position, self.options.batch_events).await?;
        if events.is_empty() {
            // What was there a moment ago is gone.
            return Err(RelayError::Diverged { position: head });
        }
        self.producer.send(&events, &mut self.sent).await
    }

    /// Sends what was promised, writes down what is done, and makes sure that we still may.
    async fn look_after_duties(&mut self) -> Result<(), RelayError> {
        self.note_acknowledged()?;
        let since_saved = self.saved.elapsed();
        let checkpoint_due = !self.is_saved && since_saved >= self.options.checkpoint_every;
        if checkpoint_due || since_saved >= self.options.lease / 4 {
            self.save().await?;
        }
        if self.audited.elapsed() >= self.options.audit_every {
            continuity::check(self.store, &self.checkpoint).await?;
            self.audited = Instant::now();
        }
        if self.told_at.is_none_or(|at| at.elapsed() >= self.options.watermark_every) {
            self.tell_quiet_partitions().await?;
        }
        Ok(())
    }

    fn note_acknowledged(&mut self) -> Result<(), RelayError> {
        if let Some(further) = self.producer.acknowledged()? {
            self.checkpoint = further;
            self.is_saved = false;
        }
        Ok(())
    }

    async fn save(&mut self) -> Result<(), RelayError> {
        self.lease.save(&self.checkpoint).await?;
        self.is_saved = true;
        self.saved = Instant::now();
        Ok(())
    }

    /// The partitions that do not know how far history was sent, because nothing was theirs.
    fn quiet(&self) -> impl Iterator<Item = Place> {
        let knows = |place: Place| self.told.at(place).max(self.sent.last.at(place));
        Place::all(self.options.kafka.partitions).filter(move |place| knows(*place) < self.sent.position)
    }

    async fn tell_quiet_partitions(&mut self) -> Result<(), RelayError> {
        let quiet: Vec<_> = self.quiet().collect();
        if quiet.is_empty() {
            return Ok(());
        }
        self.producer.tell(&quiet, &self.sent).await?;
        for place in quiet {
            self.told.advance(place, self.sent.position);
        }
        self.told_at = Some(Instant::now());
        Ok(())
    }

    /// How long to wait for new events: until a watermark or a checkpoint is due, if one is.
    fn pause(&self) -> Duration {
        let since_told = self.told_at.map_or(Duration::MAX, |at| at.elapsed());
        let told = self.quiet().next().map(|_| self.options.watermark_every.saturating_sub(since_told));
        let saved = (!self.is_saved).then(|| self.options.checkpoint_every.saturating_sub(self.saved.elapsed()));
        let due = told.into_iter().chain(saved).chain([self.options.lease / 4, WAIT]);
        due.min().unwrap_or(WAIT).max(Duration::from_millis(1))
    }

    /// Tells everybody where history stands, waits for the rest and writes down how far it got.
    async fn finish(mut self) -> Result<(), RelayError> {
        self.tell_quiet_partitions().await?;
        if let Some(further) = self.producer.finish().await? {
            self.checkpoint = further;
        }
        self.lease.save(&self.checkpoint).await
    }
}
