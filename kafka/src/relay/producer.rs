//! Sending records, and knowing which of them Kafka has.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use guildhall_event_store::{RecordedEvent, cqrs::is_foreign};
use rdkafka::{
    ClientContext,
    error::KafkaError,
    message::OwnedHeaders,
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio::sync::Notify;

use super::{RelayError, lease::Checkpoint};
use crate::{
    envelope::{self, Watermark},
    options::KafkaOptions,
    topics::{Place, Topic},
};

/// How long the last records may take when the relay stops. What is not acknowledged then is sent again later.
const FLUSH_WITHIN: Duration = Duration::from_secs(10);

/// What the records of one flight are counted with: how many of them Kafka has not acknowledged.
type Unacknowledged = Arc<AtomicUsize>;

/// Hears what became of each record, on the client's own thread.
#[derive(Default)]
struct Deliveries {
    failure: OnceLock<KafkaError>,
    changed: Notify,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Unacknowledged;

    fn delivery(&self, result: &DeliveryResult<'_>, flight: Unacknowledged) {
        match result {
            Ok(_) => {
                flight.fetch_sub(1, Ordering::AcqRel);
            }
            // Only the first matters: whatever follows is given up with it.
            Err((error, _)) => drop(self.failure.set(error.clone())),
        }
        self.changed.notify_one();
    }
}

/// A batch of records under way, and the checkpoint they lead to.
struct Flight {
    unacknowledged: Unacknowledged,
    leads_to: Checkpoint,
    began: Instant,
}

/// A producer for one session of the relay. After any error it is good for nothing more.
pub(super) struct Producer {
    client: ThreadedProducer<Deliveries>,
    deliveries: Arc<Deliveries>,
    names: [String; Topic::ALL.len()],
    partitions: u16,
    public_url: String,
    flights: VecDeque<Flight>,
}

impl Producer {
    pub(super) fn new(kafka: &KafkaOptions) -> Result<Self, RelayError> {
        let client: ThreadedProducer<Deliveries> = kafka
            .client()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Never give up on a record: without it, the ones after it could not be told from a gap.
            .set("message.timeout.ms", "0")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            // The relay has gathered what there is; this is for handing it over.
            .set("linger.ms", "1")
            // How much may be under way is bounded by the batches in flight; there is room for the most they can be.
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", "1048576")
            .create_with_context(Deliveries::default())?;
        let deliveries = Arc::clone(client.context());
        let names = Topic::ALL.map(|topic| topic.name(&kafka.prefix));
        let (partitions, public_url) = (kafka.partitions, kafka.public_url.clone());
        Ok(Self { client, deliveries, names, partitions, public_url, flights: VecDeque::new() })
    }

    /// Sends events in order; `last` is what their partitions had before, and afterwards what they have then. Those of
    /// other applications' aggregates are passed over: no topic is about them, and what they hold of persons may be clear.
    pub(super) fn send(&mut self, events: &[RecordedEvent], last: &mut Checkpoint) -> Result<(), RelayError> {
        let Some(newest) = events.last() else { return Ok(()) };
        let began = Instant::now();
        let carried: Vec<_> = events.iter().filter(|event| !is_foreign(&event.stream.category)).collect();
        let flight = Arc::new(AtomicUsize::new(carried.len()));
        for event in &carried {
            let place = Place::of(event.tenant, &event.stream, self.partitions)
                .ok_or_else(|| RelayError::NoTopic { category: event.stream.category.to_string() })?;
            let previous = last.last.advance(place, event.position);
            let key = envelope::key(event.tenant, &event.stream);
            let headers = envelope::event_headers(event, previous, &self.public_url);
            // The record's timestamp is when it is sent: a broker that keeps records for a week shall not drop those
            // of a generation begun today because they tell of last year.
            let record = self.record(place, headers, &flight).key(key.as_bytes()).payload(event.payload.as_ref());
            self.enqueue(record)?;
        }
        last.position = newest.position;
        last.leaf_hash = Some(newest.leaf_hash);
        self.flights.push_back(Flight { unacknowledged: flight, leads_to: last.clone(), began });
        metrics::counter!("relay_records_total", "kind" => "event").increment(carried.len() as u64);
        Ok(())
    }

    /// Tells some partitions how far history was sent to the others.
    pub(super) fn tell(&mut self, places: &[Place], sent: &Checkpoint) -> Result<(), RelayError> {
        let Some(leaf_hash) = sent.leaf_hash else { return Ok(()) };
        let watermark = Watermark { position: sent.position, leaf_hash };
        let flight = Arc::new(AtomicUsize::new(places.len()));
        for &place in places {
            let headers = envelope::watermark_headers(watermark, sent.last.at(place), place);
            self.enqueue(self.record(place, headers, &flight))?;
        }
        metrics::counter!("relay_records_total", "kind" => "watermark").increment(places.len() as u64);
        Ok(())
    }

    fn record<'a>(
        &'a self,
        place: Place,
        headers: OwnedHeaders,
        flight: &Unacknowledged,
    ) -> BaseRecord<'a, [u8], [u8], Unacknowledged> {
        BaseRecord::with_opaque_to(&self.names[place.topic as usize], Arc::clone(flight))
            .partition(place.number())
            .headers(headers)
    }

    /// Hands a record to the client.
    fn enqueue(&self, record: BaseRecord<'_, [u8], [u8], Unacknowledged>) -> Result<(), RelayError> {
        self.check()?;
        self.client.send(record).map_err(|(error, _)| error.into())
    }

    /// Fails when a record could not be delivered.
    fn check(&self) -> Result<(), RelayError> {
        match self.deliveries.failure.get() {
            Some(error) => Err(error.clone().into()),
            None => Ok(()),
        }
    }

    /// How many batches are under way.
    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Waits until Kafka has said something about a record.
    pub(super) async fn changed(&self) {
        self.deliveries.changed.notified().await;
    }

    /// The furthest checkpoint that everything before it is acknowledged for, if it has moved.
    pub(super) fn acknowledged(&mut self) -> Result<Option<Checkpoint>, RelayError> {
        self.check()?;
        let mut furthest = None;
        while let Some(flight) = self.flights.front()
            && flight.unacknowledged.load(Ordering::Acquire) == 0
        {
            metrics::histogram!("relay_batch_seconds").record(flight.began.elapsed());
            furthest = self.flights.pop_front().map(|flight| flight.leads_to);
        }
        Ok(furthest)
    }

    /// Waits for what is under way, for a while, and gives the furthest checkpoint, if it has moved. Dropping the
    /// client without this loses what it holds.
    pub(super) async fn finish(mut self) -> Result<Option<Checkpoint>, RelayError> {
        let client = self.client.clone();
        let flushed = tokio::task::spawn_blocking(move || client.flush(FLUSH_WITHIN)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("Kafka has not acknowledged everything; the rest will be sent again");
        }
        let furthest = self.acknowledged();
        self.discard();
        furthest
    }

    /// Lets go of the client with everything it holds. Purging takes a moment, which is no work for an async thread.
    pub(super) fn discard(self) {
        drop(tokio::task::spawn_blocking(move || drop(self)));
    }
}
