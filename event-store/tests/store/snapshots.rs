//! A snapshot changes how long a load takes and nothing else.

use std::{fs, path::Path};

use bytes::Bytes;
use cqrs_es::Aggregate as _;
use guildhall_aggregates::{
    Clear, Decide, StoredEvent, SubjectId,
    association::Association,
    association_event::AssociationEvent,
    event_roster::EventRoster,
    invoice::Invoice,
    invoice_series::InvoiceSeries,
    member::{ChangeName, ContactDetails, Member, MemberKind, RegisterMember},
    membership::Membership,
    membership_plan::MembershipPlan,
    payment::Payment,
    personal::{Opened, PersonName},
};
use guildhall_event_store::{Clock, EventStore, Loaded, NewEvent, StoreOptions, StreamId};
use guildhall_sandbox::testing::TestDatabase;
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{key, open_store, receipts, tenant, unit, until};

/// A node that keeps a state after this many events, or never.
async fn node(database: &TestDatabase, snapshot_after: Option<u64>) -> EventStore {
    let options = StoreOptions { pool_size: 4, snapshot_after, ..StoreOptions::new(database.url(), key()) };
    EventStore::open(options, Clock::system()).await.expect("the database was migrated for this test")
}

/// The golden samples of an aggregate's events, as they were stored.
fn samples<A: Decide>() -> Vec<NewEvent> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../aggregates/tests/stored").join(A::Event::CATEGORY);
    let entries = fs::read_dir(folder).expect("every aggregate has samples");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    paths.sort();
    let sample = |path: &Path| {
        let mut parts = path.file_name().and_then(|name| name.to_str()).expect("names are plain").split('.');
        let type_name = parts.next().expect("a name has a first part").to_owned();
        let version = parts.next().and_then(|part| part.strip_prefix('v')?.parse().ok()).expect("and a version");
        let payload = Bytes::from(fs::read(path).expect("a sample can be read"));
        NewEvent { event_id: Uuid::now_v7(), type_name: type_name.into(), schema_version: version, payload }
    };
    paths.iter().map(|path| sample(path)).collect()
}

async fn append(store: &EventStore, stream: &StreamId, expected: u64, events: Vec<NewEvent>) {
    let mut unit = unit(tenant(1), stream, expected, 0);
    unit.commands[0].events = events;
    receipts(store.append(unit).await);
}

async fn load<A: Decide>(store: &EventStore, id: Uuid) -> (u64, Value) {
    let Loaded { state, version } = store.load::<A>(tenant(1), id).await.expect("it is read");
    (version, serde_json::to_value(state).expect("a state can be written"))
}

/// Waits until the state at this version is kept.
async fn kept(client: &Client, stream: &StreamId, version: u64) {
    let version = i64::try_from(version).expect("small");
    until("the state is kept", || async {
        let query = "SELECT 1 FROM es.snapshot JOIN es.stream USING (stream_key) WHERE id = $1 AND version = $2";
        client.query_opt(query, &[&stream.id, &version]).await.expect("it can be asked").is_some()
    })
    .await;
}

/// What may become of a kept state.
const DAMAGES: [&str; 6] = [
    "UPDATE es.snapshot SET taken_at = now() WHERE stream_key = $1",
    // Not where it was emptied before.
    "UPDATE es.snapshot SET state = set_byte(state, length(state) / 2, 35) WHERE stream_key = $1 AND state <> ''",
    "UPDATE es.snapshot SET state = '' WHERE stream_key = $1",
    "UPDATE es.snapshot SET fingerprint = sha256('another fold') WHERE stream_key = $1",
    "UPDATE es.snapshot SET version = version + 1 WHERE stream_key = $1",
    "UPDATE es.snapshot SET (seal, state) = (SELECT seal, state FROM es.snapshot ORDER BY stream_key LIMIT 1)
      WHERE stream_key = $1",
];

