//! Events that a read model could not fold, in a topic of their own: `<prefix>.deadletters`, keyed as the events are.
//!
//! For those outside who watch over what we make of history. A record is the event as the relay sends it, with its headers,
//! but for these:
//!
//! | header | holds |
//! |---|---|
//! | `ce_id` | the event's id, a dot and the projection: the same whenever it is sent again |
//! | `ce_eventid` | the event's id |
//! | `ce_projection` | the read model that could not fold it |
//! | `ce_reason` | why, without personal data |
//!
//! The stream is missing in that read model from `ce_position` on. There is no `ce_prevposition`.

use guildhall_event_store::RecordedEvent;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};

use crate::{
    envelope::{self, event_headers},
    options::KafkaOptions,
    side_topic::SideTopic,
    topics::TopicError,
};

/// What the topic's name ends with.
pub(crate) const SUFFIX: &str = "deadletters";

/// The topic of dead letters. Nothing is asked of Kafka before the first one.
#[derive(Debug)]
pub struct DeadLetterTopic {
    topic: SideTopic,
    public_url: String,
}

impl DeadLetterTopic {
    /// The topic of a generation.
    pub fn new(options: KafkaOptions) -> Self {
        let public_url = options.public_url.clone();
        Self { topic: SideTopic::new(options, SUFFIX), public_url }
    }

    /// The topic's whole name.
    pub fn name(&self) -> &str {
        self.topic.name()
    }

    /// Sends the event that a projection could not fold, and waits until the topic has it for sure.
    ///
    /// # Errors
    /// Kafka does not answer, or the topic can neither be found nor made.
    pub async fn publish(&self, event: &RecordedEvent, projection: &str, reason: &str) -> Result<(), TopicError> {
        let key = envelope::key(event.tenant, &event.stream);
        self.topic.publish(&key, &event.payload, headers(event, projection, reason, &self.public_url)).await
    }
}

/// The headers of an event's letter.
pub(crate) fn headers(event: &RecordedEvent, projection: &str, reason: &str, public_url: &str) -> OwnedHeaders {
    let id = event.event_id.to_string();
    let own = [
        ("ce_id", format!("{id}.{projection}")),
        ("ce_eventid", id),
        ("ce_projection", projection.to_owned()),
        ("ce_reason", reason.to_owned()),
    ];
    let of_the_event = event_headers(event, 0, public_url);
    let kept = of_the_event.iter().filter(|header| !["ce_id", "ce_prevposition"].contains(&header.key));
    let headers = kept.fold(OwnedHeaders::new(), |headers, header| headers.insert(header));
    own.iter().fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}
