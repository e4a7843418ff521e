//! More to do than can be done: who waits, who is sent back, and that it ends.

use std::time::Duration;

use futures::{FutureExt, future::join_all};
use guildhall_commands::{ExecuteError, Executor, ExecutorOptions};
use serde_json::json;

use crate::{
    nodes::{found, order, rename, until},
    support::{WriteSide, member},
};

/// Keeps everybody from appending, and for so many seconds more once the future it gives is awaited.
async fn slow(side: &WriteSide, seconds: f64) -> impl Future<Output = ()> {
    let client = side.database().connect().await;
    client
        .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(x'475548414c4c'::bigint + 1)")
        .await
        .expect("anybody may take the lock");
    async move {
        client.batch_execute(&format!("SELECT pg_sleep({seconds}); COMMIT")).await.expect("the lock is ours");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_waited_too_long_is_sent_back_and_nothing_is_recorded_for_them() {
    let side = WriteSide::start().await;
    let longest_wait = Duration::from_millis(300);
    let node = Executor::new(side.store.clone(), ExecutorOptions { longest_wait, ..ExecutorOptions::default() });
    node.execute(order(1, 1, found())).await.expect("it is founded");
    let slow = slow(&side, 0.6).await;
    let first = node.execute(order(1, 2, rename(2)));
    let later = join_all((3..20).map(|command_id| node.execute(order(1, command_id, rename(command_id)))));
    let (first, later, ()) = tokio::join!(first, later, slow);
    assert_eq!(first.map(|receipt| receipt.version), Ok(2), "what was sent to be recorded is recorded");
    for outcome in later {
        assert!(matches!(outcome, Err(ExecuteError::Overloaded { .. })), "{outcome:?}");
    }
    let next = node.execute(order(1, 3, rename(3))).await.expect("sent again, it is executed");
    assert_eq!(next.version, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_waits_however_long_it_takes() {
    let side = WriteSide::start().await;
    let member = side.member(1).await;
    let options = ExecutorOptions { longest_wait: Duration::ZERO, waiting: 8, ..ExecutorOptions::default() };
    let router = side.routes(&Executor::new(side.store.clone(), options));
    let slow = slow(&side, 0.1).await;
    let lines: Vec<_> = (0..40)
        .map(|n| {
            let body = json!({"member_id": member, "credential": format!("C{n}")});
            json!({"command": "AddCredential", "idempotency_key": format!("c-{n}"), "body": body}).to_string()
        })
        .collect();
    let (outcomes, ()) = tokio::join!(side.bulk_at(&router, &lines), slow);
    assert!(outcomes.iter().all(|outcome| outcome["status"] == 200), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_commands_wait_than_there_are_places() {
    let side = WriteSide::start().await;
    let node = Executor::new(side.store.clone(), ExecutorOptions { waiting: 8, ..ExecutorOptions::default() });
    let slow = slow(&side, 0.0).await;
    let orders = (1..=10).map(|stream| node.execute(order(stream, stream, found())));
    let (outcomes, ()) = tokio::join!(join_all(orders), slow);
    let recorded = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let sent_back = outcomes.iter().filter(|outcome| matches!(outcome, Err(ExecuteError::Overloaded { .. }))).count();
    assert_eq!((recorded, sent_back), (4, 6));
    node.execute(order(20, 20, found())).await.expect("the places are free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_request_takes_nobody_elses_place() {
    let side = WriteSide::start().await;
    let node = Executor::new(side.store.clone(), ExecutorOptions { waiting: 2, ..ExecutorOptions::default() });
    let router = side.routes(&node);
    let slow = slow(&side, 0.0).await;
    let lines: Vec<_> = (1..=30)
        .map(|n| {
            json!({"command": "RegisterMember", "idempotency_key": format!("m-{n}"), "body": member(n)}).to_string()
        })
        .collect();
    let mut bulk = Box::pin(side.bulk_at(&router, &lines));
    let client = side.database().connect().await;
    until("the first line waits to be recorded", || {
        assert!((&mut bulk).now_or_never().is_none(), "nobody can append");
        let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
        let waits = client.query_one(waits, &[]);
        async { waits.await.expect("it can be asked").get(0) }
    })
    .await;
    let single = node.execute(order(1, 1, found()));
    let (outcomes, single, ()) = tokio::join!(bulk, single, slow);
    assert_eq!(single.map(|receipt| receipt.version), Ok(1));
    assert!(outcomes.iter().all(|outcome| outcome["status"] == 201), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_drops_neither_its_command_nor_those_behind_it() {
    let side = WriteSide::start().await;
    let node = &side.executor;
    node.execute(order(1, 1, found())).await.expect("it is founded");
    let slow = slow(&side, 0.0).await;
    let mut first = Box::pin(node.execute(order(1, 2, rename(2))));
    let mut second = Box::pin(node.execute(order(1, 3, rename(3))));
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    drop(first);
    let (second, ()) = tokio::join!(second, slow);
    assert_eq!(second.map(|receipt| receipt.version), Ok(3));
}
