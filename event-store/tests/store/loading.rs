//! State folded from history, also from events of an older schema.

use bytes::Bytes;
use cqrs_es::{
    Aggregate, DomainEvent,
    event_sink::EventSink,
    persist::{EventUpcaster, SerializedEvent},
};
use guildhall_aggregates::{Decide, Impossible, StoredEvent};
use guildhall_event_store::{EventStore, LoadError, StreamId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::support::{event, open_store, receipts, tenant, unit};

/// Counts by steps, which were called `by` in version 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) total: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum CounterEvent {
    Counted { step: i64 },
}

impl DomainEvent for CounterEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for CounterEvent {
    const CATEGORY: &'static str = "counter";
    fn type_name(&self) -> &'static str {
        "Counted"
    }
    fn schema_version(&self) -> u16 {
        2
    }
    fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
        vec![Box::new(StepsHaveANewName)]
    }
}

struct StepsHaveANewName;

impl EventUpcaster for StepsHaveANewName {
    fn can_upcast(&self, event_type: &str, event_version: &str) -> bool {
        event_type == "Counted" && event_version == "1"
    }
    fn upcast(&self, mut event: SerializedEvent) -> SerializedEvent {
        event.payload["step"] = event.payload["by"].take();
        "2".clone_into(&mut event.event_version);
        event
    }
}

impl Aggregate for Counter {
    const TYPE: &'static str = "counter";
    type Command = i64;
    type Event = CounterEvent;
    type Error = Impossible;
    type Services = ();

    async fn handle(&mut self, command: i64, (): &(), sink: &EventSink<Self>) -> Result<(), Impossible> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: CounterEvent) {
        let CounterEvent::Counted { step } = event;
        self.total += step;
    }
}

impl Decide for Counter {
    fn decide(&self, step: i64) -> Result<Vec<CounterEvent>, Impossible> {
        Ok(vec![CounterEvent::Counted { step }])
    }
}

/// Appends one event as it stands.
async fn append(store: &EventStore, id: Uuid, expected: u64, schema_version: u16, payload: &'static str) {
    let mut unit = unit(tenant(1), &StreamId::new("counter", id), expected, 0);
    let mut event = event("");
    event.schema_version = schema_version;
    event.payload = Bytes::from_static(payload.as_bytes());
    unit.commands[0].events.push(event);
    receipts(store.append(unit).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_the_old_schema_and_of_the_new_one_are_folded_alike() {
    let (_database, store) = open_store().await;
    let id = Uuid::now_v7();
    append(&store, id, 0, 1, r#"{"type":"Counted","by":40}"#).await;
    append(&store, id, 1, 2, r#"{"type":"Counted","step":2}"#).await;
    let loaded = store.load::<Counter>(tenant(1), id).await.expect("both are read");
    assert_eq!((loaded.state.total, loaded.version), (42, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn catching_up_folds_in_only_what_is_new() {
    let (_database, store) = open_store().await;
    let id = Uuid::now_v7();
    let mut loaded = store.load::<Counter>(tenant(1), id).await.expect("nothing is there");
    assert_eq!((loaded.state.total, loaded.version), (0, 0));
    for version in 0..3 {
        append(&store, id, version, 2, r#"{"type":"Counted","step":1}"#).await;
        store.catch_up(tenant(1), id, &mut loaded).await.expect("it is read");
        store.catch_up(tenant(1), id, &mut loaded).await.expect("there is nothing more");
        assert_eq!(loaded.state.total, i64::try_from(loaded.version).expect("small"));
        assert_eq!(loaded.version, version + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_none_of_the_aggregate_is_an_error_that_says_where() {
    let (_database, store) = open_store().await;
    let id = Uuid::now_v7();
    append(&store, id, 0, 2, r#"{"type":"Forecast","step":1}"#).await;
    let error = store.load::<Counter>(tenant(1), id).await.expect_err("it is of another kind");
    let LoadError::Decode(error) = error else { panic!("expected a decode error, got {error}") };
    assert_eq!(error.position, 1);
}
