//! What an attacker changes and then puts right everywhere: positions, versions, leaf hashes, streams, the command log. To
//! the database alone it looks like a history that was always so.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use guildhall_aggregates::TenantId;
use guildhall_event_store::{RecordedEvent, StreamId};
use tokio_postgres::Client;

use super::history::tenants;
use crate::dice::Dice;

/// Another history in the place of the one that was recorded.
pub(super) struct Forgery {
    /// In words, for whoever reads that it was not found.
    pub(super) name: String,
    /// Whose history was rewritten.
    pub(super) tenant: TenantId,
    events: Vec<RecordedEvent>,
}

/// One record is another, or gone, or new, or elsewhere, or the end is missing.
pub(super) fn any(dice: &mut Dice, recorded: &[RecordedEvent]) -> Forgery {
    let mut events = recorded.to_vec();
    let nth = dice.index(events.len());
    let at = events[nth].position;
    let tenant = events[nth].tenant;
    let name = match dice.below(7) {
        0 | 1 => format!("{} at position {at}", rewrite(dice, &mut events[nth])),
        2 => {
            events.remove(nth);
            format!("the record at position {at} never was")
        }
        3 => {
            let mut new = events[nth].clone();
            (new.event_id, new.command_id) = (dice.uuid(), dice.uuid());
            events.insert(nth, new);
            format!("a record was made up before position {at}")
        }
        4 => {
            let other = (nth + 1 + dice.index(events.len() - 1)) % events.len();
            events.swap(nth, other);
            format!("the records at positions {at} and {} changed places", recorded[other].position)
        }
        5 => {
            let other = *dice.pick(&tenants().into_iter().filter(|other| *other != tenant).collect::<Vec<_>>());
            events[nth].tenant = other;
            format!("the record at position {at} is another association's")
        }
        _ => {
            let left = events.len() - 1 - dice.index(events.len() / 2);
            // Somebody's last record is among those that are gone: that association's history is shorter.
            let tenant = events[left].tenant;
            events.truncate(left);
            return settled(format!("history ends at position {left}"), tenant, events);
        }
    };
    settled(name, tenant, events)
}

fn rewrite(dice: &mut Dice, event: &mut RecordedEvent) -> &'static str {
    match dice.below(6) {
        0 => {
            event.recorded_at -= chrono::TimeDelta::microseconds(1);
            "another time"
        }
        1 => {
            event.metadata = Bytes::from_static(br#"{"command":"Count","actor":{"kind":"caller","name":"clerk-8"}}"#);
            "another actor"
        }
        2 => {
            event.event_id = dice.uuid();
            "another id"
        }
        3 => {
            event.type_name = "Recounted".into();
            "another type"
        }
        4 => {
            event.schema_version += 1;
            "another schema version"
        }
        _ => {
            event.payload = format!(r#"{{"type":"Counted","by":{}}}"#, 1_000 + dice.below(1_000)).into();
            "another payload"
        }
    }
}

/// Makes positions, versions, commands and hashes agree with each other.
fn settled(name: String, tenant: TenantId, mut events: Vec<RecordedEvent>) -> Forgery {
    let mut versions: BTreeMap<(TenantId, StreamId), u64> = BTreeMap::new();
    let (mut seen, mut last) = (HashSet::new(), None);
    for (position, event) in (1..).zip(&mut events) {
        event.position = position;
        let version = versions.entry((event.tenant, event.stream.clone())).or_default();
        *version += 1;
        event.version = *version;
        // A command's records stand together, in one stream. Those that were torn apart are of a command of their own.
        let command = (event.command_id, event.tenant, event.stream.clone());
        if last.as_ref() != Some(&command) && !seen.insert((event.tenant, event.command_id)) {
            event.command_id = event.event_id;
            seen.insert((event.tenant, event.command_id));
        }
        last = Some((event.command_id, event.tenant, event.stream.clone()));
        event.leaf_hash = event.computed_leaf_hash();
    }
    Forgery { name, tenant, events }
}

impl Forgery {
    /// Puts it in the place of what was recorded. Tiles and checkpoints are left as they are.
    pub(super) async fn apply(&self, attacker: &Client) {
        attacker
            .batch_execute("TRUNCATE es.event, es.stream, es.command_log, aside.forged")
            .await
            .expect("a superuser can");
        let insert = "INSERT INTO aside.forged VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        let insert = attacker.prepare(insert).await.expect("the table is there");
        for event in &self.events {
            let number = |value: u64| i64::try_from(value).expect("small numbers");
            let schema_version = i16::try_from(event.schema_version).expect("small numbers");
            attacker
                .execute(
                    &insert,
                    &[
                        &number(event.position),
                        &event.tenant.uuid(),
                        &event.stream.id,
                        &&*event.stream.category,
                        &number(event.version),
                        &event.recorded_at,
                        &event.event_id,
                        &event.command_id,
                        &schema_version,
                        &&*event.type_name,
                        &&event.leaf_hash[..],
                        &&event.metadata[..],
                        &&event.payload[..],
                    ],
                )
                .await
                .expect("a superuser can");
        }
        attacker.batch_execute(INSTALL).await.expect("a superuser can");
    }
}

/// Streams keep their keys where they have one, commands their hashes. Commands that recorded nothing are left out: nothing
/// attests them, and they would contradict the new positions.
const INSTALL: &str = "
    INSERT INTO es.stream (stream_key, first_position, tenant_id, id, category)
    SELECT coalesce(s.stream_key, 1000000 + row_number() OVER ()), f.first_position, tenant_id, id, category
    FROM (SELECT tenant_id, id, category, min(position) AS first_position FROM aside.forged GROUP BY 1, 2, 3) f
    LEFT JOIN aside.stream s USING (tenant_id, id, category);
    INSERT INTO es.event (position, stream_key, version, recorded_at, tenant_id, event_id, command_id, schema_version, type,
                          leaf_hash, metadata, payload)
    SELECT position, stream_key, version, recorded_at, tenant_id, event_id, command_id, schema_version, type, leaf_hash,
           metadata, payload
    FROM aside.forged JOIN es.stream USING (tenant_id, id, category) ORDER BY position;
    INSERT INTO es.command_log (tenant_id, command_id, stream_key, version, position, event_count, request_hash)
    SELECT tenant_id, command_id, e.stream_key, max(e.version), max(e.position), count(*),
           coalesce((array_agg(l.request_hash))[1], sha256('made up'))
    FROM es.event e LEFT JOIN aside.command_log l USING (tenant_id, command_id)
    GROUP BY tenant_id, command_id, e.stream_key;
";

/// What becomes of tiles and checkpoints when history was forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proofs {
    /// They stay as they are.
    Kept,
    /// There are none any more.
    Removed,
    /// Tiles are made anew, and checkpoints stay as they are.
    TilesAnew,
    /// They are made anew, and signed with the right key: the operator is the attacker.
    SignedAnew,
    /// The same with a key of the attacker's.
    SignedByAnother,
}

impl Proofs {
    pub(super) const ALL: [Self; 5] =
        [Self::Kept, Self::Removed, Self::TilesAnew, Self::SignedAnew, Self::SignedByAnother];
}
