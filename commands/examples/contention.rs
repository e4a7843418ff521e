//! Two nodes, one stream, 64 clients at each: how many commands are told that others were faster, and how fast the
//! rest is. Starts a Postgres of its own that waits for the disk.
//!
//! `cargo run -p guildhall-commands --example contention -- [SECONDS]`

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono_tz::Tz;
use guildhall_aggregates::{
    TenantId,
    association::{Association, AssociationCommand, FoundAssociation, RenameAssociation},
    money::Currency,
};
use guildhall_commands::{ExecuteError, Executor, ExecutorOptions, Order};
use guildhall_event_store::{Actor, Clock, EventStore, KeyEncryptionKey, Metadata, StoreOptions};
use guildhall_sandbox::{postgres::Postgres, testing::TestDatabase};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const CLIENTS: usize = 64;
const TENANT: TenantId = TenantId::new(Uuid::from_u128(1));

#[derive(Default)]
struct Counted {
    recorded: u64,
    contended: u64,
    worst: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let seconds = env::args().nth(1).map_or(Ok(5), |seconds| seconds.parse())?;
    let postgres = tokio::task::spawn_blocking(|| Postgres::temporary(true, Vec::new())).await??;
    println!("attempts  node  recorded/s  contended  share  worst ms");
    for attempts in [3, 5, 10] {
        let database = TestDatabase::create_on(&postgres.url()).await?;
        let key = KeyEncryptionKey::generate();
        let options = ExecutorOptions { conflict_attempts: attempts, ..ExecutorOptions::default() };
        let stop = CancellationToken::new();
        let mut tails = JoinSet::new();
        let mut nodes = Vec::new();
        for _ in 0..2 {
            let store = EventStore::open(StoreOptions::new(database.url(), key.clone()), Clock::system()).await?;
            let node = Executor::new(store, options);
            let (following, stop) = (node.clone(), stop.clone());
            tails.spawn(async move { following.follow(&stop).await });
            nodes.push(node);
        }
        let founded = FoundAssociation {
            name: "Society of Bell Founders".into(),
            slug: "founders".into(),
            time_zone: Tz::UTC,
            currency: Currency::EUR,
        };
        nodes[0].execute(order(founded)).await.expect("it is founded");
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let mut running = JoinSet::new();
        for (number, node) in nodes.into_iter().enumerate() {
            running.spawn(async move { (number, all_clients(node, number, deadline).await) });
        }
        for (number, counted) in running.join_all().await {
            let Counted { recorded, contended, worst } = counted;
            let share = 100 * contended / (recorded + contended).max(1);
            let rate = recorded / seconds;
            println!("{attempts:8}  {number:4}  {rate:10}  {contended:9}  {share:4}%  {:8}", worst.as_millis());
        }
        stop.cancel();
        tails.join_all().await;
    }
    Ok(())
}

async fn all_clients(node: Executor, number: usize, deadline: Instant) -> Counted {
    let mut clients = JoinSet::new();
    let node = Arc::new(node);
    for client in 0..CLIENTS {
        let node = Arc::clone(&node);
        clients.spawn(async move {
            let mut counted = Counted::default();
            while Instant::now() < deadline {
                let started = Instant::now();
                let name = format!("{number} {client} {}", counted.recorded + counted.contended);
                match node.execute(order(RenameAssociation { name })).await {
                    Ok(_) => counted.recorded += 1,
                    Err(ExecuteError::Contended) => counted.contended += 1,
                    Err(other) => panic!("neither recorded nor contended: {other}"),
                }
                counted.worst = counted.worst.max(started.elapsed());
            }
            counted
        });
    }
    clients.join_all().await.into_iter().fold(Counted::default(), |all, one| Counted {
        recorded: all.recorded + one.recorded,
        contended: all.contended + one.contended,
        worst: all.worst.max(one.worst),
    })
}

fn order(command: impl Into<AssociationCommand>) -> Order<Association> {
    Order {
        tenant: TENANT,
        id: TENANT.uuid(),
        command: command.into(),
        command_id: Uuid::now_v7(),
        request_hash: [0; 32],
        metadata: Metadata {
            command: "Contend".into(),
            actor: Actor::Process("contention".into()),
            correlation_id: Uuid::from_u128(1),
            causation_id: None,
            traceparent: None,
        },
        claims: Vec::new(),
        expected_version: None,
    }
}
