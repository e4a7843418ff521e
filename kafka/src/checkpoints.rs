//! Signed checkpoints of history, in a topic of their own: `<prefix>.checkpoints`, keyed by association. A record is the
//! signed note as text.

use guildhall_aggregates::TenantId;
use rdkafka::message::OwnedHeaders;

use crate::{options::KafkaOptions, side_topic::SideTopic, topics::TopicError};

/// What the topic's name ends with.
pub(crate) const SUFFIX: &str = "checkpoints";

/// The topic that checkpoints are published to. Nothing is asked of Kafka before the first one.
#[derive(Debug)]
pub struct CheckpointTopic(SideTopic);

impl CheckpointTopic {
    /// The topic of a generation.
    pub fn new(options: KafkaOptions) -> Self {
        Self(SideTopic::new(options, SUFFIX))
    }

    /// The topic's whole name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Sends a checkpoint, and waits until every copy of the topic that must have it has it. Makes the topic if it is
    /// missing.
    ///
    /// # Errors
    /// Kafka does not answer, or the topic can neither be found nor made.
    pub async fn publish(&self, association: TenantId, note: &str) -> Result<(), TopicError> {
        self.0.publish(&association.uuid().to_string(), note.as_bytes(), OwnedHeaders::new()).await
    }
}
