//! Promise 1: acknowledged is durable, and sent twice is recorded once, whatever dies meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use guildhall_event_store::{Clock, EventStore, Receipt, StoreError, StoreOptions, Unit, UnitOutcome};
use guildhall_sandbox::{postgres::Postgres, testing::TestDatabase};
use tokio::task::JoinSet;

use crate::proxy::{Fault, How, Proxy, Way};
use crate::support::{another_node, assert_each_once, key, open_store, receipts, stream, tenant, unit, until};

/// The server has done its work, and nobody hears of it.
const LOST_ANSWER: Fault = Fault { way: Way::Reply, after: 0, how: How::Closed };

/// A wait that ends soon, so that what is waited for is asked again.
const SOON: Duration = Duration::from_millis(50);

/// Appends one event after another to a stream of its own until told to stop. What may have been stored, and what
/// waited too long behind connections that were cut, is sent again, as any client would. Returns the receipts it was given.
async fn append_until(store: EventStore, number: u128, stop: Arc<AtomicBool>) -> Vec<Receipt> {
    let stream = stream();
    let mut given = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let next = unit(tenant(number % 3), &stream, given.len() as u64, 1);
        given.push(append_once(&store, next).await);
    }
    given
}

pub(crate) async fn append_once(store: &EventStore, unit: Unit) -> Receipt {
    loop {
        match store.append(unit.clone()).await {
            Ok(UnitOutcome::Appended(mut receipts)) => return receipts.remove(0),
            Ok(UnitOutcome::Duplicate(mut found)) => return found.remove(0).receipt,
            Err(StoreError::Unavailable { .. }) => {}
            Err(StoreError::Overloaded { retry_after }) => tokio::time::sleep(retry_after).await,
            other => panic!("neither stored nor to be sent again: {other:?}"),
        }
    }
}

fn load(store: &EventStore, stop: &Arc<AtomicBool>) -> JoinSet<Vec<Receipt>> {
    let mut writers = JoinSet::new();
    for number in 0..12 {
        writers.spawn(append_until(store.clone(), number, Arc::clone(stop)));
    }
    writers
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_under_load_lose_nothing_and_store_nothing_twice() {
    let (database, store) = open_store().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers = load(&store, &stop);
    let axe = database.connect().await;
    let mut cuts = 0;
    while cuts < 40 {
        // At any moment of its work; also between the commit and the answer.
        cuts += axe
            .query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%es.append%'
                   AND (state = 'active' OR random() < 0.1)",
                &[],
            )
            .await
            .expect("a superuser may cut")
            .len();
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    let given = writers.join_all().await;
    assert_each_once(&store, &given.concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_answered_as_appended() {
    let database = TestDatabase::create().await;
    let wire = Proxy::before(database.url()).await;
    let store = another_node(&wire.url).await;
    let stream = stream();
    receipts(store.append(unit(tenant(1), &stream, 0, 1)).await);
    wire.arm(LOST_ANSWER);
    let second = unit(tenant(1), &stream, 1, 2);
    let receipt = receipts(store.append(second.clone()).await).remove(0);
    assert!(!wire.is_armed(), "the answer was lost");
    assert_eq!((receipt.version, receipt.position), (3, 3));
    assert_eq!(receipt.events[1].event_id, second.commands[0].events[1].event_id);
    assert_eq!(store.head().await.expect("history is there"), 3, "it was stored once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_another_node_recorded_meanwhile_is_a_duplicate_and_not_taken_for_ours() {
    let database = TestDatabase::create().await;
    let wire = Proxy::before(database.url()).await;
    let (store, other) = (another_node(&wire.url).await, another_node(database.url()).await);
    let stream = stream();
    receipts(store.append(unit(tenant(1), &stream, 0, 1)).await);
    let ours = unit(tenant(1), &stream, 1, 1);
    let mut theirs = unit(tenant(1), &stream, 1, 2);
    theirs.commands[0].command_id = ours.commands[0].command_id;
    let receipt = receipts(other.append(theirs).await).remove(0);
    wire.arm(LOST_ANSWER);
    let outcome = store.append(ours).await.expect("it is judged");
    let UnitOutcome::Duplicate(found) = outcome else { panic!("expected a duplicate, got {outcome:?}") };
    assert_eq!(found[0].receipt, receipt);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_database_that_is_gone_is_told_and_told_whether_it_may_be_stored() {
    let database = TestDatabase::create().await;
    let wire = Proxy::before(database.url()).await;
    let impatient = || StoreOptions { give_up_after: SOON, ..StoreOptions::new(&*wire.url, key()) };
    let idle = EventStore::open(impatient(), Clock::system()).await.expect("it opens");
    let busy = EventStore::open(impatient(), Clock::system()).await.expect("it opens");
    receipts(busy.append(unit(tenant(1), &stream(), 0, 1)).await);
    drop(wire);
    let never_sent = idle.append(unit(tenant(1), &stream(), 0, 1)).await;
    assert!(matches!(never_sent, Err(StoreError::Unavailable { may_be_stored: false, .. })), "{never_sent:?}");
    let sent_into_the_void = busy.append(unit(tenant(1), &stream(), 0, 1)).await;
    assert!(matches!(sent_into_the_void, Err(StoreError::Unavailable { may_be_stored: true, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_comes_back_with_everything_that_was_acknowledged() {
    let mut postgres = tokio::task::spawn_blocking(|| Postgres::temporary(true, Vec::new()))
        .await
        .expect("starting does not panic")
        .expect("Postgres starts");
    let database = TestDatabase::create_on(&postgres.url()).await.expect("a database");
    let store = another_node(database.url()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers = load(&store, &stop);
    for round in 1..=2 {
        until("some events are acknowledged", || async {
            store.wait_past(round * 200, SOON).await.is_ok_and(|head| head > round * 200)
        })
        .await;
        postgres = tokio::task::spawn_blocking(move || {
            postgres.kill().expect("it can be killed");
            postgres.restart().expect("it comes back");
            postgres
        })
        .await
        .expect("restarting does not panic");
    }
    reach(&store, 600).await;
    stop.store(true, Ordering::Relaxed);
    let given = writers.join_all().await;
    assert_each_once(&store, &given.concat()).await;
    store.shutdown().await;
}

async fn reach(store: &EventStore, position: u64) {
    until("history goes on", || async { store.wait_past(position, SOON).await.is_ok_and(|head| head > position) })
        .await;
}
