//! The proof that one record is in history: the record, a signed checkpoint, and the hashes between them.
//!
//! The format is described in `docs/formats/bundle.md`.

use guildhall_aggregates::TenantId;
use guildhall_event_store::{EventStore, RecordedEvent};
use serde_json::{Value, json};
use tlog_tiles::check_record;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::{
    Checkpoint, IntegrityError, Keys,
    bundle::{no_checkpoint, record, texts},
    leaf,
    log::{Log, natural, signed},
};

/// The name and version of the format.
pub const PROOF_FORMAT: &str = "guildhall-proof/v1";

/// Positions that are searched for an event in one query.
const PAGE: u64 = 50_000;

/// Which record is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one at a position. Found at once.
    Position(u64),
    /// The one with this event id. History is searched for it from the end.
    Event(Uuid),
}

/// A record, proved.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// The record.
    pub event: RecordedEvent,
    /// Which leaf of its association's log it is, from 0.
    pub index: u64,
    /// The checkpoint it is under.
    pub checkpoint: Checkpoint,
    /// The hashes from the leaf to the root, in base64.
    pub path: Vec<String>,
}

impl Proof {
    /// The proof as it is given to others.
    ///
    /// # Errors
    /// The record is not text.
    pub fn to_json(&self) -> Result<Value, IntegrityError> {
        Ok(json!({
            "format": PROOF_FORMAT,
            "association": { "tenant_id": self.event.tenant.uuid() },
            "checkpoint": self.checkpoint.note,
            "record": record(self.index, &self.event)?,
            "proof": self.path,
        }))
    }
}

/// Proves that a record is in history, under the latest checkpoint of its association.
///
/// # Errors
/// There is no such record, no checkpoint covers it, the checkpoint is not to be trusted, or what is stored proves the
/// contrary.
pub async fn prove(store: &EventStore, which: Which, keys: &Keys) -> Result<Proof, IntegrityError> {
    let event = find(store, which).await?;
    let client = store.pool().get().await?;
    let log = Log::new(&**client, event.tenant);
    let latest = log.latest().await?.ok_or_else(|| no_checkpoint(&format!("association {}", event.tenant)))?;
    let checkpoint = Checkpoint::verified(&latest.note, keys)?;
    let said = &checkpoint.statement;
    if event.position > said.position {
        return Err(IntegrityError::NotProvable(format!(
            "the latest checkpoint of the association reaches up to position {}, the record is at {}; \
             `guildhall audit checkpoint` signs a new one",
            said.position, event.position
        )));
    }
    let index = log.index_of(event.position).await?;
    let path = log.inclusion(index, said.tree_size).await?;
    let leaf = leaf(event.position, &event.computed_leaf_hash());
    check_record(&path, said.tree_size, said.root, index, leaf).map_err(|_| IntegrityError::Contradicted {
        association: event.tenant,
        number: said.number,
        reason: format!("the record at position {} is not under it as it stands there now", event.position),
    })?;
    Ok(Proof { event, index, checkpoint, path: texts(&path) })
}

async fn find(store: &EventStore, which: Which) -> Result<RecordedEvent, IntegrityError> {
    let position = match which {
        Which::Position(position) => Some(position),
        Which::Event(id) => search(store, id).await?,
    };
    let found = match position.and_then(|position| position.checked_sub(1)) {
        Some(before) => store.read_after(before, 1).await?.pop(),
        None => None,
    };
    found.ok_or_else(|| {
        IntegrityError::NotProvable(match which {
            Which::Position(position) => format!("there is no record at position {position}"),
            Which::Event(id) => format!("there is no record with event id {id}"),
        })
    })
}

/// Where the event with an id stands. Ids have no index: nothing else looks for them.
async fn search(store: &EventStore, id: Uuid) -> Result<Option<u64>, IntegrityError> {
    let client = store.pool().get().await?;
    let mut up_to = store.head().await?;
    while up_to > 0 {
        let after = up_to.saturating_sub(PAGE);
        let row = client
            .query_typed_opt(
                "SELECT position FROM es.event WHERE position > $1 AND position <= $2 AND event_id = $3",
                &[(&signed(after), Type::INT8), (&signed(up_to), Type::INT8), (&id, Type::UUID)],
            )
            .await?;
        if let Some(row) = row {
            return Ok(Some(natural(&row, 0)?));
        }
        up_to = after;
    }
    Ok(None)
}

/// The latest checkpoint of an association, checked.
///
/// # Errors
/// It is not to be trusted, or cannot be read.
pub async fn latest_checkpoint(
    store: &EventStore,
    tenant: TenantId,
    keys: &Keys,
) -> Result<Option<Checkpoint>, IntegrityError> {
    let client = store.pool().get().await?;
    let latest = Log::new(&**client, tenant).latest().await?;
    Ok(latest.map(|latest| Checkpoint::verified(&latest.note, keys)).transpose()?)
}
