//! Which partitions are ours, and where each is taken up.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::{BoxFuture, try_join_all};
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
    types::RDKafkaRespErr,
};
use tokio::runtime::Handle;

use super::{Resume, lane::Lane};
use crate::{
    options::KafkaOptions,
    topics::{Place, Topic},
};

/// Where to begin with a topic's partition.
pub(super) type ResumeFn = Arc<dyn Fn(String, i32) -> BoxFuture<'static, Result<Resume, String>> + Send + Sync>;

/// The partitions that are ours, one lane each.
pub(super) type Lanes = Arc<Mutex<BTreeMap<Place, Lane>>>;

/// How long the answers may take. Less than the group waits for a member to take up its partitions.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The partitions that are ours. Kafka's client calls it from within `poll`, on the consumer's thread.
pub(super) struct Assignment {
    resume: ResumeFn,
    runtime: Handle,
    prefix: String,
    partitions: u16,
    lanes: Lanes,
    failed: Mutex<Option<String>>,
}

impl Assignment {
    pub(super) fn new(resume: ResumeFn, runtime: Handle, kafka: &KafkaOptions, lanes: Lanes) -> Self {
        let (prefix, partitions) = (kafka.prefix.clone(), kafka.partitions);
        Self { resume, runtime, prefix, partitions, lanes, failed: Mutex::default() }
    }

    /// The partitions. Not to be held while polling.
    pub(super) fn lanes(&self) -> MutexGuard<'_, BTreeMap<Place, Lane>> {
        lock(&self.lanes)
    }

    /// Why a partition could not be taken up, if one could not.
    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.failed).take()
    }

    /// The place of a topic's partition, if it is one of ours.
    pub(super) fn place(&self, topic: &str, partition: i32) -> Option<Place> {
        let topic = Topic::named(topic, &self.prefix)?;
        Some(Place { topic, partition: u16::try_from(partition).ok()? })
    }

    /// Asks where to begin with each partition, all at once.
    fn take_up(&self, assigned: &TopicPartitionList) -> Result<TopicPartitionList, String> {
        let questions = assigned.elements().into_iter().map(|element| {
            let (topic, partition) = (element.topic().to_owned(), element.partition());
            let answer = (self.resume)(topic.clone(), partition);
            async move { answer.await.map(|resume| (topic, partition, resume)) }
        });
        let questions: Vec<_> = questions.collect();
        let answers = self
            .runtime
            .block_on(async { tokio::time::timeout(ANSWER_WITHIN, try_join_all(questions)).await })
            .map_err(|_| format!("no answer within {} s", ANSWER_WITHIN.as_secs()))??;
        let mut from = TopicPartitionList::with_capacity(answers.len());
        let mut lanes = self.lanes();
        for (topic, partition, resume) in answers {
            let Some(place) = self.place(&topic, partition) else { continue };
            tracing::debug!(%place, resume.next_offset, resume.reached, "taking up a partition");
            from.add_partition_offset(&topic, partition, Offset::Offset(resume.next_offset))
                .map_err(|error| error.to_string())?;
            lanes.insert(place, Lane::new(topic, place, self.partitions, resume));
        }
        tracing::info!(taken_up = from.count(), all = lanes.len(), "taking up partitions");
        Ok(from)
    }

    fn let_go(&self, revoked: &TopicPartitionList) {
        let mut lanes = self.lanes();
        for element in revoked.elements() {
            if let Some(place) = self.place(element.topic(), element.partition()) {
                lanes.remove(&place);
            }
        }
        tracing::info!(let_go = revoked.count(), all = lanes.len(), "letting go of partitions");
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, assigned: &TopicPartitionList) -> Result<(), KafkaError> {
        match self.take_up(assigned) {
            Ok(from) => consumer.incremental_assign(&from)?,
            Err(reason) => {
                // The group waits for an answer, and the consumer could not even be closed without one. No lane
                // takes what now arrives, and the session ends as soon as the poll returns.
                *lock(&self.failed) = Some(reason);
                consumer.incremental_assign(assigned)?;
            }
        }
        // A partition that was paused for a repair when it went elsewhere may come back paused.
        consumer.resume(assigned)
    }
}

impl ClientContext for Assignment {}

impl ConsumerContext for Assignment {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, partitions)
        } else {
            self.let_go(partitions);
            consumer.incremental_unassign(partitions)
        };
        if let Err(error) = done {
            *lock(&self.failed) = Some(error.to_string());
        }
    }
}

/// What is behind a lock, also after a panic of whoever held it: nothing here is ever left half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
