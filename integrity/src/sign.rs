//! Makes the tree of an association longer, and signs it.
//!
//! Whoever does either holds a lock until the end of the transaction, so it is done by one at a time, whatever node or
//! command it is.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use guildhall_aggregates::TenantId;
use guildhall_event_store::EventStore;
use tokio_postgres::{Client, GenericClient, Transaction, types::Type};

use crate::{
    IntegrityError, Keys, SigningKey,
    checkpoint::{Checkpoint, Statement},
    log::{Log, natural, signed},
    tree::{Edge, TILE},
};

/// Events of one transaction: sixteen tiles. Small enough to be a short one.
pub(crate) const PAGE: usize = 16 * TILE;

/// Beside the store's own locks; held to the end of a transaction that writes tiles or a checkpoint.
const WRITING: i64 = 0x4755_4853_4541_4C57;

/// How far a tree was brought.
pub(crate) struct Reached {
    pub(crate) edge: Edge,
    /// Of the last event in the tree; 0 in an empty one.
    pub(crate) position: u64,
    /// Whether more events wait below the position asked for.
    pub(crate) more: bool,
}

/// Signs a checkpoint of everything an association has recorded until now. None where nothing is new since the last one.
///
/// # Errors
/// There is no key to sign with, or history or the log are not what the last checkpoint says.
pub async fn sign_now(store: &EventStore, tenant: TenantId, keys: &Keys) -> Result<Option<Checkpoint>, IntegrityError> {
    let key = keys.signing().ok_or_else(no_key)?;
    let head = store.head().await?;
    let mut client = store.pool().get().await?;
    sign(&mut client, tenant, head, keys, key, store.clock().now()).await
}

pub(crate) fn no_key() -> IntegrityError {
    IntegrityError::NotProvable(
        "there is no key to sign with: set `integrity.signing_key`; `guildhall config new` writes one".to_owned(),
    )
}

/// Adds a page of events up to a position to the tree, and keeps the tiles they fill.
pub(crate) async fn extend(client: &mut Client, tenant: TenantId, up_to: u64) -> Result<Reached, IntegrityError> {
    let transaction = begin(client).await?;
    // Tiles that a crash takes are made again from events. So nobody's append waits for the disk because of them.
    transaction.batch_execute("SET LOCAL synchronous_commit = off").await?;
    let reached = extend_in(&transaction, tenant, up_to).await?;
    transaction.commit().await?;
    Ok(reached)
}

/// Signs a checkpoint of everything up to a position, if there is anything to be said: something is new, or the key is.
/// All tiles under it are kept first, so that what proves it is there when it is.
///
/// # Errors
/// Among others, history or the tree is not what the last checkpoint says: a log must never sign two trees that
/// contradict each other.
pub(crate) async fn sign(
    client: &mut Client,
    tenant: TenantId,
    up_to: u64,
    keys: &Keys,
    key: &SigningKey,
    now: DateTime<Utc>,
) -> Result<Option<Checkpoint>, IntegrityError> {
    loop {
        let transaction = begin(client).await?;
        let reached = extend_in(&transaction, tenant, up_to).await?;
        if reached.more {
            transaction.commit().await?;
            continue;
        }
        let last = Log::new(&transaction, tenant).latest().await?;
        if let Some(last) = &last {
            agree(&transaction, last, &reached, keys).await?;
        }
        let said = last.is_some_and(|last| last.statement.tree_size == reached.edge.size() && last.key == key.id());
        let (Some(root), false) = (reached.edge.root(), said) else {
            transaction.commit().await?;
            return Ok(None);
        };
        let number = number(&transaction).await?;
        let signed_at = now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now);
        let (tree_size, position) = (reached.edge.size(), reached.position);
        let statement = Statement { number, tenant, tree_size, position, root, signed_at };
        let checkpoint = statement.sign(key, keys.previous())?;
        insert(&transaction, &checkpoint).await?;
        Log::new(&transaction, tenant).keep_tail(&reached.edge, position).await?;
        transaction.commit().await?;
        metrics::counter!("checkpoints_signed_total").increment(1);
        return Ok(Some(checkpoint));
    }
}

/// Checks that the tree still begins with what was signed last.
async fn agree(
    transaction: &Transaction<'_>,
    last: &Checkpoint,
    reached: &Reached,
    keys: &Keys,
) -> Result<(), IntegrityError> {
    let said = &last.statement;
    let contradicted =
        |reason: String| Err(IntegrityError::Contradicted { association: said.tenant, number: said.number, reason });
    match Checkpoint::verified(&last.note, keys) {
        Ok(signed) if signed == *last => {}
        Ok(_) => return contradicted("its row says something else than its text".to_owned()),
        Err(error) => return contradicted(error.to_string()),
    }
    let size = reached.edge.size();
    if said.tree_size > size {
        return contradicted(format!("it is of {} records, and there are {size}", said.tree_size));
    }
    let now = if said.tree_size == size {
        reached.edge.root()
    } else {
        Some(Log::new(transaction, said.tenant).root(said.tree_size).await?)
    };
    if now != Some(said.root) {
        return contradicted(format!("its {} records are not the first of those that are there", said.tree_size));
    }
    Ok(())
}

async fn begin(client: &mut Client) -> Result<Transaction<'_>, IntegrityError> {
    let transaction = client.transaction().await?;
    transaction.execute_typed("SELECT pg_advisory_xact_lock($1)", &[(&WRITING, Type::INT8)]).await?;
    Ok(transaction)
}

async fn extend_in(transaction: &Transaction<'_>, tenant: TenantId, up_to: u64) -> Result<Reached, IntegrityError> {
    let log = Log::new(transaction, tenant);
    let (mut edge, mut position) = log.edge().await?;
    log.unbroken(position).await?;
    let leaves = log.leaves(position, up_to, PAGE).await?;
    let mut full = Vec::new();
    for leaf in &leaves {
        position = leaf.position;
        full.extend(edge.push(leaf.hash).into_iter().map(|tile| (tile, position)));
    }
    log.keep(&full).await?;
    Ok(Reached { edge, position, more: leaves.len() == PAGE })
}

/// The next number. The lock is held, so nobody else takes it.
async fn number(client: &impl GenericClient) -> Result<u64, IntegrityError> {
    let row = client.query_typed_one("SELECT coalesce(max(number), 0) + 1 FROM es.checkpoint", &[]).await?;
    natural(&row, 0)
}

async fn insert(client: &impl GenericClient, checkpoint: &Checkpoint) -> Result<(), IntegrityError> {
    let said = &checkpoint.statement;
    client
        .execute_typed(
            "INSERT INTO es.checkpoint (number, tenant_id, tree_size, position, root, signed_at, key, note)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            &[
                (&signed(said.number), Type::INT8),
                (&said.tenant.uuid(), Type::UUID),
                (&signed(said.tree_size), Type::INT8),
                (&signed(said.position), Type::INT8),
                (&&said.root.0[..], Type::BYTEA),
                (&said.signed_at, Type::TIMESTAMPTZ),
                (&checkpoint.key, Type::TEXT),
                (&checkpoint.note, Type::TEXT),
            ],
        )
        .await?;
    Ok(())
}
