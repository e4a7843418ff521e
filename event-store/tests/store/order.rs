//! Promise 2: one order, no holes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use guildhall_event_store::{Clock, EventStore, StoreError, StoreOptions};
use tokio::task::JoinSet;

use crate::support::{PATIENCE, another_node, event, open_store, receipts, stream, tenant, unit};

const WRITERS: u64 = 6;
const UNITS: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn many_nodes_write_one_history_without_a_hole_and_a_tailing_reader_misses_nothing() {
    let (database, store) = open_store().await;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let node = another_node(database.url()).await;
        writers.spawn(async move {
            let streams = [stream(), stream(), stream()];
            let mut versions = [0; 3];
            for nth in 0..UNITS {
                let at = usize::try_from(nth % 3).expect("below 3");
                let events = usize::try_from(nth % 4).expect("below 4");
                receipts(node.append(unit(tenant(number.into()), &streams[at], versions[at], events)).await);
                versions[at] += nth % 4;
            }
            node.shutdown().await;
        });
    }
    // A position that was taken and rolled back is taken again: this one's batches fail when they are inserted.
    let over = Arc::new(AtomicBool::new(false));
    let mut rollbacks = JoinSet::new();
    rollbacks.spawn({
        let (node, over) = (another_node(database.url()).await, Arc::clone(&over));
        async move {
            while !over.load(Ordering::Relaxed) {
                let mut never = unit(tenant(7), &stream(), 0, 1);
                never.commands[0].events[0].type_name = "".into();
                assert!(matches!(node.append(never).await, Err(StoreError::Refused { .. })));
            }
        }
    });
    let expected = WRITERS * (0..UNITS).map(|nth| nth % 4).sum::<u64>();
    let seen = tail(&store, expected).await;
    while let Some(done) = writers.join_next().await {
        done.expect("the writer did not panic");
    }
    over.store(true, Ordering::Relaxed);
    rollbacks.join_all().await;
    assert_eq!(seen, (1..=expected).collect::<Vec<_>>());
    assert_eq!(store.head().await.expect("history is there"), expected);
}

