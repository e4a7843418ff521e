//! Nodes that run: one is active, the others stand by and take over.

use std::time::Duration;

use guildhall_commands::Executor;
use guildhall_event_store::EventStore;
use guildhall_processes::{ProcessOptions, Processes};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{Node, World, yearly};

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_mins(1);

/// Nodes that run until the test ends.
struct Running {
    shutdown: CancellationToken,
    nodes: JoinSet<()>,
}

impl Running {
    fn new() -> Self {
        Self { shutdown: CancellationToken::new(), nodes: JoinSet::new() }
    }

    /// Runs a node that asks every so often whether it may be active.
    fn start(&mut self, executor: &Executor, store: &EventStore, standby: Duration) {
        let timer = Duration::from_millis(10);
        let options = ProcessOptions { timer, standby, ..ProcessOptions::default() };
        let processes = Processes::new(executor.clone(), store.clone(), options);
        let shutdown = self.shutdown.clone();
        self.nodes.spawn(async move { processes.run(shutdown).await });
    }

    /// Tells all to stop, and waits until they have.
    async fn stop(mut self) {
        self.shutdown.cancel();
        let stopped = async { while self.nodes.join_next().await.transpose().expect("no node panics").is_some() {} };
        tokio::time::timeout(DEADLINE, stopped).await.expect("every node stops when it is told to");
    }
}

impl World {
    /// The backends that hold the lock of the active node.
    async fn holders(&self) -> Vec<i32> {
        let client = self.database.connect().await;
        let rows = client
            .query(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
                 AND classid = x'6775696c'::int::oid AND objid = x'6470726f'::int::oid
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                &[],
            )
            .await;
        rows.expect("locks can be read").iter().map(|row| row.get(0)).collect()
    }

    /// Waits until another backend than `before` holds the lock, or nobody where `wanted` is false.
    async fn wait_for_holder(&self, before: Option<i32>, wanted: bool) -> Option<i32> {
        let asking = async {
            let mut pause = tokio::time::interval(Duration::from_millis(5));
            loop {
                pause.tick().await;
                let holders = self.holders().await;
                assert!(holders.len() <= 1, "one node is active");
                match holders.first() {
                    Some(holder) if wanted && Some(*holder) != before => return Some(*holder),
                    None if !wanted => return None,
                    Some(_) | None => {}
                }
            }
        };
        tokio::time::timeout(DEADLINE, asking).await.expect("the lock changes hands in time")
    }

    /// Waits until something happened so many times.
    async fn wait_for(&self, name: &str, times: usize) {
        let waiting = async {
            let mut position = 0;
            while self.count(name).await < times {
                position = self.node.store.wait_past(position, Duration::from_secs(1)).await.expect("history answers");
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("{name} is recorded in time"));
    }
}

#[tokio::test]
async fn a_running_node_reacts_until_it_is_told_to_stop() {
    let world = World::start().await;
    let mut running = Running::new();
    running.start(&world.node.executor, &world.node.store, Duration::from_millis(10));
    world.apply(1, yearly()).await;
    world.wait_for("InvoiceIssued", 1).await;
    world.pay(1, world.invoice().await, 10_000).await;
    world.wait_for("MembershipActivated", 1).await;
    running.stop().await;
    world.wait_for_holder(None, false).await;
}

#[tokio::test]
async fn a_running_node_lets_lapse_what_is_due() {
    let world = World::start().await;
    world.open_congress(1, 5_000).await;
    let mut running = Running::new();
    running.start(&world.node.executor, &world.node.store, Duration::from_millis(10));
    world.register(1).await;
    world.wait_for("PaymentAwaited", 1).await;
    world.pass(chrono::TimeDelta::days(14));
    world.wait_for("RegistrationExpired", 1).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_by_takes_over_when_the_active_one_loses_its_connection() {
    let world = World::start().await;
    let mut running = Running::new();
    // Once it has lost the lock it does not ask again before the test is over.
    running.start(&world.node.executor, &world.node.store, 10 * DEADLINE);
    let first = world.wait_for_holder(None, true).await.expect("one node is active");
    let Node { executor, store, .. } = world.another_node().await;
    running.start(&executor, &store, Duration::from_millis(10));
    world.apply(1, yearly()).await;
    world.wait_for("InvoiceIssued", 1).await;

    let client = world.database.connect().await;
    client.execute("SELECT pg_terminate_backend($1)", &[&first]).await.expect("the connection can be cut");
    world.wait_for_holder(Some(first), true).await;
    world.apply(2, yearly()).await;
    world.wait_for("InvoiceIssued", 2).await;
    assert_eq!(world.invoices().await.len(), 2);
    running.stop().await;
}
