//! Topics, history and checkpoint have to belong together, and a relay that finds that they do not stops.

use std::time::Duration;

use guildhall_kafka::{ConsumerError, KafkaOptions, RelayError, TopicError, topics};

use crate::world::{World, within};

#[tokio::test]
async fn a_checkpoint_that_history_contradicts_halts_the_relay() {
    let Some(world) = World::open().await else { return };
    world.append(5, 4).await;
    let relay = world.relay();
    world.reader().read_to(20).await;
    relay.shutdown().await;
    world.tamper("leaf_hash = sha256('another event')").await;
    let ended = world.relay().ended().await;
    assert!(matches!(ended, Err(RelayError::Diverged { position: 20 })), "{ended:?}");
}

#[tokio::test]
async fn a_checkpoint_tampered_with_under_a_running_relay_halts_the_next_one() {
    let Some(world) = World::open().await else { return };
    world.append(5, 4).await;
    let relay = world.relay();
    world.reader().read_to(20).await;
    relay.shutdown().await;
    world.tamper("position = 12").await;
    let ended = world.relay().ended().await;
    assert!(matches!(ended, Err(RelayError::Diverged { position: 12 })), "{ended:?}");
}

/// Changes an event behind everybody's back, as a database does that comes back from a backup.
async fn change_history(world: &World, position: i64) {
    let client = world.database.connect().await;
    let statement = "SET session_replication_role = replica;
                     ALTER TABLE es.event DISABLE TRIGGER USER";
    client.batch_execute(statement).await.expect("the test is a superuser");
    let statement = "UPDATE es.event SET leaf_hash = sha256('another event') WHERE position = $1";
    let changed = client.execute(statement, &[&position]).await.expect("the test is a superuser");
    assert_eq!(changed, 1);
}

#[tokio::test]
async fn history_that_changes_under_a_running_relay_halts_it_before_it_sends_more() {
    let Some(world) = World::open().await else { return };
    world.append(5, 4).await;
    let relay = world.relay();
    let mut reader = world.reader();
    reader.read_to(20).await;
    change_history(&world, 20).await;
    world.append(5, 4).await;
    let ended = relay.ended().await;
    assert!(matches!(ended, Err(RelayError::Diverged { position: 20 })), "{ended:?}");
}

#[tokio::test]
async fn history_that_changes_while_nothing_happens_halts_the_relay_too() {
    let Some(world) = World::open().await else { return };
    world.append(5, 4).await;
    let mut options = world.relay_options();
    options.audit_every = Duration::from_millis(50);
    let relay = world.relay_with(options);
    world.reader().read_to(20).await;
    change_history(&world, 20).await;
    let ended = relay.ended().await;
    assert!(matches!(ended, Err(RelayError::Diverged { position: 20 })), "{ended:?}");
}

#[tokio::test]
async fn topics_that_tell_of_another_history_halt_the_relay() {
    let Some(world) = World::open().await else { return };
    world.append(5, 4).await;
    let relay = world.relay();
    world.reader().read_to(20).await;
    relay.shutdown().await;
    // The same topics and a database that was set back: here, another one with other events at the same positions.
    let other = World::with(world.kafka.clone()).await;
    other.append(5, 4).await;
    let ended = other.relay().ended().await;
    assert!(matches!(ended, Err(RelayError::Diverged { .. })), "{ended:?}");
    assert_eq!(other.relay_row("position").await, 0, "nothing was relayed");
}

#[tokio::test]
async fn a_generation_keeps_its_partition_count() {
    let Some(world) = World::open().await else { return };
    topics::ensure(&world.kafka).await.expect("the broker makes topics");
    topics::ensure(&world.kafka).await.expect("topics that are right are left alone");
    let more = KafkaOptions { partitions: 7, ..world.kafka.clone() };
    let refused = topics::ensure(&more).await;
    assert!(matches!(refused, Err(TopicError::PartitionCount { found: 6, wanted: 7, .. })), "{refused:?}");
    let mut options = world.relay_options();
    options.kafka = more;
    let ended = world.relay_with(options).ended().await;
    assert!(matches!(ended, Err(RelayError::Topics(TopicError::PartitionCount { .. }))), "{ended:?}");
}

#[tokio::test]
async fn a_generation_whose_topics_are_gone_still_keeps_its_partition_count() {
    let Some(world) = World::open().await else { return };
    // Somebody deleted the topics to have more partitions, but the row that remembers the others is there.
    world.set_checkpoint(0).await;
    let mut options = world.relay_options();
    options.kafka.partitions = 7;
    let ended = world.relay_with(options).ended().await;
    assert!(matches!(ended, Err(RelayError::PartitionCount { found: 6, wanted: 7, .. })), "{ended:?}");
}

#[tokio::test]
async fn a_reader_is_told_when_kafka_knows_more_than_history() {
    let Some(world) = World::open().await else { return };
    world.append(5, 20).await;
    let relay = world.relay();
    let mut reader = world.reader();
    reader.read_to(100).await;
    reader.shutdown().await;
    relay.shutdown().await;
    // A new reader, whose history is empty, must not wait for ever for what it cannot find there.
    crate::faults::expire(&world, 1).await;
    let set_back = World::with(world.kafka.clone()).await;
    let mut reader = set_back.reader();
    let ended = within("an error", async {
        loop {
            if let Err(error) = reader.round().await {
                break error;
            }
        }
    })
    .await;
    assert!(matches!(ended, ConsumerError::BeyondHistory { .. }), "{ended:?}");
    assert!(matches!(reader.round().await, Err(ConsumerError::Ended)));
}
