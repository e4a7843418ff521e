//! Recording what an aggregate decided.

use std::collections::HashMap;

use guildhall_aggregates::{TenantId, ids::derived};
use serde_json::value::RawValue;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{CqrsError, CqrsStore, ForeignAggregate, ForeignEvent};
use crate::{DecidedCommand, EventStore, Metadata, RecordedCommand, StoreError, Unit, UnitOutcome, options::MAX_PAGE};

/// What became of a commit that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Committed {
    /// It is recorded.
    Now,
    /// The command it came of was recorded before; nothing was recorded now.
    Before {
        /// The command.
        command_id: Uuid,
    },
}

/// The names that a command's metadata may give.
struct Names {
    command_id: Option<Uuid>,
    correlation_id: Option<Uuid>,
}

impl Names {
    fn read(tenant: TenantId, metadata: &RawValue) -> Result<Self, serde_json::Error> {
        let texts: HashMap<String, String> = serde_json::from_str(metadata.get())?;
        let name = texts.get("command_id").or_else(|| texts.get("idempotency_key"));
        let id_of =
            |name: &String| name.parse().unwrap_or_else(|_| derived(tenant.uuid(), &["cqrs-es", "command", name]));
        let correlation_id = texts.get("correlation_id").and_then(|id| id.parse().ok());
        Ok(Self { command_id: name.map(id_of), correlation_id })
    }
}

impl CqrsStore {
    /// Appends events as one unit. Those of one version and metadata are one command; where they differ, there are
    /// several, because metadata belongs to a command here and to an event there.
    pub(super) async fn record(
        &self,
        aggregate: &ForeignAggregate,
        expected_version: u64,
        metadata: &RawValue,
        events: &[ForeignEvent],
    ) -> Result<Committed, CqrsError> {
        let names = Names::read(self.tenant, metadata)?;
        if events.is_empty() && names.command_id.is_none() {
            return Ok(Committed::Now);
        }
        let first_id = names.command_id.unwrap_or_else(Uuid::now_v7);
        let about = Metadata {
            command: "CommitEvents".to_owned(),
            actor: self.actor.clone(),
            correlation_id: names.correlation_id.unwrap_or(first_id),
            causation_id: None,
            traceparent: None,
        };
        let request_hash = self.store.vault().request_hash(self.tenant, aggregate.stream.to_string().as_bytes());
        let mut commands = Vec::new();
        for alike in events.chunk_by(|a, b| a.event_version == b.event_version && a.metadata.get() == b.metadata.get())
        {
            commands.push(DecidedCommand {
                command_id: nth_of(first_id, commands.len()),
                request_hash,
                metadata: aggregate.metadata(&about, &alike[0])?,
                events: alike.iter().map(|event| event.to_new(Uuid::now_v7())).collect(),
                claims: Vec::new(),
            });
        }
        if commands.is_empty() {
            // It decided to do nothing. That is recorded, too, so that the same name does nothing later on either.
            let metadata = serde_json::to_vec(&about)?.into();
            let (events, claims) = (Vec::new(), Vec::new());
            commands.push(DecidedCommand { command_id: first_id, request_hash, metadata, events, claims });
        }
        let unit = Unit { tenant: self.tenant, stream: aggregate.stream.clone(), expected_version, commands };
        match self.store.append(unit).await? {
            UnitOutcome::Appended(_) => Ok(Committed::Now),
            UnitOutcome::Conflict { actual } => Err(CqrsError::Conflict { actual }),
            UnitOutcome::Duplicate(found) => before(aggregate, first_id, found),
            UnitOutcome::ClaimTaken { .. } => Err(StoreError::Malformed("nothing was claimed").into()),
        }
    }
}

/// The command that comes nth when one commit needs several.
fn nth_of(first: Uuid, nth: usize) -> Uuid {
    if nth == 0 { first } else { derived(first, &["cqrs-es", "part", &nth.to_string()]) }
}

/// A command recorded before for the same stream has had its effect. For another one, the name was used twice.
fn before(aggregate: &ForeignAggregate, command_id: Uuid, found: Vec<RecordedCommand>) -> Result<Committed, CqrsError> {
    match found.into_iter().find(|command| command.receipt.stream != aggregate.stream) {
        None => Ok(Committed::Before { command_id }),
        Some(other) => Err(CqrsError::AlreadyRecorded { command_id, stream: other.receipt.stream }),
    }
}

/// The request hashes of those of these commands that are recorded. At most 10,000 are looked up. No event is read, so this
/// answers also for what has been archived.
pub async fn request_hashes(
    store: &EventStore,
    tenant: TenantId,
    command_ids: &[Uuid],
) -> Result<HashMap<Uuid, [u8; 32]>, StoreError> {
    let client = store.pool().get().await?;
    let asked = &command_ids[..command_ids.len().min(MAX_PAGE)];
    let rows = client
        .query_typed(
            "SELECT command_id, request_hash FROM es.command_log WHERE tenant_id = $1 AND command_id = ANY ($2)",
            &[(&tenant.uuid(), Type::UUID), (&asked, Type::UUID_ARRAY)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, thirty_two(row.try_get(1)?)))).collect()
}

/// What is no hash is none that a request could have.
fn thirty_two(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().unwrap_or_default()
}
