//! Drives a projector: deliveries in, rows and checkpoint out, together or not at all.

use std::{collections::HashMap, error::Error as _, marker::PhantomData, time::Duration};

use backon::BackoffBuilder;
use deadpool_postgres::{ClientWrapper, Object, Pool, PoolError};
use guildhall_event_store::{Batch, EventStore, RecordedEvent, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    Projector,
    checkpoint::{self, Advance, Claim, STORE},
    fold::fold_live,
    parked::Parked,
};

/// How many events one transaction folds at most when a projection reads the store itself.
pub(crate) const BATCH: usize = 2_000;

/// How long a projection that has seen everything waits before it looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a projection stopped, or cannot start. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Somebody else owns the source, or a rebuild has replaced the tables. Nothing was written.
    #[error("{projection}: {source_name} has another owner by now; claim it again to go on")]
    Fenced {
        /// The projection.
        projection: &'static str,
        /// The source.
        source_name: String,
    },
    /// The connection that made this process the only one to follow the store is gone.
    #[error("{projection}: the connection to the read model's database was lost")]
    Disconnected {
        /// The projection.
        projection: &'static str,
    },
    /// A delivery came from a source that was never claimed.
    #[error("{projection}: {source_name} delivers without having been claimed; claim it first")]
    NotClaimed {
        /// The projection.
        projection: &'static str,
        /// The source.
        source_name: String,
    },
    /// The read model was filled from another transport, whose positions mean something else.
    #[error(
        "{projection} is fed from `{present}` and cannot go on from `{wanted}`: \
         run `guildhall rebuild {projection} --repair`, after which either can continue"
    )]
    OtherTransport {
        /// The projection.
        projection: &'static str,
        /// Where its events came from until now.
        present: String,
        /// Where they were to come from.
        wanted: String,
    },
    /// The tables were filled by another version of the projector.
    #[error(
        "{projection}: the tables are of version {tables}, this program makes version {program}: \
         run `guildhall rebuild {projection} --repair`"
    )]
    OtherVersion {
        /// The projection.
        projection: &'static str,
        /// What filled the tables.
        tables: i32,
        /// What this program would.
        program: i32,
    },
    /// The read model was filled from topics that are not read any more.
    #[error(
        "{projection} is fed from `{present}`, which is none of the topics that are configured: a new generation of topics \
         begins with the first event, so run `guildhall rebuild {projection} --repair`, after which it goes on from the new ones"
    )]
    OtherGeneration {
        /// The projection.
        projection: &'static str,
        /// A source that is not read any more.
        present: String,
    },
    /// The store holds something else than was folded: a failover has lost the end of history.
    #[error(
        "{projection} has folded position {position}, where history now holds something else or nothing: \
         stop writing, find out what was lost, then run `guildhall rebuild {projection} --repair`"
    )]
    HistoryDiffers {
        /// The projection.
        projection: &'static str,
        /// Where they differ.
        position: u64,
    },
    /// So much cannot be folded that the program must be at fault.
    #[error("{projection}: {parked} streams cannot be folded; the program is older than history, or broken")]
    TooManyParked {
        /// The projection.
        projection: &'static str,
        /// How many streams.
        parked: usize,
    },
    /// The read model's Postgres refused something or is not there.
    #[error("the read model's database: {0}")]
    Database(#[from] tokio_postgres::Error),
    /// No connection to the read model's Postgres.
    #[error("no connection to the read model's database: {0}")]
    Connect(#[from] PoolError),
    /// History cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RunError {
    /// True where it may go well a moment later, from a new claim on.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Fenced { .. } | Self::Disconnected { .. } | Self::Connect(_) => true,
            Self::Database(error) => match error.code() {
                // The schema, the privileges, the statement or the rows are at fault, and will be again.
                Some(code) => !matches!(code.code().get(..2), Some("0A" | "22" | "23" | "28" | "3D" | "3F" | "42")),
                // Without a code it is the connection, or a row that this program cannot read.
                None => {
                    error.is_closed()
                        || error.source().and_then(|source| source.downcast_ref::<std::io::Error>()).is_some()
                }
            },
            Self::Store(error) => error.is_passing(),
            Self::NotClaimed { .. }
            | Self::OtherTransport { .. }
            | Self::OtherVersion { .. }
            | Self::OtherGeneration { .. }
            | Self::HistoryDiffers { .. }
            | Self::TooManyParked { .. } => false,
        }
    }
}

/// Events of one source, on their way into the tables.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Where they come from: [`STORE`] or `kafka:<topic>:<partition>`.
    pub source: String,
    /// The events, in the source's order. May be none, when the source only tells how far it is.
    pub events: Vec<RecordedEvent>,
    /// The offset to go on reading from afterwards.
    pub next_offset: i64,
    /// With these, everything the source has to give up to this position is delivered.
    pub reached: u64,
}

