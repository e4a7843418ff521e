//! Recording what an aggregate decided.

use std::collections::HashMap;

use guildhall_aggregates::{TenantId, ids::derived};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{CqrsError, CqrsStore, ForeignAggregate, ForeignEvent};
use crate::{
    DecidedCommand, EventStore, Metadata, RecordedCommand, StoreError, Unit, UnitOutcome, options::MAX_PAGE, read,
};

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

/// Those of these commands that are recorded, in no particular order. At most 10,000 are looked up.
pub async fn recorded_commands(
    store: &EventStore,
    tenant: TenantId,
    command_ids: &[Uuid],
) -> Result<Vec<RecordedCommand>, StoreError> {
    let client = store.pool().get().await?;
    read::commands(&client, tenant, &command_ids[..command_ids.len().min(MAX_PAGE)]).await
}
