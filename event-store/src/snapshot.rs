//! Kept states: where a load of a long stream begins.
//!
//! A snapshot is a cache. It is taken after a load that had much to fold, by a task of its own, from a copy of the state
//! the caller already has; neither an append nor a load waits for it. It is believed only if this program's fold made it
//! ([`fingerprint`]) and somebody with the key-encryption key sealed it for this stream and version. Everything else is
//! counted, and the events are read instead.
//!
//! The state at version n is what folding events 1 to n gave, and a load goes on with event n + 1: no event is applied
//! twice. Personal data in it is ciphertext under the person's key, as it is in the events.

use deadpool_postgres::Pool;
use guildhall_aggregates::{Decide, StoredEvent, TenantId};
use tokio::sync::mpsc;
use tokio_postgres::types::Type;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Clock, Loaded, StoreError, Vault, read::signed, record::StreamId};

/// How many states may wait to be kept. What comes while all wait is not kept; a later load offers it again.
const WAITING: usize = 32;

/// The largest state that is kept, written as JSON.
const MAX_STATE_BYTES: usize = 16 * 1024 * 1024;

const DOMAIN: &[u8] = b"guildhall snapshot v1";

/// Names what made a state: the aggregate, its fold, and the shape its state is written in.
pub(crate) fn fingerprint<A: Decide>() -> [u8; 32] {
    use aws_lc_rs::digest::{SHA256, digest};
    let shape = serde_json::to_vec(&A::default()).unwrap_or_default();
    let fold = A::FOLD.to_be_bytes();
    let bytes = joined(&[DOMAIN, A::Event::CATEGORY.as_bytes(), &fold, &shape]);
    digest(&SHA256, &bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Gives out kept states and keeps new ones.
pub(crate) struct Snapshots {
    vault: Vault,
    after: u64,
    waiting: mpsc::Sender<Offer>,
}

/// A state on its way to the database.
struct Offer {
    tenant: TenantId,
    stream: StreamId,
    version: u64,
    fingerprint: [u8; 32],
    /// Writes the copy of the state; not done where it was offered, because that takes its time.
    write: Box<dyn FnOnce() -> serde_json::Result<Vec<u8>> + Send>,
}

impl Snapshots {
    /// Starts the task that keeps what is offered. It ends with the last of these or when it is told to stop.
    pub(crate) fn start(
        after: u64,
        vault: Vault,
        pool: Pool,
        clock: Clock,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (waiting, mut offers) = mpsc::channel::<Offer>(WAITING);
        let keeper = Keeper { pool, clock, vault: vault.clone() };
        tasks.spawn(async move {
            while let Some(Some(offer)) = stop.run_until_cancelled(offers.recv()).await {
                let outcome = keeper.keep(offer).await;
                metrics::counter!("snapshots_total", "outcome" => outcome).increment(1);
            }
        });
        Self { vault, after, waiting }
    }

    /// Keeps a copy of a state if it took long enough to fold, and if there is room. Does not wait.
    pub(crate) fn offer<A: Decide>(&self, tenant: TenantId, stream: &StreamId, loaded: &Loaded<A>, folded: u64) {
        if folded < self.after.max(1) {
            return;
        }
        let Ok(room) = self.waiting.try_reserve() else {
            metrics::counter!("snapshots_total", "outcome" => "no_room").increment(1);
            return;
        };
        let state = loaded.state.clone();
        room.send(Offer {
            tenant,
            stream: stream.clone(),
            version: loaded.version,
            fingerprint: fingerprint::<A>(),
            write: Box::new(move || serde_json::to_vec(&state)),
        });
    }

    /// A kept state, if it can be believed. `state` is none where another fold made it.
    pub(crate) fn restore<A: Decide>(
        &self,
        tenant: TenantId,
        stream: &StreamId,
        version: u64,
        state: Option<&[u8]>,
        seal: &[u8],
    ) -> Option<Loaded<A>> {
        let (restored, outcome) = match state {
            None => (None, "other_fold"),
            Some(state) if sealed(&self.vault, tenant, stream, version, &fingerprint::<A>(), state) != seal => {
                (None, "not_sealed")
            }
            Some(state) => match serde_json::from_slice(state) {
                Ok(state) => (Some(Loaded { state, version }), "used"),
                Err(_) => (None, "unreadable"),
            },
        };
        metrics::counter!("snapshot_reads_total", "outcome" => outcome).increment(1);
        restored
    }
}

/// Writes what is offered.
struct Keeper {
    pool: Pool,
    clock: Clock,
    vault: Vault,
}

impl Keeper {
    async fn keep(&self, offer: Offer) -> &'static str {
        let Offer { tenant, stream, version, fingerprint, write } = offer;
        let state = match tokio::task::spawn_blocking(write).await {
            Ok(Ok(state)) if state.len() <= MAX_STATE_BYTES => state,
            Ok(Ok(_)) => return "too_large",
            _ => return "not_writable",
        };
        let seal = sealed(&self.vault, tenant, &stream, version, &fingerprint, &state);
        match self.store(tenant, &stream, version, &fingerprint, &seal, &state).await {
            Ok(()) => "kept",
            Err(error) => {
                tracing::warn!(%error, %stream, "a snapshot was not kept");
                "failed"
            }
        }
    }

    async fn store(
        &self,
        tenant: TenantId,
        stream: &StreamId,
        version: u64,
        fingerprint: &[u8; 32],
        seal: &[u8; 32],
        state: &[u8],
    ) -> Result<(), StoreError> {
        let client = self.pool.get().await?;
        // The last one offered stays, also where an older program offered it: both only ever cost a longer fold.
        let statement = "INSERT INTO es.snapshot (stream_key, version, fingerprint, seal, taken_at, state)
             SELECT stream_key, $4, $5, $6, $7, $8 FROM es.stream WHERE tenant_id = $1 AND category = $2 AND id = $3
             ON CONFLICT (stream_key) DO UPDATE SET version = EXCLUDED.version, fingerprint = EXCLUDED.fingerprint,
                 seal = EXCLUDED.seal, taken_at = EXCLUDED.taken_at, state = EXCLUDED.state";
        let types =
            [Type::UUID, Type::TEXT, Type::UUID, Type::INT8, Type::BYTEA, Type::BYTEA, Type::TIMESTAMPTZ, Type::BYTEA];
        let statement = client.prepare_typed_cached(statement, &types).await?;
        let (tenant, category, now) = (tenant.uuid(), &*stream.category, self.clock.now());
        let (fingerprint, seal) = (fingerprint.as_slice(), seal.as_slice());
        client
            .execute(&statement, &[&tenant, &category, &stream.id, &signed(version), &fingerprint, &seal, &now, &state])
            .await?;
        Ok(())
    }
}

/// A keyed hash over a state and what it is the state of.
fn sealed(
    vault: &Vault,
    tenant: TenantId,
    stream: &StreamId,
    version: u64,
    fingerprint: &[u8; 32],
    state: &[u8],
) -> [u8; 32] {
    let version = version.to_be_bytes();
    let what = joined(&[DOMAIN, stream.category.as_bytes(), stream.id.as_bytes(), &version, fingerprint, state]);
    vault.request_hash(tenant, &what)
}

/// Each part after its length, so that no two lists of parts give the same bytes.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
