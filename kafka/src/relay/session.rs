//! One stretch of relaying: reads, sends, and keeps the promises that come with it.

use std::time::{Duration, Instant};

use guildhall_event_store::{EventStore, RecordedEvent, StoreError};
use tokio_util::sync::CancellationToken;

use super::{
    RelayError, RelayOptions, continuity,
    lease::{Checkpoint, LastPositions, Lease},
    producer::Producer,
};
use crate::topics::Place;

/// The longest the relay waits for anything before it looks after its other duties.
const WAIT: Duration = Duration::from_millis(500);
/// About the most bytes of payloads in one batch: it ends with the event that exceeds them.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// One stretch of relaying with one producer, from a checkpoint to an error or the end.
pub(super) struct Session<'a> {
    store: &'a EventStore,
    options: &'a RelayOptions,
    lease: &'a Lease,
    producer: Producer,
    /// What Kafka has acknowledged, and whether that is written.
    checkpoint: Checkpoint,
    is_saved: bool,
    /// What was sent.
    sent: Checkpoint,
    /// When more may be sent.
    gathered: Instant,
    /// The position of the last watermark in each partition.
    told: LastPositions,
    saved: Instant,
    told_at: Option<Instant>,
    /// When all partitions were told, whether or not they knew.
    reminded: Option<Instant>,
    audited: Instant,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        store: &'a EventStore,
        options: &'a RelayOptions,
        lease: &'a Lease,
        checkpoint: Checkpoint,
    ) -> Result<Self, RelayError> {
        Ok(Self {
            store,
            options,
            lease,
            producer: Producer::new(&options.kafka)?,
            sent: checkpoint.clone(),
            checkpoint,
            is_saved: true,
            gathered: Instant::now(),
            told: LastPositions::none(options.kafka.partitions),
            saved: lease.taken,
            told_at: None,
            reminded: None,
            audited: Instant::now(),
        })
    }

    /// Relays until told to stop, or until something goes wrong.
    pub(super) async fn run(&mut self, shutdown: &CancellationToken) -> Result<(), RelayError> {
        while !shutdown.is_cancelled() {
            self.look_after_duties().await?;
            if self.producer.in_flight() >= self.options.batches_in_flight {
                // Time running out is no error: the lease has to be kept while Kafka is slow.
                let _ = tokio::time::timeout(WAIT, self.producer.changed()).await;
                self.note_lag(self.store.head().await?);
                continue;
            }
            let head = tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.producer.changed() => continue,
                head = self.more() => head?,
            };
            self.note_lag(head);
            if head > self.sent.position {
                self.send_next(head).await?;
            }
        }
        Ok(())
    }

    /// Waits until there is more to send and it was gathered, or for a while. Gives how far history reaches.
    async fn more(&self) -> Result<u64, StoreError> {
        tokio::time::sleep_until(self.gathered.into()).await;
        self.store.wait_past(self.sent.position, self.pause()).await
    }

    fn note_lag(&self, head: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a lag that large needs no exact number")]
        let lag = head.saturating_sub(self.checkpoint.position) as f64;
        metrics::gauge!("relay_lag_positions").set(lag);
    }

    async fn send_next(&mut self, head: u64) -> Result<(), RelayError> {
        // Each page begins with the last event of the one before, which shows that it still goes on from there.
        let overlap = usize::from(self.sent.position > 0);
        let page_after = self.sent.position.saturating_sub(1);
        let page = self.store.read_after(page_after, self.options.batch_events + overlap).await?;
        let (last, events) = page.split_at(overlap.min(page.len()));
        if last.iter().any(|event| Some(event.leaf_hash) != self.sent.leaf_hash) {
            return Err(RelayError::Diverged { position: self.sent.position });
        }
        if events.is_empty() {
            // What was there a moment ago is gone.
            return Err(RelayError::Diverged { position: head });
        }
        self.producer.send(not_too_large(events), &mut self.sent)?;
        let pause = if self.sent.position < head { Duration::ZERO } else { self.options.gather };
        self.gathered = Instant::now() + pause;
        Ok(())
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
        if self.reminded.is_none_or(|at| at.elapsed() >= self.options.remind_every) {
            self.tell(Place::all(self.options.kafka.partitions).collect())?;
            self.reminded = Some(Instant::now());
        } else if self.told_at.is_none_or(|at| at.elapsed() >= self.options.watermark_every) {
            self.tell(self.quiet().collect())?;
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

    fn tell(&mut self, places: Vec<Place>) -> Result<(), RelayError> {
        if places.is_empty() {
            return Ok(());
        }
        self.producer.tell(&places, &self.sent)?;
        for place in places {
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
    pub(super) async fn finish(mut self) -> Result<(), RelayError> {
        self.tell(self.quiet().collect())?;
        if let Some(further) = self.producer.finish().await? {
            self.checkpoint = further;
        }
        self.lease.save(&self.checkpoint).await
    }

    /// Gives up what is under way, to be sent again from the checkpoint.
    pub(super) fn discard(self) {
        self.producer.discard();
    }
}

/// As many of these as one batch may have, and one at least.
fn not_too_large(events: &[RecordedEvent]) -> &[RecordedEvent] {
    let mut bytes = 0;
    let fitting = events.iter().take_while(|event| {
        let before = bytes;
        bytes += event.payload.len();
        before < BATCH_BYTES
    });
    &events[..fitting.count()]
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use guildhall_aggregates::TenantId;
    use guildhall_event_store::StreamId;
    use uuid::Uuid;

    use super::*;

    fn event(bytes: usize) -> RecordedEvent {
        RecordedEvent {
            position: 1,
            tenant: TenantId::default(),
            stream: StreamId::new("member", Uuid::nil()),
            version: 1,
            event_id: Uuid::nil(),
            type_name: "MemberRegistered".into(),
            schema_version: 1,
            payload: vec![0; bytes].into(),
            metadata: "{}".into(),
            command_id: Uuid::nil(),
            leaf_hash: [0; 32],
            recorded_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_batch_ends_with_the_event_that_makes_it_too_large() {
        let events = [event(BATCH_BYTES / 2), event(BATCH_BYTES), event(1)];
        assert_eq!(not_too_large(&events).len(), 2);
        assert_eq!(not_too_large(&events[1..]).len(), 1, "one event is always sent");
        assert_eq!(not_too_large(&events[2..]).len(), 1);
        assert_eq!(not_too_large(&[]).len(), 0);
    }
}
