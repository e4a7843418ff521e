//! From a command to what is seen of it, over a real Kafka.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use guildhall_sandbox::kafka::Kafka;
use hdrhistogram::Histogram;
use uuid::Uuid;

use super::{Bench, Ours, append::peak};
use crate::{
    load::{note, open, p99_ms, query::Client, times},
    node::{self, Node},
    report::{Run, Side},
};

/// How many put members on record and look for them.
const PROBERS: usize = 4;
/// How often all of it is done before it is measured: the broker's first minute is spent on compiling itself.
const WARM_UPS: u32 = 10;
/// How long after one member has been seen the next is put on record.
const PAUSE: Duration = Duration::from_millis(20);

/// Members put on record, each read from the directory with the token of the receipt, while notes come at a quarter of the
/// peak: from sending the command to having read the member. One node in all roles, and a broker of its own that has been
/// at work for a while.
pub fn visible(bench: &Bench) -> anyhow::Result<Vec<Run>> {
    let kafka = Kafka::temporary_as_shipped()?;
    let started = |database_url: &str, secrets: &node::Secrets| {
        let mut command = Command::new(&bench.guildhall);
        command.args(["--json", "all"]).env("GUILDHALL_TRANSPORT", "kafka");
        command.env("GUILDHALL_KAFKA__BROKERS", kafka.brokers());
        Node::start(command, database_url, secrets)
    };
    let database = bench.runtime.block_on(bench.machine.copy_of("template0"))?;
    let ours = Ours::start_with(bench, database, bench.size.members, started)?;
    let rate = peak(bench, &ours)? / 4.0;
    println!("  {rate:.0} commands a second");
    for _ in 0..WARM_UPS {
        seen(bench, &ours, rate)?;
    }
    let runs = bench.in_turn(|| {
        bench.settle()?;
        Ok(Run { ours: seen(bench, &ours, rate)?, baseline: None })
    })?;
    ours.node.stop()?;
    Ok(runs)
}

/// How long it takes until what was put on record is seen, at a rate of other commands.
fn seen(bench: &Bench, ours: &Ours, rate: f64) -> anyhow::Result<Side> {
    let (over, mut seen) = (AtomicBool::new(false), times());
    let side = thread::scope(|scope| {
        let probers: Vec<_> = (0..PROBERS).map(|_| scope.spawn(|| look(ours, &over))).collect();
        let load = || open::send(&ours.node.target, rate, open::seconds(bench.size.seconds), &ours.members.ids);
        let side = ours.measured(bench, &bench.machine, load);
        over.store(true, Ordering::Relaxed);
        for prober in probers {
            seen.add(prober.join().ok().context("a prober panicked")??)?;
        }
        side
    })?;
    println!("  {} members seen, p50 {:.0} ms", seen.len(), seen.value_at_quantile(0.5) as f64 / 1000.0);
    Ok(Side { figure: p99_ms(&seen), ..side })
}

/// Puts members on record and looks for each, until it is over.
fn look(ours: &Ours, over: &AtomicBool) -> anyhow::Result<Histogram<u64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Client::open(&ours.node.target).await?;
        let mut seen = times();
        while !over.load(Ordering::Relaxed) {
            let id = Uuid::now_v7();
            let began = Instant::now();
            let receipt = client.command("RegisterMember", &node::registration(id)).await?;
            let token = receipt["token"].as_str().context("a receipt has a token")?;
            let found = client.get(&format!("/v1/members/{id}?at_least={token}")).await?;
            anyhow::ensure!(found.to_string().contains(&id.to_string()), "the member was not there: {found}");
            note(&mut seen, began.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        Ok(seen)
    })
}
