//! The task that keeps the logs of all associations, signs them on a schedule, and carries checkpoints outside.
//!
//! One sealer works; those of other nodes stand by. It counts new events by association, page by page, and reads the leaves
//! of an association once they fill tiles enough. So an append pays for two short scans beside it and for nothing in its own
//! transaction. How far it has come follows from the tiles: after a restart it looks at each association once.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use deadpool_postgres::{ClientWrapper, Object};
use guildhall_aggregates::TenantId;
use guildhall_event_store::EventStore;
use tokio::time::{Instant, timeout};
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

use crate::{
    IntegrityError, Keys, SigningKey,
    log::{Log, natural, next_association, signed},
    publish::{Place, carry},
    sign::{extend, no_key, sign},
    tail::all_sealed,
    tree::WIDTH,
};

/// Events that are counted in one query.
const PAGE: u64 = 10_000;
/// How many events of an association are left to gather before its tiles are kept: as many as one transaction takes. What
/// is less waits for the next checkpoint.
const SHARE: u64 = crate::sign::PAGE as u64;
/// How long a sealer waits where nothing is new, or little: a scan of few events costs almost what one of many does.
const IDLE: Duration = Duration::from_secs(1);
/// How many times as long as it worked a sealer pauses, so that it takes a small share of the database at most.
const PAUSE_FACTOR: u32 = 9;
/// How often a sealer that stands by asks whether it is needed.
const STAND_BY: Duration = Duration::from_secs(5);
/// How long a sealer waits after an error, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_mins(1);

/// Held by the connection of the one sealer that works, as long as it works.
const SEALING: i64 = 0x4755_4853_4541_4C53;

/// Keeps the logs, signs checkpoints and publishes them.
pub struct Sealer {
    store: EventStore,
    keys: Keys,
    every: Duration,
    places: Vec<Box<dyn Place>>,
}

impl Sealer {
    /// A sealer that signs where something is new at most so often, and carries checkpoints to these places.
    pub fn new(store: EventStore, keys: Keys, every: Duration, places: Vec<Box<dyn Place>>) -> Self {
        Self { store, keys, every, places }
    }

    /// Works until it is told to stop. What goes wrong is said in the log and tried again.
    ///
    /// # Errors
    /// There is no key to sign with.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), IntegrityError> {
        let key = self.keys.signing().ok_or_else(no_key)?;
        let mut pause = FIRST_PAUSE;
        while !shutdown.is_cancelled() {
            match self.session(key, &shutdown).await {
                Ok(Ended::StandBy) => wait(STAND_BY, &shutdown).await,
                Ok(Ended::Told) => pause = FIRST_PAUSE,
                Err(error) => {
                    metrics::counter!("sealer_errors_total").increment(1);
                    tracing::warn!(%error, "sealing stopped and is tried again");
                    wait(pause, &shutdown).await;
                    pause = LAST_PAUSE.min(pause * 2);
                }
            }
        }
        Ok(())
    }

    /// Works as long as everything goes well. The lock and the work share one connection: whoever loses the one has lost
    /// the other.
    async fn session(&self, key: &SigningKey, shutdown: &CancellationToken) -> Result<Ended, IntegrityError> {
        let client = Object::take(self.store.pool().get().await?);
        let row = client.query_typed_one("SELECT pg_try_advisory_lock($1)", &[(&SEALING, Type::INT8)]).await?;
        if !row.try_get::<_, bool>(0)? {
            return Ok(Ended::StandBy);
        }
        let position = self.store.head().await?;
        let mut session =
            Session { sealer: self, client, key, position, pending: HashMap::new(), unsigned: BTreeSet::new() };
        session.begin(shutdown).await?;
        // What an earlier session signed and did not carry outside is not to wait for the next checkpoint.
        session.publish().await?;
        let mut signed_at = None;
        while !shutdown.is_cancelled() {
            let began = Instant::now();
            let events = session.scan().await?;
            if signed_at.is_none_or(|at: Instant| at.elapsed() >= self.every) {
                signed_at = Some(Instant::now());
                session.sign(shutdown).await?;
                session.publish().await?;
            }
            let least = if events < PAGE { IDLE.min(self.every) } else { Duration::ZERO };
            wait(least.max(began.elapsed() * PAUSE_FACTOR), shutdown).await;
        }
        Ok(Ended::Told)
    }
}

/// Why a session ended well.
enum Ended {
    /// Another sealer works.
    StandBy,
    /// It was told to stop.
    Told,
}

/// The work of one sealer while it holds the lock.
struct Session<'a> {
    sealer: &'a Sealer,
    client: ClientWrapper,
    key: &'a SigningKey,
    /// Every event up to here was counted.
    position: u64,
    /// How many events of an association are behind its last full tile.
    pending: HashMap<TenantId, u64>,
    /// Associations with something that no checkpoint says yet.
    unsigned: BTreeSet<TenantId>,
}

