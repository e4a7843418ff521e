//! A batch as the arguments of `es.append`, and its rows as outcomes.

use chrono::{DateTime, Utc};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{group::Group, known::Knowledge};
use crate::{
    StoreError, Unit,
    read::{natural, signed},
};

const PARAMETERS: usize = 27;

pub(super) const APPEND: &str = "SELECT outcome, at, command_id, kind, stream_key FROM es.append(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
    $26, $27)";

/// The types of `es.append`'s parameters, so that preparing it asks the server nothing about them.
pub(super) const TYPES: [Type; PARAMETERS] = [
    Type::INT8,
    Type::INT8,
    Type::INT4,
    Type::TIMESTAMPTZ,
    Type::UUID_ARRAY,
    Type::TEXT_ARRAY,
    Type::UUID_ARRAY,
    Type::INT8_ARRAY,
    Type::INT8_ARRAY,
    Type::INT4_ARRAY,
    Type::INT4_ARRAY,
    Type::UUID_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT4_ARRAY,
    Type::INT4_ARRAY,
    Type::INT8_ARRAY,
    Type::INT4_ARRAY,
    Type::UUID_ARRAY,
    Type::TEXT_ARRAY,
    Type::INT2_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT8_ARRAY,
    Type::INT4_ARRAY,
    Type::TEXT_ARRAY,
    Type::BYTEA_ARRAY,
];

/// One array for each column; entries borrow from the units.
#[derive(Default)]
pub(super) struct Columns<'a> {
    hint: i64,
    beyond: i64,
    opened: i32,
    recorded_at: DateTime<Utc>,
    unit_tenant: Vec<Uuid>,
    unit_category: Vec<&'a str>,
    unit_id: Vec<Uuid>,
    unit_expected: Vec<i64>,
    unit_stream: Vec<i64>,
    unit_first: Vec<i32>,
    command_unit: Vec<i32>,
    command_id: Vec<Uuid>,
    command_hash: Vec<&'a [u8]>,
    command_metadata: Vec<&'a [u8]>,
    command_events: Vec<i32>,
    command_reach: Vec<i32>,
    command_version: Vec<i64>,
    event_command: Vec<i32>,
    event_id: Vec<Uuid>,
    event_type: Vec<&'a str>,
    event_schema: Vec<i16>,
    event_payload: Vec<&'a [u8]>,
    event_leaf: Vec<&'a [u8]>,
    event_version: Vec<i64>,
    claim_command: Vec<i32>,
    claim_kind: Vec<&'a str>,
    claim_value: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    /// `hint` is a position known to be taken; `knowledge`, what is known of the batch's streams, if everything is.
    pub(super) fn of(group: &'a Group, leaf_hashes: &'a [[u8; 32]], hint: u64, knowledge: Option<Knowledge>) -> Self {
        let knowledge = knowledge.unwrap_or_default();
        let mut columns = Self {
            hint: signed(hint),
            beyond: signed(knowledge.beyond),
            opened: knowledge.opened,
            recorded_at: group.recorded_at,
            unit_stream: knowledge.streams,
            event_leaf: leaf_hashes.iter().map(<[u8; 32]>::as_slice).collect(),
            ..Self::default()
        };
        for waiting in &group.units {
            columns.add(&waiting.unit);
        }
        columns
    }

    fn add(&mut self, unit: &'a Unit) {
        self.unit_tenant.push(unit.tenant.uuid());
        self.unit_category.push(&unit.stream.category);
        self.unit_id.push(unit.stream.id);
        self.unit_expected.push(signed(unit.expected_version));
        self.unit_first.push(count(self.event_id.len() + 1));
        let mut version = signed(unit.expected_version);
        for command in &unit.commands {
            self.command_unit.push(count(self.unit_id.len()));
            self.command_id.push(command.command_id);
            self.command_hash.push(&command.request_hash);
            self.command_metadata.push(&command.metadata);
            for event in &command.events {
                version += 1;
                self.event_command.push(count(self.command_id.len()));
                self.event_id.push(event.event_id);
                self.event_type.push(&event.type_name);
                // The range was checked when the unit was handed in.
                self.event_schema.push(i16::try_from(event.schema_version).unwrap_or(i16::MAX));
                self.event_payload.push(&event.payload);
                self.event_version.push(version);
            }
            self.command_events.push(count(command.events.len()));
            self.command_reach.push(count(self.event_id.len()));
            self.command_version.push(version);
            for claim in &command.claims {
                self.claim_command.push(count(self.command_id.len()));
                self.claim_kind.push(claim.kind);
                self.claim_value.push(claim.value_hmac.as_ref().map(<[u8; 32]>::as_slice));
            }
        }
    }

    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); PARAMETERS] {
        [
            &self.hint,
            &self.beyond,
            &self.opened,
            &self.recorded_at,
            &self.unit_tenant,
            &self.unit_category,
            &self.unit_id,
            &self.unit_expected,
            &self.unit_stream,
            &self.unit_first,
            &self.command_unit,
            &self.command_id,
            &self.command_hash,
            &self.command_metadata,
            &self.command_events,
            &self.command_reach,
            &self.command_version,
            &self.event_command,
            &self.event_id,
            &self.event_type,
            &self.event_schema,
            &self.event_payload,
            &self.event_leaf,
            &self.event_version,
            &self.claim_command,
            &self.claim_kind,
            &self.claim_value,
        ]
    }

    /// What `es.append` says about each unit, in order.
    pub(super) fn verdicts(&self, rows: &[Row]) -> Result<Vec<Verdict>, StoreError> {
        match rows {
            [row] if row.try_get::<_, &str>(0)? == "known" => {
                let (base, first_key) = (natural(row, 1)?, row.try_get::<_, Option<i64>>(4)?.unwrap_or_default());
                let appended = |(&stream, &first): (&i64, &i32)| Verdict::Appended {
                    base: base + u64::try_from(first - 1).unwrap_or_default(),
                    key: if stream > 0 { stream } else { first_key - stream - 1 },
                };
                Ok(self.unit_stream.iter().zip(&self.unit_first).map(appended).collect())
            }
            rows => rows.iter().map(|row| Verdict::read(row, self.hint)).collect(),
        }
    }
}

/// What became of one unit.
pub(super) enum Verdict {
    Appended {
        base: u64,
        key: i64,
    },
    /// The stream has no key where it does not exist. It was at that version when history had reached `seen_at`.
    Conflict {
        actual: u64,
        key: Option<i64>,
        seen_at: u64,
    },
    Duplicate,
    ClaimTaken {
        command_id: Uuid,
        kind: String,
    },
}

impl Verdict {
    fn read(row: &Row, hint: i64) -> Result<Self, StoreError> {
        Ok(match row.try_get(0)? {
            "appended" => Self::Appended { base: natural(row, 1)?, key: row.try_get(4)? },
            "conflict" => Self::Conflict {
                actual: natural(row, 1)?,
                key: row.try_get(4)?,
                seen_at: u64::try_from(hint).unwrap_or_default(),
            },
            "claim_taken" => Self::ClaimTaken { command_id: row.try_get(2)?, kind: row.try_get(3)? },
            _ => Self::Duplicate,
        })
    }
}

/// A count or an ordinal within one batch, which the limits keep far below the range.
fn count(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
