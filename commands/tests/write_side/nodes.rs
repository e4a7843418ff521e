//! Several write nodes on one log.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures::future::join_all;
use guildhall_aggregates::{
    association::{Association, AssociationCommand, FoundAssociation, RenameAssociation},
    money::Currency,
};
use guildhall_commands::{ExecuteError, Executor, ExecutorOptions, Order};
use guildhall_event_store::{Actor, EventStore, Metadata, Receipt, StreamId};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{WriteSide, founders};

/// How long a test waits for something that will happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// A command on a stream of its own kind: any id may be an association's here.
pub(crate) fn order(stream: u128, command_id: u128, command: impl Into<AssociationCommand>) -> Order<Association> {
    Order {
        tenant: founders(),
        id: Uuid::from_u128(stream),
        command: command.into(),
        command_id: Uuid::from_u128(command_id),
        request_hash: [7; 32],
        metadata: Metadata {
            command: "Test".into(),
            actor: Actor::Process("test".into()),
            correlation_id: Uuid::from_u128(1),
            causation_id: None,
            traceparent: None,
        },
        claims: vec![],
        expected_version: None,
    }
}

/// A name that no other command gives, so that each records one event.
pub(crate) fn rename(command_id: u128) -> RenameAssociation {
    RenameAssociation { name: format!("Society {command_id}") }
}

pub(crate) fn found() -> FoundAssociation {
    FoundAssociation {
        name: "Society of Bell Founders".into(),
        slug: "founders".into(),
        time_zone: chrono_tz::Tz::UTC,
        currency: Currency::EUR,
    }
}

/// Renames until it is recorded, as a client that comes back would.
pub(crate) async fn renamed(node: &Executor, stream: u128, command_id: u128) -> Receipt {
    loop {
        match node.execute(order(stream, command_id, rename(command_id))).await {
            Ok(receipt) => return receipt,
            Err(
                ExecuteError::Contended
                | ExecuteError::InProgress
                | ExecuteError::Overloaded { .. }
                | ExecuteError::Unavailable(_),
            ) => tokio::task::yield_now().await,
            Err(other) => panic!("neither recorded nor to be tried again: {other}"),
        }
    }
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        tokio::task::yield_now().await;
    }
}

/// Every receipt stands for one recorded event, each command was recorded once, and versions have no hole.
pub(crate) async fn assert_each_once(store: &EventStore, stream: u128, receipts: &[Receipt]) {
    let stream = StreamId::new("association", Uuid::from_u128(stream));
    let mut recorded = HashMap::new();
    let mut version = 0;
    loop {
        let page = store.read_stream(founders(), &stream, version, 1_000).await.expect("history can be read");
        let Some(last) = page.last() else { break };
        assert!(page.iter().zip(version + 1..).all(|(event, version)| event.version == version), "versions in a row");
        version = last.version;
        for event in page {
            assert_eq!(recorded.insert(event.command_id, event.position), None, "a command was recorded twice");
        }
    }
    for receipt in receipts.iter().filter(|receipt| receipt.stream == stream) {
        assert_eq!(recorded.get(&receipt.command_id), Some(&receipt.position), "what was acknowledged is there");
    }
}

fn following(node: &Executor, tails: &mut JoinSet<()>, stop: &CancellationToken) {
    let (node, stop) = (node.clone(), stop.clone());
    tails.spawn(async move { node.follow(&stop).await.expect("history has no hole") });
}

async fn version_in_memory(node: &Executor, stream: u128) -> u64 {
    let glance = node.glance::<Association, _>(founders(), Uuid::from_u128(stream), |loaded| loaded.version);
    glance.await.expect("history answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_follows_folds_in_what_others_record() {
    let side = WriteSide::start().await;
    let (_store, other, _router) = side.another_node().await;
    side.executor.execute(order(1, 1, found())).await.expect("it is founded");
    assert_eq!(version_in_memory(&other, 1).await, 1, "it is read where it is not in memory");
    renamed(&side.executor, 1, 2).await;
    assert_eq!(version_in_memory(&other, 1).await, 1, "nobody follows yet");
    renamed(&other, 1, 3).await;
    let (mut tails, stop) = (JoinSet::new(), CancellationToken::new());
    following(&other, &mut tails, &stop);
    // Looking at memory reads nothing, so only the tail can be what moves it. What was recorded before it was there is
    // left to those who need it, as this `state` does; then the next event is next in line.
    let mut command = 4;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = renamed(&other, 1, command).await.version;
        let after = renamed(&side.executor, 1, command + 1).await.version;
        command += 2;
        let soon = Instant::now() + Duration::from_millis(200);
        while version_in_memory(&other, 1).await == before && Instant::now() < soon {
            tokio::task::yield_now().await;
        }
        if version_in_memory(&other, 1).await == after {
            break;
        }
        assert!(Instant::now() < deadline, "nothing was folded in");
    }
    stop.cancel();
    tails.join_all().await;
}

