//! The description of the API.

use guildhall_commands::registry::COMMANDS;
use serde_json::Value;

fn document() -> Value {
    serde_json::to_value(guildhall_commands::document()).expect("the document is JSON")
}

/// Every reference in a document.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            fields.values().flat_map(references).chain(own).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => vec![],
    }
}

#[test]
fn every_command_is_an_operation_with_words_to_it() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let tags: Vec<_> = document["tags"].as_array().into_iter().flatten().map(|tag| tag["name"].clone()).collect();
    for name in COMMANDS.keys() {
        let operation = &document["paths"][format!("/v1/commands/{name}")]["post"];
        assert_eq!(operation["operationId"], *name);
        assert!(tags.contains(&operation["tags"][0]), "{name}: the tag has words to it");
        assert!(operation["summary"].as_str().is_some_and(|words| words.len() > 10), "{name}: {operation}");
        let schema = &document["components"]["schemas"][name];
        assert_eq!(schema["additionalProperties"], false, "{name}: unknown fields are refused");
        for (field, schema) in schema["properties"].as_object().expect("a request is an object") {
            assert!(schema.to_string().contains("\"description\""), "{name}.{field} has no words: {schema}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    for reference in references(&document) {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}