/// Feeds one projector from claimed sources.
pub struct Runner<P> {
    store: EventStore,
    pool: Pool,
    connection: Option<ClientWrapper>,
    parked: Parked,
    claims: HashMap<String, Claim>,
    projector: PhantomData<P>,
}

impl<P: Projector> Runner<P> {
    /// A runner that owns no source yet. `pool` leads to the read model, which may be on another server than history.
    pub fn open(pool: Pool, store: EventStore) -> Self {
        let claims = HashMap::new();
        Self { store, pool, connection: None, parked: Parked::default(), claims, projector: PhantomData }
    }

    /// Names all sources there are, so that [`checkpoint::reached`] counts those nobody has claimed yet as well.
    pub async fn declare(&mut self, sources: &[&str]) -> Result<(), RunError> {
        let connection = Self::connected(&mut self.connection, &self.pool).await?;
        let tx = connection.transaction().await?;
        checkpoint::declare::<P>(&tx, sources).await?;
        Ok(tx.commit().await?)
    }

    /// Takes a source over and tells where to go on; whoever had it is fenced from now on.
    pub async fn claim(&mut self, source: &str) -> Result<Claim, RunError> {
        let connection = Self::connected(&mut self.connection, &self.pool).await?;
        let tx = connection.transaction().await?;
        let claim = checkpoint::claim::<P>(&tx, source).await?;
        tx.commit().await?;
        self.parked = Parked::load(connection, P::NAME).await?;
        self.parked.measure(P::NAME);
        self.claims.insert(source.to_owned(), claim.clone());
        Ok(claim)
    }

    /// Lets a source go, such as a partition that went to another consumer.
    pub fn release(&mut self, source: &str) {
        self.claims.remove(source);
    }

    /// Whether a source is still the one that was claimed with this epoch, as far as this runner knows.
    pub fn holds(&self, source: &str, owner_epoch: i64) -> bool {
        self.claims.get(source).is_some_and(|claim| claim.owner_epoch == owner_epoch)
    }

    /// Checks that what this runner knows to be folded last is still what history has. It goes by what it remembers: the
    /// tables and their checkpoints may have been set back together with history.
    pub async fn check_history(&self) -> Result<(), RunError> {
        let folded = self.claims.values().filter_map(|claim| Some((claim.last_position, claim.last_hash.as_ref()?)));
        match folded.max() {
            Some((position, folded)) => self.must_hold(position, folded).await,
            None => Ok(()),
        }
    }

    /// Folds what some sources deliver and moves their checkpoints, all in one transaction. Events that are in the tables
    /// already are dropped. Returns how many were new. After an error the sources have to be claimed again: the answer to a
    /// commit may have been lost, and the checkpoints know.
    pub async fn deliver(&mut self, deliveries: Vec<Delivery>) -> Result<usize, RunError> {
        if deliveries.is_empty() {
            return Ok(0);
        }
        let mut steps = Vec::with_capacity(deliveries.len());
        let mut all = Vec::new();
        for Delivery { source, mut events, next_offset, reached } in deliveries {
            let claim = self.claim_of(&source)?;
            events.retain(|event| event.position > claim.last_position);
            steps.push(Advance::over(source, claim, &events, next_offset, reached));
            all.extend(events);
        }
        // Each source gives its own in order; a batch is in order as a whole.
        all.sort_unstable_by_key(|event| event.position);
        let batch = self.store.batch_for(&P::READS, all).await?;
        self.fold(steps, batch).await
    }

    fn claim_of(&self, source: &str) -> Result<&Claim, RunError> {
        let unclaimed = || RunError::NotClaimed { projection: P::NAME, source_name: source.to_owned() };
        self.claims.get(source).ok_or_else(unclaimed)
    }

    async fn fold(&mut self, steps: Vec<Advance>, batch: Batch) -> Result<usize, RunError> {
        let events = batch.events.len();
        let mut parked = self.parked.clone();
        let connection = Self::connected(&mut self.connection, &self.pool).await?;
        fold_live::<P>(&self.store, connection, &steps, batch, &mut parked).await?;
        if parked.len() != self.parked.len() {
            parked.measure(P::NAME);
        }
        self.parked = parked;
        for step in steps {
            if let Some(claim) = self.claims.get_mut(&step.source) {
                claim.last_position = step.last_position;
                claim.last_hash = step.last_hash.map(|hash| hash.to_vec()).or(claim.last_hash.take());
                claim.next_offset = step.next_offset;
                claim.reached = claim.reached.max(step.reached);
            }
        }
        metrics::counter!("projection_events_total", "projection" => P::NAME).increment(events as u64);
        metrics::histogram!("projection_batch_events", "projection" => P::NAME).record(as_f64(events));
        Ok(events)
    }

