//! One share of the streams, folded from where it was left to where all shares come together.

use std::{
    marker::PhantomData,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use deadpool_postgres::ClientWrapper;
use guildhall_event_store::{Batch, EventStore, Share, StoreError};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{pace::Pace, plan};
use crate::{Projector, RunError, Stage, fold::fold, parked::Parked};

/// How many batches wait to be folded at most.
const BATCHES_AHEAD: usize = 2;

/// What one share needs to be folded.
pub(super) struct Folding<P> {
    pub(super) store: EventStore,
    /// Unqualified names on it are those of the build's schema.
    pub(super) connection: ClientWrapper,
    pub(super) share: Share,
    /// How far it has come; looked at by whoever shows the progress.
    pub(super) reached: Arc<AtomicU64>,
    pub(super) target: u64,
    /// How many positions go into one transaction.
    pub(super) range: u64,
    pub(super) pace: Option<NonZeroU32>,
    pub(super) stop: CancellationToken,
    pub(super) projector: PhantomData<P>,
}

impl<P: Projector> Folding<P> {
    /// Folds until the target is reached or it is told to stop. A task of its own reads ahead, so that reading and folding
    /// share the processors.
    pub(super) async fn run(mut self) -> Result<(), RunError> {
        let mut parked = Parked::load(&self.connection, P::NAME).await?;
        let from = self.reached.load(Ordering::Relaxed);
        let (sender, mut ahead) = mpsc::channel(BATCHES_AHEAD);
        let mut reading = JoinSet::new();
        let ranges = Ranges { after: from, target: self.target, length: self.range };
        reading.spawn(read::<P>(self.store.clone(), self.share, ranges, sender));
        let mut pace = Pace::from(from, self.pace);
        while !self.stop.is_cancelled()
            && let Some(read) = ahead.recv().await
        {
            let (until, batch) = read?;
            let mut tx = self.connection.transaction().await?;
            fold::<P>(&self.store, &mut tx, batch, &mut parked, Stage::Build).await?;
            parked.write(&tx, P::NAME).await?;
            plan::share_reached(&tx, self.share, until).await?;
            tx.commit().await?;
            self.reached.store(until, Ordering::Relaxed);
            pace.keep(until, &self.stop).await;
        }
        Ok(())
    }
}

/// What is read one after another.
struct Ranges {
    after: u64,
    target: u64,
    length: u64,
}

impl Iterator for Ranges {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        let after = self.after;
        self.after = self.target.min(after + self.length);
        (after < self.target).then_some((after, self.after))
    }
}

/// Sends the share's batches one after another, each with the position it goes up to, as long as somebody takes them.
async fn read<P: Projector>(
    store: EventStore,
    share: Share,
    ranges: Ranges,
    ahead: mpsc::Sender<Result<(u64, Batch), StoreError>>,
) {
    for (after, until) in ranges {
        let batch = store.selected(&P::READS, share, after, until).await;
        if ahead.send(batch.map(|batch| (until, batch))).await.is_err() {
            return;
        }
    }
}
