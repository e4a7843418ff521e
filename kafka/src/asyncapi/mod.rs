//! The topics, described for those who read them with other tools: an `AsyncAPI` 3.0 document.
//!
//! It says what a consumer finds: a channel for each topic, a message for each event type and version, the headers of
//! [`envelope`](crate::envelope) and the payloads of [`schema`]. It holds all it refers to, and nothing of one
//! installation: prefix, brokers and partitions are what a configuration says, and stand here with their defaults.

mod headers;

use guildhall_aggregates::schema::{self, EventSchema};
use serde_json::{Map, Value, json};

use crate::{checkpoints, dead_letters, options::KafkaOptions, topics::Topic};

const BINDING_VERSION: &str = "0.5.0";
/// The message that is no event, in every channel of events.
const WATERMARK: &str = "watermark";
const CHECKPOINT: &str = "checkpoint";
const DEAD_LETTER: &str = "deadletter";

/// The document.
pub fn document() -> Value {
    let defaults = KafkaOptions::new("localhost:9092");
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Guildhall's topics",
            "version": env!("CARGO_PKG_VERSION"),
            "description":
                "What professional associations have recorded, as CloudEvents 1.0 in Kafka's binary mode. Everything of \
                 one stream is in one partition, in order. Each record names the position of the one before it in its \
                 partition, so that a consumer sees when one is missing, and drops what it has seen. Consumers accept \
                 properties they do not know: a version of a schema may gain some that need not be there.",
            "license": { "name": "Apache-2.0 OR MIT" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "brokers": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The brokers that `kafka.brokers` of the configuration names. Ask your operator how they \
                                are reached, and with which credentials.",
                "variables": {
                    "bootstrap": {
                        "description": "The bootstrap servers, as host:port.",
                        "default": defaults.brokers,
                    },
                },
            },
        },
        "channels": channels(&defaults),
        "operations": operations(),
        "components": { "schemas": schemas(), "messages": messages(), "parameters": parameters(&defaults) },
    })
}

fn parameters(defaults: &KafkaOptions) -> Value {
    json!({
        "prefix": {
            "description": "The generation of topics: `kafka.topic_prefix` of the configuration.",
            "default": defaults.prefix,
        },
    })
}

/// The schemas of a topic's events.
fn schemas_of(topic: Topic) -> impl Iterator<Item = &'static EventSchema> {
    schema::all().iter().filter(move |schema| Topic::of_category(schema.category) == Some(topic))
}

/// The name of an event's message and of its payload's schema: `member.MemberRegistered.v1`.
fn name(schema: &EventSchema) -> String {
    format!("{}.{}.v{}", schema.category, schema.type_name, schema.version)
}

fn reference(to: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/{to}/{name}") })
}

fn channels(defaults: &KafkaOptions) -> Value {
    let mut channels: Map<String, Value> = Topic::ALL
        .into_iter()
        .map(|topic| {
            let names = schemas_of(topic).map(name).chain([WATERMARK.to_owned()]);
            let channel = channel(topic.suffix(), topic.about(), names, defaults.partitions, &Value::Null);
            (topic.suffix().to_owned(), channel)
        })
        .collect();
    let about = "Signed checkpoints of each association's history, in the order in which they were signed.";
    let kept = json!({ "retention.ms": -1, "retention.bytes": -1 });
    let checkpoints = channel(checkpoints::SUFFIX, about, [CHECKPOINT.to_owned()].into_iter(), 1, &kept);
    channels.insert(checkpoints::SUFFIX.to_owned(), checkpoints);
    let about =
        "Events that a read model of ours could not fold, each at least once. The topic is made with the first.";
    let dead_letters = channel(dead_letters::SUFFIX, about, [DEAD_LETTER.to_owned()].into_iter(), 1, &kept);
    channels.insert(dead_letters::SUFFIX.to_owned(), dead_letters);
    channels.into()
}

fn channel(
    suffix: &str,
    about: &str,
    messages: impl Iterator<Item = String>,
    partitions: u16,
    configuration: &Value,
) -> Value {
    let messages: Map<_, _> = messages.map(|name| (name.clone(), reference("components/messages", &name))).collect();
    let mut binding = json!({ "partitions": partitions, "bindingVersion": BINDING_VERSION });
    if configuration.is_object() {
        binding["topicConfiguration"] = configuration.clone();
    }
    json!({
        "address": format!("{{prefix}}.{suffix}"),
        "description": about,
        "parameters": { "prefix": reference("components/parameters", "prefix") },
        "servers": [reference("servers", "brokers")],
        "messages": messages,
        "bindings": { "kafka": binding },
    })
}

