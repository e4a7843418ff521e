//! What may happen on the way: relays that die or do not know that they are replaced, records that come twice, or
//! not at all, or cannot be read; brokers that die.

use std::{sync::Arc, time::Duration};

use guildhall_event_store::RecordedEvent;
use guildhall_kafka::{ConsumerOptions, GroupProtocol};
use guildhall_sandbox::{
    kafka::{Kafka, KafkaCluster},
    testing::kafka_brokers,
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};

use crate::{
    hand::{Fate, Hand},
    world::{PARTITIONS, Reader, World, names, within},
};

#[tokio::test]
async fn a_relay_killed_in_the_middle_is_followed_by_the_next_without_loss_or_repetition() {
    let Some(world) = World::open().await else { return };
    let mut options = world.relay_options();
    options.batch_events = 20;
    options.batches_in_flight = 2;
    options.lease = Duration::from_secs(1);
    options.checkpoint_every = Duration::from_millis(1);
    // A reader that has no history to repair from shows that the relay leaves nothing out.
    let empty = World::with(world.kafka.clone()).await;
    let mut reader = empty.believer();
    for life in 0..3 {
        world.append(100, 5).await;
        let relay = world.relay_with(options.clone());
        within("the relay to be at work", async {
            while world.relay_row("position").await <= life * 500 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        drop(relay);
    }
    world.append(100, 5).await;
    let relay = world.relay_with(options);
    reader.read_to(2_000).await;
    reader.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
    assert!(world.relay_row("epoch").await >= 4);
}

#[tokio::test]
async fn a_relay_that_does_not_know_it_was_replaced_does_no_harm() {
    let Some(world) = World::open().await else { return };
    let mut unaware = world.relay_options();
    unaware.lease = Duration::from_hours(1);
    unaware.checkpoint_every = Duration::from_hours(1);
    world.append(50, 20).await;
    let zombie = world.relay_with(unaware);
    let mut reader = world.reader();
    reader.read_to(1_000).await;
    // As if it had been paused past its lease: another takes over and begins at a checkpoint of 0.
    world.tamper("lease_until = '-infinity'").await;
    let successor = world.relay();
    within("the successor's checkpoint", async {
        while world.relay_row("position").await < 1_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // Both relay what comes now.
    world.append(50, 20).await;
    reader.read_to(2_000).await;
    zombie.shutdown().await;
    world.append(50, 20).await;
    reader.read_to(3_000).await;
    successor.shutdown().await;
    reader.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    assert_eq!(world.relay_row("position").await, 3_000);
}

#[tokio::test]
async fn a_relay_that_was_replaced_writes_no_checkpoint_before_it_has_the_lease_again() {
    let Some(world) = World::open().await else { return };
    let mut options = world.relay_options();
    options.lease = Duration::from_secs(1);
    let relay = world.relay_with(options);
    world.append(5, 2).await;
    world.reader().read_to(10).await;
    // Somebody else takes over, for a second.
    world.tamper("epoch = 7, holder = NULL, lease_until = clock_timestamp() + interval '1 s'").await;
    world.append(5, 2).await;
    within("the checkpoint", async {
        while world.relay_row("position").await < 20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(world.relay_row("epoch").await > 7, "the checkpoint was written under a lease that was lost");
    relay.shutdown().await;
}

#[tokio::test]
async fn a_relay_waits_while_another_holds_the_lease() {
    let Some(world) = World::open().await else { return };
    let first = world.relay();
    let mut reader = world.reader();
    world.append(5, 2).await;
    reader.read_to(10).await;
    let held = world.relay_row("epoch").await;
    let second = world.relay();
    world.append(5, 2).await;
    reader.read_to(20).await;
    assert_eq!(world.relay_row("epoch").await, held);
    first.shutdown().await;
    // The lease was let go, so the second one need not wait for it to run out.
    world.append(5, 2).await;
    reader.read_to(30).await;
    assert!(world.relay_row("epoch").await > held);
    second.shutdown().await;
}

#[tokio::test]
async fn records_sent_again_by_hand_are_dropped() {
    let Some(world) = World::open().await else { return };
    let hand = Hand::on(&world).await;
    world.append(20, 10).await;
    let history = world.history().await;
    hand.send(&history, |_| Fate::Sent).await;
    hand.send(&history[50..150], |_| Fate::Sent).await;
    hand.send(&history, |_| Fate::Sent).await;
    let relay = world.relay();
    let mut reader = world.reader();
    reader.read_to(200).await;
    reader.assert_has_exactly(&history, &world.kafka.prefix);
    relay.shutdown().await;
}

#[tokio::test]
async fn records_that_never_came_are_taken_from_history() {
    let Some(world) = World::open().await else { return };
    let hand = Hand::on(&world).await;
    world.append(60, 50).await;
    let history = world.history().await;
    hand.send(&history, |event| if event.position % 7 == 0 { Fate::Lost } else { Fate::Sent }).await;
    let mut reader = world.reader();
    // The last events of some partitions are among the lost ones; the next record shows it.
    world.append(60, 1).await;
    let relay = world.relay_from(world.head().await - 60).await;
    reader.read_to(3_060).await;
    reader.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
}

#[tokio::test]
async fn records_that_cannot_be_read_are_left_out_and_taken_from_history() {
    let Some(world) = World::open().await else { return };
    let hand = Hand::on(&world).await;
    world.append(20, 10).await;
    let history = world.history().await;
    let fate = |event: &RecordedEvent| match event.position % 10 {
        3 => Fate::Altered,
        6 => Fate::Foreign,
        _ => Fate::Sent,
    };
    hand.send(&history, fate).await;
    let relay = world.relay_from(200).await;
    let mut reader = world.reader();
    reader.read_to(200).await;
    reader.assert_has_exactly(&history, &world.kafka.prefix);
    relay.shutdown().await;
}

#[tokio::test]
async fn records_that_expired_before_they_were_read_are_taken_from_history() {
    let Some(world) = World::open().await else { return };
    let relay = world.relay();
    // More than a repair reads at once, so that partitions have to pause.
    world.append(30, 150).await;
    world.reader().read_to(4_500).await;
    expire(&world, 1).await;
    let mut options = ConsumerOptions::new(world.kafka.clone(), world.kafka.prefix.clone());
    options.protocol = GroupProtocol::Consumer;
    // A partition that were never resumed would not be rescued by the watch over those that stand still.
    options.stalled_after = Duration::from_hours(1);
    let mut late = Reader::with(options, world.store.clone(), Arc::default());
    late.read_to(4_500).await;
    world.append(30, 1).await;
    late.read_to(4_530).await;
    late.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
}

#[tokio::test]
async fn a_newcomer_learns_of_expired_records_though_nothing_happens_any_more() {
    let Some(world) = World::open().await else { return };
    world.append(20, 5).await;
    let relay = world.relay();
    world.reader().read_to(100).await;
    relay.shutdown().await;
    let mut options = world.relay_options();
    options.remind_every = Duration::from_millis(100);
    let relay = world.relay_with(options);
    expire(&world, 0).await;
    let mut newcomer = world.reader();
    newcomer.read_to(100).await;
    newcomer.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
}

#[tokio::test]
async fn a_broker_killed_while_events_flow_costs_nothing_but_time() {
    if kafka_brokers().is_none() {
        return;
    }
    let mut broker = within("a broker", async {
        tokio::task::spawn_blocking(|| Kafka::temporary(Vec::new()).expect("a second broker starts")).await
    })
    .await
    .expect("starting does not panic");
    let world = World::on(&broker.brokers()).await;
    let relay = world.relay();
    // A reader that has no history to repair from shows that nothing is lost that the broker had acknowledged.
    let empty = World::with(world.kafka.clone()).await;
    let mut reader = empty.believer();
    world.append(50, 20).await;
    reader.read_events(100).await;
    let broker = tokio::task::spawn_blocking(move || {
        broker.kill().expect("the broker can be killed");
        broker.restart().expect("the broker starts again");
        broker
    });
    world.append(50, 20).await;
    let broker = broker.await.expect("restarting does not panic");
    world.append(50, 20).await;
    reader.read_to(3_000).await;
    reader.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
    reader.shutdown().await;
    drop((empty, world));
    drop(broker);
}

#[tokio::test]
async fn the_leaders_of_partitions_killed_one_after_another_cost_nothing_but_time() {
    if kafka_brokers().is_none() {
        return;
    }
    let starting = tokio::task::spawn_blocking(|| KafkaCluster::temporary().expect("three brokers start"));
    let mut cluster = within("three brokers", starting).await.expect("starting does not panic");
    let world = World::on_cluster(&cluster.brokers()).await;
    let relay = world.relay();
    // A reader that has no history to repair from shows that nothing is lost that the brokers had acknowledged.
    let empty = World::with(world.kafka.clone()).await;
    let mut reader = empty.believer();
    for node in 1..=3 {
        let killed = tokio::task::spawn_blocking(move || {
            cluster.node(node).kill().expect("a broker can be killed");
            cluster
        });
        // Each broker leads a third of the partitions: some of these are on their way to the one that dies.
        world.append(40, 20).await;
        cluster = killed.await.expect("killing does not panic");
        let head = world.head().await;
        reader.read_to(head).await;
        let back = tokio::task::spawn_blocking(move || {
            cluster.node(node).restart().expect("the broker comes back");
            cluster
        });
        world.append(40, 5).await;
        cluster = back.await.expect("restarting does not panic");
    }
    reader.read_to(3_000).await;
    reader.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
    reader.shutdown().await;
    drop((empty, world));
    drop(cluster);
}

/// Lets the broker forget all but the newest records of each partition, as time does.
pub(crate) async fn expire(world: &World, all_but: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &world.kafka.brokers).create().expect("the options are good");
    let mut before = TopicPartitionList::new();
    for name in names(&world.kafka.prefix) {
        for partition in 0..i32::from(PARTITIONS) {
            let offsets = admin.inner().fetch_watermarks(&name, partition, Duration::from_secs(10));
            let (_, end) = offsets.expect("the broker answers");
            before
                .add_partition_offset(&name, partition, Offset::Offset((end - all_but).max(0)))
                .expect("the offset is one");
        }
    }
    admin.delete_records(&before, &AdminOptions::new()).await.expect("the broker deletes records");
}
