//! A schema accepts what the program reads, and nothing else: tried on the golden samples of `stored/`, and on all that
//! becomes of them when something is taken away, added or put in another's place.

use std::{collections::BTreeSet, fs, path::Path};

use guildhall_aggregates::{
    StoredEvent,
    association::AssociationRecord,
    association_event::AssociationEventRecord,
    event_roster::RosterEvent,
    invoice::InvoiceEvent,
    invoice_series::SeriesEvent,
    member::MemberEvent,
    membership::MembershipEvent,
    membership_plan::PlanEvent,
    payment::PaymentEvent,
    schema::{self, EventSchema},
};
use jsonschema::Validator;
use serde_json::{Value, json};

/// A golden sample: its file's name, what that says of it, and the payload.
struct Sample {
    name: String,
    type_name: String,
    version: u16,
    payload: Value,
}

fn samples(category: &str) -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored").join(category);
    let entries = fs::read_dir(folder).expect("every category has samples");
    let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
    let sample = |path: std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are plain").to_owned();
        let mut parts = name.split('.');
        let type_name = parts.next().expect("a name has a first part").to_owned();
        let version = parts.next().and_then(|part| part.strip_prefix('v')?.parse().ok()).expect("and a version");
        let payload = serde_json::from_slice(&fs::read(&path).expect("a sample can be read")).expect("it is JSON");
        Sample { name, type_name, version, payload }
    };
    paths.map(sample).collect()
}

fn validator(schema: &EventSchema) -> Validator {
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(&schema.json).unwrap_or_else(|error| panic!("{}: {error}", schema.file()))
}

/// Everything that becomes of a payload by one change; but no list for an object: serde reads a struct from one as well,
/// and nothing ever writes it so.
fn changed(payload: &Value) -> Vec<Value> {
    let instead = [Value::Null, json!(true), json!("?"), json!(-1), json!(1.5), json!([]), json!({}), json!(["?"])];
    let mut all = Vec::new();
    for pointer in places(payload, "") {
        let is_object = payload.pointer(&pointer).is_some_and(Value::is_object);
        for value in instead.iter().filter(|value| !(is_object && value.is_array())) {
            let mut changed = payload.clone();
            *changed.pointer_mut(&pointer).expect("the place is there") = value.clone();
            all.push(changed);
        }
        let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(Value::Object(_)) = payload.pointer(parent).filter(|_| !name.is_empty()) {
            let mut without = payload.clone();
            without.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").remove(name);
            all.push(without);
        }
        if is_object {
            let mut with_more = payload.clone();
            with_more.pointer_mut(&pointer).expect("the place is there")["nobody knows this"] = json!(1);
            all.push(with_more);
        }
    }
    all
}

/// A pointer to every place of a value.
fn places(value: &Value, at: &str) -> Vec<String> {
    let inner: Vec<String> = match value {
        Value::Object(members) => {
            members.iter().flat_map(|(name, value)| places(value, &format!("{at}/{name}"))).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(n, value)| places(value, &format!("{at}/{n}"))).collect()
        }
        _ => vec![],
    };
    [at.to_owned()].into_iter().chain(inner).collect()
}

/// Whether the program reads this as an event of a type.
fn is_read<E: StoredEvent>(type_name: &str, payload: &Value) -> bool {
    serde_json::from_value::<E>(payload.clone()).is_ok_and(|event| event.type_name() == type_name)
}

/// Checks the schemas of a category: every sample has one and is accepted; what is changed is accepted where the program
/// reads it, and only there. Each type has a sample.
fn schemas_say_what_is_read<E: StoredEvent>() {
    let samples = samples(E::CATEGORY);
    let (mut accepted, mut refused) = (0, 0);
    for Sample { name, type_name, version, payload } in &samples {
        let schema = schema::find(E::CATEGORY, type_name, *version).unwrap_or_else(|| panic!("{name} has no schema"));
        let validator = validator(schema);
        if let Err(error) = validator.validate(payload) {
            panic!("{name} is not what its schema says: {error} at {}", error.instance_path());
        }
        let newest = schema::find(E::CATEGORY, type_name, version + 1).is_none();
        for changed in changed(payload).iter().filter(|_| newest) {
            let valid = validator.is_valid(changed);
            assert_eq!(
                valid,
                is_read::<E>(type_name, changed),
                "{name} as {changed}: accepted by the schema or the program"
            );
            *(if valid { &mut accepted } else { &mut refused }) += 1;
        }
    }
    assert!(accepted > 0 && refused > accepted, "{accepted} accepted, {refused} refused");
    let shown: BTreeSet<_> = samples.iter().map(|sample| (sample.type_name.as_str(), sample.version)).collect();
    let described = schema::all().iter().filter(|schema| schema.category == E::CATEGORY);
    let described: BTreeSet<_> = described.map(|schema| (schema.type_name, schema.version)).collect();
    assert_eq!(described, shown);
}

#[test]
fn schemas_say_what_is_read_of_an_association() {
    schemas_say_what_is_read::<AssociationRecord>();
}

#[test]
fn schemas_say_what_is_read_of_a_member() {
    schemas_say_what_is_read::<MemberEvent>();
}

#[test]
fn schemas_say_what_is_read_of_a_plan() {
    schemas_say_what_is_read::<PlanEvent>();
}

#[test]
fn schemas_say_what_is_read_of_a_membership() {
    schemas_say_what_is_read::<MembershipEvent>();
}

#[test]
fn schemas_say_what_is_read_of_an_association_event() {
    schemas_say_what_is_read::<AssociationEventRecord>();
}

#[test]
fn schemas_say_what_is_read_of_a_roster() {
    schemas_say_what_is_read::<RosterEvent>();
}

#[test]
fn schemas_say_what_is_read_of_an_invoice() {
    schemas_say_what_is_read::<InvoiceEvent>();
}

#[test]
fn schemas_say_what_is_read_of_a_series() {
    schemas_say_what_is_read::<SeriesEvent>();
}

#[test]
fn schemas_say_what_is_read_of_a_payment() {
    schemas_say_what_is_read::<PaymentEvent>();
}

#[test]
fn every_schema_is_one() {
    for schema in schema::all() {
        jsonschema::meta::validate(&schema.json).unwrap_or_else(|error| panic!("{}: {error}", schema.file()));
    }
}
