//! Which topic an event belongs to, and the topics themselves.
//!
//! To add an aggregate: name its category in [`Topic::of_category`]. Moving a category to another topic is a new
//! generation (another prefix), because consumers would miss the move.

use std::{fmt, time::Duration};

use guildhall_aggregates::TenantId;
use guildhall_event_store::StreamId;
use rdkafka::{
    ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::{Client, DefaultClientContext},
    error::KafkaError,
    types::RDKafkaErrorCode,
};

use crate::{envelope, options::KafkaOptions, partition::partition_of};

/// How long one question to the brokers may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often we look again whether topics just made are known to every broker.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How many times.
const LOOKS: u32 = 200;

/// What a topic is about. Each category of streams belongs to exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// The associations themselves.
    Associations,
    /// Members and what is known of them.
    Members,
    /// Plans and memberships.
    Memberships,
    /// Association events and their rosters.
    Events,
    /// Invoices and payments.
    Billing,
}

impl Topic {
    /// All topics of a generation.
    pub const ALL: [Self; 5] = [Self::Associations, Self::Members, Self::Memberships, Self::Events, Self::Billing];

    /// Where the events of a category go; none for a category that nobody has placed, nor for those of other
    /// applications' aggregates, which begin with `app_`.
    pub fn of_category(category: &str) -> Option<Self> {
        Some(match category {
            "association" => Self::Associations,
            "member" => Self::Members,
            "membership" | "membership_plan" => Self::Memberships,
            "association_event" | "event_roster" => Self::Events,
            "invoice" | "invoice_series" | "payment" => Self::Billing,
            _ => return None,
        })
    }

    /// The name after the prefix.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Associations => "associations",
            Self::Members => "members",
            Self::Memberships => "memberships",
            Self::Events => "events",
            Self::Billing => "billing",
        }
    }

    /// What stands in it, in words.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Associations => "The associations themselves: names, zones, currencies and rules.",
            Self::Members => "Members and what is known of them; personal data is sealed.",
            Self::Memberships => "Membership plans and memberships.",
            Self::Events => "Association events and their rosters.",
            Self::Billing => "Invoices, their numbers, and payments.",
        }
    }

    /// The whole name in a generation of topics, such as `guildhall.members`.
    pub fn name(self, prefix: &str) -> String {
        format!("{prefix}.{}", self.suffix())
    }

    /// The topic with this name in a generation of topics.
    pub(crate) fn named(name: &str, prefix: &str) -> Option<Self> {
        let suffix = name.strip_prefix(prefix)?.strip_prefix('.')?;
        Self::ALL.into_iter().find(|topic| topic.suffix() == suffix)
    }
}

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: Topic,
    /// The partition, from 0.
    pub partition: u16,
}

impl Place {
    /// Where the events of a stream go, in a generation with so many partitions; none for a stream of a category
    /// that nobody has placed.
    pub fn of(tenant: TenantId, stream: &StreamId, partitions: u16) -> Option<Self> {
        let topic = Topic::of_category(&stream.category)?;
        let partition = partition_of(envelope::key(tenant, stream).as_bytes(), partitions);
        Some(Self { topic, partition })
    }

    /// Every place of a generation with so many partitions.
    pub fn all(partitions: u16) -> impl Iterator<Item = Self> {
        Topic::ALL.into_iter().flat_map(move |topic| (0..partitions).map(move |partition| Self { topic, partition }))
    }

    /// The partition as Kafka's clients count it.
    pub(crate) fn number(self) -> i32 {
        i32::from(self.partition)
    }
}

/// Written `members/3`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic.suffix(), self.partition)
    }
}

/// Why the topics are not as they must be.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// A topic has another number of partitions than configured.
    #[error(
        "topic {name} has {found} partitions, but {wanted} are configured; a generation of topics keeps its count for \
         life: configure {found}, or another prefix to begin a new generation with {wanted}"
    )]
    PartitionCount {
        /// The topic.
        name: String,
        /// The partitions it has.
        found: usize,
        /// The partitions configured.
        wanted: u16,
    },
    /// A topic could not be made.
    #[error(
        "topic {name} could not be created: {reason}; create it with {partitions} partitions, or let us create topics"
    )]
    NotCreated {
        /// The topic.
        name: String,
        /// The partitions it is to have.
        partitions: u16,
        /// What the broker said.
        reason: RDKafkaErrorCode,
    },
    /// The brokers made the topics, but do not all know them yet.
    #[error("topics just created are not visible on the brokers yet")]
    NotVisible,
    /// The brokers cannot be reached, or refuse to answer.
    #[error("Kafka does not answer: {0}")]
    Kafka(#[from] KafkaError),
}

impl TopicError {
    /// Whether trying again cannot help.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, Self::PartitionCount { .. })
    }
}

