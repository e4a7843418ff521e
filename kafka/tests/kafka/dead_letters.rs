//! What a read model could not fold is told to the outside, as the event it is.

use std::{collections::BTreeMap, time::Duration};

use guildhall_kafka::DeadLetterTopic;
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{Consumer as _, StreamConsumer},
    message::Headers as _,
};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_the_event_with_what_was_wrong_with_it_and_always_has_the_same_id() {
    let Some(world) = World::open().await else { return };
    world.append(1, 1).await;
    let event = world.store.read_after(0, 1).await.expect("history can be read").remove(0);
    let topic = DeadLetterTopic::new(world.kafka.clone());
    assert_eq!(topic.name(), format!("{}.deadletters", world.kafka.prefix));
    // The answer to the first was lost, say.
    topic.publish(&event, "directory", "its name cannot be opened").await.expect("Kafka takes it");
    topic.publish(&event, "directory", "its name cannot be opened").await.expect("Kafka takes it");

    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &world.kafka.brokers)
        .set("group.id", topic.name())
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer can be made");
    consumer.subscribe(&[topic.name()]).expect("a topic can be subscribed to");
    for _ in 0..2 {
        let record = tokio::time::timeout(Duration::from_mins(1), consumer.recv()).await.expect("in time");
        let record = record.expect("Kafka answers");
        assert_eq!(record.payload(), Some(&*event.payload));
        let headers = record.headers().expect("it has headers");
        let headers: BTreeMap<&str, &str> = headers
            .iter()
            .map(|header| (header.key, std::str::from_utf8(header.value.unwrap_or_default()).expect("text")))
            .collect();
        assert_eq!(headers["ce_id"], format!("{}.directory", event.event_id));
        assert_eq!((headers["ce_projection"], headers["ce_reason"]), ("directory", "its name cannot be opened"));
        assert_eq!(
            (headers["ce_eventid"], headers["ce_subject"]),
            (&*event.event_id.to_string(), &*event.stream.to_string())
        );
        assert_eq!((headers["ce_position"], headers["ce_specversion"]), ("1", "1.0"));
        assert!(!headers.contains_key("ce_prevposition"));
    }
}
