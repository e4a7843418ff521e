//! A topic beside those of a generation: one partition, and nothing in it expires. Whoever reads it from the beginning has
//! everything in the order in which it was published. What is published twice after a crash is the same record.

use std::{fmt, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    message::OwnedHeaders,
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode,
};
use tokio::sync::OnceCell;

use crate::{options::KafkaOptions, topics::TopicError};

/// How long one question to the brokers, or one record, may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The topic. Nothing is asked of Kafka before the first record.
pub(crate) struct SideTopic {
    options: KafkaOptions,
    name: String,
    producer: OnceCell<FutureProducer>,
}

impl SideTopic {
    /// The topic of a generation whose name ends so.
    pub(crate) fn new(options: KafkaOptions, suffix: &str) -> Self {
        let name = format!("{}.{suffix}", options.prefix);
        Self { options, name, producer: OnceCell::new() }
    }

    /// The topic's whole name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sends a record, and waits until every copy of the topic that must have it has it. Makes the topic if it is missing.
    ///
    /// # Errors
    /// Kafka does not answer, or the topic can neither be found nor made.
    pub(crate) async fn publish(&self, key: &str, payload: &[u8], headers: OwnedHeaders) -> Result<(), TopicError> {
        let producer = self.producer.get_or_try_init(|| self.open()).await?;
        let record = FutureRecord::to(&self.name).key(key).payload(payload).headers(headers);
        producer.send(record, ANSWER_WITHIN).await.map_err(|(error, _)| error)?;
        Ok(())
    }

    async fn open(&self) -> Result<FutureProducer, TopicError> {
        self.ensure().await?;
        let producer = self
            .options
            .client()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", ANSWER_WITHIN.as_millis().to_string())
            .create()?;
        Ok(producer)
    }

    async fn ensure(&self) -> Result<(), TopicError> {
        let client: AdminClient<DefaultClientContext> = self.options.client().create()?;
        let copies = i32::from(self.options.replication);
        let in_sync = (copies - 1).max(1).to_string();
        let topic = NewTopic::new(&self.name, 1, TopicReplication::Fixed(copies))
            .set("min.insync.replicas", &in_sync)
            .set("retention.ms", "-1")
            .set("retention.bytes", "-1");
        let limits = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN)).operation_timeout(Some(ANSWER_WITHIN));
        match client.create_topics([&topic], &limits).await?.pop() {
            Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((name, reason))) => Err(TopicError::NotCreated { name, partitions: 1, reason }),
            None => Err(KafkaError::Canceled.into()),
        }
    }
}

impl fmt::Debug for SideTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SideTopic").field("name", &self.name).finish_non_exhaustive()
    }
}
