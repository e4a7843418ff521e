//! Reads history as an auditor does who was given a key: everything the store checks, and then that every checkpoint was
//! signed, and says what the records still say.
//!
//! Together with checkpoints that were kept elsewhere this also finds what an attacker does who may write to the database
//! and computes every hash anew. What it does not find is what was recorded after the last checkpoint and rewritten with
//! its hash and the command log, and a checkpoint at the end that was removed and that nobody kept.

use std::collections::BTreeSet;

use guildhall_aggregates::TenantId;
use guildhall_event_store::{EventStore, VerifyOptions};
use tokio_postgres::{Client, types::Type};

use crate::{
    Checkpoint, IntegrityError, Keys,
    finding::{CheckpointProblem, Finding, TileProblem},
    log::{Log, SELECT_CHECKPOINT, checkpoint, natural, signed},
    tail::Tail,
    tree::{Edge, FullTile, WIDTH},
};

/// Leaves, and checkpoints, of one query.
const PAGE: usize = 4_096;
const CHECKPOINTS: u64 = 500;

/// What is to be verified.
#[derive(Debug, Clone, Default)]
pub struct AuditOptions {
    /// One association's records and checkpoints only. `None` for all.
    pub tenant: Option<TenantId>,
    /// Checkpoints that were kept outside the database, as signed notes.
    pub kept: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditReport {
    /// How many records were checked.
    pub records: u64,
    /// Where history ended.
    pub head: u64,
    /// How many associations' logs were computed anew.
    pub associations: u64,
    /// How many checkpoints hold, of those in the database.
    pub checkpoints: u64,
    /// How many checkpoints that were kept elsewhere hold.
    pub kept: u64,
    /// How many records are not under a checkpoint yet.
    pub unsigned: u64,
    /// The first thing that is not as it was recorded or signed. `None`: all is.
    pub first_difference: Option<Finding>,
}

/// What ends an audit: a finding, or that there is no going on.
enum Stop {
    Found(Finding),
    Failed(IntegrityError),
}

impl<E: Into<IntegrityError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn found<T>(number: u64, problem: impl Into<CheckpointProblem>) -> Result<T, Stop> {
    Err(Stop::Found(Finding::Checkpoint { number, problem: problem.into() }))
}

/// Verifies history, the checkpoints of it and what is kept to prove it. `progress` is told how much of how much is done.
///
/// # Errors
/// History could not be read. A difference that was found is no error but in the report.
pub async fn verify(
    store: &EventStore,
    keys: &Keys,
    options: &AuditOptions,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<AuditReport, IntegrityError> {
    let client = store.pool().get().await?;
    // Before the records are read, so that there are records for whatever is signed up to here.
    let row = client.query_typed_one("SELECT coalesce(max(number), 0) FROM es.checkpoint", &[]).await?;
    let last_number = natural(&row, 0)?;
    drop(client);
    let records = VerifyOptions { tenant: options.tenant, ..VerifyOptions::default() };
    let records = store.verify(records, |at| progress(at.position, at.head * 2)).await?;
    let client = store.pool().get().await?;
    let mut audit = Audit {
        client: &client,
        keys,
        last_number,
        report: AuditReport {
            records: records.records,
            head: records.head,
            associations: 0,
            checkpoints: 0,
            kept: 0,
            unsigned: 0,
            first_difference: records.first_difference.map(Finding::Record),
        },
    };
    if audit.report.first_difference.is_none() {
        match audit.run(options, &mut progress).await {
            Ok(()) => {}
            Err(Stop::Found(finding)) => audit.report.first_difference = Some(finding),
            Err(Stop::Failed(error)) => return Err(error),
        }
    }
    Ok(audit.report)
}

fn changed_tail(association: TenantId, tail: &Tail) -> Stop {
    let (level, index, problem) = (0, tail.tree_size / WIDTH, TileProblem::Changed);
    Stop::Found(Finding::Tile { association, level, index, problem })
}

struct Audit<'a> {
    client: &'a Client,
    keys: &'a Keys,
    last_number: u64,
    report: AuditReport,
}

impl Audit<'_> {
    async fn run(&mut self, options: &AuditOptions, progress: &mut (impl FnMut(u64, u64) + Send)) -> Result<(), Stop> {
        let mut tenants = self.kept(&options.kept).await?;
        self.numbers().await?;
        if let Some(tenant) = options.tenant {
            tenants.retain(|kept| *kept == tenant);
            return self.association(tenant, progress).await;
        }
        let mut last = None;
        while let Some(tenant) = self.next(last).await? {
            self.association(tenant, progress).await?;
            tenants.remove(&tenant);
            last = Some(tenant);
        }
        for tenant in tenants {
            self.association(tenant, progress).await?;
        }
        Ok(())
    }