fn operations() -> Value {
    let suffixes = Topic::ALL.into_iter().map(Topic::suffix).chain([checkpoints::SUFFIX, dead_letters::SUFFIX]);
    let operation = |suffix: &str| {
        let summary = format!("Read the topic {suffix}.");
        let operation = json!({ "action": "receive", "channel": reference("channels", suffix), "summary": summary });
        (format!("read-{suffix}"), operation)
    };
    suffixes.map(operation).collect::<Map<_, _>>().into()
}

fn messages() -> Value {
    let events = schema::all().iter().map(|schema| (name(schema), event_message(schema)));
    let mut messages: Map<_, _> = events.collect();
    messages.insert(
        WATERMARK.to_owned(),
        json!({
            "title": "Watermark",
            "summary": "No event of the partition stands between `ce_prevposition` and `ce_position`.",
            "description": "Sent to partitions where nothing happens, so that `everything up to here` can be answered. \
                            It has no key and no value.",
            "headers": reference("components/schemas", "WatermarkHeaders"),
            "payload": { "type": "null" },
            "bindings": { "kafka": { "bindingVersion": BINDING_VERSION } },
        }),
    );
    messages.insert(
        CHECKPOINT.to_owned(),
        json!({
            "title": "Checkpoint",
            "summary": "Size and root of an association's log at one moment, signed.",
            "contentType": "text/plain",
            "payload": reference("components/schemas", "SignedCheckpoint"),
            "bindings": { "kafka": {
                "key": { "type": "string", "format": "uuid", "description": "The association." },
                "bindingVersion": BINDING_VERSION,
            } },
        }),
    );
    messages.insert(
        DEAD_LETTER.to_owned(),
        json!({
            "title": "Dead letter",
            "summary": "An event that a read model could not fold: its stream is missing there from `ce_position` on.",
            "headers": reference("components/schemas", "DeadLetterHeaders"),
            "payload": { "description": "The event's payload as it is stored, which may be what is wrong with it." },
            "bindings": { "kafka": {
                "key": { "type": "string", "description": "The association and the stream." },
                "bindingVersion": BINDING_VERSION,
            } },
        }),
    );
    messages.into()
}

fn event_message(schema: &EventSchema) -> Value {
    let EventSchema { category, type_name, version, json } = schema;
    let key = format!("^{}/{category}-{}$", headers::UUID, headers::UUID);
    json!({
        "name": headers::event_type(schema),
        "title": format!("{type_name}, version {version}"),
        "summary": json["description"],
        "headers": {
            "type": "object",
            "allOf": [reference("components/schemas", "EventHeaders")],
            "properties": headers::of_type(schema),
        },
        "payload": reference("components/schemas", &name(schema)),
        "bindings": { "kafka": {
            "key": { "type": "string", "pattern": key, "description": "The association and the stream." },
            "bindingVersion": BINDING_VERSION,
        } },
    })
}

fn schemas() -> Value {
    let mut schemas: Map<_, _> = schema::all().iter().map(|schema| (name(schema), payload(schema))).collect();
    schemas.insert("EventHeaders".to_owned(), headers::of_events());
    schemas.insert("WatermarkHeaders".to_owned(), headers::of_watermarks());
    schemas.insert("DeadLetterHeaders".to_owned(), headers::of_dead_letters());
    schemas.insert("SignedCheckpoint".to_owned(), json!({
        "description": "A C2SP checkpoint in a C2SP signed note; docs/formats/bundle.md has its lines.",
        "type": "string",
        "pattern": format!(r"^guildhall/{}\n[0-9]+\n[A-Za-z0-9+/]{{43}}=\n(.+\n)*\n(— [^ ]+ [A-Za-z0-9+/]+=*\n)+$", headers::UUID),
    }));
    schemas.into()
}

/// A payload's schema as a part of this document, where references begin at the document's root.
fn payload(schema: &EventSchema) -> Value {
    let mut json = schema.json.clone();
    let members = json.as_object_mut().expect("a schema is an object");
    members.remove("$schema");
    members.remove("$id");
    move_references(&mut json, &format!("#/components/schemas/{}", name(schema)));
    json
}

