//! Which rows of an answer lack something, because the read model could not follow their stream.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use guildhall_aggregates::StoredEvent;
use guildhall_event_store::StreamId;
use guildhall_projections::parked::StaleStream;
use uuid::Uuid;

/// The association's streams that a read model could not follow. Nearly always none.
#[derive(Debug)]
pub(crate) struct Stale {
    streams: BTreeSet<String>,
    state: u64,
}

impl Stale {
    pub(crate) fn of(streams: &[StaleStream]) -> Self {
        let mut hasher = DefaultHasher::new();
        streams.hash(&mut hasher);
        Self { streams: streams.iter().map(|stale| stale.stream.to_string()).collect(), state: hasher.finish() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.streams.len()
    }

    /// Another number whenever other events are missing: rows can change by that while the position stays.
    pub(crate) fn state(&self) -> u64 {
        self.state
    }

    /// Whether a row lacks something that follows from the stream of this aggregate.
    pub(crate) fn has<E: StoredEvent>(&self, id: Uuid) -> bool {
        !self.streams.is_empty() && self.has_named(&StreamId::new(E::CATEGORY, id).to_string())
    }

    /// The same for a stream's name.
    pub(crate) fn has_named(&self, stream: &str) -> bool {
        self.streams.contains(stream)
    }
}
