//! The handle as the event store of a `CqrsFramework`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use cqrs_es::{
    Aggregate, AggregateContext, AggregateError, DomainEvent, EventEnvelope,
    persist::{PersistenceError, SerializedEvent},
};
use serde_json::value::RawValue;

use super::{
    CqrsError, CqrsStore, ForeignEvent,
    commit::Committed,
    foreign::{Kept, kept_of, serialized},
    sequence,
};
use crate::RecordedEvent;

/// Events read at once.
pub(super) const PAGE: usize = 1_000;

/// An aggregate and the version it is at.
#[derive(Debug)]
pub struct Context<A> {
    /// What the caller calls it.
    pub aggregate_id: String,
    /// Its state.
    pub aggregate: A,
    /// The version of the last event folded in; 0 where there is none.
    pub version: u64,
}

impl<A: Aggregate> AggregateContext<A> for Context<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.aggregate
    }
}

impl<A: Aggregate> cqrs_es::EventStore<A> for CqrsStore {
    type AC = Context<A>;

    async fn load_events(&self, aggregate_id: &str) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let mut envelopes = Vec::new();
        let collecting = self.each::<A>(aggregate_id, |event, kept| {
            envelopes.push(EventEnvelope {
                aggregate_id: aggregate_id.to_owned(),
                sequence: sequence(event.version),
                payload: self.decode::<A>(event, kept)?,
                metadata: serde_json::from_str(kept.metadata.get()).map_err(|error| event.unreadable(&error))?,
            });
            Ok(())
        });
        collecting.await.map_err(PersistenceError::from)?;
        Ok(envelopes)
    }

    async fn load_aggregate(&self, aggregate_id: &str) -> Result<Context<A>, AggregateError<A::Error>> {
        Ok(self.fold(aggregate_id).await.map_err(PersistenceError::from)?)
    }

    /// Records the events and gives them back, numbered. A command whose metadata names one that was recorded before
    /// records nothing and gives nothing back, so that nobody is told of its events a second time.
    async fn commit(
        &self,
        events: Vec<A::Event>,
        context: Context<A>,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let Context { aggregate_id, version, .. } = context;
        let committed = self.commit_all::<A>(&aggregate_id, version, &events, &metadata).await;
        if let Committed::Before { .. } = committed.map_err(PersistenceError::from)? {
            return Ok(Vec::new());
        }
        let envelope = |(payload, sequence)| EventEnvelope {
            aggregate_id: aggregate_id.clone(),
            sequence,
            payload,
            metadata: metadata.clone(),
        };
        Ok(events.into_iter().zip(sequence(version) + 1..).map(envelope).collect())
    }
}

impl CqrsStore {
    /// The state of an aggregate: each of its events applied once.
    pub(super) async fn fold<A: Aggregate>(&self, aggregate_id: &str) -> Result<Context<A>, CqrsError> {
        let mut context = Context { aggregate_id: aggregate_id.to_owned(), aggregate: A::default(), version: 0 };
        self.each::<A>(aggregate_id, |event, kept| {
            context.aggregate.apply(self.decode::<A>(event, kept)?);
            context.version = event.version;
            Ok(())
        })
        .await?;
        Ok(context)
    }

    async fn commit_all<A: Aggregate>(
        &self,
        aggregate_id: &str,
        version: u64,
        events: &[A::Event],
        metadata: &HashMap<String, String>,
    ) -> Result<Committed, CqrsError> {
        let aggregate = self.aggregate(A::TYPE, aggregate_id)?;
        let metadata: Arc<RawValue> =
            serde_json::value::to_raw_value(&metadata.iter().collect::<BTreeMap<_, _>>())?.into();
        let events = events.iter().map(|event| {
            Ok(ForeignEvent {
                event_type: event.event_type(),
                event_version: event.event_version(),
                payload: serde_json::to_vec(event)?.into(),
                metadata: Arc::clone(&metadata),
            })
        });
        let events: Vec<_> = events.collect::<Result<_, serde_json::Error>>()?;
        self.record(&aggregate, version, &metadata, &events).await
    }

    /// Shows every event of an aggregate, in order.
    async fn each<A: Aggregate>(
        &self,
        aggregate_id: &str,
        mut show: impl FnMut(&RecordedEvent, &Kept<'_>) -> Result<(), CqrsError> + Send,
    ) -> Result<(), CqrsError> {
        let aggregate = self.aggregate(A::TYPE, aggregate_id)?;
        let mut version = 0;
        loop {
            let page = self.store.read_stream(self.tenant, &aggregate.stream, version, PAGE).await?;
            for event in &page {
                show(event, &kept_of(event, aggregate_id)?)?;
                version = event.version;
            }
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// The event, brought up to today's schema. Without an upcaster for it the stored bytes go straight to the type.
    fn decode<A: Aggregate>(&self, event: &RecordedEvent, kept: &Kept<'_>) -> Result<A::Event, CqrsError> {
        let decoded = if self.upcasters.iter().any(|up| up.can_upcast(&event.type_name, &kept.event_version)) {
            serde_json::from_value(self.upcast(serialized(event, kept)?).payload)
        } else {
            serde_json::from_slice(&event.payload)
        };
        Ok(decoded.map_err(|error| event.unreadable(&error))?)
    }

    fn upcast(&self, event: SerializedEvent) -> SerializedEvent {
        self.upcasters.iter().fold(event, |event, upcaster| {
            if upcaster.can_upcast(&event.event_type, &event.event_version) { upcaster.upcast(event) } else { event }
        })
    }
}
