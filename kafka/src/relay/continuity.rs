//! Whether history is still the one that was relayed.
//!
//! A database that was restored, or whose standby took over without its newest events, goes on appending other
//! events at positions that Kafka has been told about. Consumers would drop those as already seen. So the relay
//! asks history about what it has sent, and stops if the answer differs. Its own checkpoint is no witness for what
//! came after it, and went back together with the database; Kafka did not.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use guildhall_event_store::{EventStore, StreamId};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use super::{
    RelayError,
    lease::{Checkpoint, LastPositions},
};
use crate::{
    envelope::Decoder,
    options::KafkaOptions,
    topics::{self, Place},
};

/// How long reading the newest record of every partition may take.
const READ_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Compares the event at a checkpoint with the one that history has there.
pub(super) async fn check(store: &EventStore, checkpoint: &Checkpoint) -> Result<(), RelayError> {
    match checkpoint.leaf_hash {
        Some(leaf_hash) => stands_at(store, checkpoint.position, leaf_hash).await,
        None => Ok(()),
    }
}

/// The checkpoint that a relay has that sent everything up to a position, and nothing more.
pub(super) async fn checkpoint_at(
    store: &EventStore,
    partitions: u16,
    position: u64,
) -> Result<Checkpoint, RelayError> {
    let mut last = LastPositions::none(partitions);
    let Some(before) = position.checked_sub(1) else {
        return Ok(Checkpoint { position, leaf_hash: None, last });
    };
    let found = store.read_after(before, 1).await?.into_iter().find(|event| event.position == position);
    let event = found.ok_or(RelayError::Diverged { position })?;
    let note = |tenant, stream: StreamId, position| {
        // Those of other applications are in no partition.
        if let Some(place) = Place::of(tenant, &stream, partitions) {
            let furthest = last.at(place).max(position);
            last.advance(place, furthest);
        }
    };
    store.last_positions(position, note).await?;
    Ok(Checkpoint { position, leaf_hash: Some(event.leaf_hash), last })
}

/// Compares the newest record of every partition with history.
pub(crate) async fn check_kafka(store: &EventStore, kafka: &KafkaOptions) -> Result<(), RelayError> {
    let kafka = kafka.clone();
    let newest = tokio::task::spawn_blocking(move || newest(&kafka)).await.map_err(|_| KafkaError::Canceled)??;
    for (position, leaf_hash) in newest {
        stands_at(store, position, leaf_hash).await?;
    }
    Ok(())
}

async fn stands_at(store: &EventStore, position: u64, leaf_hash: [u8; 32]) -> Result<(), RelayError> {
    let found = store.read_after(position.saturating_sub(1), 1).await?;
    let same = found.first().is_some_and(|event| event.position == position && event.leaf_hash == leaf_hash);
    if same { Ok(()) } else { Err(RelayError::Diverged { position }) }
}

/// The positions and leaf hashes that the newest records stand for. Blocks.
fn newest(kafka: &KafkaOptions) -> Result<BTreeMap<u64, [u8; 32]>, RelayError> {
    let mut config = kafka.client();
    // A reader needs a group's name, though this one joins none and commits nothing.
    config.set("group.id", format!("{}.relay", kafka.prefix)).set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut waiting = TopicPartitionList::new();
    for place in Place::all(kafka.partitions) {
        let name = place.topic.name(&kafka.prefix);
        let (oldest, end) = topics::offsets(consumer.client(), &name, place)?;
        if end > oldest {
            waiting.add_partition_offset(&name, place.number(), Offset::Offset(end - 1))?;
        }
    }
    consumer.assign(&waiting)?;
    let mut decoder = Decoder::default();
    let mut missing = waiting.count();
    let mut newest = BTreeMap::new();
    let deadline = Instant::now() + READ_WITHIN;
    while missing > 0 {
        if Instant::now() > deadline {
            return Err(RelayError::Kafka(KafkaError::NoMessageReceived));
        }
        let Some(record) = consumer.poll(POLL).transpose()? else { continue };
        // Others may have sent more meanwhile; the first one of each partition is the one that was asked for.
        consumer.pause(&only(&record))?;
        missing -= 1;
        let read = record.headers().and_then(|headers| decoder.decode(headers, record.payload()).ok());
        if read.is_none() {
            tracing::warn!(topic = record.topic(), partition = record.partition(), "the newest record is not ours");
        }
        newest.extend(read.map(|incoming| incoming.content.stands_at()));
    }
    Ok(newest)
}

fn only(record: &impl Message) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(record.topic(), record.partition());
    list
}