/// Reads from the beginning as events arrive; each position it sees, in the order it sees them.
pub(crate) async fn tail(store: &EventStore, until: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut position = 0;
    while position < until {
        let reached = store.wait_past(position, PATIENCE).await.expect("history is there");
        assert!(reached > position, "nothing was appended for {PATIENCE:?}");
        for event in store.read_after(position, 50).await.expect("there is no hole") {
            assert_eq!(&*event.type_name, "Counted", "what was rolled back is not seen");
            assert_eq!(event.computed_leaf_hash(), event.leaf_hash);
            seen.push(event.position);
            position = event.position;
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_one_stream_are_read_in_the_order_of_their_versions() {
    let (_database, store) = open_store().await;
    let (ours, others) = (stream(), stream());
    for version in 0..5 {
        receipts(store.append(unit(tenant(1), &others, version, 1)).await);
        receipts(store.append(unit(tenant(1), &ours, version * 2, 2)).await);
    }
    let events = store.read_stream(tenant(1), &ours, 3, 4).await.expect("history is there");
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [4, 5, 6, 7]);
    assert!(events.iter().all(|event| event.stream == ours));
    assert!(store.read_stream(tenant(2), &ours, 0, 10).await.expect("history is there").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_association_reads_its_own_events_only() {
    let (_database, store) = open_store().await;
    for number in [1, 2, 1] {
        receipts(store.append(unit(tenant(number), &stream(), 0, 2)).await);
    }
    let events = store.read_tenant_after(tenant(1), 1, 10).await.expect("history is there");
    assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), [2, 5, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_appended_is_read_back_byte_for_byte() {
    let (_database, store) = open_store().await;
    let mut unit = unit(tenant(1), &stream(), 0, 0);
    // `jsonb` would sort the keys, drop the space and change the number.
    unit.commands[0].events.push(event("{\"z\": 1.50, \"a\":\"\\u0041\"}"));
    unit.commands[0].metadata = bytes::Bytes::from_static(b"{ \"why\":1e0}");
    let sent = unit.clone();
    receipts(store.append(unit).await);
    let event = store.read_after(0, 1).await.expect("history is there").remove(0);
    assert_eq!(event.payload, sent.commands[0].events[0].payload);
    assert_eq!(event.metadata, sent.commands[0].metadata);
    assert_eq!(event.event_id, sent.commands[0].events[0].event_id);
    assert_eq!(event.command_id, sent.commands[0].command_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_at_the_end_is_woken_by_this_node_and_by_another() {
    let (database, store) = open_store().await;
    let other = another_node(database.url()).await;
    for (position, node) in [(0, &store), (1, &other)] {
        let waiting = store.wait_past(position, Duration::from_mins(1));
        let (reached, _) =
            tokio::join!(waiting, async { receipts(node.append(unit(tenant(1), &stream(), 0, 1)).await) });
        assert_eq!(reached.expect("history is there"), position + 1);
    }
    let reached = store.wait_past(2, Duration::from_millis(1)).await.expect("history is there");
    assert_eq!(reached, 2, "when the time is up, it says how far history reaches");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_goes_on_into_the_next_partition() {
    let (database, store) = open_store().await;
    let client = database.connect().await;
    // As if ten million events less two were there.
    let far = stream();
    client
        .batch_execute(
            "ALTER TABLE es.event_0 DISABLE TRIGGER ALL;
             INSERT INTO es.event SELECT 9999998, 0, 1, now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
                 1, 'Counted', sha256('x'), '{}', '{}'",
        )
        .await
        .expect("the owner may insert");
    store.shutdown().await;
    let store = another_node(database.url()).await;
    let receipt = receipts(store.append(unit(tenant(1), &far, 0, 3)).await).remove(0);
    assert_eq!(receipt.position, 10_000_001);
    receipts(store.append(unit(tenant(1), &far, 3, 1)).await);
    let events = store.read_stream(tenant(1), &far, 0, 10).await.expect("history is there");
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3, 4]);
    // The next node that writes has the partition behind that one made.
    receipts(another_node(database.url()).await.append(unit(tenant(1), &far, 4, 1)).await);
    let third = client.query_one("SELECT to_regclass('es.event_2') IS NOT NULL", &[]).await.expect("it can be asked");
    assert!(third.get::<_, bool>(0), "there is always room for ten million more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_outlives_a_restored_database_refuses_to_write_over_what_it_acknowledged() {
    let (database, store) = open_store().await;
    receipts(store.append(unit(tenant(1), &stream(), 0, 2)).await);
    let attacker = database.connect().await;
    attacker
        .batch_execute("ALTER TABLE es.event_0 DISABLE TRIGGER ALL; DELETE FROM es.event_0")
        .await
        .expect("a superuser can do anything");
    let refused = store.append(unit(tenant(1), &stream(), 0, 1)).await;
    assert!(refused.expect_err("the end is gone").to_string().contains("history ends before position 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_is_an_error_that_names_it_and_never_skipped() {
    let (database, store) = open_store().await;
    receipts(store.append(unit(tenant(1), &stream(), 0, 5)).await);
    let attacker = database.connect().await;
    let attack = "ALTER TABLE es.event_0 DISABLE TRIGGER ALL; DELETE FROM es.event_0 WHERE position = 3";
    attacker.batch_execute(attack).await.expect("a superuser can do anything");
    for after in [0, 2] {
        let error = store.read_after(after, 10).await.expect_err("a record is missing");
        assert!(matches!(error, StoreError::Hole { expected: 3, found: 4 }), "{error}");
    }
    assert_eq!(store.read_after(3, 10).await.expect("the rest is whole").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_history_is_told_apart_from_one_that_does_not_answer() {
    let (database, _store) = open_store().await;
    let client = database.connect().await;
    client.batch_execute("ALTER SCHEMA es RENAME TO elsewhere").await.expect("the owner may rename");
    let options = StoreOptions::new(database.url(), crate::support::key());
    let error = EventStore::open(options, Clock::system()).await.err();
    assert!(error.expect("nothing is migrated").to_string().contains("guildhall migrate"));
    let nobody = StoreOptions::new("postgresql://guildhall@127.0.0.1:1/guildhall", crate::support::key());
    let error = EventStore::open(nobody, Clock::system()).await.err().expect("nobody answers");
    assert!(matches!(error, StoreError::Unavailable { may_be_stored: false, .. }), "{error}");
    let nonsense = StoreOptions::new("history", crate::support::key());
    assert!(matches!(EventStore::open(nonsense, Clock::system()).await.err(), Some(StoreError::Misconfigured(_))));
}

#[tokio::test]
async fn there_is_nothing_after_the_last_position_there_can_be() {
    let (_database, store) = open_store().await;
    let stream = stream();
    receipts(store.append(unit(tenant(1), &stream, 0, 1)).await);
    assert!(store.read_after(u64::MAX, 10).await.expect("history answers").is_empty());
    assert!(store.read_tenant_after(tenant(1), u64::MAX, 10).await.expect("history answers").is_empty());
    assert!(store.read_stream(tenant(1), &stream, u64::MAX, 10).await.expect("history answers").is_empty());
}

#[tokio::test]
async fn who_is_behind_learns_since_when_and_who_saw_another_history_that_it_is_another() {
    let (_database, store) = open_store().await;
    receipts(store.append(unit(tenant(1), &stream(), 0, 3)).await);
    let events = store.read_after(0, 10).await.expect("history is there");
    let since = store.recorded_after(&[0, 2, 3, 9]).await.expect("history is there");
    assert_eq!(since, [Some(events[0].recorded_at), Some(events[2].recorded_at), None, None]);
    let seen = |at: usize| (events[at].position, events[at].leaf_hash);
    let (other, lost) = ((2, [7; 32]), (4, [8; 32]));
    let mut missing = store.missing(&[seen(0), other, seen(2), lost]).await.expect("history is there");
    missing.sort_unstable();
    assert_eq!(missing, [other, lost]);
}
