//! From history to Kafka, and from Kafka to whoever is given.
//!
//! The event table is the outbox: the [`Relay`] reads history in order and produces each event to the topic of
//! its content ([`Topic`]), keyed by association and stream. The [`Consumer`] brings the records back as the events
//! they were. Together they keep one promise with the projections: every event arrives, in the order of its stream,
//! and what arrives twice or not at all is noticed. Each record names the one before it in its partition; a consumer
//! that misses one takes it from history, and drops what it has seen.
//!
//! This room knows nothing about HTTP or the read tables, and Kafka is known to no other.

pub mod asyncapi;
pub mod checkpoints;
mod consumer;
pub mod dead_letters;
pub mod envelope;
mod options;
mod partition;
mod patience;
pub mod relay;
mod side_topic;
pub mod topics;

pub use checkpoints::CheckpointTopic;
pub use consumer::{Consumer, ConsumerError, ConsumerOptions, GroupProtocol, PartitionBatch, Resume, source};
pub use dead_letters::DeadLetterTopic;
pub use options::{KafkaOptions, OptionsError};
pub use relay::{Relay, RelayError, RelayOptions};
pub use topics::{Place, Topic, TopicError};
