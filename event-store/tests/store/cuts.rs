//! Promise 1 at every byte: wherever the wire fails, each unit is recorded once and whoever waits gets its receipt.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use guildhall_event_store::{Clock, EventStore, Receipt, StoreOptions};
use guildhall_sandbox::testing::TestDatabase;
use tokio::task::JoinSet;

use crate::{
    faults::append_once,
    proxy::{Fault, How, Proxy, Way},
    support::{
        another_node, assert_each_once, came_to, hold_the_log, key, receipts, stream, tenant, torture, unit, until,
    },
};

/// Stores that are cut at the same time, each through a wire of its own.
const WIRES: usize = 4;
/// Of a long message, the short form cuts at so many bytes from either end, and at every so many in between.
const ENDS: u64 = 64;
const STEP: u64 = 31;

/// How many bytes one append takes, either way.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    request: u64,
    reply: u64,
}

/// One event, so that the wire is up and nothing but the next append goes over it.
async fn warm_up(store: &EventStore) -> Receipt {
    append_once(store, unit(tenant(2), &stream(), 0, 1)).await
}

/// Appends what every test here appends, and measures it.
async fn measured(wire: &Proxy, store: &EventStore) -> (Receipt, Lengths) {
    let before = (wire.carried(Way::Request), wire.carried(Way::Reply));
    let receipt = append_once(store, unit(tenant(1), &stream(), 0, 2)).await;
    let lengths =
        Lengths { request: wire.carried(Way::Request) - before.0, reply: wire.carried(Way::Reply) - before.1 };
    (receipt, lengths)
}

/// Every place where the wire can fail; in the short form those near the ends and some in between.
fn faults(lengths: Lengths) -> VecDeque<Fault> {
    let at = |way, length: u64| {
        let near = move |after: &u64| *after < ENDS || *after + ENDS > length || after.is_multiple_of(STEP);
        (0..=length).filter(move |after| torture() || near(after)).flat_map(move |after| {
            let hows = if torture() {
                vec![How::Closed, How::Reset]
            } else {
                vec![if after % 2 == 0 { How::Closed } else { How::Reset }]
            };
            hows.into_iter().map(move |how| Fault { way, after, how })
        })
    };
    at(Way::Request, lengths.request).chain(at(Way::Reply, lengths.reply)).collect()
}

/// Appends a unit for each fault. Returns all receipts that were given.
async fn suffer(wire: Proxy, faults: Arc<Mutex<VecDeque<Fault>>>) -> Vec<Receipt> {
    let store = another_node(&wire.url).await;
    let mut given = Vec::new();
    let next = || faults.lock().expect("no wire panics").pop_front();
    while let Some(fault) = next() {
        given.push(warm_up(&store).await);
        wire.arm(fault);
        let sent = unit(tenant(1), &stream(), 0, 2);
        let receipt = receipts(store.append(sent.clone()).await).remove(0);
        assert!(!wire.is_armed(), "{fault:?} has happened");
        assert_eq!((receipt.command_id, receipt.version), (sent.commands[0].command_id, 2), "{fault:?}");
        let ids = receipt.events.iter().map(|event| event.event_id);
        assert!(ids.eq(sent.commands[0].events.iter().map(|event| event.event_id)), "{fault:?}");
        given.push(receipt);
    }
    given
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wire_that_fails_at_any_byte_of_request_or_reply_records_each_unit_once() {
    let database = TestDatabase::create().await;
    let wire = Proxy::before(database.url()).await;
    let store = another_node(&wire.url).await;
    let mut given = vec![warm_up(&store).await];
    let (receipt, lengths) = measured(&wire, &store).await;
    given.push(receipt);
    let all = faults(lengths);
    let count = all.len();
    let left = Arc::new(Mutex::new(all));
    let mut wires = JoinSet::new();
    for _ in 0..WIRES {
        wires.spawn(suffer(Proxy::before(database.url()).await, Arc::clone(&left)));
    }
    given.extend(wires.join_all().await.concat());
    assert_each_once(&store, &given).await;
    let Lengths { request, reply } = lengths;
    let figures = format!("{count} cuts: {request} bytes of request, {reply} of reply; 0 lost, 0 doubled");
    came_to("the wire cut at every byte, closed and reset", &figures);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_batches_under_way_on_a_wire_that_fails_are_both_recorded_once() {
    let database = TestDatabase::create().await;
    let wire = Proxy::before(database.url()).await;
    let store = another_node(&wire.url).await;
    let mut given = vec![warm_up(&store).await];
    let (receipt, lengths) = measured(&wire, &store).await;
    given.push(receipt);
    let holder = database.connect().await;
    let (half, whole) = (lengths.reply / 2, lengths.reply);
    for (nth, after) in [0, half, whole, whole + half, 2 * whole].into_iter().enumerate() {
        given.push(warm_up(&store).await);
        hold_the_log(&holder).await;
        let mut under_way = JoinSet::new();
        // Fewer than four are not sent behind another batch.
        for units in [1, 4] {
            let sent = wire.carried(Way::Request);
            for _ in 0..units {
                let (store, unit) = (store.clone(), unit(tenant(1), &stream(), 0, 2));
                under_way.spawn(async move { receipts(store.append(unit).await).remove(0) });
            }
            until(&format!("a batch of {units} was sent"), || async {
                wire.carried(Way::Request) >= sent + lengths.request
            })
            .await;
        }
        wire.arm(Fault { way: Way::Reply, after, how: if nth % 2 == 0 { How::Reset } else { How::Closed } });
        holder.batch_execute("COMMIT").await.expect("it commits");
        given.extend(under_way.join_all().await);
        assert!(!wire.is_armed(), "the wire failed after {after} bytes");
    }
    assert_each_once(&store, &given).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wire_that_falls_silent_is_given_up_and_each_unit_recorded_once() {
    let database = TestDatabase::create().await;
    let wire = Proxy::before(database.url()).await;
    let measure = another_node(&wire.url).await;
    let mut given = vec![warm_up(&measure).await];
    let (receipt, lengths) = measured(&wire, &measure).await;
    given.push(receipt);
    measure.shutdown().await;
    let options =
        StoreOptions { append_timeout: std::time::Duration::from_millis(100), ..StoreOptions::new(&*wire.url, key()) };
    let store = EventStore::open(options, Clock::system()).await.expect("it opens");
    let silent = |way, after| Fault { way, after, how: How::Stalled };
    let in_the_request = [0, 1, lengths.request / 2, lengths.request].map(|after| silent(Way::Request, after));
    let in_the_reply = [0, lengths.reply / 2].map(|after| silent(Way::Reply, after));
    for fault in in_the_request.into_iter().chain(in_the_reply) {
        given.push(warm_up(&store).await);
        wire.arm(fault);
        given.push(receipts(store.append(unit(tenant(1), &stream(), 0, 2)).await).remove(0));
        assert!(!wire.is_armed(), "{fault:?} has happened");
    }
    assert_each_once(&store, &given).await;
}
