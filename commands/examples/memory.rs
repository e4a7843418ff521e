//! What streams in memory cost: registers members, and says how much more is resident in a process that has all of
//! them in memory, with nothing waiting.
//!
//! `cargo run -p guildhall-sandbox -- run -- cargo run -p guildhall-commands --example memory -- [MEMBERS]`

use std::{env, fs, process::Command};

use anyhow::Context;
use bytes::Bytes;
use futures::{StreamExt, stream};
use guildhall_aggregates::{TenantId, member::Member, tenant_of_slug};
use guildhall_commands::{Executor, ExecutorOptions, bulk, registry::Sender};
use guildhall_event_store::{Actor, Clock, EventStore, KeyEncryptionKey, StoreOptions};
use guildhall_sandbox::testing::TestDatabase;
use guildhall_web::Problem;
use serde_json::json;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The database and the key for the process that is measured.
const DATABASE: &str = "MEMORY_DATABASE";
const KEY: &str = "MEMORY_KEY";

fn main() -> anyhow::Result<()> {
    let members = env::args().nth(1).map_or(Ok(100_000), |members| members.parse())?;
    // Few threads, as on a small machine: each keeps some memory for itself.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match (env::var(DATABASE), env::var(KEY)) {
        (Ok(database), Ok(key)) => runtime.block_on(measure(&database, &key, members)),
        _ => runtime.block_on(register(members)),
    }
}

fn tenant() -> TenantId {
    tenant_of_slug("founders")
}

async fn open(database: &str, key: &KeyEncryptionKey) -> anyhow::Result<Executor> {
    let store = EventStore::open(StoreOptions::new(database, key.clone()), Clock::system()).await?;
    Ok(Executor::new(store, ExecutorOptions::default()))
}

/// Fills a database, and has it measured by a process that did not fill it.
async fn register(members: u128) -> anyhow::Result<()> {
    let (database, key) = (TestDatabase::create().await, KeyEncryptionKey::generate());
    let node = open(database.url(), &key).await?;
    let found = json!({"command": "FoundAssociation", "idempotency_key": "found", "body": {
        "name": "Society of Bell Founders", "slug": "founders", "time_zone": "Europe/Berlin", "currency": "EUR"}});
    let registered = (1..=members).map(|n| {
        json!({"command": "RegisterMember", "idempotency_key": format!("member-{n}"), "body": {
            "member_id": Uuid::from_u128(n), "kind": "person", "member_number": format!("M{n}"),
            "name": {"display": format!("Member Number {n}"), "first": "Member", "last": format!("Number {n}")},
            "contact": {"email": format!("member.{n}@example.org"), "phone": "+49 30 1234567"}}})
    });
    let sender = Sender {
        tenant: tenant(),
        actor: Actor::Process("memory".into()),
        correlation_id: Uuid::from_u128(1),
        traceparent: None,
    };
    let lines =
        stream::iter([found].into_iter().chain(registered)).map(|line| Ok::<_, Problem>(Bytes::from(line.to_string())));
    let mut outcomes = std::pin::pin!(bulk::run(node, sender, 256, lines));
    while let Some(outcome) = outcomes.next().await {
        outcome.outcome.map_err(|problem| anyhow::anyhow!("line {}: {problem:?}", outcome.line))?;
    }
    let measured = Command::new(env::current_exe()?)
        .arg(members.to_string())
        .env(DATABASE, database.url())
        .env(KEY, key.encoded())
        .status()?;
    anyhow::ensure!(measured.success(), "measuring ended with {measured}");
    Ok(())
}

async fn measure(database: &str, key: &str, members: u128) -> anyhow::Result<()> {
    let node = open(database, &KeyEncryptionKey::parse(key)?).await?;
    let before = resident_kib()?;
    let versions = stream::iter(1..=members)
        .map(|n| node.glance::<Member, _>(tenant(), Uuid::from_u128(n), |member| member.version))
        .buffer_unordered(8);
    let known = versions.filter(|version| std::future::ready(matches!(version, Ok(1..)))).count().await;
    let after = resident_kib()?;
    let bytes = (after - before) * 1024 / u64::try_from(members)?;
    println!("{known} members in memory: {} MiB more are resident, {bytes} bytes a member", (after - before) / 1024);
    Ok(())
}

fn resident_kib() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel says how much")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
