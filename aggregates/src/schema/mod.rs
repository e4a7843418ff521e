//! What a stored event looks like, for whoever reads it without this program: a JSON Schema (2020-12) for each type in
//! each version, made of the event types themselves.
//!
//! A schema says what must be read under a version, not what is written today: a property that older events of the
//! version lack is not required, and one that nobody knows is no error. So a property may be added, if it need not be
//! there; everything else that changes is another version (the module `changes` tells the two apart).
//!
//! To raise a version: name it in [`StoredEvent::RAISED`], write the upcaster and a golden
//! sample, and keep the schema of the version before in `OLDER`, because its events stay.

mod changes;

use std::{collections::BTreeMap, sync::LazyLock};

pub use changes::{refusal, trips};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};
use strum::VariantNames;

use crate::{
    StoredEvent, association::AssociationRecord, association_event::AssociationEventRecord, decide::version_of,
    event_roster::RosterEvent, invoice::InvoiceEvent, invoice_series::SeriesEvent, member::MemberEvent,
    membership::MembershipEvent, membership_plan::PlanEvent, payment::PaymentEvent,
};

/// The schemas of versions that this code reads and no longer writes, as they were committed: category, type, version,
/// and `include_str!("../../../docs/schemas/<category>/<Type>.v<version>.json")`.
const OLDER: &[(&str, &str, u16, &str)] = &[];

/// The schema of one event type in one version.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSchema {
    /// The category of the streams it happens in.
    pub category: &'static str,
    /// The type's name.
    pub type_name: &'static str,
    /// The version.
    pub version: u16,
    /// The JSON Schema, which stands alone.
    pub json: Value,
}

impl EventSchema {
    /// Its place below a folder of schemas: `member/MemberRegistered.v1.json`.
    pub fn file(&self) -> String {
        format!("{}/{}.v{}.json", self.category, self.type_name, self.version)
    }

    /// The schema as text, as it is committed and served.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.json)
    }
}

/// All schemas: by category, type and version.
pub fn all() -> &'static [EventSchema] {
    static ALL: LazyLock<Vec<EventSchema>> = LazyLock::new(|| {
        let older = OLDER.iter().map(|&(category, type_name, version, text)| {
            let json = serde_json::from_str(text).expect("what is committed was written by this module");
            EventSchema { category, type_name, version, json }
        });
        let mut all: Vec<_> = older.collect();
        all.extend(of::<AssociationRecord>());
        all.extend(of::<AssociationEventRecord>());
        all.extend(of::<MemberEvent>());
        all.extend(of::<PlanEvent>());
        all.extend(of::<MembershipEvent>());
        all.extend(of::<RosterEvent>());
        all.extend(of::<InvoiceEvent>());
        all.extend(of::<SeriesEvent>());
        all.extend(of::<PaymentEvent>());
        all.sort_by_key(|schema| (schema.category, schema.type_name, schema.version));
        all
    });
    &ALL
}

/// The schema of a type in a version, if there is such a type.
pub fn find(category: &str, type_name: &str, version: u16) -> Option<&'static EventSchema> {
    let wanted = (category, type_name, version);
    all().iter().find(|schema| (schema.category, schema.type_name, schema.version) == wanted)
}

/// The schemas of what an aggregate writes today, one for each variant.
fn of<E: StoredEvent + JsonSchema + VariantNames>() -> impl Iterator<Item = EventSchema> {
    for (raised, _) in E::RAISED {
        assert!(E::VARIANTS.contains(raised), "{raised} has a raised version and is no variant of {}", E::CATEGORY);
    }
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let variants = E::json_schema(&mut generator);
    let definitions = generator.take_definitions(true);
    let variants: Vec<Value> =
        variants.get("oneOf").and_then(Value::as_array).expect("an event is one of its variants").clone();
    E::VARIANTS.iter().map(move |type_name| {
        let is_named = |variant: &&Value| variant["properties"]["type"]["const"] == *type_name;
        let variant = variants.iter().find(is_named).expect("every variant is described under its name");
        let version = version_of::<E>(type_name);
        let json = standing_alone(E::CATEGORY, type_name, version, variant, &definitions);
        EventSchema { category: E::CATEGORY, type_name, version, json }
    })
}

