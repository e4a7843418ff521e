//! The consumer's thread, and what it asks history.

use std::collections::HashSet;

use guildhall_event_store::{EventStore, RecordedEvent};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    ConsumerError, ConsumerOptions, Mark, PartitionBatch,
    assignment::{Lanes, ResumeFn},
    session::{End, REPAIR_PAGE, Session},
};
use crate::{
    patience::Patience,
    relay::{
        RelayError, continuity,
        lease::{self, Checkpoint},
    },
};

/// What records say and history contradicts: positions and leaf hashes.
pub(super) type Unlike = HashSet<(u64, [u8; 32])>;

/// What the thread works with as long as it lives.
pub(super) struct Worker {
    pub(super) options: ConsumerOptions,
    pub(super) store: EventStore,
    pub(super) resume: ResumeFn,
    pub(super) lanes: Lanes,
    pub(super) runtime: Handle,
    pub(super) rounds: mpsc::Sender<Result<Vec<PartitionBatch>, ConsumerError>>,
    pub(super) applied: mpsc::Receiver<Vec<Mark>>,
    pub(super) stop: CancellationToken,
}

impl Worker {
    /// One session after another, until stopped or until something happened that a person has to look at.
    pub(super) fn run(mut self) {
        let mut patience = Patience::new();
        while !self.is_stopped() {
            patience.begin();
            let error = match Session::open(&self).and_then(|session| session.run(&mut self)) {
                Ok(End::Stopped) => return,
                Ok(End::Stalled) => {
                    metrics::counter!("kafka_consumer_recreated_total", "group" => self.options.group.clone())
                        .increment(1);
                    continue;
                }
                Err(error) => error,
            };
            if error.is_lasting() {
                // Nobody is there to hear it once the receiver is gone.
                let _ = self.rounds.blocking_send(Err(error));
                return;
            }
            let delay = patience.delay();
            tracing::warn!(%error, group = self.options.group, ?delay, "the consumer begins again");
            // Being stopped ends the wait, and then the loop.
            let _ = self.runtime.block_on(self.stop.run_until_cancelled(tokio::time::sleep(delay)));
        }
    }

    /// A page of what history must have, because Kafka has been told of what comes after it.
    pub(super) fn history(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, ConsumerError> {
        let page = self.runtime.block_on(self.store.read_after(after, limit))?;
        if page.is_empty() { Err(ConsumerError::BeyondHistory { after }) } else { Ok(page) }
    }

    /// Those of these that history contradicts.
    pub(super) fn unlike(&self, told: &[(u64, [u8; 32])]) -> Result<Unlike, ConsumerError> {
        self.runtime.block_on(self.contradicted(told))
    }

    /// Those of these that history contradicts, and what Kafka has by the relay's checkpoint, if that is wanted. Both are asked
    /// at once: what was taken waits for the answers.
    pub(super) fn unlike_and_relayed(
        &self,
        told: &[(u64, [u8; 32])],
        wanted: bool,
    ) -> Result<(Unlike, Option<Checkpoint>), ConsumerError> {
        let relayed = async { if wanted { self.relayed().await } else { Ok(None) } };
        self.runtime.block_on(async { tokio::try_join!(self.contradicted(told), relayed) })
    }

    async fn contradicted(&self, told: &[(u64, [u8; 32])]) -> Result<Unlike, ConsumerError> {
        let mut unlike = Unlike::new();
        for page in told.chunks(REPAIR_PAGE) {
            unlike.extend(self.store.unlike(page).await?);
        }
        if let Some(furthest) = unlike.iter().map(|(position, _)| *position).max() {
            let after = self.store.head().await?;
            if furthest > after {
                return Err(ConsumerError::BeyondHistory { after });
            }
        }
        Ok(unlike)
    }

    async fn relayed(&self) -> Result<Option<Checkpoint>, ConsumerError> {
        let asked = lease::acknowledged(self.store.pool(), &self.options.kafka).await;
        asked.map_err(|error| ConsumerError::Relay(error.to_string()))
    }

    /// Fails when the newest records, too, are of another history: then it is not that somebody forged a record.
    pub(super) fn must_be_ours(&self) -> Result<(), ConsumerError> {
        match self.runtime.block_on(continuity::check_kafka(&self.store, &self.options.kafka)) {
            Err(RelayError::Diverged { position }) => Err(ConsumerError::Diverged { position }),
            Err(RelayError::Store(error)) => Err(error.into()),
            Err(RelayError::Kafka(error)) => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled() || self.rounds.is_closed()
    }
}