/// Makes the topics that are missing and checks those that are there. Needs the right to create topics only where
/// one is missing.
///
/// # Errors
/// A topic has another partition count than configured, or Kafka cannot be asked.
pub async fn ensure(options: &KafkaOptions) -> Result<(), TopicError> {
    let missing = missing(options).await?;
    if missing.is_empty() {
        return Ok(());
    }
    create(options, &missing).await?;
    for _ in 0..LOOKS {
        if self::missing(options).await?.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Err(TopicError::NotVisible)
}

/// The topics that do not exist, once those that do are seen to be right.
async fn missing(options: &KafkaOptions) -> Result<Vec<Topic>, TopicError> {
    let found = partition_counts(options).await?;
    let mut missing = Vec::new();
    for topic in Topic::ALL {
        let name = topic.name(&options.prefix);
        match found.iter().find(|(found, _)| *found == name) {
            None => missing.push(topic),
            Some((_, count)) if *count == usize::from(options.partitions) => {}
            Some((_, count)) => {
                return Err(TopicError::PartitionCount { name, found: *count, wanted: options.partitions });
            }
        }
    }
    Ok(missing)
}

/// Every topic of the cluster with its partition count. Asking for all of them, rather than for ours by name,
/// keeps a broker that creates topics on demand from creating ours with its own partition count.
async fn partition_counts(options: &KafkaOptions) -> Result<Vec<(String, usize)>, KafkaError> {
    let client: AdminClient<DefaultClientContext> = options.client().create()?;
    let asked = move || {
        let metadata = client.inner().fetch_metadata(None, ANSWER_WITHIN)?;
        Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
    };
    tokio::task::spawn_blocking(asked).await.map_err(|_| KafkaError::Canceled)?
}

async fn create(options: &KafkaOptions, topics: &[Topic]) -> Result<(), TopicError> {
    let client: AdminClient<DefaultClientContext> = options.client().create()?;
    let names: Vec<String> = topics.iter().map(|topic| topic.name(&options.prefix)).collect();
    let (partitions, copies) = (i32::from(options.partitions), i32::from(options.replication));
    // What is acknowledged is on all copies but one at least, so losing a broker loses nothing and stops nothing.
    let in_sync = (copies - 1).max(1).to_string();
    let topic = |name| NewTopic::new(name, partitions, TopicReplication::Fixed(copies));
    let wanted: Vec<_> = names.iter().map(|name| topic(name).set("min.insync.replicas", &in_sync)).collect();
    let limits = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN)).operation_timeout(Some(ANSWER_WITHIN));
    for result in client.create_topics(&wanted, &limits).await? {
        match result {
            // Another relay or consumer that starts at the same moment may have been first.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, reason)) => {
                return Err(TopicError::NotCreated { name, partitions: options.partitions, reason });
            }
        }
    }
    Ok(())
}

/// The offsets of the oldest record of a partition and of the next one to be written. Blocks for an answer, which a
/// topic just made, or a partition that is moving, gives a little later.
pub(crate) fn offsets<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    place: Place,
) -> Result<(i64, i64), KafkaError> {
    for _ in 0..LOOKS {
        match client.fetch_watermarks(name, place.number(), ANSWER_WITHIN) {
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition,
            )) => std::thread::sleep(LOOK_AGAIN),
            answered => return answered,
        }
    }
    Err(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use guildhall_aggregates as aggregates;
    use guildhall_aggregates::StoredEvent;

    use super::*;

    #[test]
    fn every_aggregate_category_has_a_topic() {
        let categories = [
            aggregates::association::AssociationRecord::CATEGORY,
            aggregates::association_event::AssociationEventRecord::CATEGORY,
            aggregates::event_roster::RosterEvent::CATEGORY,
            aggregates::invoice::InvoiceEvent::CATEGORY,
            aggregates::invoice_series::SeriesEvent::CATEGORY,
            aggregates::member::MemberEvent::CATEGORY,
            aggregates::membership::MembershipEvent::CATEGORY,
            aggregates::membership_plan::PlanEvent::CATEGORY,
            aggregates::payment::PaymentEvent::CATEGORY,
        ];
        let topics: HashSet<_> = categories
            .map(|category| Topic::of_category(category).unwrap_or_else(|| panic!("{category} has no topic")))
            .into();
        assert_eq!(topics.len(), Topic::ALL.len(), "every topic has something to carry");
        assert_eq!(Topic::of_category("members"), None);
    }

    #[test]
    fn a_topic_is_found_by_the_name_it_has_in_its_generation() {
        for topic in Topic::ALL {
            assert_eq!(Topic::named(&topic.name("north.g2"), "north.g2"), Some(topic));
            assert_eq!(Topic::named(&topic.name("north.g2"), "north"), None);
        }
    }
}