    /// Checks that what was kept elsewhere stands in the database as it was kept, and gives the associations it is of.
    async fn kept(&mut self, notes: &[String]) -> Result<BTreeSet<TenantId>, Stop> {
        let mut tenants = BTreeSet::new();
        for note in notes {
            let number = Checkpoint::unverified(note).map_or(0, |checkpoint| checkpoint.statement.number);
            let kept = match Checkpoint::verified(note, self.keys) {
                Ok(kept) => kept.statement,
                Err(problem) => return found(number, problem),
            };
            let there = self
                .client
                .query_typed_opt("SELECT note FROM es.checkpoint WHERE number = $1", &[(&signed(number), Type::INT8)])
                .await?;
            match there.map(|row| row.try_get::<_, String>(0)).transpose()? {
                None => return found(number, CheckpointProblem::Removed),
                Some(there) if there != *note => return found(number, CheckpointProblem::Replaced),
                Some(_) => {}
            }
            tenants.insert(kept.tenant);
            self.report.kept += 1;
        }
        Ok(tenants)
    }

    /// Checks that no checkpoint is missing between others.
    async fn numbers(&self) -> Result<(), Stop> {
        let gap = self
            .client
            .query_typed_opt(
                "SELECT before + 1 FROM (SELECT number, lag(number, 1, 0::bigint) OVER (ORDER BY number) AS before
                     FROM es.checkpoint WHERE number <= $1) n
                 WHERE number <> before + 1 ORDER BY 1 LIMIT 1",
                &[(&signed(self.last_number), Type::INT8)],
            )
            .await?;
        match gap {
            Some(row) => found(natural(&row, 0)?, CheckpointProblem::Missing),
            None => Ok(()),
        }
    }

    /// The next association that anything is known of.
    async fn next(&self, after: Option<TenantId>) -> Result<Option<TenantId>, Stop> {
        let one = |table| {
            format!("(SELECT tenant_id FROM es.{table} WHERE $1 IS NULL OR tenant_id > $1 ORDER BY tenant_id LIMIT 1)")
        };
        let all = ["event", "log_tile", "log_tail", "checkpoint"].map(one).join(" UNION ALL ");
        let row = self
            .client
            .query_typed_opt(&format!("{all} ORDER BY tenant_id LIMIT 1"), &[(&after.map(TenantId::uuid), Type::UUID)])
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.map(TenantId::new))
    }

    /// Computes an association's log anew, and compares it with its tiles and checkpoints.
    async fn association(
        &mut self,
        tenant: TenantId,
        progress: &mut (impl FnMut(u64, u64) + Send),
    ) -> Result<(), Stop> {
        let log = Log::new(self.client, tenant);
        let (mut edge, mut position, mut signed_size) = (Edge::default(), 0, 0);
        let tail = log.kept_tail().await?;
        let covered = log.latest().await?.map_or(0, |latest| latest.statement.tree_size);
        let mut checkpoints = self.checkpoints(tenant, 0).await?.into_iter().peekable();
        loop {
            let leaves = log.leaves(position, self.report.head, PAGE).await?;
            let mut tiles = Vec::new();
            for leaf in &leaves {
                position = leaf.position;
                tiles.extend(edge.push(leaf.hash).into_iter().map(|tile| (tile, position)));
                if let Some(tail) = tail.as_ref().filter(|tail| tail.tree_size == edge.size())
                    && (tail.last_position != position || tail.leaves != edge.untiled())
                {
                    return Err(changed_tail(tenant, tail));
                }
                while let Some(next) = checkpoints.next_if(|next| next.statement.tree_size <= edge.size()) {
                    self.agrees(&next, signed_size, &edge, position)?;
                    signed_size = next.statement.tree_size;
                    if checkpoints.peek().is_none() {
                        checkpoints = self.checkpoints(tenant, next.statement.number).await?.into_iter().peekable();
                    }
                }
            }
            self.tiles(&log, tenant, &tiles, covered).await?;
            progress(self.report.head + position, self.report.head * 2);
            if leaves.len() < PAGE {
                break;
            }
        }
        if let Some(next) = checkpoints.next() {
            let (signed, found_there) = (next.statement.tree_size, edge.size());
            self.is_signed(&next)?;
            return found(next.statement.number, CheckpointProblem::CutOff { signed, found: found_there });
        }
        self.stray(tenant).await?;
        self.foreign(tenant, edge.size()).await?;
        // A tail of events that were recorded meanwhile is none of ours.
        if let Some(tail) = tail.filter(|tail| tail.tree_size > edge.size() && tail.last_position <= self.report.head) {
            return Err(changed_tail(tenant, &tail));
        }
        self.report.associations += 1;
        self.report.unsigned += edge.size() - signed_size;
        Ok(())
    }

    async fn checkpoints(&self, tenant: TenantId, after: u64) -> Result<Vec<Checkpoint>, Stop> {
        let rows = self
            .client
            .query_typed(
                &format!(
                    "{SELECT_CHECKPOINT} WHERE tenant_id = $1 AND number > $2 AND number <= $3 ORDER BY number LIMIT $4"
                ),
                &[
                    (&tenant.uuid(), Type::UUID),
                    (&signed(after), Type::INT8),
                    (&signed(self.last_number), Type::INT8),
                    (&signed(CHECKPOINTS), Type::INT8),
                ],
            )
            .await?;
        Ok(rows.iter().map(checkpoint).collect::<Result<_, _>>()?)
    }

    /// Checks that a row is what was signed.
    fn is_signed(&self, row: &Checkpoint) -> Result<(), Stop> {
        match Checkpoint::verified(&row.note, self.keys) {
            Ok(signed) if signed == *row => Ok(()),
            Ok(_) => found(row.statement.number, CheckpointProblem::Repeated),
            Err(problem) => found(row.statement.number, problem),
        }
    }

    /// Checks a checkpoint against the log as it is computed at its size, or just after it.
    fn agrees(&mut self, row: &Checkpoint, before: u64, edge: &Edge, position: u64) -> Result<(), Stop> {
        self.is_signed(row)?;
        let said = &row.statement;
        if said.tree_size < before {
            return found(said.number, CheckpointProblem::Shrunk);
        }
        if said.tree_size != edge.size() || edge.root() != Some(said.root) || said.position != position {
            return found(said.number, CheckpointProblem::Contradicted(said.tree_size));
        }
        self.report.checkpoints += 1;
        Ok(())
    }

    /// Compares tiles with what is stored. Those that no checkpoint covers may be missing: they are kept before one does.
    async fn tiles(
        &self,
        log: &Log<'_, Client>,
        tenant: TenantId,
        tiles: &[(FullTile, u64)],
        covered: u64,
    ) -> Result<(), Stop> {
        let mut stored = log.stored(tiles).await?;
        for (tile, last_position) in tiles {
            let (level, index) = (tile.level, tile.index);
            let finding = |problem| Err(Stop::Found(Finding::Tile { association: tenant, level, index, problem }));
            match stored.remove(&(level, index)) {
                Some(there) if there == (*last_position, tile.root, tile.bytes()) => {}
                Some(_) => return finding(TileProblem::Changed),
                None if (index + 1).saturating_mul(WIDTH.saturating_pow(u32::from(level) + 1)) <= covered => {
                    return finding(TileProblem::Missing);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Looks for tiles that share a place, or have none in any tree.
    async fn stray(&self, tenant: TenantId) -> Result<(), Stop> {
        let row = self
            .client
            .query_typed_opt(
                "SELECT level::bigint, index, count(*) > 1 FROM es.log_tile WHERE tenant_id = $1 GROUP BY level, index
                 HAVING count(*) > 1 OR level NOT BETWEEN 0 AND 7 OR index < 0 LIMIT 1",
                &[(&tenant.uuid(), Type::UUID)],
            )
            .await?;
        let Some(row) = row else { return Ok(()) };
        let (level, index) = (u8::try_from(natural(&row, 0)?).unwrap_or(u8::MAX), natural(&row, 1)?);
        let problem = if row.try_get(2)? { TileProblem::Doubled } else { TileProblem::Foreign };
        Err(Stop::Found(Finding::Tile { association: tenant, level, index, problem }))
    }

    /// Looks for tiles behind the end. Those of events that were recorded meanwhile are none.
    async fn foreign(&self, tenant: TenantId, size: u64) -> Result<(), Stop> {
        let row = self
            .client
            .query_typed_opt(
                "SELECT t.level::bigint, t.index FROM generate_series(0, 6) l
                 CROSS JOIN LATERAL (SELECT level, index, last_position FROM es.log_tile
                     WHERE tenant_id = $1 AND level = l AND index >= $2 / (256::numeric ^ (l + 1))::bigint
                     ORDER BY index DESC LIMIT 1) t
                 WHERE t.last_position <= $3 OR t.last_position > (SELECT coalesce(max(position), 0) FROM es.event)
                 LIMIT 1",
                &[(&tenant.uuid(), Type::UUID), (&signed(size), Type::INT8), (&signed(self.report.head), Type::INT8)],
            )
            .await?;
        let Some(row) = row else { return Ok(()) };
        let (level, index) = (u8::try_from(natural(&row, 0)?).unwrap_or(u8::MAX), natural(&row, 1)?);
        Err(Stop::Found(Finding::Tile { association: tenant, level, index, problem: TileProblem::Foreign }))
    }
}
