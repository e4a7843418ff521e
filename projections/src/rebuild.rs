//! A projection built again beside the live one, from the first event on, and compared with it row for row. Whoever
//! doubts a read model asks this; whoever changes a projector repairs with it.

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Pool, Transaction};
use guildhall_event_store::{Batch, EventStore, StoreError};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    Projector, RunError,
    compare::{self, TableReport},
    fold::fold,
    parked::Parked,
    runner::connect,
};

/// How many events one transaction of a rebuild folds.
const BATCH: usize = 5_000;

/// How many batches wait to be folded at most.
const BATCHES_AHEAD: usize = 2;

/// How long the live projection gets to be at one position with the rebuilt one.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What only one rebuild of a projection holds.
const LOCK: &str = "hashtextextended('guildhall rebuild ' || $1, 0)";

/// What a rebuild is to do besides comparing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RebuildOptions {
    /// Give the live tables the rebuilt rows. Also what lets a new version of a projector, or another transport, go on.
    pub repair: bool,
}

/// What a rebuild found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RebuildReport {
    /// The projection.
    pub projection: &'static str,
    /// The position both were compared at.
    pub position: u64,
    /// Streams that could not be followed, also not by this program.
    pub parked: u64,
    /// Every table.
    pub tables: Vec<TableReport>,
    /// Whether the live tables were given the rebuilt rows.
    pub repaired: bool,
}

impl RebuildReport {
    /// True when no row differed.
    pub fn equal(&self) -> bool {
        self.tables.iter().all(TableReport::equal)
    }
}

/// Why a rebuild could not be made or compared.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Another one is at work.
    #[error("{0} is being rebuilt already; wait for that to end")]
    Running(&'static str),
    /// The live projection does not get to where history is.
    #[error(
        "{projection} stays at position {live} while history is at {history}: let it project to the end first, \
         or rebuild with --repair"
    )]
    NotAtRest {
        /// The projection.
        projection: &'static str,
        /// What the live one has reached.
        live: u64,
        /// Where the rebuilt one is.
        history: u64,
    },
    /// Folding or the database failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<tokio_postgres::Error> for RebuildError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Run(error.into())
    }
}

/// Builds projection `P` again in a schema of its own and compares it with the live one at one position.
///
/// The live projection goes on meanwhile; it stands still only while the last events are folded, and during a repair.
/// `progress` is told the position folded and the position to come to.
pub async fn rebuild<P: Projector>(
    pool: &Pool,
    store: &EventStore,
    options: RebuildOptions,
    progress: impl Fn(u64, u64) + Send,
) -> Result<RebuildReport, RebuildError> {
    let schema = format!("rebuild_{}", P::NAME);
    let mut build = Build::<P> {
        store: store.clone(),
        connection: connect(pool, &schema).await?,
        projector: P::default(),
        parked: Parked::default(),
        position: 0,
    };
    build.begin(&schema).await?;
    let outcome = build.run(pool, &schema, options, &progress).await;
    let ended = build.end(&schema).await;
    let report = outcome?;
    ended?;
    Ok(report)
}

/// The rebuilt tables on their way.
struct Build<P> {
    store: EventStore,
    connection: ClientWrapper,
    projector: P,
    parked: Parked,
    position: u64,
}

impl<P: Projector> Build<P> {
    /// Makes empty tables. A schema that a crash left behind is dropped; the lock says that nobody is using it.
    async fn begin(&self, schema: &str) -> Result<(), RebuildError> {
        let lock = format!("SELECT pg_try_advisory_lock({LOCK})");
        if !self.connection.query_one(&lock, &[&P::NAME]).await?.get::<_, bool>(0) {
            return Err(RebuildError::Running(P::NAME));
        }
        let reset = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
        self.connection.batch_execute(&reset).await?;
        for table in P::TABLES {
            let key = compare::columns(&self.connection, table).await?.key.join(", ");
            // The primary key is all that folding needs, and nothing here has to survive a crash.
            let create = format!(
                "CREATE UNLOGGED TABLE {schema}.{table} (LIKE read.{table} INCLUDING ALL EXCLUDING INDEXES, \
                 PRIMARY KEY ({key}))"
            );
            self.connection.batch_execute(&create).await?;
        }
        Ok(())
    }

