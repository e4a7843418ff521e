//! What a connection has learned about streams.
//!
//! A batch whose streams are all known is appended without asking the database anything: its constraints say whether
//! somebody was faster. A stream's key and version come from the database itself, from an append over this very
//! connection or from a conflict. They are used only as long as the connection lasts, in which history cannot become
//! shorter, and only while they were seen in the partition that is being filled, in which the constraint on stream and
//! version holds.

use std::num::NonZeroUsize;

use guildhall_aggregates::TenantId;
use lru::LruCache;

use super::group::Group;
use crate::{Claim, StreamId, Unit};

/// How many streams are kept in mind: some 15 MB.
const STREAMS: NonZeroUsize = NonZeroUsize::new(100_000).expect("it is not zero");

/// The streams of one connection.
pub(super) struct KnownStreams {
    streams: LruCache<(TenantId, StreamId), Known>,
    partition: Partition,
}

/// What the database said of a stream.
#[derive(Debug, Clone, Copy)]
struct Known {
    key: i64,
    version: u64,
    /// It was at this version when history had reached this position.
    seen_at: u64,
}

/// The positions of a partition.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Partition {
    pub(super) first: u64,
    pub(super) beyond: u64,
}

impl Partition {
    fn holds(self, position: u64) -> bool {
        (self.first..self.beyond).contains(&position)
    }
}

/// What is known of the streams of a batch; see `es.append`.
#[derive(Default)]
pub(super) struct Knowledge {
    /// For each unit the key of its stream, or for the n-th new stream -n.
    pub(super) streams: Vec<i64>,
    /// How many streams are new.
    pub(super) opened: i32,
    /// Everything must be appended before this position.
    pub(super) beyond: u64,
}

impl KnownStreams {
    pub(super) fn new() -> Self {
        Self { streams: LruCache::new(STREAMS), partition: Partition::default() }
    }

    /// Whether the next event goes into the partition that was being filled last.
    pub(super) fn is_filling(&self, next: u64) -> bool {
        self.partition.holds(next)
    }

    /// Another partition is being filled from now on. What was seen before it began is not relied on any more.
    pub(super) fn fill(&mut self, partition: Partition) {
        self.partition = partition;
    }

    pub(super) fn learn(&mut self, unit: &Unit, key: i64, version: u64, seen_at: u64) {
        self.streams.put((unit.tenant, unit.stream.clone()), Known { key, version, seen_at });
    }

    pub(super) fn forget(&mut self, unit: &Unit) {
        self.streams.pop(&(unit.tenant, unit.stream.clone()));
    }

    /// What is known of a batch, if everything is.
    pub(super) fn of(&mut self, group: &Group) -> Option<Knowledge> {
        let mut knowledge = Knowledge { beyond: self.partition.beyond, ..Knowledge::default() };
        for waiting in &group.units {
            let unit = &waiting.unit;
            let stream = match self.streams.get(&(unit.tenant, unit.stream.clone())) {
                _ if waiting.sent_before => return None,
                Some(known) if known.version == unit.expected_version && self.partition.holds(known.seen_at) => {
                    // Without an event, nothing would be in the way of whoever comes too late.
                    (records(unit) && claims(unit).next().is_none()).then_some(known.key)?
                }
                None if begins(unit) => {
                    knowledge.opened += 1;
                    -i64::from(knowledge.opened)
                }
                _ => return None,
            };
            knowledge.streams.push(stream);
        }
        Some(knowledge)
    }
}

/// Whether a unit begins a stream, as far as anybody can know, and claims nothing but for good.
fn begins(unit: &Unit) -> bool {
    let mut kinds = Vec::new();
    let plain = claims(unit).all(|claim| {
        let first_of_kind = !kinds.contains(&claim.kind);
        kinds.push(claim.kind);
        first_of_kind && claim.value_hmac.is_some()
    });
    plain && unit.expected_version == 0 && records(unit)
}

fn records(unit: &Unit) -> bool {
    unit.commands.iter().any(|command| !command.events.is_empty())
}

fn claims(unit: &Unit) -> impl Iterator<Item = &Claim> {
    unit.commands.iter().flat_map(|command| &command.claims)
}
