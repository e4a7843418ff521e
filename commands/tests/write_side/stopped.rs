//! A write node that is stopped again and again, as by a frozen machine, and goes on.
//!
//! The other node is this test's own program, started again: it runs the test [`another_process`] alone.

use std::{
    env,
    fs::File,
    io::Write as _,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use guildhall_commands::{Executor, ExecutorOptions};
use guildhall_event_store::{Clock, EventStore, KeyEncryptionKey, Receipt, StoreOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    nodes::{assert_each_once, found, order, renamed, until},
    support::WriteSide,
};

/// The database and the key of the process under test.
const DATABASE: &str = "GUILDHALL_TEST_NODE_DATABASE";
const KEY: &str = "GUILDHALL_TEST_NODE_KEY";

const STREAMS: u128 = 4;
const CLIENTS: u128 = 16;
/// How much either node has to get done for it to count as going on.
const SOME: usize = 30;

/// How often the other node is stopped; a hundred times where `make torture` wants it.
fn rounds() -> usize {
    if env::var_os("GUILDHALL_TORTURE").is_some_and(|wanted| wanted == "1") { 100 } else { 12 }
}

/// Says what the long form came to, where `make torture` collects it.
fn came_to(figures: &str) {
    let Some(results) = env::var_os("GUILDHALL_TORTURE_RESULTS") else { return };
    let mut results = File::options().append(true).create(true).open(results).expect("the results can be written");
    writeln!(results, "| a node stopped and continued under load | {figures} |").expect("the results can be written");
}

/// Sends one command after another from each of a few clients until told to stop; all streams are everybody's.
async fn work(node: Executor, first_id: u128, stop: Arc<AtomicBool>, mut recorded: impl FnMut(Receipt)) {
    let following = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let tail = (node.clone(), following.clone());
    tasks.spawn(async move { tail.0.follow(&tail.1).await.expect("history has no hole") });
    let (sender, mut receipts) = tokio::sync::mpsc::channel(1_024);
    for client in 0..CLIENTS {
        let (node, sender, stop) = (node.clone(), sender.clone(), Arc::clone(&stop));
        tasks.spawn(async move {
            for nth in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let command_id = first_id + client * 1_000_000 + nth;
                let receipt = renamed(&node, 1 + command_id % STREAMS, command_id).await;
                sender.send(receipt).await.expect("they are taken");
            }
        });
    }
    drop(sender);
    while let Some(receipt) = receipts.recv().await {
        recorded(receipt);
    }
    following.cancel();
    tasks.join_all().await;
}

/// Not a test but the other node of the one below. Says each receipt on its own line; ends when its input does.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the other process of a test"]
async fn another_process() {
    let Ok(database) = env::var(DATABASE) else { return };
    let key = KeyEncryptionKey::parse(&env::var(KEY).expect("given with the database")).expect("it is a key");
    let store = EventStore::open(StoreOptions::new(database, key), Clock::system()).await.expect("it opens");
    let node = Executor::new(store, ExecutorOptions::default());
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    std::thread::spawn(move || {
        std::io::read_to_string(std::io::stdin()).expect("its input is text");
        told.store(true, Ordering::Relaxed);
    });
    work(node, 1_000_000_000_000, stop, |receipt| {
        println!("\nreceipt {}", serde_json::to_string(&receipt).expect("it can be written"));
    })
    .await;
}

struct OtherNode {
    child: Child,
    pid: Pid,
    receipts: Arc<Mutex<Vec<Receipt>>>,
    reading: JoinSet<()>,
}

impl OtherNode {
    fn start(side: &WriteSide) -> Self {
        let mut child = Command::new(env::current_exe().expect("this program has a path"))
            .args(["--exact", "stopped::another_process", "--ignored", "--nocapture"])
            .env(DATABASE, side.database().url())
            .env(KEY, side.key().encoded())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it can be started");
        let pid = Pid::from_raw(i32::try_from(child.id().expect("it runs")).expect("process ids are small"));
        let receipts = Arc::new(Mutex::new(Vec::new()));
        let mut lines = BufReader::new(child.stdout.take().expect("its output is ours")).lines();
        let (mut reading, read) = (JoinSet::new(), Arc::clone(&receipts));
        reading.spawn(async move {
            while let Some(line) = lines.next_line().await.expect("it writes text") {
                if let Some(receipt) = line.strip_prefix("receipt ") {
                    let receipt = serde_json::from_str(receipt).expect("it writes receipts");
                    read.lock().expect("nobody panics").push(receipt);
                }
            }
        });
        Self { child, pid, receipts, reading }
    }

    fn send(&self, signal: Signal) {
        kill(self.pid, signal).expect("it runs");
    }

    fn recorded(&self) -> usize {
        self.receipts.lock().expect("nobody panics").len()
    }

    /// Lets it finish what it has begun.
    async fn end(mut self) -> Vec<Receipt> {
        self.child.stdin.take().expect("its input is ours").shutdown().await.expect("it can be closed");
        let status = self.child.wait().await.expect("it ends");
        assert!(status.success(), "{status}");
        self.reading.join_all().await;
        std::mem::take(&mut *self.receipts.lock().expect("nobody panics"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_stopped_again_and_again_stops_nobody_else_and_goes_on_itself() {
    let side = WriteSide::empty().await;
    for stream in 1..=STREAMS {
        side.executor.execute(order(stream, stream, found())).await.expect("it is founded");
    }
    let other = OtherNode::start(&side);
    let (stop, ours) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut working = JoinSet::new();
    let (node, told, counted) = (side.executor.clone(), Arc::clone(&stop), Arc::clone(&ours));
    working.spawn(async move {
        let mut receipts = Vec::new();
        let record = |receipt| {
            receipts.push(receipt);
            counted.fetch_add(1, Ordering::Relaxed);
        };
        work(node, 1_000, told, record).await;
        receipts
    });
    for _ in 0..rounds() {
        let theirs = other.recorded();
        until("the other node goes on", || async { other.recorded() > theirs + SOME }).await;
        other.send(Signal::SIGSTOP);
        let before = ours.load(Ordering::Relaxed);
        until("this node goes on alone", || async { ours.load(Ordering::Relaxed) > before + SOME }).await;
        other.send(Signal::SIGCONT);
    }
    stop.store(true, Ordering::Relaxed);
    let mut receipts = other.end().await;
    receipts.extend(working.join_all().await.into_iter().flatten());
    for stream in 1..=STREAMS {
        assert_each_once(&side.store, stream, &receipts).await;
    }
    let head = side.store.head().await.expect("history answers");
    let recorded = receipts.len() as u128 + STREAMS;
    assert_eq!(u128::from(head), recorded, "nothing is recorded that nobody was told of");
    came_to(&format!("{} stops, {} commands acknowledged by two nodes: each is stored once", rounds(), receipts.len()));
}
