//! Records that a test makes by hand, instead of a relay or in its name.

use std::collections::BTreeMap;

use guildhall_event_store::RecordedEvent;
use guildhall_kafka::{Place, envelope};
use rdkafka::{
    ClientConfig,
    message::OwnedHeaders,
    producer::{FutureProducer, FutureRecord},
};

use crate::world::{PARTITIONS, World};

/// What becomes of a record on its way.
pub(crate) enum Fate {
    Sent,
    Lost,
    Altered,
    Foreign,
}

/// A relay in slow motion, whose records the test decides about.
pub(crate) struct Hand<'a> {
    world: &'a World,
    producer: FutureProducer,
}

impl<'a> Hand<'a> {
    pub(crate) async fn on(world: &'a World) -> Self {
        guildhall_kafka::topics::ensure(&world.kafka).await.expect("the broker makes topics");
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &world.kafka.brokers)
            .set("enable.idempotence", "true")
            .create()
            .expect("the options are good");
        Self { world, producer }
    }

    pub(crate) async fn send(&self, events: &[RecordedEvent], fate: impl Fn(&RecordedEvent) -> Fate) {
        let mut last: BTreeMap<Place, u64> = self.before(events).await;
        let mut sent = Vec::new();
        for event in events {
            let place = Place::of(event.tenant, &event.stream, PARTITIONS).expect("every category has a topic");
            let previous = last.insert(place, event.position).unwrap_or(0);
            let headers = envelope::event_headers(event, previous, &self.world.kafka.public_url);
            let (headers, payload) = match fate(event) {
                Fate::Sent => (headers, event.payload.as_ref()),
                Fate::Altered => (headers, b"{\"n\":\"another\"}".as_slice()),
                Fate::Foreign => (OwnedHeaders::new(), b"hello".as_slice()),
                Fate::Lost => continue,
            };
            let (name, key) = (place.topic.name(&self.world.kafka.prefix), envelope::key(event.tenant, &event.stream));
            let record = FutureRecord::to(&name)
                .partition(i32::from(place.partition))
                .key(&key)
                .payload(payload)
                .headers(headers);
            sent.push(self.producer.send_result(record).map_err(|(error, _)| error).expect("the queue has room"));
        }
        for delivery in sent {
            delivery.await.expect("the producer lives").map_err(|(error, _)| error).expect("the broker takes it");
        }
    }

    /// Sends each of these where it belongs, in the order given, however that is; each says that the one before it is `previous`.
    pub(crate) async fn send_as_told(&self, records: &[(RecordedEvent, u64)]) {
        for (event, previous) in records {
            let place = Place::of(event.tenant, &event.stream, PARTITIONS).expect("every category has a topic");
            let (name, key) = (place.topic.name(&self.world.kafka.prefix), envelope::key(event.tenant, &event.stream));
            let record = FutureRecord::to(&name)
                .partition(i32::from(place.partition))
                .key(&key)
                .payload(event.payload.as_ref())
                .headers(envelope::event_headers(event, *previous, &self.world.kafka.public_url));
            let sent = self.producer.send_result(record).map_err(|(error, _)| error).expect("the queue has room");
            sent.await.expect("the producer lives").map_err(|(error, _)| error).expect("the broker takes it");
        }
    }

    /// Each event with the position of the one before it in its partition.
    pub(crate) fn chained(history: &[RecordedEvent]) -> Vec<(RecordedEvent, u64)> {
        let mut last: BTreeMap<Place, u64> = BTreeMap::new();
        let chained = history.iter().map(|event| {
            let place = Place::of(event.tenant, &event.stream, PARTITIONS).expect("every category has a topic");
            (event.clone(), last.insert(place, event.position).unwrap_or(0))
        });
        chained.collect()
    }

    /// The last position in each partition before the first of these events.
    async fn before(&self, events: &[RecordedEvent]) -> BTreeMap<Place, u64> {
        let first = events.first().map_or(0, |event| event.position);
        let earlier = self.world.history().await.into_iter().take_while(|event| event.position < first);
        earlier
            .filter_map(|event| Some((Place::of(event.tenant, &event.stream, PARTITIONS)?, event.position)))
            .collect()
    }
}
