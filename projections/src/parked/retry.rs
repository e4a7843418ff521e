//! Parked streams folded again: all that waits, in order, by the program that runs now.
//!
//! Meanwhile the projection stands still and whoever drives it is fenced: it claims its sources again afterwards, and
//! learns by that which streams wait no more. So an event is folded here or by the live projection, never by both.

use std::marker::PhantomData;

use deadpool_postgres::{Pool, Transaction};
use guildhall_aggregates::TenantId;
use guildhall_event_store::{EventStore, StreamId};

use super::{Parked, ParkedStream, PoisonEvent, left_out, poison};
use crate::{Projector, RunError, Stage, checkpoint, fold::fold, runner::connect};

/// How many events are folded at once.
const BATCH: u64 = 2_000;

/// So many events left out of one projection are no exceptions but a broken program.
const MOST_LEFT_OUT: usize = 1_000;

/// What came of folding a parked stream again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retried {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which one.
    pub stream: StreamId,
    /// How many of its events waited.
    pub waited: u64,
    /// What was left out of it for good, until a rebuild.
    pub left_out: Vec<PoisonEvent>,
    /// From where on and why it waits still; none where it goes on.
    pub parked: Option<ParkedStream>,
}

impl Retried {
    /// How many of the events that waited are in the tables now.
    pub fn folded(&self) -> u64 {
        let waiting = self.parked.as_ref().map_or(0, |parked| parked.events);
        self.waited - waiting - self.left_out.len() as u64
    }
}

/// Why parked streams could not be folded again. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// The stream is not parked.
    #[error("{projection} has not parked {stream}: `guildhall projections parked {projection}` lists what it has")]
    NotParked {
        /// The projection.
        projection: &'static str,
        /// The stream that was named.
        stream: StreamId,
    },
    /// So much would be left out that the program must be at fault.
    #[error(
        "{projection}: more than {MOST_LEFT_OUT} events would be left out; the program is older than history, or broken"
    )]
    TooManyLeftOut {
        /// The projection.
        projection: &'static str,
    },
    /// Folding or a database failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<tokio_postgres::Error> for RetryError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Run(error.into())
    }
}

/// Folds the waiting events of a parked stream, or of all of them: those that can be folded now go in and their streams go
/// on; the others wait from the first event on that cannot. With `dry_run` nothing changes, and the answer says what would.
pub async fn retry<P: Projector>(
    pool: &Pool,
    store: &EventStore,
    stream: Option<&StreamId>,
    dry_run: bool,
) -> Result<Vec<Retried>, RetryError> {
    Again::<P> { store, parked: Parked::default(), leave_out: false, projector: PhantomData }
        .run(pool, stream, dry_run)
        .await
}

/// Lets a parked stream go on: what can be folded goes in, and what cannot is left out, until a rebuild. What is left out
/// stays on record, and rows of the stream go on saying that they are stale.
pub async fn release<P: Projector>(
    pool: &Pool,
    store: &EventStore,
    stream: &StreamId,
    dry_run: bool,
) -> Result<Vec<Retried>, RetryError> {
    Again::<P> { store, parked: Parked::default(), leave_out: true, projector: PhantomData }
        .run(pool, Some(stream), dry_run)
        .await
}

struct Again<'a, P> {
    store: &'a EventStore,
    parked: Parked,
    leave_out: bool,
    projector: PhantomData<P>,
}

impl<P: Projector> Again<'_, P> {
    async fn run(mut self, pool: &Pool, stream: Option<&StreamId>, dry_run: bool) -> Result<Vec<Retried>, RetryError> {
        let mut connection = connect(pool, "read").await?;
        let mut tx = connection.transaction().await?;
        tx.batch_execute("SET LOCAL synchronous_commit = on").await?;
        checkpoint::fence::<P>(&tx).await?;
        self.parked = Parked::load(tx.client(), P::NAME).await?;
        let waiting = self.parked.let_go(stream);
        if let (Some(stream), []) = (stream, &*waiting) {
            return Err(RetryError::NotParked { projection: P::NAME, stream: stream.clone() });
        }
        let mut retried = Vec::new();
        for parked in waiting {
            retried.push(self.stream(&mut tx, parked).await?);
        }
        self.parked.write(&tx, P::NAME).await?;
        for stream in &retried {
            poison::note(&tx, P::NAME, &stream.left_out, true).await?;
        }
        if self.leave_out && left_out(tx.client(), P::NAME).await?.len() > MOST_LEFT_OUT {
            return Err(RetryError::TooManyLeftOut { projection: P::NAME });
        }
        if dry_run {
            tx.rollback().await?;
        } else {
            tx.commit().await?;
        }
        Ok(retried)
    }

    /// Folds what waits of one stream, over and over where poison is left out.
    async fn stream(&mut self, tx: &mut Transaction<'_>, waiting: ParkedStream) -> Result<Retried, RetryError> {
        let (waited, last_version) = (waiting.events, waiting.first_version + waiting.events - 1);
        let (key, mut next, mut left_out) = (waiting.key(), waiting.first_version, Vec::new());
        let parked = loop {
            self.fold(tx, &waiting, next, last_version).await?;
            let Some(parked) = self.parked.streams.get_mut(&key) else { break None };
            // Those behind it that were not even read wait as well.
            parked.events = last_version - parked.first_version + 1;
            if !self.leave_out {
                break Some(parked.clone());
            }
            if left_out.len() == MOST_LEFT_OUT {
                return Err(RetryError::TooManyLeftOut { projection: P::NAME });
            }
            next = parked.first_version + 1;
            left_out.push(parked.cause());
            self.parked.streams.remove(&key);
        };
        let (tenant, stream) = key;
        Ok(Retried { tenant, stream, waited, left_out, parked })
    }

    /// Folds the events of a stream from one version to another, or to the first that cannot be folded.
    async fn fold(
        &mut self,
        tx: &mut Transaction<'_>,
        waiting: &ParkedStream,
        mut next: u64,
        last_version: u64,
    ) -> Result<(), RunError> {
        while next <= last_version && !self.parked.streams.contains_key(&waiting.key()) {
            let end = last_version.min(next + BATCH - 1);
            let limit = usize::try_from(end - next + 1).unwrap_or(usize::MAX);
            let events = self.store.read_stream(waiting.tenant, &waiting.stream, next - 1, limit).await?;
            if !events.iter().map(|event| event.version).eq(next..=end) {
                return Err(RunError::HistoryDiffers { projection: P::NAME, position: waiting.first_position });
            }
            let batch = self.store.batch_for(&P::READS, events).await?;
            fold::<P>(self.store, tx, batch, &mut self.parked, Stage::Live).await?;
            next = end + 1;
        }
        Ok(())
    }
}
