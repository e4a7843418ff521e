//! A fold that changes says so. `stored/folds.txt` has a line for each aggregate and each `FOLD` it ever had: a digest
//! over the states that many histories of golden samples are folded to. States are kept for years (`FOLD` is part of what
//! a kept state is known by), so a change of `apply`, of a state's shape or of the events it is folded from that does not
//! raise `FOLD` would go on from states the program would not have come to itself.

use std::{collections::BTreeMap, fs, path::Path};

use cqrs_es::persist::SerializedEvent;
use guildhall_aggregates::{
    Decide, StoredEvent, association::Association, association_event::AssociationEvent, event_roster::EventRoster,
    invoice::Invoice, invoice_series::InvoiceSeries, member::Member, membership::Membership,
    membership_plan::MembershipPlan, payment::Payment,
};
use serde_json::Value;
use uuid::Uuid;

const HISTORIES: u64 = 500;
const EVENTS: u64 = 12;

fn stored() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored")
}

/// All samples of an aggregate, as events of today, in the order of their names.
fn samples<A: Decide>() -> Vec<A::Event> {
    let entries = fs::read_dir(stored().join(A::Event::CATEGORY)).expect("every aggregate has samples");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    paths.sort();
    let sample = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are plain");
        let mut parts = name.split('.');
        let event_type = parts.next().expect("a name has a first part").to_owned();
        let event_version = parts.next().expect("and a second").trim_start_matches('v').to_owned();
        let payload = serde_json::from_slice(&fs::read(path).expect("a sample can be read")).expect("it is JSON");
        let mut event = SerializedEvent {
            aggregate_id: String::new(),
            sequence: 1,
            aggregate_type: A::Event::CATEGORY.to_owned(),
            event_type,
            event_version,
            payload,
            metadata: Value::Null,
        };
        for upcaster in A::Event::upcasters() {
            if upcaster.can_upcast(&event.event_type, &event.event_version) {
                event = upcaster.upcast(event);
            }
        }
        serde_json::from_value(event.payload).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    paths.iter().map(|path| sample(path)).collect()
}

/// A digest over every state on the way of histories that are always drawn alike. Each begins as streams of the aggregate
/// do, with one event that does not come again.
fn digest<A: Decide>(begins_with: &str) -> Uuid {
    let (first, samples): (Vec<_>, Vec<_>) =
        samples::<A>().into_iter().partition(|event| event.type_name() == begins_with);
    assert!(!first.is_empty(), "no sample of {begins_with}");
    let mut digest = Uuid::nil();
    let mut drawn: u64 = 1;
    let mut draw = |from: usize| {
        // Knuth's multiplier; only the high bits are random.
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(drawn >> 33).expect("31 bits fit") % from
    };
    for _ in 0..HISTORIES {
        let mut state = A::default();
        state.apply(first[draw(first.len())].clone());
        for _ in 0..EVENTS {
            // A stream may be nothing but its beginning, again and again, where that is all there is.
            let later = if samples.is_empty() { &first } else { &samples };
            state.apply(later[draw(later.len())].clone());
            digest = Uuid::new_v5(&digest, &serde_json::to_vec(&state).expect("a state can be written"));
        }
    }
    digest
}

fn the_fold_is_the_one_that_is_written_down<A: Decide>(begins_with: &str) {
    let text = fs::read_to_string(stored().join("folds.txt")).expect("folds.txt can be read");
    let known: BTreeMap<_, _> = text.lines().filter_map(|line| line.rsplit_once(' ')).collect();
    let fold = format!("{} {}", A::Event::CATEGORY, A::FOLD);
    let digest = digest::<A>(begins_with).to_string();
    match known.get(fold.as_str()) {
        Some(known) => assert_eq!(
            *known, digest,
            "{fold} folds otherwise than it did: raise `FOLD` in its `impl Decide` and add a line to folds.txt"
        ),
        None => panic!("a new fold: add this line to folds.txt: {fold} {digest}"),
    }
}

#[test]
fn an_association_is_folded_as_written_down() {
    the_fold_is_the_one_that_is_written_down::<Association>("AssociationFounded");
}

#[test]
fn a_member_is_folded_as_written_down() {
    the_fold_is_the_one_that_is_written_down::<Member>("MemberRegistered");
}

#[test]
fn a_plan_is_folded_as_written_down() {
    the_fold_is_the_one_that_is_written_down::<MembershipPlan>("PlanCreated");
}

#[test]
fn a_membership_is_folded_as_written_down() {
    the_fold_is_the_one_that_is_written_down::<Membership>("MembershipApplied");
}

#[test]
fn an_association_event_is_folded_as_written_down() {
    the_fold_is_the_one_that_is_written_down::<AssociationEvent>("EventScheduled");
}

#[test]
fn a_roster_is_folded_as_written_down() {
    the_fold_is_the_one_that_is_written_down::<EventRoster>("RegistrationOpened");
}

#[test]
fn an_invoice_is_folded_as_written_down() {
    the_fold_is_the_one_that_is_written_down::<Invoice>("InvoiceDrafted");
}

#[test]
fn a_series_is_folded_as_written_down() {
    the_fold_is_the_one_that_is_written_down::<InvoiceSeries>("NumberAssigned");
}

#[test]
fn a_payment_is_folded_as_written_down() {
    the_fold_is_the_one_that_is_written_down::<Payment>("PaymentReceived");
}
