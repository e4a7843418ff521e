//! What was stored once can be read for ever. `stored/<category>/` holds a golden sample of every variant in
//! every version: `<Variant>.v<version>.json`, and further ones with a word about what is particular in them:
//! `<Variant>.v<version>.<case>.json`. A sample is never changed, and `stored/checksums.txt` sees to it; a new
//! version of a variant adds one.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use cqrs_es::persist::SerializedEvent;
use guildhall_aggregates::{
    CATEGORIES, StoredEvent, association::AssociationRecord, association_event::AssociationEventRecord,
    event_roster::RosterEvent, invoice::InvoiceEvent, invoice_series::SeriesEvent, member::MemberEvent,
    membership::MembershipEvent, membership_plan::PlanEvent, payment::PaymentEvent,
};
use serde_json::Value;
use strum::VariantNames;
use uuid::Uuid;

/// A sample, and what its file's name says of it.
struct Sample {
    path: PathBuf,
    variant: String,
    version: u16,
    payload: Value,
}

fn samples(category: &str) -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored").join(category);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut samples: Vec<_> = entries.map(|entry| sample(entry.expect("a folder can be listed").path())).collect();
    samples.sort_by(|a, b| a.path.cmp(&b.path));
    samples
}

fn sample(path: PathBuf) -> Sample {
    let name = path.file_name().and_then(|name| name.to_str()).expect("file names are plain");
    let mut parts = name.split('.');
    let variant = parts.next().expect("a name has a first part").to_owned();
    let version = parts.next().and_then(|part| part.strip_prefix('v')?.parse().ok());
    let version = version.unwrap_or_else(|| panic!("{name}: write <Variant>.v<version>[.<case>].json"));
    let text = fs::read_to_string(&path).expect("a sample can be read");
    let payload = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    Sample { path, variant, version, payload }
}

/// The payload as it would be written today.
fn upcast<E: StoredEvent>(sample: &Sample) -> Value {
    let mut event = SerializedEvent {
        aggregate_id: String::new(),
        sequence: 1,
        aggregate_type: E::CATEGORY.to_owned(),
        event_type: sample.variant.clone(),
        event_version: sample.version.to_string(),
        payload: sample.payload.clone(),
        metadata: Value::Null,
    };
    for upcaster in E::upcasters() {
        if upcaster.can_upcast(&event.event_type, &event.event_version) {
            event = upcaster.upcast(event);
        }
    }
    event.payload
}

fn every_sample_is_read<E: StoredEvent + VariantNames>() {
    let samples = samples(E::CATEGORY);
    for sample in &samples {
        let path = sample.path.display();
        let payload = upcast::<E>(sample);
        let event: E = serde_json::from_value(payload.clone()).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(serde_json::to_value(&event).expect("an event can be written"), payload, "{path}");
        assert_eq!(event.type_name(), sample.variant, "{path}");
        assert!(sample.version <= event.schema_version(), "{path}: from the future");
        if sample.version == event.schema_version() {
            assert_eq!(payload, sample.payload, "{path}: nothing brings today's version up to date");
        }
    }
    every_version_has_a_sample::<E>(&samples);
}

/// Each variant has a sample of each version from 1 to the one written today.
fn every_version_has_a_sample<E: StoredEvent + VariantNames>(samples: &[Sample]) {
    let have: BTreeSet<_> = samples.iter().map(|sample| (sample.variant.as_str(), sample.version)).collect();
    for variant in E::VARIANTS {
        let of_variant = samples.iter().filter(|sample| sample.variant == *variant);
        let written = of_variant
            .filter_map(|sample| serde_json::from_value::<E>(upcast::<E>(sample)).ok())
            .map(|event| event.schema_version())
            .max()
            .unwrap_or(1);
        for version in 1..=written {
            assert!(have.contains(&(*variant, version)), "{}/{variant}.v{version}.json is missing", E::CATEGORY);
        }
    }
}

#[test]
fn every_stored_association_record_is_read() {
    every_sample_is_read::<AssociationRecord>();
}

#[test]
fn every_stored_member_event_is_read() {
    every_sample_is_read::<MemberEvent>();
}

#[test]
fn every_stored_plan_event_is_read() {
    every_sample_is_read::<PlanEvent>();
}

#[test]
fn every_stored_membership_event_is_read() {
    every_sample_is_read::<MembershipEvent>();
}

#[test]
fn every_stored_association_event_record_is_read() {
    every_sample_is_read::<AssociationEventRecord>();
}

#[test]
fn every_stored_roster_event_is_read() {
    every_sample_is_read::<RosterEvent>();
}

#[test]
fn every_stored_invoice_event_is_read() {
    every_sample_is_read::<InvoiceEvent>();
}

#[test]
fn every_stored_series_event_is_read() {
    every_sample_is_read::<SeriesEvent>();
}

#[test]
fn every_stored_payment_event_is_read() {
    every_sample_is_read::<PaymentEvent>();
}

#[test]
fn no_sample_was_ever_changed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored");
    let known = fs::read_to_string(folder.join("checksums.txt")).expect("the checksums can be read");
    let known: BTreeSet<_> = known.lines().map(str::to_owned).collect();
    let found: BTreeSet<_> =
        CATEGORIES.into_iter().flat_map(samples).map(|sample| checksum(&folder, &sample)).collect();
    let changed: Vec<_> = known.difference(&found).collect();
    assert!(changed.is_empty(), "changed or gone, and history with them: {changed:#?}");
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "new samples: add their lines to checksums.txt, in order: {new:#?}");
}

/// A line of `checksums.txt`: the file's name and a digest of its bytes.
fn checksum(folder: &Path, sample: &Sample) -> String {
    let name = sample.path.strip_prefix(folder).expect("samples lie in the folder").display();
    let bytes = fs::read(&sample.path).expect("a sample can be read");
    format!("{name} {}", Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes))
}

#[test]
fn every_category_with_samples_is_read_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored");
    let entries = fs::read_dir(folder).expect("there are samples").map(|entry| entry.expect("it can be listed"));
    let folders = entries.filter(|entry| entry.path().is_dir());
    let found: BTreeSet<_> = folders.map(|entry| entry.file_name().into_string().expect("names are plain")).collect();
    assert_eq!(found, CATEGORIES.map(str::to_owned).into());
}