/// A variant's schema with everything it refers to.
fn standing_alone(
    category: &str,
    type_name: &str,
    version: u16,
    variant: &Value,
    definitions: &Map<String, Value>,
) -> Value {
    let mut json = variant.clone();
    json["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    json["$id"] = json!(format!("urn:guildhall:schema:{category}:{type_name}:{version}"));
    json["title"] = json!(type_name);
    let mut needed = BTreeMap::new();
    collect(variant, definitions, &mut needed);
    if !needed.is_empty() {
        json["$defs"] = json!(needed);
    }
    for_readers_of_json(&mut json);
    json
}

/// Turns what the code says of a type into what somebody reads who has only the JSON: without examples in Rust and
/// without the code's line breaks.
fn for_readers_of_json(schema: &mut Value) {
    match schema {
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| match value {
            Value::String(words) if name == "description" => {
                let prose = words.split("```").next().unwrap_or_default();
                *words = prose.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            value => for_readers_of_json(value),
        }),
        Value::Array(items) => items.iter_mut().for_each(for_readers_of_json),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Collects the definitions that a schema refers to, and those they refer to.
fn collect(schema: &Value, definitions: &Map<String, Value>, needed: &mut BTreeMap<String, Value>) {
    match schema {
        Value::Object(keywords) => {
            if let Some(name) = keywords.get("$ref").and_then(Value::as_str).and_then(defined)
                && !needed.contains_key(name)
            {
                let definition = definitions.get(name).expect("what is referred to is defined");
                needed.insert(name.to_owned(), definition.clone());
                collect(definition, definitions, needed);
            }
            keywords.values().for_each(|value| collect(value, definitions, needed));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, definitions, needed)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The name of the definition that a reference leads to.
fn defined(reference: &str) -> Option<&str> {
    reference.strip_prefix("#/$defs/")
}

/// A currency. Which there are is for ISO 4217 to say, and changes.
pub(crate) fn currency(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$" })
}

/// A time zone. Which there are is for the IANA database to say, and changes.
pub(crate) fn time_zone(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_+/-]*$" })
}

/// A date and a time of day without a zone, for which JSON Schema has no format.
pub(crate) fn local_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?$" })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_version_up_to_the_one_written_today_has_a_schema() {
        let have: BTreeSet<_> =
            all().iter().map(|schema| (schema.category, schema.type_name, schema.version)).collect();
        assert_eq!(have.len(), all().len(), "each stands there once");
        for &(category, type_name, version) in &have {
            for before in 1..version {
                assert!(
                    have.contains(&(category, type_name, before)),
                    "{category}/{type_name} v{before}: add to OLDER"
                );
            }
        }
    }

    #[test]
    fn a_schema_stands_alone_and_has_nothing_it_does_not_need() {
        for schema in all() {
            let definitions = schema.json.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
            let mut needed = BTreeMap::new();
            let mut variant = schema.json.clone();
            variant.as_object_mut().expect("a schema is an object").remove("$defs");
            collect(&variant, &definitions, &mut needed);
            assert!(needed.keys().eq(definitions.keys()), "{}: {:?}", schema.file(), definitions.keys());
        }
    }

    #[test]
    fn everything_an_event_says_has_words_to_it() {
        for schema in all() {
            assert!(schema.json["description"].is_string(), "{} has no words", schema.file());
            for (name, property) in schema.json["properties"].as_object().expect("an event has properties") {
                assert!(
                    name == "type" || property["description"].is_string(),
                    "{}: {name} has no words",
                    schema.file()
                );
            }
        }
    }
}
