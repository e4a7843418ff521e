//! What Kafka may lose, repeat, mix up or be told by strangers: noticed, taken from history instead, and counted.

use std::{sync::Arc, time::Duration};

use guildhall_event_store::RecordedEvent;
use guildhall_kafka::{ConsumerError, ConsumerOptions};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};

use crate::{
    hand::Hand,
    world::{Reader, World, counted, names, within},
};

/// A record's event as a forger would have it: it agrees with its own leaf hash, and history does not know it.
fn forged(event: &RecordedEvent) -> RecordedEvent {
    let mut forged = RecordedEvent { payload: "{\"n\":\"forged\"}".into(), ..event.clone() };
    forged.leaf_hash = forged.computed_leaf_hash();
    forged
}

async fn delete_topics(world: &World) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &world.kafka.brokers).create().expect("the options are good");
    let names = names(&world.kafka.prefix);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    admin.delete_topics(&names, &AdminOptions::new()).await.expect("the broker deletes topics");
    within("the topics to be gone", async {
        loop {
            let known = admin.inner().fetch_metadata(None, Duration::from_secs(10)).expect("the broker answers");
            if !known.topics().iter().any(|topic| names.contains(&topic.name())) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn topics_deleted_and_made_anew_are_read_on_by_whoever_had_read_the_old_ones() {
    let Some(world) = World::open().await else { return };
    let relay = world.relay();
    world.append(60, 10).await;
    let mut options = ConsumerOptions::new(world.kafka.clone(), world.kafka.prefix.clone());
    options.stalled_after = Duration::from_secs(2);
    let mut reader = Reader::with(options, world.store.clone(), Arc::default());
    reader.read_to(600).await;
    relay.shutdown().await;
    // Never relayed before the old topics went.
    world.append(60, 2).await;
    delete_topics(&world).await;
    let relay = world.relay();
    // Fewer records than the old topics had: whoever reads on from the old offsets stands beyond their ends.
    world.append(60, 1).await;
    reader.read_to(780).await;
    reader.assert_has_exactly(&world.history().await, &world.kafka.prefix);
    relay.shutdown().await;
}

#[tokio::test]
async fn copies_in_any_order_are_taken_once_and_in_order() {
    let Some(world) = World::open().await else { return };
    let hand = Hand::on(&world).await;
    world.append(20, 10).await;
    let history = world.history().await;
    let (gaps, repeated) = (counted("kafka_consumer_gaps_total"), counted("kafka_consumer_duplicates_total"));
    let chained = Hand::chained(&history);
    let backwards: Vec<_> = chained.iter().rev().cloned().collect();
    let shuffled: Vec<_> = (0..200).map(|nth| chained[(nth * 77) % 200].clone()).collect();
    hand.send_as_told(&shuffled).await;
    hand.send_as_told(&backwards).await;
    hand.send_as_told(&chained).await;
    let relay = world.relay_from(200).await;
    let mut reader = world.reader();
    reader.read_to(200).await;
    reader.assert_has_exactly(&history, &world.kafka.prefix);
    relay.shutdown().await;
    assert!(counted("kafka_consumer_gaps_total") > gaps, "what came too early showed no gap");
    assert!(counted("kafka_consumer_duplicates_total") >= repeated + 400, "repetitions are not counted");
}

#[tokio::test]
async fn forged_records_are_left_out_and_what_stands_in_their_place_is_taken_from_history() {
    let Some(world) = World::open().await else { return };
    let hand = Hand::on(&world).await;
    world.append(20, 10).await;
    let history = world.history().await;
    let before = counted("kafka_consumer_forged_total");
    let mut records = Hand::chained(&history);
    // Every tenth is a forgery in place of the real one; one leaps far ahead and would make all that follow look repeated.
    for nth in (5..200).step_by(10) {
        records[nth].0 = forged(&records[nth].0);
    }
    let (leap, previous) = &records[50];
    let ahead = forged(&RecordedEvent { position: 190, ..leap.clone() });
    records.insert(50, (ahead, *previous));
    // And one claims a gap that is none.
    let gap = forged(&RecordedEvent { position: 195, ..records[120].0.clone() });
    records.insert(120, (gap, 180));
    hand.send_as_told(&records).await;
    // The last one of a partition shows that the newest records are of this history.
    let relay = world.relay_from(200).await;
    let mut late = world.reader();
    late.read_to(200).await;
    late.assert_has_exactly(&history, &world.kafka.prefix);
    relay.shutdown().await;
    assert!(counted("kafka_consumer_forged_total") > before + 10, "forgeries are not counted");
}

#[tokio::test]
async fn a_record_from_beyond_the_end_of_history_halts_whoever_reads_it() {
    let Some(world) = World::open().await else { return };
    let hand = Hand::on(&world).await;
    world.append(5, 4).await;
    let history = world.history().await;
    let mut records = Hand::chained(&history);
    let (last, _) = records.pop().expect("there are records");
    records.push((forged(&RecordedEvent { position: 1_000, ..last }), 0));
    hand.send_as_told(&records).await;
    let mut reader = world.reader();
    let ended = within("an error", async {
        loop {
            if let Err(error) = reader.round().await {
                break error;
            }
        }
    })
    .await;
    assert!(matches!(ended, ConsumerError::BeyondHistory { after: 20 }), "{ended:?}");
}

#[tokio::test]
async fn topics_that_tell_of_another_history_halt_whoever_reads_them() {
    let Some(world) = World::open().await else { return };
    world.append(5, 4).await;
    let relay = world.relay();
    world.reader().read_to(20).await;
    relay.shutdown().await;
    let other = World::with(world.kafka.clone()).await;
    other.append(5, 6).await;
    let mut reader = other.reader();
    let ended = within("an error", async {
        loop {
            if let Err(error) = reader.round().await {
                break error;
            }
        }
    })
    .await;
    assert!(matches!(ended, ConsumerError::Diverged { .. }), "{ended:?}");
    assert_eq!(reader.count(), 0, "nothing of it was handed over");
}
