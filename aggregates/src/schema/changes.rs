//! What may change of a schema once events stand in history under it.
//!
//! Old events are read by new programs, and new events by programs that know the old schema only. The one change that
//! neither trips over is a property that need not be there and was not known before. Words may always change.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// What is not compared: words for people, and definitions, which are compared where something refers to them.
const PASSED_OVER: [&str; 5] = ["$comment", "$defs", "description", "examples", "title"];

/// Says why schemas that are committed, by their files' names, cannot become those of today: one line for each place
/// where somebody would trip, and what to do instead. None when they can.
pub fn refusal(committed: &BTreeMap<String, Value>, today: &BTreeMap<String, Value>) -> Option<String> {
    let mut lines = Vec::new();
    for (file, old) in committed {
        match today.get(file) {
            Some(new) => lines.extend(trips(old, new).iter().map(|trip| format!("{file} at {trip}"))),
            None => lines.push(format!("{file}: is gone, and events in history need it")),
        }
    }
    let advice = "Events are stored for ever, and so are their schemas. Put back what was there; for another shape raise \
                  the schema version: name it in `StoredEvent::RAISED`, write an upcaster and a golden sample, and keep \
                  the committed schema in `OLDER` (aggregates/src/schema/mod.rs). Then `make docs`.";
    (!lines.is_empty()).then(|| format!("{}\n{advice}", lines.join("\n")))
}

/// Says what somebody trips over when a schema becomes another under the same version, each with its place. Empty when
/// nobody does.
pub fn trips(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison { roots: [old, new], compared: BTreeSet::new(), trips: Vec::new() };
    comparison.schemas("", old, new);
    comparison.trips
}

struct Comparison<'a> {
    /// The documents that references of the old and of the new schema lead into.
    roots: [&'a Value; 2],
    /// The pairs of references that were followed.
    compared: BTreeSet<[String; 2]>,
    trips: Vec<String>,
}

impl Comparison<'_> {
    fn schemas(&mut self, at: &str, old: &Value, new: &Value) {
        if let (Some(old), Some(new)) = (reference(old), reference(new))
            && !self.compared.insert([old.to_owned(), new.to_owned()])
        {
            return;
        }
        let [old, new] = [self.resolved(0, old), self.resolved(1, new)];
        let keywords: BTreeSet<_> =
            old.keys().chain(new.keys()).filter(|name| !PASSED_OVER.contains(&name.as_str())).collect();
        for keyword in keywords {
            let [was, is] = [&old, &new].map(|schema| schema.get(keyword).unwrap_or(&Value::Null));
            match keyword.as_str() {
                "properties" => self.properties(at, was, is),
                "required" => self.required(at, was, is),
                "enum" => self.values(at, &texts(was), &texts(is)),
                "oneOf" | "anyOf" => self.alternatives(at, was, is),
                "items" => self.schemas(&format!("{at}/*"), was, is),
                _ if was == is => {}
                _ => self.trip(at, &format!("{keyword} was {was} and is {is}")),
            }
        }
    }

    /// A schema's own keywords, and those of what it refers to.
    fn resolved(&self, root: usize, schema: &Value) -> Map<String, Value> {
        let mut own = schema.as_object().cloned().unwrap_or_default();
        let Some(Value::String(reference)) = own.remove("$ref") else { return own };
        let target = self.roots[root].pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
        let mut all = self.resolved(root, target);
        all.extend(own);
        all
    }

    fn properties(&mut self, at: &str, was: &Value, is: &Value) {
        for (name, old) in was.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            match is.get(name) {
                Some(new) => self.schemas(&at, old, new),
                None => self.trip(&at, "is gone"),
            }
        }
    }

    fn required(&mut self, at: &str, was: &Value, is: &Value) {
        let [was, is] = [texts(was), texts(is)];
        for name in is.difference(&was) {
            self.trip(&format!("{at}/{name}"), "must be there now, and old events may lack it");
        }
        for name in was.difference(&is) {
            self.trip(&format!("{at}/{name}"), "need not be there any more, and old readers expect it");
        }
    }

    fn values(&mut self, at: &str, was: &BTreeSet<String>, is: &BTreeSet<String>) {
        for value in was.difference(is) {
            self.trip(at, &format!("{value} is gone, and old events have it"));
        }
        for value in is.difference(was) {
            self.trip(at, &format!("{value} is new, and old readers do not know it"));
        }
    }

    fn alternatives(&mut self, at: &str, was: &Value, is: &Value) {
        let [was, is] = [named(was), named(is)];
        self.values(at, &was.keys().cloned().collect(), &is.keys().cloned().collect());
        for (name, old) in &was {
            if let Some(new) = is.get(name) {
                self.schemas(&format!("{at}/{name}"), old, new);
            }
        }
    }

    fn trip(&mut self, at: &str, what: &str) {
        let at = if at.is_empty() { "/" } else { at };
        self.trips.push(format!("{at}: {what}"));
    }
}

fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str)
}

/// The elements of an array, as a set of texts.
fn texts(array: &Value) -> BTreeSet<String> {
    array.as_array().into_iter().flatten().map(text).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Alternatives by what tells them apart: the constant they are or have; else their type, or their place.
fn named(alternatives: &Value) -> BTreeMap<String, &Value> {
    let alternatives = alternatives.as_array().into_iter().flatten().enumerate();
    let name = |place: usize, schema: &Value| {
        let properties = schema.get("properties").and_then(Value::as_object);
        let tag = properties.into_iter().flat_map(Map::values).find_map(|property| property.get("const"));
        let name = schema.get("const").or(tag).or_else(|| schema.get("type")).map(text);
        name.unwrap_or_else(|| format!("alternative {place}"))
    };
    alternatives.map(|(place, schema)| (name(place, schema), schema)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A schema with something of everything.
    fn schema() -> Value {
        json!({
            "description": "A person came.",
            "properties": {
                "type": { "const": "Came" },
                "fee": { "$ref": "#/$defs/Money", "description": "What it cost." },
                "kind": { "oneOf": [{ "const": "guest" }, { "const": "member" }] },
                "names": { "type": "array", "items": { "type": "string" } },
                "seat": { "anyOf": [{ "$ref": "#/$defs/Seat" }, { "type": "null" }] },
            },
            "required": ["type", "fee", "kind"],
            "$defs": {
                "Money": { "properties": { "minor": { "type": "integer" } }, "required": ["minor"] },
                "Seat": { "enum": ["left", "right"] },
            },
        })
    }

    /// What trips somebody when this is put at a place of the schema; nothing put there takes it away.
    fn trips_after(pointer: &str, put: Value) -> Vec<String> {
        let mut changed = schema();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer has a last part");
        let parent = changed.pointer_mut(parent).expect("the place is there");
        match (parent, put) {
            (Value::Object(members), Value::Null) => drop(members.remove(name)),
            (parent, put) => parent[name] = put,
        }
        assert_ne!(changed, schema(), "something was changed");
        trips(&schema(), &changed)
    }

    #[test]
    fn nobody_trips_over_what_is_the_same() {
        assert_eq!(trips(&schema(), &schema()), [""; 0]);
    }

    #[test]
    fn nobody_trips_over_words_or_over_a_property_that_need_not_be_there() {
        let harmless = [
            ("/description", json!("Somebody came.")),
            ("/title", json!("Came")),
            ("/properties/fee/description", Value::Null),
            ("/properties/coat", json!({ "type": "string" })),
            ("/$defs/Money/properties/currency", json!({ "type": "string" })),
            ("/$defs/Unused", json!({ "type": "string" })),
            ("/required", json!(["kind", "fee", "type"])),
            ("/properties/kind/oneOf", json!([{ "const": "member", "description": "Ours." }, { "const": "guest" }])),
        ];
        for (pointer, put) in harmless {
            assert_eq!(trips_after(pointer, put.clone()), [""; 0], "{pointer} {put}");
        }
    }

    #[test]
    fn somebody_trips_over_everything_else() {
        let harmful = [
            ("/properties/names", Value::Null, "/names: is gone"),
            ("/properties/names/type", json!("string"), "/names: type was \"array\" and is \"string\""),
            ("/properties/names/items/type", json!("integer"), "/names/*: type was \"string\" and is \"integer\""),
            ("/properties/names/items/format", json!("date"), "/names/*: format was null and is \"date\""),
            ("/properties/names/maxItems", json!(2), "/names: maxItems was null and is 2"),
            ("/properties/names/default", json!([]), "/names: default was null and is []"),
            ("/properties/type/const", json!("Left"), "/type: const was \"Came\" and is \"Left\""),
            ("/additionalProperties", json!(false), "/: additionalProperties was null and is false"),
            (
                "/required",
                json!(["type", "fee", "kind", "names"]),
                "/names: must be there now, and old events may lack it",
            ),
            ("/required", json!(["type", "kind"]), "/fee: need not be there any more, and old readers expect it"),
            ("/$defs/Money/required", json!([]), "/fee/minor: need not be there any more, and old readers expect it"),
            (
                "/$defs/Money/properties/minor/type",
                json!("number"),
                "/fee/minor: type was \"integer\" and is \"number\"",
            ),
            ("/$defs/Seat/enum", json!(["left"]), "/seat/alternative 0: right is gone, and old events have it"),
            ("/properties/kind/oneOf", json!([{ "const": "guest" }]), "/kind: member is gone, and old events have it"),
            (
                "/properties/kind/oneOf",
                json!([{ "const": "guest" }, { "const": "member" }, { "const": "press" }]),
                "/kind: press is new, and old readers do not know it",
            ),
            (
                "/properties/seat/anyOf",
                json!([{ "$ref": "#/$defs/Seat" }]),
                "/seat: null is gone, and old events have it",
            ),
        ];
        for (pointer, put, trip) in harmful {
            assert_eq!(trips_after(pointer, put.clone()), [trip], "{pointer} {put}");
        }
    }

    #[test]
    fn a_property_under_another_name_is_gone() {
        let mut renamed = schema();
        let properties = renamed["properties"].as_object_mut().expect("it has properties");
        let names = properties.remove("names").expect("it is there");
        properties.insert("called".to_owned(), names);
        assert_eq!(trips(&schema(), &renamed), ["/names: is gone"]);
    }

    #[test]
    fn a_schema_that_refers_to_itself_is_compared_once() {
        let tree = |of: &str| {
            let node = json!({ "properties": { "child": { "$ref": "#/$defs/Node" }, "of": { "type": of } } });
            json!({ "$ref": "#/$defs/Node", "$defs": { "Node": node } })
        };
        assert_eq!(trips(&tree("string"), &tree("string")), [""; 0]);
        assert_eq!(trips(&tree("string"), &tree("null")), ["/of: type was \"string\" and is \"null\""]);
    }

    #[test]
    fn what_is_committed_is_refused_only_where_somebody_trips() {
        let files = |schemas: &[(&str, Value)]| -> BTreeMap<String, Value> {
            schemas.iter().map(|(file, schema)| ((*file).to_owned(), schema.clone())).collect()
        };
        let committed = files(&[("came.v1.json", schema())]);
        let mut raised = schema();
        raised["properties"]["type"] = json!({ "type": "string" });
        assert_eq!(refusal(&committed, &committed), None);
        assert_eq!(refusal(&committed, &files(&[("came.v1.json", schema()), ("came.v2.json", raised.clone())])), None);
        let gone = refusal(&committed, &files(&[("came.v2.json", raised.clone())])).expect("version 1 is gone");
        assert!(gone.starts_with("came.v1.json: is gone") && gone.contains("OLDER"), "{gone}");
        let changed = refusal(&committed, &files(&[("came.v1.json", raised)])).expect("it is another schema");
        assert!(changed.starts_with("came.v1.json at /type: const was") && changed.contains("RAISED"), "{changed}");
    }
}
