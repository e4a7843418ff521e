//! A row of the source as a command of ours.

use std::sync::Arc;

use guildhall_aggregates::{TenantId, ids::derived};
use guildhall_event_store::{
    Actor, DecidedCommand, EventStore, MAX_EVENT_BYTES, MAX_METADATA_BYTES, Metadata, Unit,
    cqrs::{Categories, ForeignAggregate, ForeignEvent},
};
use serde_json::value::RawValue;

use super::source::Row;

/// The most events, and the most bytes of them, that one unit has.
const UNIT_EVENTS: usize = 512;
const UNIT_BYTES: usize = 1024 * 1024;

/// A row that history can take.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) aggregate: ForeignAggregate,
    pub(super) sequence: i64,
    pub(super) command: DecidedCommand,
    /// As much of a unit as it takes up.
    bytes: usize,
}

/// Turns rows into commands whose ids follow from the rows.
pub(super) struct Translator<'s> {
    store: &'s EventStore,
    tenant: TenantId,
    categories: Categories,
    about: Metadata,
}

impl<'s> Translator<'s> {
    pub(super) fn new(store: &'s EventStore, tenant: TenantId, categories: Categories) -> Self {
        let about = Metadata {
            command: "ImportEvents".to_owned(),
            actor: Actor::Import("postgres-es".to_owned()),
            correlation_id: derived(tenant.uuid(), &["import", "postgres-es"]),
            causation_id: None,
            traceparent: None,
        };
        Self { store, tenant, categories, about }
    }

    /// The command that records a row, or why there is none.
    pub(super) fn translate(&self, row: &Row) -> Result<Ready, String> {
        let aggregate = ForeignAggregate::new(self.tenant, &self.categories, &row.aggregate_type, &row.aggregate_id)
            .map_err(|error| format!("{error}; --types names categories"))?;
        if row.sequence != row.place {
            return Err(format!("sequence {} is missing; {} comes next", row.place, row.sequence));
        }
        if row.event_type.is_empty() {
            return Err("it has no event type".to_owned());
        }
        let too_large = |what: &str, limit: usize| format!("its {what} has more than {limit} bytes");
        let payload = row.payload.clone().ok_or_else(|| too_large("payload", MAX_EVENT_BYTES))?;
        let metadata = row.metadata.clone().ok_or_else(|| too_large("metadata", MAX_METADATA_BYTES))?;
        let metadata = RawValue::from_string(metadata).map_err(|error| format!("its metadata is no JSON: {error}"))?;
        let event = ForeignEvent {
            event_type: row.event_type.clone(),
            event_version: row.event_version.clone(),
            payload: payload.into(),
            metadata: Arc::from(metadata),
        };
        let metadata = aggregate.metadata(&self.about, &event).map_err(|error| error.to_string())?;
        if metadata.len() > MAX_METADATA_BYTES {
            return Err(too_large("metadata, with what is added here,", MAX_METADATA_BYTES));
        }
        let command = DecidedCommand {
            command_id: self.id("command", row),
            request_hash: self.hash(row),
            claims: Vec::new(),
            events: vec![event.to_new(self.id("event", row))],
            metadata,
        };
        // Metadata is stored with the event, and counted with the command as well.
        let bytes = 2 * command.metadata.len() + event.payload.len();
        Ok(Ready { aggregate, sequence: row.sequence, command, bytes })
    }

    fn id(&self, kind: &str, row: &Row) -> uuid::Uuid {
        let sequence = row.sequence.to_string();
        derived(self.tenant.uuid(), &["postgres-es", kind, &row.aggregate_type, &row.aggregate_id, &sequence])
    }

    /// A hash of everything a row says, to see later whether it still says the same. Each part comes after its length, so
    /// that no two rows give the same bytes.
    fn hash(&self, row: &Row) -> [u8; 32] {
        let parts = [Some(&row.event_type), Some(&row.event_version), row.payload.as_ref(), row.metadata.as_ref()];
        let mut said = Vec::new();
        for part in parts.into_iter().flatten() {
            said.extend_from_slice(&(part.len() as u64).to_be_bytes());
            said.extend_from_slice(part.as_bytes());
        }
        self.store.vault().request_hash(self.tenant, &said)
    }
}

/// Rows in units: those of one stream that follow one another, as many as fit.
pub(super) fn units_of(tenant: TenantId, rows: Vec<Ready>) -> Vec<(Unit, Vec<Ready>)> {
    let mut units: Vec<(Unit, Vec<Ready>)> = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let fits = units.last().is_some_and(|(unit, taken)| {
            unit.stream == row.aggregate.stream
                && taken.last().is_some_and(|last| last.sequence + 1 == row.sequence)
                && unit.commands.len() < UNIT_EVENTS
                && bytes + row.bytes <= UNIT_BYTES
        });
        if fits && let Some((unit, taken)) = units.last_mut() {
            bytes += row.bytes;
            unit.commands.push(row.command.clone());
            taken.push(row);
            continue;
        }
        bytes = row.bytes;
        let unit = Unit {
            tenant,
            stream: row.aggregate.stream.clone(),
            expected_version: u64::try_from(row.sequence - 1).unwrap_or(0),
            commands: vec![row.command.clone()],
        };
        units.push((unit, vec![row]));
    }
    units
}
