//! The rebuilt tables on their way: begun or taken up again, folded, compared, given to the live ones.

use std::{
    marker::PhantomData,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use deadpool_postgres::{ClientWrapper, Pool, Transaction};
use guildhall_event_store::{EventStore, MAX_PAGE};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    LOOK_EVERY, MOST_SHARES, PATIENCE, RebuildError, RebuildOptions, RebuildReport, TableReport,
    compare::{self, Reading},
    pace::{self, Pace},
    plan::{self, Plan},
    share::Folding,
};
use crate::{
    Projector, RunError, Stage,
    fold::fold,
    parked::Parked,
    runner::{BATCH, connect, next_batch},
};

/// What only one rebuild of a projection holds.
const LOCK: &str = "hashtextextended('guildhall rebuild ' || $1, 0)";

/// A rebuild at work.
pub(super) struct Build<P> {
    pool: Pool,
    store: EventStore,
    schema: String,
    connection: ClientWrapper,
    plan: Plan,
    projector: PhantomData<P>,
}

impl<P: Projector> Build<P> {
    /// Takes up what an earlier rebuild left, or begins with empty tables.
    pub(super) async fn begin(pool: &Pool, store: &EventStore, options: RebuildOptions) -> Result<Self, RebuildError> {
        let schema = plan::schema_of::<P>();
        let connection = connect(pool, &schema).await?;
        let lock = format!("SELECT pg_try_advisory_lock({LOCK})");
        if !connection.query_one(&lock, &[&P::NAME]).await?.get::<_, bool>(0) {
            return Err(RebuildError::Running(P::NAME));
        }
        let head = store.head().await.map_err(RunError::from)?;
        let left = if options.afresh { None } else { Plan::found::<P>(&connection, head).await? };
        let plan = match left {
            Some(plan) => plan,
            None => Plan::begin::<P>(&connection, head, options.shares.clamp(1, MOST_SHARES)).await?,
        };
        Ok(Self { pool: pool.clone(), store: store.clone(), schema, connection, plan, projector: PhantomData })
    }

