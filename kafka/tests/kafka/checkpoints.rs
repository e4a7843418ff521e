//! Checkpoints stand in their topic in the order in which they were published.

use std::time::Duration;

use guildhall_aggregates::TenantId;
use guildhall_kafka::{CheckpointTopic, KafkaOptions};
use guildhall_sandbox::testing::kafka_brokers;
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{Consumer as _, StreamConsumer},
};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_read_as_they_were_published_also_by_a_publisher_that_came_later() {
    let Some(brokers) = kafka_brokers() else { return };
    let mut options = KafkaOptions::new(&*brokers);
    options.prefix = format!("test-{}", Uuid::now_v7().simple());
    let association = TenantId::new(Uuid::from_u128(7));
    let first = CheckpointTopic::new(options.clone());
    first.publish(association, "one").await.expect("Kafka takes it");
    first.publish(association, "two").await.expect("Kafka takes it");
    CheckpointTopic::new(options).publish(association, "three").await.expect("the topic is there already");

    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &*brokers)
        .set("group.id", first.name())
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer can be made");
    consumer.subscribe(&[first.name()]).expect("a topic can be subscribed to");
    for expected in ["one", "two", "three"] {
        let record = tokio::time::timeout(Duration::from_mins(1), consumer.recv()).await.expect("in time");
        let record = record.expect("Kafka answers");
        assert_eq!(record.payload_view::<str>(), Some(Ok(expected)));
        assert_eq!(record.key_view::<str>(), Some(Ok(&*association.uuid().to_string())));
    }
}