/// Any history that begins as streams of the aggregate do, cut anywhere, with anything done to the snapshot in between: the loads are the same.
fn loads_alike<A: Decide>(begins_with: &str) {
    let (first, mut samples): (Vec<_>, Vec<_>) =
        samples::<A>().into_iter().partition(|event| event.type_name == begins_with);
    if samples.is_empty() {
        samples.clone_from(&first);
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (database, quick, plain, client) = runtime.block_on(async {
        let database = TestDatabase::create().await;
        let (quick, plain) = (node(&database, Some(3)).await, node(&database, None).await);
        let client = database.connect().await;
        (database, quick, plain, client)
    });
    let part = (prop::collection::vec(any::<Index>(), 1..8), 0..DAMAGES.len());
    let config = Config { cases: 6, max_shrink_iters: 20, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(part, 2..5), |parts| {
        runtime.block_on(async {
            let stream = StreamId::new(A::Event::CATEGORY, Uuid::now_v7());
            let mut version = 0;
            for (picks, damage) in parts {
                let mut events: Vec<_> = picks.iter().map(|pick| pick.get(&samples).clone()).collect();
                if version == 0 {
                    events[0] = picks[0].get(&first).clone();
                }
                let (before, folded) = (version, events.len() as u64);
                version += folded;
                append(&plain, &stream, before, events).await;
                let expected = load::<A>(&plain, stream.id).await;
                prop_assert_eq!(expected.0, version);
                prop_assert_eq!(&load::<A>(&quick, stream.id).await, &expected);
                if folded >= 3 {
                    kept(&client, &stream, version).await;
                    prop_assert_eq!(&load::<A>(&quick, stream.id).await, &expected, "from the snapshot alone");
                }
                let key = "SELECT stream_key FROM es.stream WHERE id = $1";
                let key: i64 = client.query_one(key, &[&stream.id]).await.expect("it has a key").get(0);
                client.execute(DAMAGES[damage], &[&key]).await.expect("the owner may do that to a cache");
                prop_assert_eq!(&load::<A>(&quick, stream.id).await, &expected, "after {}", DAMAGES[damage]);
            }
            Ok(())
        })
    });
    drop(database);
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn an_association_is_the_same_with_and_without_a_snapshot() {
    loads_alike::<Association>("AssociationFounded");
}

#[test]
fn a_member_is_the_same_with_and_without_a_snapshot() {
    loads_alike::<Member>("MemberRegistered");
}

#[test]
fn a_plan_is_the_same_with_and_without_a_snapshot() {
    loads_alike::<MembershipPlan>("PlanCreated");
}

#[test]
fn a_membership_is_the_same_with_and_without_a_snapshot() {
    loads_alike::<Membership>("MembershipApplied");
}

#[test]
fn an_association_event_is_the_same_with_and_without_a_snapshot() {
    loads_alike::<AssociationEvent>("EventScheduled");
}

#[test]
fn a_roster_is_the_same_with_and_without_a_snapshot() {
    loads_alike::<EventRoster>("RegistrationOpened");
}

#[test]
fn an_invoice_is_the_same_with_and_without_a_snapshot() {
    loads_alike::<Invoice>("InvoiceDrafted");
}

#[test]
fn a_series_is_the_same_with_and_without_a_snapshot() {
    loads_alike::<InvoiceSeries>("NumberAssigned");
}

#[test]
fn a_payment_is_the_same_with_and_without_a_snapshot() {
    loads_alike::<Payment>("PaymentReceived");
}

/// Registers a member and renames them again and again; gives the last state.
async fn much_renamed(store: &EventStore, subject: SubjectId, names: usize) -> (StreamId, Member) {
    let stream = StreamId::new("member", subject.uuid());
    let mut member = Member::default();
    let mut version = 0;
    for nth in 0..names {
        let name = PersonName { display: format!("Ada {nth}"), first: None, middle: None, last: None };
        let name = store.vault().seal(tenant(1), subject, Uuid::now_v7(), &Clear(name)).await.expect("it is sealed");
        let contact = ContactDetails::default();
        let command = match nth {
            0 => RegisterMember {
                kind: MemberKind::Person,
                name,
                contact,
                birth_date: None,
                member_number: None,
                source: None,
            }
            .into(),
            _ => ChangeName { name }.into(),
        };
        let events = member.decide(command).expect("it may be done");
        let stored = events.iter().map(|event| NewEvent {
            event_id: Uuid::now_v7(),
            type_name: event.type_name().into(),
            schema_version: event.schema_version(),
            payload: serde_json::to_vec(event).expect("events are JSON").into(),
        });
        append(store, &stream, version, stored.collect()).await;
        version += events.len() as u64;
        for event in events {
            member.apply(event);
        }
    }
    (stream, member)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_begins_with_the_snapshot_and_one_that_cannot_reads_every_event() {
    let (database, _) = open_store().await;
    let (quick, client) = (node(&database, Some(4)).await, database.connect().await);
    let (stream, member) = much_renamed(&quick, SubjectId::new(Uuid::now_v7()), 6).await;
    assert_eq!(quick.load::<Member>(tenant(1), stream.id).await.expect("it is read").state, member);
    kept(&client, &stream, 6).await;
    // Whoever reads the first event now has not begun with the snapshot.
    let unread = "ALTER TABLE es.event_0 DISABLE TRIGGER ALL; UPDATE es.event_0 SET payload = '?' WHERE version = 1";
    client.batch_execute(unread).await.expect("the owner may do anything");
    let loaded = quick.load::<Member>(tenant(1), stream.id).await.expect("the first event is not read");
    assert_eq!((loaded.version, loaded.state), (6, member));
    client.batch_execute("UPDATE es.snapshot SET state = state || ' '").await.expect("the owner may do anything");
    let error = quick.load::<Member>(tenant(1), stream.id).await.expect_err("the first event is read");
    assert!(error.to_string().contains("position 1 "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_holds_nothing_in_the_clear_and_forgetting_reaches_it() {
    let (database, _) = open_store().await;
    let (quick, client) = (node(&database, Some(4)).await, database.connect().await);
    let subject = SubjectId::new(Uuid::now_v7());
    let (stream, _) = much_renamed(&quick, subject, 5).await;
    quick.load::<Member>(tenant(1), stream.id).await.expect("it is read");
    kept(&client, &stream, 5).await;
    let state: Vec<u8> = client.query_one("SELECT state FROM es.snapshot", &[]).await.expect("one").get(0);
    let state = String::from_utf8(state).expect("JSON is text");
    assert!(!state.contains("Ada 4"), "{state}");
    let token = state.split('"').find(|text| text.starts_with("gp1.")).expect("the name is there, sealed");
    let sealed = guildhall_aggregates::Personal::<PersonName>::parse(token).expect("it is a token");
    let opened = quick.vault().open(tenant(1), &sealed).await.expect("it opens");
    assert!(matches!(opened, Opened::Known(name) if name.display == "Ada 4"));
    quick.vault().forget(tenant(1), subject).await.expect("they are forgotten");
    for store in [&quick, &node(&database, Some(4)).await] {
        let opened = store.vault().open(tenant(1), &sealed).await.expect("it is answered");
        assert!(matches!(opened, Opened::Forgotten));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_of_what_is_quickly_folded_or_was_just_kept() {
    let (database, _) = open_store().await;
    let (quick, client) = (node(&database, Some(4)).await, database.connect().await);
    let (short, _) = much_renamed(&quick, SubjectId::new(Uuid::now_v7()), 3).await;
    quick.load::<Member>(tenant(1), short.id).await.expect("it is read");
    let (long, member) = much_renamed(&quick, SubjectId::new(Uuid::now_v7()), 4).await;
    let mut loaded = quick.load::<Member>(tenant(1), long.id).await.expect("it is read");
    assert_eq!(loaded.state, member);
    kept(&client, &long, 4).await;
    append(&quick, &long, 4, vec![samples::<Member>().remove(0)]).await;
    quick.catch_up(tenant(1), long.id, &mut loaded).await.expect("it is read");
    quick.shutdown().await;
    let versions = client.query("SELECT version FROM es.snapshot", &[]).await.expect("they are listed");
    assert_eq!(versions.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [4]);
}