fn move_references(schema: &mut Value, root: &str) {
    match schema {
        Value::Object(members) => {
            for (keyword, value) in members {
                match value {
                    Value::String(target) if keyword == "$ref" => *target = target.replacen('#', root, 1),
                    value => move_references(value, root),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, root)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::DateTime;
    use guildhall_aggregates::TenantId;
    use guildhall_event_store::{Actor, Metadata, RecordedEvent, StreamId};
    use jsonschema::Validator;
    use rdkafka::message::{Headers as _, OwnedHeaders};
    use uuid::Uuid;

    use super::*;
    use crate::{
        Place,
        envelope::{Watermark, event_headers, watermark_headers},
    };

    /// What checks one part of the document, as `AsyncAPI` reads schemas: draft 7 of JSON Schema.
    fn validator(part: &str) -> Validator {
        let mut document = document();
        assert!(document.pointer(part).is_some(), "{part} is in the document");
        document["allOf"] = json!([{ "$ref": format!("#{part}") }]);
        jsonschema::draft7::options()
            .should_validate_formats(true)
            .build(&document)
            .expect("the document holds schemas")
    }

    fn written(headers: &OwnedHeaders) -> Map<String, Value> {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        headers.iter().map(|header| (header.key.to_owned(), text(header.value).into())).collect()
    }

    /// Checks headers, and that none of those that must be there may be missing.
    fn assert_described(part: &str, schema: &str, headers: &Map<String, Value>) {
        let validator = validator(part);
        if let Err(error) = validator.validate(&headers.clone().into()) {
            panic!("{part}: {error} at {}", error.instance_path());
        }
        let document = document();
        let described = document["components"]["schemas"][schema]["properties"].as_object().expect("it names headers");
        assert!(headers.keys().eq(described.keys()), "{part}: every header is described and written");
        let required = document["components"]["schemas"][schema]["required"].as_array().expect("some must be there");
        for name in required.iter().filter_map(Value::as_str) {
            let mut without = headers.clone();
            without.remove(name);
            assert!(!validator.is_valid(&without.into()), "{part}: without {name}");
        }
    }

    #[test]
    fn headers_are_written_as_they_are_described() {
        let id = Uuid::from_u128(7);
        let metadata = Metadata {
            command: "ForgetMember".to_owned(),
            actor: Actor::Caller("ada".to_owned()),
            correlation_id: id,
            causation_id: Some(id),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        };
        let mut event = RecordedEvent {
            position: 12,
            tenant: TenantId::new(id),
            stream: StreamId::new("member", id),
            version: 3,
            event_id: id,
            type_name: "MemberForgotten".into(),
            schema_version: 1,
            payload: br#"{"type":"MemberForgotten"}"#.as_slice().into(),
            metadata: serde_json::to_vec(&metadata).expect("metadata is plain data").into(),
            command_id: id,
            leaf_hash: [9; 32],
            recorded_at: DateTime::UNIX_EPOCH,
        };
        let headers = written(&event_headers(&event, 4, "https://guildhall.example"));
        assert_described("/components/messages/member.MemberForgotten.v1/headers", "EventHeaders", &headers);
        let letter = written(&dead_letters::headers(&event, "directory", "no reason", "https://guildhall.example"));
        assert_described("/components/messages/deadletter/headers", "DeadLetterHeaders", &letter);
        event.schema_version = 2;
        let another = written(&event_headers(&event, 4, "https://guildhall.example"));
        assert!(!validator("/components/messages/member.MemberForgotten.v1/headers").is_valid(&another.into()));

        let place = Place { topic: Topic::Billing, partition: 2 };
        let headers = written(&watermark_headers(Watermark { position: 9, leaf_hash: [7; 32] }, 4, place));
        assert_described("/components/messages/watermark/headers", "WatermarkHeaders", &headers);
    }

    #[test]
    fn a_payload_is_checked_by_what_the_document_holds() {
        let validator = validator("/components/messages/membership.MembershipApproved.v1/payload");
        assert!(validator.is_valid(&json!({ "type": "MembershipApproved", "on": "2026-03-01", "by": "somebody" })));
        assert!(!validator.is_valid(&json!({ "type": "MembershipApproved", "on": "March" })));
        assert!(!validator.is_valid(&json!({ "type": "MembershipApproved" })));
    }

    /// Every reference in a document.
    fn references(value: &Value) -> Vec<&str> {
        match value {
            Value::Object(members) => {
                let own = members.get("$ref").and_then(Value::as_str);
                members.values().flat_map(references).chain(own).collect()
            }
            Value::Array(items) => items.iter().flat_map(references).collect(),
            _ => vec![],
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let references = references(&document);
        assert!(references.len() > 200, "{}", references.len());
        for reference in references {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn every_event_is_in_exactly_one_topic() {
        let document = document();
        let mut seen = BTreeSet::new();
        for topic in Topic::ALL {
            let messages =
                document["channels"][topic.suffix()]["messages"].as_object().expect("a channel has messages");
            for message in messages.keys().filter(|message| *message != WATERMARK) {
                assert!(seen.insert(message.clone()), "{message} is in two topics");
            }
        }
        assert_eq!(seen, schema::all().iter().map(name).collect());
    }
}
