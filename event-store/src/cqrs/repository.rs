//! The handle as the repository under a `PersistedEventStore`.
//!
//! `cqrs-es` 0.5 makes a snapshot by applying a commit's events to a state that has had them applied already, so the
//! snapshot it hands over counts them twice. It is not kept. Whoever asks for a snapshot gets one made of the events, each
//! applied once: always up to date, never wrong, and as fast as reading the stream.

use std::sync::Arc;

use cqrs_es::{
    Aggregate,
    persist::{PersistedEventRepository, PersistenceError, ReplayStream, SerializedEvent, SerializedSnapshot},
};
use serde_json::Value;

use super::{
    CqrsError, CqrsStore, ForeignEvent,
    commit::Committed,
    foreign::{kept_of, serialized},
    sequence,
    store::PAGE,
};

impl PersistedEventRepository for CqrsStore {
    async fn get_events<A: Aggregate>(&self, aggregate_id: &str) -> Result<Vec<SerializedEvent>, PersistenceError> {
        Ok(self.events_after(A::TYPE, aggregate_id, 0).await?)
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        Ok(self.events_after(A::TYPE, aggregate_id, last_sequence as u64).await?)
    }

    async fn get_snapshot<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        let context = self.fold::<A>(aggregate_id).await?;
        if context.version == 0 {
            return Ok(None);
        }
        Ok(Some(SerializedSnapshot {
            aggregate: serde_json::to_value(&context.aggregate)?,
            aggregate_id: context.aggregate_id,
            current_sequence: sequence(context.version),
            current_snapshot: 1,
        }))
    }

    /// Records the events. One thing differs from the handle as an event store: a command that was recorded before is an
    /// error here, because what called this would take the events for new ones and tell its queries of them.
    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        _doubled: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        Ok(self.persist_all(A::TYPE, events).await?)
    }

    async fn stream_events<A: Aggregate>(&self, aggregate_id: &str) -> Result<ReplayStream, PersistenceError> {
        let aggregate = self.aggregate(A::TYPE, aggregate_id).map_err(CqrsError::from)?;
        Ok(self.replay_one(aggregate))
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        let category = self.categories.of(A::TYPE).map_err(CqrsError::from)?;
        Ok(self.replay_all(category))
    }
}

impl CqrsStore {
    async fn events_after(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        mut version: u64,
    ) -> Result<Vec<SerializedEvent>, CqrsError> {
        let aggregate = self.aggregate(aggregate_type, aggregate_id)?;
        let mut events = Vec::new();
        loop {
            let page = self.store.read_stream(self.tenant, &aggregate.stream, version, PAGE).await?;
            for event in &page {
                events.push(serialized(event, &kept_of(event, aggregate_id)?)?);
                version = event.version;
            }
            if page.len() < PAGE {
                return Ok(events);
            }
        }
    }

    async fn persist_all(&self, aggregate_type: &str, events: &[SerializedEvent]) -> Result<(), CqrsError> {
        let Some(first) = events.first() else { return Ok(()) };
        let follow = events
            .windows(2)
            .all(|pair| pair[1].sequence == pair[0].sequence + 1 && pair[1].aggregate_id == pair[0].aggregate_id);
        let expected = first.sequence.checked_sub(1).filter(|_| follow).ok_or(CqrsError::OutOfSequence)?;
        let aggregate = self.aggregate(aggregate_type, &first.aggregate_id)?;
        let foreign: Vec<_> = events.iter().map(foreign).collect::<Result<_, _>>()?;
        match self.record(&aggregate, expected as u64, &foreign[0].metadata, &foreign).await? {
            Committed::Now => Ok(()),
            Committed::Before { command_id } => {
                Err(CqrsError::AlreadyRecorded { command_id, stream: aggregate.stream })
            }
        }
    }
}

fn foreign(event: &SerializedEvent) -> Result<ForeignEvent, serde_json::Error> {
    Ok(ForeignEvent {
        event_type: event.event_type.clone(),
        event_version: event.event_version.clone(),
        payload: serde_json::to_vec(&event.payload)?.into(),
        metadata: Arc::from(serde_json::value::to_raw_value(&event.metadata)?),
    })
}