    /// Reads history itself and folds it until `shutdown`, waiting for new events when it has seen all.
    ///
    /// Only one of several processes does; the others stand by until it is gone. What can pass is retried for as long as
    /// it takes; what cannot is returned.
    pub async fn run_from_store(&mut self, shutdown: CancellationToken) -> Result<(), RunError> {
        let mut pauses = pauses();
        while !shutdown.is_cancelled() {
            let stopped = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                stopped = self.follow(&mut pauses) => stopped,
            };
            let Err(error) = stopped else { continue };
            if !error.may_pass() {
                return Err(error);
            }
            tracing::warn!(projection = P::NAME, %error, "the projection starts again from its checkpoint");
            metrics::counter!("projection_restarts_total", "projection" => P::NAME).increment(1);
            self.connection = None;
            let pause = pauses.next().unwrap_or(PATIENCE);
            let _stopping = tokio::time::timeout(pause, shutdown.cancelled()).await;
        }
        Ok(())
    }

    /// Folds history from the checkpoint on; ends only by an error.
    async fn follow(&mut self, pauses: &mut backon::ExponentialBackoff) -> Result<(), RunError> {
        self.stand_by().await?;
        let claim = self.claim(STORE).await?;
        if let Some(folded) = &claim.last_hash {
            self.must_hold(claim.last_position, folded).await?;
        }
        let mut at = claim.last_position;
        let mut batch = next_batch::<P>(&self.store, at, BATCH).await?;
        loop {
            let Some(last) = batch.events.last().map(|event| event.position) else {
                let head = self.store.wait_past(at, PATIENCE).await?;
                if head > at {
                    batch = next_batch::<P>(&self.store, at, BATCH).await?;
                } else {
                    self.still_connected()?;
                }
                continue;
            };
            self.still_connected()?;
            // The next batch is read while this one is written.
            let store = self.store.clone();
            let ahead = next_batch::<P>(&store, last, BATCH);
            let step = Advance::over(STORE.to_owned(), self.claim_of(STORE)?, &batch.events, last.cast_signed(), last);
            let (folded, next) = tokio::join!(self.fold(vec![step], batch), ahead);
            folded?;
            batch = next?;
            at = last;
            *pauses = self::pauses();
        }
    }

    /// Waits until no other process follows the store for this projection. The lock goes with the connection.
    async fn stand_by(&mut self) -> Result<(), RunError> {
        let connection = Self::connected(&mut self.connection, &self.pool).await?;
        let sql = "SELECT pg_advisory_lock(hashtextextended('guildhall projection ' || $1, 0))";
        connection.execute(sql, &[&P::NAME]).await?;
        Ok(())
    }

    /// The lock of [`Self::stand_by`] went with the connection: another process may be at work by now.
    fn still_connected(&self) -> Result<(), RunError> {
        match &self.connection {
            Some(connection) if !connection.is_closed() => Ok(()),
            _ => Err(RunError::Disconnected { projection: P::NAME }),
        }
    }

    async fn must_hold(&self, position: u64, folded: &[u8]) -> Result<(), RunError> {
        let Some(before) = position.checked_sub(1) else { return Ok(()) };
        let stored = self.store.read_after(before, 1).await?;
        let same = stored.first().is_some_and(|event| event.position == position && event.leaf_hash == *folded);
        if same { Ok(()) } else { Err(RunError::HistoryDiffers { projection: P::NAME, position }) }
    }

    /// The runner's own connection, on which unqualified names are the live tables. It never goes back to the pool,
    /// where its prepared statements would mean something else.
    async fn connected<'c>(own: &'c mut Option<ClientWrapper>, pool: &Pool) -> Result<&'c mut ClientWrapper, RunError> {
        if own.as_ref().is_none_or(|connection| connection.is_closed()) {
            *own = Some(connect(pool, "read").await?);
        }
        Ok(own.as_mut().expect("made above when it was missing"))
    }
}

/// The events after a position, so many at most, with the keys that the projector needs.
pub(crate) async fn next_batch<P: Projector>(store: &EventStore, after: u64, most: usize) -> Result<Batch, StoreError> {
    store.batch_for(&P::READS, store.read_after(after, most).await?).await
}

/// A connection out of the pool for good, on which unqualified names are those of `schema`.
pub(crate) async fn connect(pool: &Pool, schema: &str) -> Result<ClientWrapper, RunError> {
    let connection = Object::take(pool.get().await?);
    // Statement timeouts are for queries; a fold takes as long as its batch. Nor does it wait for the disk: what a crash of
    // Postgres takes back is folded again, because the checkpoint goes back with it.
    let settings = format!(
        "SET search_path = {schema}, public; SET statement_timeout = 0; SET jit = off; SET synchronous_commit = off"
    );
    connection.batch_execute(&settings).await?;
    Ok(connection)
}

fn pauses() -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(10))
        .with_jitter()
        .without_max_times()
        .build()
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; a count beyond 2^53 may be off by one")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