impl Session<'_> {
    /// Brings every association's tiles up to where history was when the session began.
    async fn begin(&mut self, shutdown: &CancellationToken) -> Result<(), IntegrityError> {
        let mut last = None;
        while let Some(tenant) = next_association(&self.client, last).await?
            && !shutdown.is_cancelled()
        {
            let began = Instant::now();
            let size = self.extend(tenant, shutdown).await?;
            let latest = Log::new(&*self.client, tenant).latest().await?;
            let said = latest.is_some_and(|last| size == Some(last.statement.tree_size) && last.key == self.key.id());
            if !said {
                self.unsigned.insert(tenant);
            }
            last = Some(tenant);
            wait(began.elapsed(), shutdown).await;
        }
        Ok(())
    }

    /// Counts the next page of events, and keeps the tiles they fill. Returns how many events there were.
    async fn scan(&mut self) -> Result<u64, IntegrityError> {
        let rows = self
            .client
            .query_typed(
                "SELECT count(*), max(position), tenant_id FROM es.event
                 WHERE position > $1 AND position <= $1 + $2 GROUP BY tenant_id",
                &[(&signed(self.position), Type::INT8), (&signed(PAGE), Type::INT8)],
            )
            .await?;
        let (mut events, mut full) = (0, Vec::new());
        for row in &rows {
            let (count, position, tenant) = (natural(row, 0)?, natural(row, 1)?, TenantId::new(row.try_get(2)?));
            let pending = self.pending.entry(tenant).or_default();
            *pending += count;
            if *pending >= SHARE {
                full.push(tenant);
            }
            self.unsigned.insert(tenant);
            events += count;
            self.position = self.position.max(position);
        }
        for tenant in full {
            self.extend(tenant, &CancellationToken::new()).await?;
        }
        let head = self.sealer.store.head().await?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; positions stay far below 2^53")]
        {
            metrics::gauge!("sealer_position").set(self.position as f64);
            metrics::gauge!("sealer_lag_positions").set(head.saturating_sub(self.position) as f64);
        }
        Ok(events)
    }

    /// Keeps the tiles of an association that are full, and returns how many leaves there are then. What is wrong with
    /// one association stops no other.
    async fn extend(&mut self, tenant: TenantId, shutdown: &CancellationToken) -> Result<Option<u64>, IntegrityError> {
        while !shutdown.is_cancelled() {
            match extend(&mut self.client, tenant, self.position).await {
                Ok(reached) if reached.more => {}
                Ok(reached) => {
                    self.pending.insert(tenant, reached.edge.size() % WIDTH);
                    return Ok(Some(reached.edge.size()));
                }
                Err(error) => {
                    refused(tenant, error)?;
                    break;
                }
            }
        }
        Ok(None)
    }

    /// Signs for every association that has something new.
    async fn sign(&mut self, shutdown: &CancellationToken) -> Result<(), IntegrityError> {
        for tenant in std::mem::take(&mut self.unsigned) {
            if shutdown.is_cancelled() {
                return Ok(());
            }
            let now = self.sealer.store.clock().now();
            if let Err(error) = sign(&mut self.client, tenant, self.position, &self.sealer.keys, self.key, now).await {
                refused(tenant, error)?;
                self.unsigned.insert(tenant);
            }
        }
        if self.unsigned.is_empty() {
            all_sealed(&self.client, self.position).await?;
        }
        Ok(())
    }

    /// Carries to each place what is not there yet. A place that cannot be reached stops neither the others nor sealing.
    async fn publish(&mut self) -> Result<(), IntegrityError> {
        for place in &self.sealer.places {
            if let Err(error) = carry(&self.client, &**place).await {
                if matches!(error, IntegrityError::Store(_)) {
                    return Err(error);
                }
                metrics::counter!("checkpoint_publication_errors_total", "place" => place.name()).increment(1);
                tracing::error!(place = place.name(), %error, "checkpoints cannot be published; tried again later");
            }
        }
        Ok(())
    }
}

/// Says what is wrong with an association. What is wrong with the database is given back.
fn refused(tenant: TenantId, error: IntegrityError) -> Result<(), IntegrityError> {
    if matches!(error, IntegrityError::Store(_)) {
        return Err(error);
    }
    metrics::counter!("checkpoints_refused_total").increment(1);
    tracing::error!(association = %tenant, %error, "an association is not sealed any further");
    Ok(())
}

async fn wait(time: Duration, shutdown: &CancellationToken) {
    // Told to stop or not: whoever calls asks.
    let _stopping = timeout(time, shutdown.cancelled()).await;
}
