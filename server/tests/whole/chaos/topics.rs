//! What Kafka has in the end, read by a plain consumer: every event at least once, and after dropping what is repeated,
//! in order, each naming the one before it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use guildhall_aggregates::TenantId;
use guildhall_event_store::StreamId;
use guildhall_kafka::{
    Place, Topic,
    envelope::{Content, Decoder},
};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio_postgres::Client as Postgres;

use super::fleet::PARTITIONS;

const PATIENCE: Duration = Duration::from_mins(5);

/// How many records there are, and how many of them tell again what was told before.
pub(super) struct Carried {
    pub(super) records: u64,
    pub(super) repeated: u64,
}

/// Where each event of history belongs, in order.
pub(super) async fn expected(postgres: &Postgres) -> BTreeMap<Place, Vec<u64>> {
    let query = "SELECT e.position, e.tenant_id, s.category, s.id FROM es.event e JOIN es.stream s USING (stream_key)
                 ORDER BY e.position";
    let mut expected: BTreeMap<Place, Vec<u64>> = BTreeMap::new();
    for row in postgres.query(query, &[]).await.expect("history can be read") {
        let stream = StreamId::new(row.get(2), row.get(3));
        let place = Place::of(TenantId::new(row.get(1)), &stream, PARTITIONS).expect("every category has a topic");
        expected.entry(place).or_default().push(row.get::<_, i64>(0).cast_unsigned());
    }
    expected
}

/// Reads everything and compares it with what is expected. Blocks.
pub(super) fn check(brokers: &str, prefix: &str, expected: &BTreeMap<Place, Vec<u64>>) -> Carried {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", format!("{prefix}.witness"))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .create()
        .expect("the options are good");
    let mut carried = Carried { records: 0, repeated: 0 };
    for place in Place::all(PARTITIONS) {
        let told = expected.get(&place).map_or(&[][..], Vec::as_slice);
        let read = read_partition(&consumer, &place.topic.name(prefix), place, &mut carried);
        assert_eq!(read, told, "{place} does not hold what history says");
    }
    carried
}

/// The positions of the events of one partition, without those that are repeated.
fn read_partition(consumer: &BaseConsumer, topic: &str, place: Place, carried: &mut Carried) -> Vec<u64> {
    let partition = i32::from(place.partition);
    let (oldest, end) =
        consumer.fetch_watermarks(topic, partition, Duration::from_mins(1)).expect("the brokers answer");
    assert_eq!(oldest, 0, "nothing has expired in {topic}");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    consumer.assign(&list).expect("a partition can be read");
    let (mut decoder, mut events, mut reached) = (Decoder::default(), Vec::new(), 0);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let at = consumer.position().expect("a position");
        if end == 0 || at.elements().iter().any(|at| matches!(at.offset(), Offset::Offset(at) if at >= end)) {
            return events;
        }
        assert!(Instant::now() < deadline, "{topic}/{partition} could not be read to its end");
        let Some(Ok(record)) = consumer.poll(Duration::from_millis(200)) else { continue };
        carried.records += 1;
        let headers = record.headers().expect("a record has headers");
        let incoming = decoder.decode(headers, record.payload()).expect("every record is a relay's");
        let (position, _) = incoming.content.stands_at();
        if position <= reached {
            carried.repeated += 1;
            continue;
        }
        let before = events.last().copied().unwrap_or(0);
        assert_eq!(incoming.previous, before, "{topic}/{partition}: what stands before {position}");
        reached = position;
        if matches!(incoming.content, Content::Event(_)) {
            events.push(position);
        }
    }
}

/// The topics' names, to show what was read.
pub(super) fn names(prefix: &str) -> String {
    Topic::ALL.map(|topic| topic.name(prefix)).join(", ")
}