    /// Takes the tables away and lets the next rebuild begin.
    pub(super) async fn end(self) -> Result<(), RebuildError> {
        self.connection.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.schema)).await?;
        self.unlock().await
    }

    /// Lets the next rebuild begin. A session that merely ends holds its locks for a moment.
    pub(super) async fn unlock(&self) -> Result<(), RebuildError> {
        self.connection.query_one(&format!("SELECT pg_advisory_unlock({LOCK})"), &[&P::NAME]).await?;
        Ok(())
    }

    /// Folds, and compares or repairs.
    pub(super) async fn run(
        &mut self,
        options: RebuildOptions,
        stop: &CancellationToken,
        progress: &(impl Fn(u64, u64) + Send),
    ) -> Result<RebuildReport, RebuildError> {
        if self.plan.together.is_none() {
            self.fold_shares(options, stop, progress).await?;
            self.complete().await?;
        }
        self.catch_up(options.pace, stop, progress).await?;
        let mut live = connect(&self.pool, "read").await?;
        if options.repair {
            return self.repair(&mut live, options.pace, stop, progress).await;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tx = live.transaction().await?;
            let standing = hold::<P>(&tx).await?;
            if let Some(position) = standing.comparable_after(self.position()) {
                self.fold_to(position, None, stop, progress).await?;
                return self.compare(tx, Reading { pace: options.pace, stop }).await;
            }
            drop(tx);
            if Instant::now() > deadline || standing.sources == 0 {
                let (live, history) = (standing.reached, self.position());
                return Err(RebuildError::NotAtRest { projection: P::NAME, live, history });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Everything up to here is folded.
    fn position(&self) -> u64 {
        self.plan.together.unwrap_or_else(|| self.plan.reached.iter().copied().min().unwrap_or(0))
    }

    fn stopped(&self) -> RebuildError {
        RebuildError::Stopped { projection: P::NAME, position: self.position() }
    }

    /// Folds all shares up to the target, each on a connection of its own.
    async fn fold_shares(
        &mut self,
        options: RebuildOptions,
        stop: &CancellationToken,
        progress: &(impl Fn(u64, u64) + Send),
    ) -> Result<(), RebuildError> {
        // The first that fails stops the others.
        let stop_all = stop.child_token();
        let _stopping = stop_all.clone().drop_guard();
        let (mut folding, mut reached) = (JoinSet::new(), Vec::new());
        for (share, position) in self.plan.shares() {
            let at = Arc::new(AtomicU64::new(position));
            reached.push(Arc::clone(&at));
            let one = Folding::<P> {
                store: self.store.clone(),
                connection: connect(&self.pool, &self.schema).await?,
                share,
                reached: at,
                target: self.plan.target,
                range: options.range_of(share),
                pace: options.pace,
                stop: stop_all.clone(),
                projector: PhantomData,
            };
            folding.spawn(one.run());
        }
        let least = || reached.iter().map(|at| at.load(Ordering::Relaxed)).min().unwrap_or(0);
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                ended = folding.join_next() => match ended {
                    Some(Ok(ended)) => ended?,
                    Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
                    None => break,
                },
                _ = look.tick() => progress(least(), self.plan.target),
            }
        }
        self.plan.reached = reached.iter().map(|at| at.load(Ordering::Relaxed)).collect();
        if least() < self.plan.target { Err(self.stopped()) } else { Ok(()) }
    }

    /// Makes what follows from streams of several shares. From here on all is folded as the live projection does it.
    async fn complete(&mut self) -> Result<(), RebuildError> {
        // Some thousand rows say enough about keys; ten times as many keep others waiting.
        let analyze = format!("SET default_statistics_target = 10; ANALYZE {}", P::TABLES.join(", "));
        self.connection.batch_execute(&analyze).await?;
        let tx = self.connection.transaction().await?;
        P::complete(&tx).await?;
        plan::together_at(&tx, self.plan.target).await?;
        tx.commit().await?;
        self.plan.together = Some(self.plan.target);
        Ok(())
    }

    /// Folds what was recorded meanwhile, at the pace as long as that leaves less and less.
    async fn catch_up(
        &mut self,
        pace: Option<NonZeroU32>,
        stop: &CancellationToken,
        progress: &(impl Fn(u64, u64) + Send),
    ) -> Result<(), RebuildError> {
        let mut behind = u64::MAX;
        loop {
            let head = self.store.head().await.map_err(RunError::from)?;
            let left = head.saturating_sub(self.position());
            if left <= BATCH as u64 || left >= behind {
                return self.fold_to(head, None, stop, progress).await;
            }
            behind = left;
            self.fold_to(head, pace, stop, progress).await?;
        }
    }

    /// Folds history up to a position, when the shares are together.
    async fn fold_to(
        &mut self,
        target: u64,
        pace: Option<NonZeroU32>,
        stop: &CancellationToken,
        progress: &(impl Fn(u64, u64) + Send),
    ) -> Result<(), RebuildError> {
        let at_once = usize::try_from(pace::at_once(pace, BATCH as u64)).unwrap_or(BATCH);
        let mut pace = Pace::from(self.position(), pace);
        let mut parked = Parked::load(&self.connection, P::NAME).await?;
        while self.position() < target {
            if stop.is_cancelled() {
                return Err(self.stopped());
            }
            let batch = next_batch::<P>(&self.store, self.position(), at_once).await;
            let mut batch = batch.map_err(RunError::from)?;
            batch.events.retain(|event| event.position <= target);
            let Some(last) = batch.events.last().map(|event| event.position) else { break };
            let mut tx = self.connection.transaction().await?;
            fold::<P>(&self.store, &mut tx, batch, &mut parked, Stage::Live).await?;
            parked.write(&tx, P::NAME).await?;
            plan::together_at(&tx, last).await?;
            tx.commit().await?;
            self.plan.together = Some(last);
            pace.keep(last, stop).await;
        }
        progress(self.position(), target);
        Ok(())
    }

    /// Compares what both hold now. The snapshot is taken while the live one stands still; then it may go on.
    async fn compare(&self, holding: Transaction<'_>, reading: Reading<'_>) -> Result<RebuildReport, RebuildError> {
        let mut reader = connect(&self.pool, "read").await?;
        let snapshot =
            reader.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).start().await?;
        snapshot.query_one("SELECT 1", &[]).await?;
        holding.rollback().await?;
        let mut tables = Vec::new();
        for table in P::TABLES {
            let report = compare::table(&snapshot, &self.schema, table, reading).await?;
            tables.push(report.ok_or_else(|| self.stopped())?);
        }
        self.report(tables, false).await
    }

    /// Compares, and gives the live tables exactly the rows that differ, in one transaction. All sources start over from
    /// here, which fences whoever owned them.
    async fn repair(
        &mut self,
        live: &mut ClientWrapper,
        pace: Option<NonZeroU32>,
        stop: &CancellationToken,
        progress: &(impl Fn(u64, u64) + Send),
    ) -> Result<RebuildReport, RebuildError> {
        let tx = live.transaction().await?;
        tx.batch_execute("SET LOCAL synchronous_commit = on").await?;
        let standing = hold::<P>(&tx).await?;
        let head = self.store.head().await.map_err(RunError::from)?;
        self.fold_to(head.max(standing.furthest), None, stop, progress).await?;
        // The live projection stands still meanwhile: whoever keeps a pace rests as long as that takes, and not longer.
        let reading = Reading { pace: pace.map(|_| NonZeroU32::MAX), stop };
        let mut tables = Vec::new();
        for table in P::TABLES {
            let report = compare::table(&tx, &self.schema, table, reading).await?;
            let report = report.ok_or_else(|| self.stopped())?;
            if !report.equal() {
                compare::repair(&tx, &self.schema, table).await?;
            }
            tables.push(report);
        }
        tx.execute("DELETE FROM read.checkpoint WHERE projection = $1", &[&P::NAME]).await?;
        tx.execute(
            "UPDATE read.projection SET version = $2, transport = NULL, baseline = $3 WHERE name = $1",
            &[&P::NAME, &P::VERSION, &self.position().cast_signed()],
        )
        .await?;
        self.parked().await?.replace(&tx, P::NAME, &self.schema).await?;
        tx.commit().await?;
        self.report(tables, true).await
    }

    /// The streams this build could not follow. Of those, events that the projector does not read wait as well.
    async fn parked(&self) -> Result<Parked, RunError> {
        let mut parked = Parked::load(&self.connection, P::NAME).await?;
        for waiting in parked.streams_mut() {
            let (mut after, mut events) = (waiting.first_version - 1, 0);
            loop {
                let page = self.store.read_stream(waiting.tenant, &waiting.stream, after, MAX_PAGE).await?;
                events += page.iter().filter(|event| event.position <= self.position()).count() as u64;
                let Some(last) = page.last() else { break };
                after = last.version;
            }
            waiting.events = events;
        }
        Ok(parked)
    }

    async fn report(&self, tables: Vec<TableReport>, repaired: bool) -> Result<RebuildReport, RebuildError> {
        let parked = Parked::load(&self.connection, P::NAME).await?.len() as u64;
        Ok(RebuildReport { projection: P::NAME, position: self.position(), parked, tables, repaired })
    }
}

/// Where the sources of the live projection stand.
struct Standing {
    sources: i64,
    reached: u64,
    furthest: u64,
}

impl Standing {
    /// The position the live tables stand at exactly, if there is one and it is not behind `rebuilt`. Where a source has
    /// folded more than another has reached, as happens with the partitions of a busy topic, there is none.
    fn comparable_after(&self, rebuilt: u64) -> Option<u64> {
        (self.sources > 0 && self.reached >= self.furthest && self.reached >= rebuilt).then_some(self.reached)
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
