//! A node that relies on what its connection knows of a stream is never ahead of what another node did.

use guildhall_event_store::{EventStore, StreamId, Unit, UnitOutcome, VerifyOptions};
use guildhall_sandbox::testing::TestDatabase;

use crate::support::{another_node, command, open_store, stream, tenant};

fn one_event(stream: &StreamId, expected_version: u64) -> Unit {
    Unit { tenant: tenant(1), stream: stream.clone(), expected_version, commands: vec![command(1)] }
}

async fn append(store: &EventStore, stream: &StreamId, expected_version: u64) -> UnitOutcome {
    store.append(one_event(stream, expected_version)).await.expect("history answers")
}

fn is_appended(outcome: &UnitOutcome) -> bool {
    matches!(outcome, UnitOutcome::Appended(_))
}

#[tokio::test]
async fn whoever_was_faster_is_noticed_on_a_stream_that_is_known() {
    let (database, ours) = open_store().await;
    let theirs = another_node(database.url()).await;
    let stream = stream();
    for round in 0..10 {
        let version = round * 3;
        assert!(is_appended(&append(&ours, &stream, version).await));
        assert!(is_appended(&append(&ours, &stream, version + 1).await));
        assert!(is_appended(&append(&theirs, &stream, version + 2).await));
        assert_eq!(append(&ours, &stream, version + 2).await, UnitOutcome::Conflict { actual: version + 3 });
    }
    let report = ours.verify(VerifyOptions::default(), |_| ()).await.expect("history is there");
    assert_eq!((report.records, report.first_difference), (30, None));
}

#[tokio::test]
async fn one_that_is_too_late_does_not_fail_its_neighbours() {
    let (database, ours) = open_store().await;
    let theirs = another_node(database.url()).await;
    let streams: Vec<_> = (0..20).map(|_| stream()).collect();
    for stream in &streams {
        assert!(is_appended(&append(&ours, stream, 0).await));
    }
    assert!(is_appended(&append(&theirs, &streams[7], 1).await));
    let outcomes = futures::future::join_all(streams.iter().map(|stream| append(&ours, stream, 1))).await;
    for (at, outcome) in outcomes.iter().enumerate() {
        assert_eq!(is_appended(outcome), at != 7, "unit {at} came to {outcome:?}");
    }
}

/// The constraint on stream and version holds within a partition, so what is known must not outlive one.
#[tokio::test]
async fn whoever_was_faster_is_noticed_where_one_partition_ends_and_the_next_begins() {
    let (database, ours) = open_store().await;
    divide_history_at(&database, 30).await;
    let theirs = another_node(database.url()).await;
    let (contested, filler) = (stream(), stream());
    assert!(is_appended(&append(&ours, &contested, 0).await));
    assert!(is_appended(&append(&theirs, &contested, 1).await));
    // History grows over the border while this node still takes the stream to be at version 1.
    for version in 0..40 {
        assert!(is_appended(&append(&ours, &filler, version).await));
    }
    assert_eq!(append(&ours, &contested, 1).await, UnitOutcome::Conflict { actual: 2 });
    let report = ours.verify(VerifyOptions::default(), |_| ()).await.expect("history is there");
    assert_eq!((report.records, report.first_difference), (42, None));
}

/// Makes an empty history's first partition end before `border`.
async fn divide_history_at(database: &TestDatabase, border: u64) {
    let divide = format!(
        "ALTER TABLE es.event DETACH PARTITION es.event_0;
         ALTER TABLE es.event ATTACH PARTITION es.event_0 FOR VALUES FROM (0) TO ({border});
         CREATE TABLE es.event_rest (LIKE es.event_0 INCLUDING ALL);
         ALTER TABLE es.event ATTACH PARTITION es.event_rest FOR VALUES FROM ({border}) TO (10000000)"
    );
    database.connect().await.batch_execute(&divide).await.expect("its owner may do that");
}
