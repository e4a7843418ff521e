//! A batch, and what its units are worth once they have positions.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::queue::Waiting;
use crate::{Receipt, ReceiptEvent, Unit, integrity::Envelope};

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

    /// The hashes of all events, in order.
    pub(super) fn leaf_hashes(&self) -> Vec<[u8; 32]> {
        let mut hashes = Vec::with_capacity(self.events());
        for Waiting { unit, .. } in &self.units {
            let mut version = unit.expected_version;
            for command in &unit.commands {
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
                    hashes.push(envelope.leaf_hash());
                }
            }
        }
        hashes
    }

    pub(super) fn events(&self) -> usize {
        self.units.iter().map(|waiting| events_of(&waiting.unit)).sum()
    }
}

pub(super) fn events_of(unit: &Unit) -> usize {
    unit.commands.iter().map(|command| command.events.len()).sum()
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
