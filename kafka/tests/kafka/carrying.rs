//! What is appended arrives: all of it, once, in order, as it was.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use guildhall_kafka::{Consumer, ConsumerOptions, GroupProtocol, Place, Resume, Topic, envelope};
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};

use crate::world::{PARTITIONS, Reader, World, within};

#[tokio::test]
async fn events_of_many_streams_arrive_once_in_order_and_unchanged() {
    let Some(world) = World::open().await else { return };
    world.append(100, 50).await;
    let relay = world.relay();
    let mut reader = world.reader();
    reader.read_to(5_000).await;
    reader.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
    assert_eq!(world.relay_row("position").await, 5_000);
}

#[tokio::test]
async fn events_of_other_applications_are_passed_over_and_readers_learn_how_far_history_is() {
    let Some(world) = World::open().await else { return };
    world.append(10, 5).await;
    world.append_foreign(30).await;
    let relay = world.relay();
    let mut reader = world.reader();
    reader.read_to(80).await;
    world.append_foreign(2_500).await;
    world.append(10, 5).await;
    reader.read_to(2_630).await;
    let mut ours = world.history().await;
    ours.retain(|event| !guildhall_event_store::cqrs::is_foreign(&event.stream.category));
    reader.assert_has_exactly(&ours, &world.kafka.prefix);
    relay.shutdown().await;
    assert_eq!(world.relay_row("position").await, 2_630);
}

#[tokio::test]
async fn what_is_appended_while_the_relay_runs_arrives_too() {
    let Some(world) = World::open().await else { return };
    let relay = world.relay();
    let mut reader = world.reader();
    for round in 1..=5 {
        world.append(20, 10).await;
        reader.read_to(200 * round).await;
    }
    reader.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
}

#[tokio::test]
async fn partitions_without_events_are_told_how_far_history_is() {
    let Some(world) = World::open().await else { return };
    world.append(1, 1).await;
    let relay = world.relay();
    let mut reader = world.reader();
    // All partitions have to reach position 1, and one event is in one of them.
    reader.read_to(1).await;
    let partitions = Topic::ALL.len() * usize::from(world.kafka.partitions);
    assert_eq!((reader.count(), reader.applied().partitions.len()), (1, partitions));
    relay.shutdown().await;
}

#[tokio::test]
async fn a_reader_goes_on_where_its_own_checkpoint_says() {
    goes_on(GroupProtocol::Classic).await;
}

#[tokio::test]
async fn a_reader_in_a_group_of_the_brokers_goes_on_where_its_own_checkpoint_says() {
    goes_on(GroupProtocol::Consumer).await;
}

async fn goes_on(protocol: GroupProtocol) {
    let Some(world) = World::open().await else { return };
    let relay = world.relay();
    world.append(40, 25).await;
    let mut first = Reader::start(&world, protocol, Arc::default());
    first.read_events(300).await;
    let applied = first.shutdown().await;
    let mut second = Reader::start(&world, protocol, applied);
    second.read_to(1_000).await;
    second.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
}

#[tokio::test]
async fn readers_of_one_group_share_the_partitions_and_apply_each_event_once() {
    share(GroupProtocol::Classic).await;
}

#[tokio::test]
async fn readers_of_one_group_of_the_brokers_share_the_partitions_and_apply_each_event_once() {
    share(GroupProtocol::Consumer).await;
}

async fn share(protocol: GroupProtocol) {
    let Some(world) = World::open().await else { return };
    let relay = world.relay();
    world.append(40, 10).await;
    let mut one = Reader::start(&world, protocol, Arc::default());
    one.read_to(400).await;
    // Both write to the same checkpoints, as two nodes write to one database.
    let mut other = Reader::start(&world, protocol, one.shared());
    let mut others = 0;
    within("both to have a share", async {
        // Each round of history gives everybody something; the group needs a moment to agree.
        while others == 0 {
            world.append(40, 1).await;
            tokio::select! {
                round = one.round() => round.expect("the consumer goes on"),
                round = other.round() => { round.expect("the consumer goes on"); others += 1; }
            }
        }
    })
    .await;
    let head = world.head().await;
    within("both to have read everything", async {
        while !one.has_reached(head) {
            tokio::select! {
                round = one.round() => round.expect("the consumer goes on"),
                round = other.round() => round.expect("the consumer goes on"),
            }
        }
    })
    .await;
    one.assert_applied_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
}

#[tokio::test]
async fn a_reader_whose_checkpoint_cannot_be_read_tries_again_until_it_can() {
    let Some(world) = World::open().await else { return };
    world.append(10, 10).await;
    let relay = world.relay();
    let mut options = ConsumerOptions::new(world.kafka.clone(), world.kafka.prefix.clone());
    options.protocol = GroupProtocol::Consumer;
    let failures = AtomicUsize::new(2);
    let resume = move |_, _| {
        let fail = failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        async move { if fail { Err(io::Error::other("the database is away")) } else { Ok(Resume::default()) } }
    };
    let mut consumer = Consumer::start(options, world.store.clone(), resume).expect("the options are good");
    let mut events = 0;
    while events < 100 {
        let round = within("a round", consumer.next()).await.expect("the consumer goes on");
        events += round.iter().map(|batch| batch.events.len()).sum::<usize>();
    }
    assert_eq!(events, 100);
    consumer.shutdown().await;
    relay.shutdown().await;
}

#[tokio::test]
async fn rounds_are_no_larger_than_asked_for() {
    let Some(world) = World::open().await else { return };
    world.append(10, 100).await;
    let relay = world.relay();
    let mut options = ConsumerOptions::new(world.kafka.clone(), world.kafka.prefix.clone());
    options.round_records = 50;
    options.stalled_after = Duration::from_secs(5);
    let mut reader = Reader::with(options, world.store.clone(), Arc::default());
    let mut before = 0;
    while reader.count() < 1_000 {
        reader.round().await.expect("the consumer goes on");
        assert!(reader.count() - before <= 50, "a round of {}", reader.count() - before);
        before = reader.count();
    }
    reader.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
}

#[tokio::test]
async fn a_stock_client_puts_the_same_keys_into_the_same_partitions() {
    let Some(world) = World::open().await else { return };
    guildhall_kafka::topics::ensure(&world.kafka).await.expect("the broker makes topics");
    world.append(60, 1).await;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &world.kafka.brokers)
        .set("partitioner", "murmur2_random")
        .create()
        .expect("the options are good");
    for event in world.history().await {
        let place = Place::of(event.tenant, &event.stream, PARTITIONS).expect("every category has a topic");
        let (name, key) = (place.topic.name(&world.kafka.prefix), envelope::key(event.tenant, &event.stream));
        let record = FutureRecord::to(&name).key(&key).payload("");
        let delivery = producer.send(record, Duration::from_secs(30)).await.expect("the broker takes it");
        assert_eq!(delivery.partition, i32::from(place.partition), "{key}");
    }
}
