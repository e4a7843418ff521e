//! What stands in the headers of a record. Headers are bytes in Kafka; all of these are text.

use guildhall_aggregates::schema::EventSchema;
use serde_json::{Value, json};

use crate::envelope;

/// A UUID as it is written everywhere here.
pub(super) const UUID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";

/// What is the same in every event's headers.
pub(super) fn of_events() -> Value {
    let id = |description: &str| json!({ "type": "string", "format": "uuid", "description": description });
    json!({
        "description": "The attributes of a CloudEvent in Kafka's binary mode.",
        "type": "object",
        "required": [
            "ce_specversion", "content-type", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_dataschema",
            "ce_position", "ce_prevposition", "ce_streamversion", "ce_schemaversion", "ce_commandid", "ce_leafhash",
            "ce_metadata",
        ],
        "properties": {
            "ce_specversion": { "type": "string", "const": envelope::SPEC_VERSION },
            "content-type": { "type": "string", "const": envelope::CONTENT_TYPE },
            "ce_id": id("The event's own identity."),
            "ce_source": {
                "description": "The association it is of.",
                "type": "string",
                "pattern": format!("^{}{UUID}$", envelope::SOURCE_PREFIX),
            },
            "ce_type": {
                "description": "Category and type.",
                "type": "string",
                "pattern": r"^guildhall\.[a-z_]+\.[A-Za-z0-9]+$",
            },
            "ce_subject": {
                "description": "The stream: category and id of the thing it happened to.",
                "type": "string",
                "pattern": format!("^[a-z_]+-{UUID}$"),
            },
            "ce_time": {
                "description": "When it was recorded, in microseconds.",
                "type": "string",
                "format": "date-time",
            },
            "ce_dataschema": {
                "description": "Where the JSON Schema (2020-12) of the payload is served.",
                "type": "string",
                "format": "uri",
            },
            "ce_position": position("Its place in all of history."),
            "ce_prevposition": previous(),
            "ce_streamversion": position("Its place in its stream: 1, 2, 3 …"),
            "ce_schemaversion": position("The version of its type's schema."),
            "ce_commandid": id("The command it came of."),
            "ce_leafhash": leaf_hash("SHA-256 over envelope and payload; docs/formats/bundle.md says how."),
            "ce_metadata": {
                "description": "Who, why and by what, as JSON, byte for byte as it is hashed: command, actor, \
                                correlation_id and, where there are some, causation_id and traceparent.",
                "type": "string",
                "contentMediaType": "application/json",
            },
            "ce_correlationid": id("What it belongs to: the same for everything one request set in motion."),
            "ce_causationid": id("The event that made a process send the command."),
            "ce_traceparent": {
                "description": "W3C trace context of the request.",
                "type": "string",
            },
        },
    })
}

/// What the headers of one type in one version say beside that.
pub(super) fn of_type(schema: &EventSchema) -> Value {
    let EventSchema { category, type_name, version, .. } = schema;
    json!({
        "ce_type": { "type": "string", "const": event_type(schema) },
        "ce_schemaversion": { "type": "string", "const": version.to_string() },
        "ce_subject": { "type": "string", "pattern": format!("^{category}-{UUID}$") },
        "ce_dataschema": { "type": "string", "pattern": format!("/v1/schemas/{category}/{type_name}/{version}$") },
    })
}

/// An event's type as its records have it: `guildhall.member.MemberRegistered`.
pub(super) fn event_type(schema: &EventSchema) -> String {
    format!("{}{}.{}", envelope::TYPE_PREFIX, schema.category, schema.type_name)
}

/// What is the same in every dead letter's headers.
pub(super) fn of_dead_letters() -> Value {
    let mut headers = of_events();
    headers["description"] = "The attributes of the event, but for its identity, and why it was not folded.".into();
    if let Some(properties) = headers["properties"].as_object_mut() {
        properties.remove("ce_prevposition");
        let id = json!({
            "description": "The event's own identity, a dot and the read model: the same whenever it is sent again.",
            "type": "string",
            "pattern": format!(r"^{UUID}\.[a-z_]+$"),
        });
        let event = properties.insert("ce_id".to_owned(), id);
        properties.insert("ce_eventid".to_owned(), event.unwrap_or_default());
        let text = |description: &str| json!({ "type": "string", "minLength": 1, "description": description });
        properties.insert("ce_projection".to_owned(), text("The read model that could not fold it."));
        properties.insert("ce_reason".to_owned(), text("Why, without personal data."));
    }
    if let Some(required) = headers["required"].as_array_mut() {
        required.retain(|name| name != "ce_prevposition");
        required.extend(["ce_eventid", "ce_projection", "ce_reason"].map(Value::from));
    }
    headers
}

/// The headers of a watermark.
pub(super) fn of_watermarks() -> Value {
    json!({
        "description": "The attributes of a CloudEvent without data.",
        "type": "object",
        "required": [
            "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_position", "ce_prevposition", "ce_leafhash",
        ],
        "properties": {
            "ce_specversion": { "type": "string", "const": envelope::SPEC_VERSION },
            "ce_id": {
                "description": "Topic, partition and position.",
                "type": "string",
                "pattern": "^[a-z]+/[0-9]+/[0-9]+$",
            },
            "ce_source": { "type": "string", "const": envelope::WATERMARK_SOURCE },
            "ce_type": { "type": "string", "const": envelope::WATERMARK_TYPE },
            "ce_position": position("How far history was relayed."),
            "ce_prevposition": previous(),
            "ce_leafhash": leaf_hash("The leaf hash of the event at this position, wherever that one is."),
        },
    })
}

/// A number that begins with 1, as text.
fn position(description: &str) -> Value {
    json!({ "type": "string", "pattern": "^[1-9][0-9]*$", "description": description })
}

fn previous() -> Value {
    json!({
        "description": "The position of the event before it in this partition; 0 for the first.",
        "type": "string",
        "pattern": "^(0|[1-9][0-9]*)$",
    })
}

fn leaf_hash(description: &str) -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$", "description": description })
}
