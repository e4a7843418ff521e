//! What becomes of a unit, and that it is nobody else's business.

use futures::future::join_all;
use guildhall_event_store::{EventStore, StoreError, StoreOptions, UnitOutcome};

use crate::support::{another_node, claiming, command, hold_the_log, key, open_store, receipts, stream, tenant, unit};

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_gets_a_receipt_for_each_command_also_for_one_that_recorded_nothing() {
    let (_database, store) = open_store().await;
    receipts(store.append(unit(tenant(1), &stream(), 0, 1)).await);
    let stream = stream();
    let mut unit = unit(tenant(1), &stream, 0, 0);
    unit.commands.extend([command(2), command(0)]);
    let got = receipts(store.append(unit.clone()).await);
    let places: Vec<_> = got.iter().map(|receipt| (receipt.version, receipt.position, receipt.events.len())).collect();
    assert_eq!(places, [(0, 1, 0), (2, 3, 2), (2, 3, 0)]);
    for receipt in got {
        let recorded = store.recorded_command(tenant(1), receipt.command_id).await.expect("history is there");
        assert_eq!(recorded.expect("it is in the log").receipt, receipt);
    }
    assert_eq!(store.recorded_command(tenant(2), unit.commands[0].command_id).await.expect("history is there"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_than_expected_is_a_conflict_that_says_which() {
    let (_database, store) = open_store().await;
    let stream = stream();
    receipts(store.append(unit(tenant(1), &stream, 0, 3)).await);
    for expected in [0, 2, 4] {
        let outcome = store.append(unit(tenant(1), &stream, expected, 1)).await.expect("it is judged");
        assert_eq!(outcome, UnitOutcome::Conflict { actual: 3 });
    }
    // The stream of the same name in another association is another stream.
    receipts(store.append(unit(tenant(2), &stream, 0, 1)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_sent_again_is_a_duplicate_with_the_first_receipt_whatever_version_it_expects() {
    let (_database, store) = open_store().await;
    let first = unit(tenant(1), &stream(), 0, 2);
    let receipt = receipts(store.append(first.clone()).await).remove(0);
    let mut again = first;
    again.expected_version = 2;
    again.commands[0].request_hash = [8; 32];
    let outcome = store.append(again.clone()).await.expect("it is judged");
    let UnitOutcome::Duplicate(found) = outcome else { panic!("expected a duplicate, got {outcome:?}") };
    assert_eq!(found[0].receipt, receipt);
    assert_eq!(found[0].request_hash, [7; 32], "the hash tells that the request was another one");
    // The same id in another association is another command.
    again.tenant = tenant(2);
    again.expected_version = 0;
    receipts(store.append(again).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_with_one_known_command_stores_none_of_the_others() {
    let (_database, store) = open_store().await;
    let stream = stream();
    let first = unit(tenant(1), &stream, 0, 1);
    receipts(store.append(first.clone()).await);
    let mut second = unit(tenant(1), &stream, 1, 1);
    second.commands.extend(first.commands.clone());
    let outcome = store.append(second).await.expect("it is judged");
    let UnitOutcome::Duplicate(found) = outcome else { panic!("expected a duplicate, got {outcome:?}") };
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].receipt.command_id, first.commands[0].command_id);
    assert_eq!(store.head().await.expect("history is there"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_claimed_by_one_stream_of_an_association_until_it_lets_go() {
    let (_database, store) = open_store().await;
    let (ada, grace) = (stream(), stream());
    receipts(store.append(claiming(tenant(1), &ada, 0, Some(1))).await);
    receipts(store.append(claiming(tenant(2), &grace, 0, Some(1))).await);
    let wanted = claiming(tenant(1), &grace, 0, Some(1));
    let taken = UnitOutcome::ClaimTaken { command_id: wanted.commands[0].command_id, kind: "email".to_owned() };
    assert_eq!(store.append(wanted).await.expect("it is judged"), taken);
    assert_eq!(store.head().await.expect("history is there"), 2, "nothing of the refused unit was stored");
    // Claiming what one has, claiming another value, letting go.
    receipts(store.append(claiming(tenant(1), &ada, 1, Some(1))).await);
    receipts(store.append(claiming(tenant(1), &ada, 2, Some(2))).await);
    receipts(store.append(claiming(tenant(1), &grace, 0, Some(1))).await);
    receipts(store.append(claiming(tenant(1), &grace, 1, None)).await);
    receipts(store.append(claiming(tenant(1), &ada, 3, Some(1))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_several_claims_in_one_unit_holds() {
    let (_database, store) = open_store().await;
    let (ada, grace) = (stream(), stream());
    let mut unit = claiming(tenant(1), &ada, 0, Some(1));
    unit.commands.extend(claiming(tenant(1), &ada, 0, Some(2)).commands);
    receipts(store.append(unit).await);
    receipts(store.append(claiming(tenant(1), &grace, 0, Some(1))).await);
    let outcome = store.append(claiming(tenant(1), &grace, 1, Some(2))).await.expect("it is judged");
    assert!(matches!(outcome, UnitOutcome::ClaimTaken { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_want_one_value_at_once_exactly_one_gets_it() {
    let (_database, store) = open_store().await;
    let wanted = (0..40).map(|_| claiming(tenant(1), &stream(), 0, Some(1)));
    let outcomes = join_all(wanted.map(|unit| store.append(unit))).await;
    let appended = outcomes.iter().filter(|outcome| matches!(outcome, Ok(UnitOutcome::Appended(_)))).count();
    let taken = outcomes.iter().filter(|outcome| matches!(outcome, Ok(UnitOutcome::ClaimTaken { .. }))).count();
    assert_eq!((appended, taken), (1, 39));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_expect_one_version_at_once_exactly_one_is_appended() {
    let (_database, store) = open_store().await;
    let stream = stream();
    let units = (0..40).map(|_| unit(tenant(1), &stream, 0, 1));
    let outcomes = join_all(units.map(|unit| store.append(unit))).await;
    let appended = outcomes.iter().filter(|outcome| matches!(outcome, Ok(UnitOutcome::Appended(_)))).count();
    let conflicts =
        outcomes.iter().filter(|outcome| matches!(outcome, Ok(UnitOutcome::Conflict { actual: 1 }))).count();
    assert_eq!((appended, conflicts), (1, 39));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_to_record_nothing_is_a_conflict_too_when_another_node_was_faster() {
    let (database, store) = open_store().await;
    let stream = stream();
    receipts(store.append(unit(tenant(1), &stream, 0, 1)).await);
    receipts(another_node(database.url()).await.append(unit(tenant(1), &stream, 1, 1)).await);
    let outcome = store.append(unit(tenant(1), &stream, 1, 0)).await.expect("it is judged");
    assert_eq!(outcome, UnitOutcome::Conflict { actual: 2 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_the_database_refuses_does_not_take_its_neighbours_with_it() {
    let (_database, store) = open_store().await;
    let mut units: Vec<_> = (0..50).map(|_| unit(tenant(1), &stream(), 0, 1)).collect();
    units[13].commands[0].events[0].type_name = "".into();
    units[31].commands[0].events[0].type_name = "with\0nul".into();
    let outcomes = join_all(units.into_iter().map(|unit| store.append(unit))).await;
    for (nth, outcome) in outcomes.into_iter().enumerate() {
        match nth {
            13 | 31 => assert!(matches!(outcome, Err(StoreError::Refused { .. })), "{nth}: {outcome:?}"),
            _ => drop(receipts(outcome)),
        }
    }
    assert_eq!(store.head().await.expect("history is there"), 48);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_empty_is_refused_before_it_waits() {
    let (_database, store) = open_store().await;
    let mut large = unit(tenant(1), &stream(), 0, 1);
    large.commands[0].events[0].payload = vec![b'x'; 256 * 1024 + 1].into();
    assert!(matches!(store.append(large).await, Err(StoreError::TooLarge { limit: 262_144, .. })));
    let many = unit(tenant(1), &stream(), 0, 513);
    assert!(matches!(store.append(many).await, Err(StoreError::TooLarge { size: 513, limit: 512, .. })));
    let mut empty = unit(tenant(1), &stream(), 0, 0);
    empty.commands.clear();
    assert!(matches!(store.append(empty).await, Err(StoreError::Malformed(_))));
    receipts(store.append(unit(tenant(1), &stream(), 0, 512)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_when_to_try_again_and_one_association_cannot_fill_it() {
    let (database, _store) = open_store().await;
    let options = StoreOptions { queue_units: 8, ..StoreOptions::new(database.url(), key()) };
    let store = EventStore::open(options, guildhall_event_store::Clock::system()).await.expect("it opens");
    // Nothing is appended while somebody holds the log's lock.
    let holder = database.connect().await;
    hold_the_log(&holder).await;
    let appends = (0..60).map(|_| store.append(unit(tenant(1), &stream(), 0, 1)));
    let others = (0..2).map(|_| store.append(unit(tenant(2), &stream(), 0, 1)));
    let release = async {
        // All appends have been polled once by now.
        holder.batch_execute("COMMIT").await.expect("it commits");
    };
    let (outcomes, others, ()) = tokio::join!(join_all(appends), join_all(others), release);
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Overloaded { .. }))).count();
    assert!((1..60).contains(&refused), "{refused} of 60 were refused");
    assert!(others.iter().all(Result::is_ok), "the other association had room: {others:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_appends_what_waits_and_takes_nothing_more() {
    let (_database, store) = open_store().await;
    let waiting = join_all((0..20).map(|_| store.append(unit(tenant(1), &stream(), 0, 1))));
    let (outcomes, ()) = tokio::join!(waiting, store.shutdown());
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!(matches!(store.append(unit(tenant(1), &stream(), 0, 1)).await, Err(StoreError::Unavailable { .. })));
}