    /// Takes the tables away and lets the next rebuild begin. A session that merely ends holds its locks for a moment.
    async fn end(&self, schema: &str) -> Result<(), RebuildError> {
        self.connection.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).await?;
        self.connection.query_one(&format!("SELECT pg_advisory_unlock({LOCK})"), &[&P::NAME]).await?;
        Ok(())
    }

    async fn run(
        &mut self,
        pool: &Pool,
        schema: &str,
        options: RebuildOptions,
        progress: &(impl Fn(u64, u64) + Send),
    ) -> Result<RebuildReport, RebuildError> {
        let head = self.store.head().await.map_err(RunError::from)?;
        self.fold_to(head, progress).await?;
        let mut live = connect(pool, "read").await?;
        if options.repair {
            return self.repair(&mut live, schema, progress).await;
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let tx = live.transaction().await?;
            let standing = hold::<P>(&tx).await?;
            if let Some(position) = standing.comparable_after(self.position) {
                self.fold_to(position, progress).await?;
                return self.compare(pool, tx, schema).await;
            }
            drop(tx);
            if tokio::time::Instant::now() > deadline || standing.sources == 0 {
                let (live, history) = (standing.reached, self.position);
                return Err(RebuildError::NotAtRest { projection: P::NAME, live, history });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Folds history up to a position. A task of its own reads ahead, so that reading and folding share the processors.
    async fn fold_to(&mut self, target: u64, progress: &(impl Fn(u64, u64) + Send)) -> Result<(), RunError> {
        let (sender, mut ahead) = mpsc::channel(BATCHES_AHEAD);
        let mut reading = JoinSet::new();
        reading.spawn(read(self.store.clone(), self.position, target, sender));
        while let Some(batch) = ahead.recv().await {
            let batch = batch?;
            let Some(last) = batch.events.last().map(|event| event.position) else { break };
            let mut tx = self.connection.transaction().await?;
            fold(&mut self.projector, &self.store, &mut tx, batch, &mut self.parked).await?;
            tx.commit().await?;
            self.position = last;
            progress(last, target);
        }
        Ok(())
    }

    /// Compares what both hold now. The snapshot is taken while the live one stands still; then it may go on.
    async fn compare(
        &self,
        pool: &Pool,
        holding: Transaction<'_>,
        schema: &str,
    ) -> Result<RebuildReport, RebuildError> {
        let mut reader = connect(pool, "read").await?;
        let snapshot = reader
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        snapshot.query_one("SELECT 1", &[]).await?;
        holding.rollback().await?;
        let mut tables = Vec::new();
        for table in P::TABLES {
            tables.push(compare::table(&snapshot, schema, table).await?);
        }
        Ok(self.report(tables, false))
    }

    /// Compares, and gives the live tables exactly the rows that differ, in one transaction. All sources start over from
    /// here, which fences whoever owned them.
    async fn repair(
        &mut self,
        live: &mut ClientWrapper,
        schema: &str,
        progress: &(impl Fn(u64, u64) + Send),
    ) -> Result<RebuildReport, RebuildError> {
        let tx = live.transaction().await?;
        let standing = hold::<P>(&tx).await?;
        let head = self.store.head().await.map_err(RunError::from)?;
        self.fold_to(head.max(standing.furthest), progress).await?;
        let mut tables = Vec::new();
        for table in P::TABLES {
            let report = compare::table(&tx, schema, table).await?;
            if !report.equal() {
                compare::repair(&tx, schema, table).await?;
            }
            tables.push(report);
        }
        tx.execute("DELETE FROM read.checkpoint WHERE projection = $1", &[&P::NAME]).await?;
        tx.execute(
            "UPDATE read.projection SET version = $2, transport = NULL, baseline = $3 WHERE name = $1",
            &[&P::NAME, &P::VERSION, &self.position.cast_signed()],
        )
        .await?;
        self.parked.clone().replace(&tx, P::NAME).await?;
        tx.commit().await?;
        Ok(self.report(tables, true))
    }

    fn report(&self, tables: Vec<TableReport>, repaired: bool) -> RebuildReport {
        let parked = self.parked.len() as u64;
        RebuildReport { projection: P::NAME, position: self.position, parked, tables, repaired }
    }
}

/// Sends the batches from a position on up to another one, as long as somebody takes them.
async fn read(store: EventStore, mut after: u64, target: u64, ahead: mpsc::Sender<Result<Batch, StoreError>>) {
    while after < target {
        let left = usize::try_from(target - after).unwrap_or(usize::MAX);
        let batch = store.batch_after(after, BATCH.min(left)).await;
        let last = batch.as_ref().ok().and_then(|batch| batch.events.last()).map(|event| event.position);
        if ahead.send(batch).await.is_err() {
            return;
        }
        let Some(last) = last else { return };
        after = last;
    }
}

/// Where the sources of the live projection stand.
struct Standing {
    sources: i64,
    reached: u64,
    furthest: u64,
}

impl Standing {
    /// The position the live tables stand at exactly, if there is one and it is not behind `rebuilt`. Sources that are at
    /// different positions, as the partitions of a busy topic are, give none.
    fn comparable_after(&self, rebuilt: u64) -> Option<u64> {
        (self.sources > 0 && self.reached >= self.furthest && self.furthest >= rebuilt).then_some(self.furthest)
    }
}

/// Keeps the live projection where it is until the transaction ends.
async fn hold<P: Projector>(tx: &Transaction<'_>) -> Result<Standing, tokio_postgres::Error> {
    tx.execute(
        "INSERT INTO read.projection (name, version) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        &[&P::NAME, &P::VERSION],
    )
    .await?;
    // Not FOR UPDATE: who parks a stream refers to this row while holding a checkpoint that is waited for below.
    tx.query_one("SELECT 1 FROM read.projection WHERE name = $1 FOR NO KEY UPDATE", &[&P::NAME]).await?;
    let row = tx
        .query_one(
            "SELECT count(*), coalesce(min(reached), 0), coalesce(max(last_position), 0) FROM \
             (SELECT reached, last_position FROM read.checkpoint WHERE projection = $1 ORDER BY source FOR UPDATE) held",
            &[&P::NAME],
        )
        .await?;
    let natural = |column| row.get::<_, i64>(column).cast_unsigned();
    Ok(Standing { sources: row.get(0), reached: natural(1), furthest: natural(2) })
}
