//! A batch as the arguments of `es.append`, and its rows as outcomes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::queue::Waiting;
use crate::{Receipt, ReceiptEvent, StoreError, Unit, integrity::Envelope, read::natural};

pub(super) const APPEND: &str = "SELECT outcome, at, command_id, kind FROM es.append(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";

/// The types of `es.append`'s parameters, so that preparing it asks the server nothing about them.
pub(super) const TYPES: [Type; 20] = [
    Type::INT8,
    Type::TIMESTAMPTZ,
    Type::UUID_ARRAY,
    Type::TEXT_ARRAY,
    Type::UUID_ARRAY,
    Type::INT8_ARRAY,
    Type::INT4_ARRAY,
    Type::UUID_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT4_ARRAY,
    Type::INT4_ARRAY,
    Type::UUID_ARRAY,
    Type::TEXT_ARRAY,
    Type::INT2_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT4_ARRAY,
    Type::TEXT_ARRAY,
    Type::BYTEA_ARRAY,
];

/// Units that are appended in one transaction.
pub(super) struct Group {
    pub(super) units: Vec<Waiting>,
    /// When they were taken from the queue; their events say so.
    pub(super) recorded_at: DateTime<Utc>,
}

impl Group {
    pub(super) fn new(units: Vec<Waiting>, recorded_at: DateTime<Utc>) -> Self {
        Self { units, recorded_at }
    }

    /// Cuts the later half off. The events of both halves stay as they are, also their time.
    pub(super) fn split_off_half(&mut self) -> Self {
        Self { units: self.units.split_off(self.units.len() / 2), recorded_at: self.recorded_at }
    }

    /// How long the oldest of them has been waiting.
    pub(super) fn age(&self) -> Duration {
        self.units.iter().map(|waiting| waiting.since.elapsed()).max().unwrap_or_default()
    }

    pub(super) fn events(&self) -> usize {
        self.units.iter().map(|waiting| events_of(&waiting.unit)).sum()
    }
}

pub(super) fn events_of(unit: &Unit) -> usize {
    unit.commands.iter().map(|command| command.events.len()).sum()
}

/// One array for each column; entries borrow from the units.
#[derive(Default)]
pub(super) struct Columns<'a> {
    hint: i64,
    recorded_at: DateTime<Utc>,
    unit_tenant: Vec<Uuid>,
    unit_category: Vec<&'a str>,
    unit_id: Vec<Uuid>,
    unit_expected: Vec<i64>,
    command_unit: Vec<i32>,
    command_id: Vec<Uuid>,
    command_hash: Vec<&'a [u8]>,
    command_metadata: Vec<&'a [u8]>,
    command_events: Vec<i32>,
    event_command: Vec<i32>,
    event_id: Vec<Uuid>,
    event_type: Vec<&'a str>,
    event_schema: Vec<i16>,
    event_payload: Vec<&'a [u8]>,
    event_leaf: Vec<Vec<u8>>,
    claim_command: Vec<i32>,
    claim_kind: Vec<&'a str>,
    claim_value: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    /// `hint` is a position known to be taken.
    pub(super) fn of(group: &'a Group, hint: u64) -> Self {
        let mut columns = Self { hint: crate::read::signed(hint), recorded_at: group.recorded_at, ..Self::default() };
        for waiting in &group.units {
            columns.add(&waiting.unit);
        }
        columns
    }

    fn add(&mut self, unit: &'a Unit) {
        self.unit_tenant.push(unit.tenant.uuid());
        self.unit_category.push(&unit.stream.category);
        self.unit_id.push(unit.stream.id);
        self.unit_expected.push(crate::read::signed(unit.expected_version));
        let mut version = unit.expected_version;
        for command in &unit.commands {
            self.command_unit.push(count(self.unit_id.len()));
            self.command_id.push(command.command_id);
            self.command_hash.push(&command.request_hash);
            self.command_metadata.push(&command.metadata);
            self.command_events.push(count(command.events.len()));
            for event in &command.events {
                version += 1;
                let envelope = Envelope {
                    tenant: unit.tenant,
                    stream: &unit.stream,
                    version,
                    event_id: event.event_id,
                    type_name: &event.type_name,
                    schema_version: event.schema_version,
                    metadata: &command.metadata,
                    payload: &event.payload,
                    command_id: command.command_id,
                    recorded_at: self.recorded_at,
                };
                self.event_command.push(count(self.command_id.len()));
                self.event_id.push(event.event_id);
                self.event_type.push(&event.type_name);
                self.event_schema.push(i16::try_from(event.schema_version).unwrap_or(i16::MAX));
                self.event_payload.push(&event.payload);
                self.event_leaf.push(envelope.leaf_hash().to_vec());
            }
            for claim in &command.claims {
                self.claim_command.push(count(self.command_id.len()));
                self.claim_kind.push(claim.kind);
                self.claim_value.push(claim.value_hmac.as_ref().map(<[u8; 32]>::as_slice));
            }
        }
    }

    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); 20] {
        [
            &self.hint,
            &self.recorded_at,
            &self.unit_tenant,
            &self.unit_category,
            &self.unit_id,
            &self.unit_expected,
            &self.command_unit,
            &self.command_id,
            &self.command_hash,
            &self.command_metadata,
            &self.command_events,
            &self.event_command,
            &self.event_id,
            &self.event_type,
            &self.event_schema,
            &self.event_payload,
            &self.event_leaf,
            &self.claim_command,
            &self.claim_kind,
            &self.claim_value,
        ]
    }
}

/// What `es.append` says about one unit.
pub(super) enum Verdict {
    Appended { base: u64 },
    Conflict { actual: u64 },
    Duplicate,
    ClaimTaken { command_id: Uuid, kind: String },
}

impl Verdict {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(match row.try_get(0)? {
            "appended" => Self::Appended { base: natural(row, 1)? },
            "conflict" => Self::Conflict { actual: natural(row, 1)? },
            "claim_taken" => Self::ClaimTaken { command_id: row.try_get(2)?, kind: row.try_get(3)? },
            _ => Self::Duplicate,
        })
    }
}

/// The receipts of a unit whose first event stands after `base`.
pub(super) fn receipts(unit: &Unit, base: u64) -> Vec<Receipt> {
    let (mut version, mut position) = (unit.expected_version, base);
    unit.commands
        .iter()
        .map(|command| {
            let events = command
                .events
                .iter()
                .map(|event| {
                    version += 1;
                    position += 1;
                    let type_name = event.type_name.clone().into_owned();
                    ReceiptEvent { event_id: event.event_id, type_name, version, position }
                })
                .collect();
            Receipt { command_id: command.command_id, stream: unit.stream.clone(), version, position, events }
        })
        .collect()
}

/// A count or an ordinal within one batch, which the limits keep far below the range.
fn count(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
