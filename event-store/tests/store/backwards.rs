//! The latest first.

use guildhall_event_store::{EventStore, RecordedEvent, StoreError, StreamId};
use tokio_postgres::Client;

use crate::support::{open_store, receipts, stream, tenant, unit};

/// Two associations' streams of 10 events each, in turn.
async fn in_turn(store: &EventStore) -> [StreamId; 2] {
    let streams = [stream(), stream()];
    for version in 0..10 {
        for (number, stream) in (1..).zip(&streams) {
            receipts(store.append(unit(tenant(number), stream, version, 1)).await);
        }
    }
    streams
}

/// Takes events away as archiving does, and notes it.
async fn archive(client: &Client, first: i64, last: i64) {
    let statements = format!(
        "ALTER TABLE es.event_0 DISABLE TRIGGER refuse_change;
         DELETE FROM es.event_0 WHERE position BETWEEN {first} AND {last};
         INSERT INTO es.archived (partition_name, first_position, last_position, manifest)
         VALUES ('event_x', {first}, {last}, '{{}}')"
    );
    client.batch_execute(&statements).await.expect("the owner may do that");
}

fn versions(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.version).collect()
}

fn says_archived(read: Result<Vec<RecordedEvent>, StoreError>) -> bool {
    read.is_err_and(|error| error.to_string().contains("positions 1 to 8 are archived"))
}

#[tokio::test]
async fn backwards_is_forwards_in_reverse() {
    let (_database, store) = open_store().await;
    let [ours, theirs] = in_turn(&store).await;
    let mut forwards = store.read_tenant_after(tenant(1), 0, 100).await.expect("history is there");
    forwards.reverse();
    assert_eq!(store.read_tenant_before(tenant(1), u64::MAX, 100).await.expect("history is there"), forwards);
    assert_eq!(store.read_stream_before(tenant(1), &ours, u64::MAX, 100).await.expect("history is there"), forwards);
    assert_eq!(store.read_stream_before(tenant(1), &theirs, u64::MAX, 100).await.expect("history is there"), []);
}

#[tokio::test]
async fn a_page_ends_where_the_next_one_begins() {
    let (_database, store) = open_store().await;
    let [ours, _] = in_turn(&store).await;
    let page = async |version, limit| {
        versions(&store.read_stream_before(tenant(1), &ours, version, limit).await.expect("history is there"))
    };
    assert_eq!(page(u64::MAX, 4).await, [10, 9, 8, 7]);
    assert_eq!(page(11, 1).await, [10]);
    assert_eq!(page(7, 4).await, [6, 5, 4, 3]);
    assert_eq!(page(3, 4).await, [2, 1]);
    assert_eq!(page(1, 4).await, [0; 0]);
    let page = async |position, limit| {
        versions(&store.read_tenant_before(tenant(1), position, limit).await.expect("history is there"))
    };
    assert_eq!(page(u64::MAX, 3).await, [10, 9, 8]);
    assert_eq!(page(5, 100).await, [2, 1]);
    assert_eq!(page(1, 100).await, [0; 0]);
}

#[tokio::test]
async fn what_is_archived_is_not_taken_for_what_never_was() {
    let (database, store) = open_store().await;
    let [ours, _] = in_turn(&store).await;
    // Versions 1 to 4 of both.
    archive(&database.connect().await, 1, 8).await;
    let of_stream = async |version, limit| store.read_stream_before(tenant(1), &ours, version, limit).await;
    let of_tenant = async |position, limit| store.read_tenant_before(tenant(1), position, limit).await;
    assert_eq!(versions(&of_stream(u64::MAX, 6).await.expect("these are here")), [10, 9, 8, 7, 6, 5]);
    assert_eq!(versions(&of_tenant(u64::MAX, 6).await.expect("these are here")), [10, 9, 8, 7, 6, 5]);
    assert!(says_archived(of_stream(u64::MAX, 7).await));
    assert!(says_archived(of_tenant(u64::MAX, 7).await));
    assert!(says_archived(of_stream(5, 1).await));
    assert!(says_archived(of_tenant(9, 1).await));
}