/// One command of a random history: which node it is sent to, and whether another node is sent the same at once.
#[derive(Debug, Clone)]
struct Sent {
    node: usize,
    again_at: Option<usize>,
    stream: u128,
}

const NODES: usize = 3;
const STREAMS: u128 = 3;

fn sent() -> impl Strategy<Value = Sent> {
    (0..NODES, prop::option::weighted(0.3, 0..NODES), 1..=STREAMS).prop_map(|(node, again_at, stream)| Sent {
        node,
        again_at,
        stream,
    })
}

#[test]
fn whatever_is_sent_to_whichever_nodes_is_recorded_once_and_all_come_to_the_same_states() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config { cases: 6, max_shrink_iters: 20, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(sent(), 1..300), |sent| {
        runtime.block_on(assert_once(sent));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

async fn assert_once(sent: Vec<Sent>) {
    let side = WriteSide::empty().await;
    let mut nodes = vec![side.executor.clone()];
    for _ in 1..NODES {
        nodes.push(side.another_node().await.1);
    }
    let (mut tails, stop) = (JoinSet::new(), CancellationToken::new());
    for node in &nodes {
        following(node, &mut tails, &stop);
    }
    for stream in 1..=STREAMS {
        nodes[0].execute(order(stream, stream, found())).await.expect("it is founded");
    }
    let receipts = join_all(sent.iter().zip(100..).map(|(sent, command_id)| {
        let nodes = &nodes;
        async move {
            let first = renamed(&nodes[sent.node], sent.stream, command_id);
            match sent.again_at {
                None => first.await,
                Some(node) => {
                    let (first, again) = tokio::join!(first, renamed(&nodes[node], sent.stream, command_id));
                    assert_eq!(first, again, "the same command has the same receipt");
                    first
                }
            }
        }
    }));
    let receipts = receipts.await;
    for stream in 1..=STREAMS {
        assert_each_once(&side.store, stream, &receipts).await;
        let fresh = side.store.load::<Association>(founders(), Uuid::from_u128(stream)).await.expect("it can be read");
        let of_stream = sent.iter().filter(|sent| sent.stream == stream).count() as u64;
        assert_eq!(fresh.version, 1 + of_stream, "each command has recorded its event");
        for node in &nodes {
            until("the node has caught up", || async {
                let cached = node.state::<Association>(founders(), Uuid::from_u128(stream)).await.expect("it is there");
                assert!(cached.version < fresh.version || cached.state == fresh.state, "a cache is a fold of history");
                cached.version == fresh.version
            })
            .await;
        }
    }
    stop.cancel();
    tails.join_all().await;
}

/// More streams at once than there is room for: those in use stay, however little room there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_use_is_in_memory_once_however_little_room_there_is() {
    let side = WriteSide::start().await;
    let options = ExecutorOptions { cached_streams: 2, ..ExecutorOptions::default() };
    let node = Executor::new(side.store.clone(), options);
    join_all((1..=40).map(|stream| node.execute(order(stream, stream, found())))).await;
    let again = (1..=40).chain(1..=40);
    let outcomes = join_all(again.map(|stream| node.execute(order(stream, 100 + stream, rename(1))))).await;
    let (first, second) = outcomes.split_at(40);
    assert!(first.iter().all(|outcome| outcome.as_ref().is_ok_and(|receipt| receipt.version == 2)), "{first:?}");
    assert!(second.iter().all(|outcome| *outcome == Err(ExecuteError::InProgress)), "{second:?}");
}
