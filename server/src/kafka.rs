//! How an installation reaches Kafka: its section of the configuration, and what the rooms are told of it.

use std::collections::{BTreeMap, BTreeSet};

use guildhall_kafka::{ConsumerOptions, KafkaOptions, Topic};
use guildhall_projections::Projector;
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// How Kafka is reached; used when `transport = "kafka"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// Bootstrap servers, `host:port,host:port`. Also `KAFKA_BROKERS`, which switches the transport.
    pub brokers: String,
    /// What every topic's name begins with.
    pub topic_prefix: String,
    /// Partitions of a new topic, 1 to 1000. Topics that exist keep theirs. More than there are nodes that project bring nothing,
    /// and events come later: each partition is a request of its own to a broker.
    pub partitions: u16,
    /// Replicas of a new topic, 1 to 10.
    pub replication_factor: u16,
    /// How projectors share partitions: `classic`, among themselves, or `consumer`, by the brokers (KIP-848, Kafka 4).
    pub group_protocol: GroupProtocol,
    /// More settings of the connection by librdkafka's names, such as `security.protocol`.
    pub connection: BTreeMap<String, String>,
}

/// How the members of a consumer group agree on who reads what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    /// Among themselves. Every broker knows it.
    Classic,
    /// By the brokers, from Kafka 4 on: joining is faster.
    Consumer,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topic_prefix: "guildhall".into(),
            partitions: 3,
            replication_factor: 1,
            group_protocol: GroupProtocol::Classic,
            connection: BTreeMap::new(),
        }
    }
}

impl Kafka {
    /// What is wrong with the settings, each by its name.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=1000).contains(&self.partitions) {
            problems.push("kafka.partitions must be between 1 and 1000".to_owned());
        }
        if !(1..=10).contains(&self.replication_factor) {
            problems.push("kafka.replication_factor must be between 1 and 10".to_owned());
        }
        problems
    }
}

/// How a projection reads Kafka: the topics of the categories that it folds, and no others.
pub(crate) fn consumer_options<P: Projector>(config: &Config) -> ConsumerOptions {
    let protocol = match config.kafka.group_protocol {
        GroupProtocol::Classic => guildhall_kafka::GroupProtocol::Classic,
        GroupProtocol::Consumer => guildhall_kafka::GroupProtocol::Consumer,
    };
    let topics: BTreeSet<_> = P::READS.categories.iter().filter_map(|category| Topic::of_category(category)).collect();
    let options = ConsumerOptions::new(options(config), format!("guildhall.{}", P::NAME));
    ConsumerOptions { protocol, topics: topics.into_iter().collect(), ..options }
}

/// How this installation reaches Kafka.
pub(crate) fn options(config: &Config) -> KafkaOptions {
    KafkaOptions {
        prefix: config.kafka.topic_prefix.clone(),
        partitions: config.kafka.partitions,
        replication: config.kafka.replication_factor,
        public_url: config.http.reached_at(),
        connection: config.kafka.connection.clone(),
        ..KafkaOptions::new(config.kafka.brokers.clone())
    }
}
