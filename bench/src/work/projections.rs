//! Read models: caught up with history, built again, and built again while commands come.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use guildhall_sandbox::testing::TestDatabase;

use super::{Bench, Ours, append::peak};
use crate::{
    load::{open, query},
    machine::{connect, name_of},
    node::{Program, Secrets},
    report::{Run, Side},
};

/// Events in each stream, on both sides: the member on record, and notes about them.
const NOTES: usize = 10;

/// Members whose notes stand between each other's.
const AT_A_TIME: usize = 10_000;

/// Workers of the baseline where several may work at once.
const WORKERS: usize = 8;

/// How many positions a second a rebuild beside commands goes over.
const PACE: &str = "30000";

/// How often is looked how far a read model is.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What members of an association came to; no read model has any of it. It is made once, for every row that wants it.
pub struct History {
    database: TestDatabase,
    secrets: Secrets,
    events: u64,
}

impl History {
    pub fn make(bench: &Bench) -> anyhow::Result<Self> {
        let members = bench.size.projected / NOTES;
        let Ours { node, members: registered, secrets, database, .. } = Ours::start(bench, members)?;
        // As many members at a time as a node has in memory, or every note would be a cold load.
        let notes = registered.ids.chunks(AT_A_TIME).flat_map(|some| std::iter::repeat_n(some, NOTES - 1).flatten());
        let events = bench.runtime.block_on(super::import::add_notes(&node.target, notes))? + members as u64 + 1;
        node.stop()?;
        bench.runtime.block_on(bench.machine.execute(database.url(), &["VACUUM ANALYZE".to_owned()]))?;
        Ok(Self { database, secrets, events })
    }

    fn copy(&self, bench: &Bench) -> anyhow::Result<TestDatabase> {
        let copy = bench.runtime.block_on(bench.machine.copy_of(name_of(&self.database)?))?;
        bench.settle()?;
        Ok(copy)
    }
}

/// The directory built again and compared; the time of the whole program counts. A read model that is there is the rule:
/// the first run, which fills it, does not count.
pub fn rebuild(bench: &Bench) -> anyhow::Result<Vec<Run>> {
    let history = bench.history()?;
    let database = history.copy(bench)?;
    let notebooks = bench.size.members;
    let baseline =
        bench.runtime.block_on(crate::baseline::Baseline::start(&bench.machine.url(), 8, notebooks, NOTES))?;
    let rebuilt = || -> anyhow::Result<f64> {
        bench.settle()?;
        let took = rebuilt(bench, history, &database, "directory")?;
        Ok(history.events as f64 / took.as_secs_f64())
    };
    rebuilt()?;
    bench.in_turn(|| {
        let ours = Side::of(rebuilt()?);
        bench.settle()?;
        let baseline = Side::of(bench.runtime.block_on(baseline.rebuild(notebooks))?);
        Ok(Run { ours, baseline: Some(baseline) })
    })
}

/// Builds read models again as fast as it goes, and says how long the whole program took.
fn rebuilt(bench: &Bench, history: &History, database: &TestDatabase, name: &str) -> anyhow::Result<Duration> {
    let mut command = rebuilding(&bench.guildhall, name);
    history.secrets.tell(&mut command, database.url());
    let started = Instant::now();
    let output = command.output().context("starting guildhall rebuild")?;
    anyhow::ensure!(output.status.success(), "rebuild: {}", String::from_utf8_lossy(&output.stderr));
    Ok(started.elapsed())
}

fn rebuilding(program: &Path, name: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--json", "rebuild", name, "--repair"]);
    command
}

/// All three read models from nothing to the end of history, as the role `project` does it.
pub fn live(bench: &Bench) -> anyhow::Result<Vec<Run>> {
    let history = bench.history()?;
    let notebooks = bench.size.members;
    let baseline =
        bench.runtime.block_on(crate::baseline::Baseline::start(&bench.machine.url(), 8, notebooks, NOTES))?;
    bench.in_turn(|| {
        let database = history.copy(bench)?;
        let started = Instant::now();
        let mut command = Command::new(&bench.guildhall);
        command.arg("project");
        let program = Program::start(command, database.url(), &history.secrets)?;
        bench.runtime.block_on(caught_up(database.url(), history.events))?;
        let ours = Side::of(history.events as f64 / started.elapsed().as_secs_f64());
        program.stop()?;
        bench.settle()?;
        let baseline = Side::of(bench.runtime.block_on(baseline.dispatch(WORKERS, notebooks, NOTES))?);
        Ok(Run { ours, baseline: Some(baseline) })
    })
}

async fn caught_up(url: &str, events: u64) -> anyhow::Result<()> {
    let client = connect(url).await?;
    let reached = "SELECT count(*) FILTER (WHERE reached >= $1) FROM read.checkpoint";
    while client.query_one(reached, &[&i64::try_from(events)?]).await?.get::<_, i64>(0) < 3 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Commands at a quarter of the peak, beside queries, from the beginning of a rebuild of all read models to its end; and the
/// same without a rebuild for as long: what Postgres tidies up after commands now and then is no rebuild's doing. Here, too,
/// read models that are there are the rule. Each run has a history of its own, since its commands double it.
pub fn command_p99(bench: &Bench) -> anyhow::Result<Vec<Run>> {
    let history = bench.history()?;
    bench.in_turn(|| {
        let ours = Ours::resume(bench, history.copy(bench)?, history.secrets.clone())?;
        rebuilt(bench, history, &ours.database, "all")?;
        let rate = peak(bench, &ours)? / 4.0;
        println!("  {rate:.0} commands a second");
        let (over, began) = (AtomicBool::new(false), Instant::now());
        let mut command = rebuilding(&bench.guildhall, "all");
        command.args(["--pace", PACE, "--shares", "1"]);
        let rebuild = Program::start(command, ours.database.url(), &history.secrets)?;
        let during = thread::scope(|scope| {
            let ended = scope.spawn(|| {
                let ended = rebuild.finish();
                over.store(true, Ordering::Relaxed);
                ended
            });
            let during = p99(bench, &ours, rate, |_| over.load(Ordering::Relaxed));
            ended.join().ok().context("whoever waited for the rebuild panicked")??;
            during
        })?;
        let took = began.elapsed();
        let without = p99(bench, &ours, rate, |elapsed| elapsed >= took)?;
        ours.node.stop()?;
        Ok(Run { ours: during, baseline: Some(without) })
    })
}

/// The p99 of commands at a rate, while queries are answered, until it is over.
fn p99(bench: &Bench, ours: &Ours, rate: f64, over: impl Fn(Duration) -> bool + Send) -> anyhow::Result<Side> {
    bench.settle()?;
    let answered = AtomicBool::new(false);
    thread::scope(|scope| {
        let queries = scope.spawn(|| query::until(&answered, &ours.node.target, "/v1/directory?limit=50"));
        let side =
            ours.measured(bench, &bench.machine, || open::send(&ours.node.target, rate, over, &ours.members.ids));
        answered.store(true, Ordering::Relaxed);
        let queries = queries.join().ok().context("the queries panicked")??;
        let side = side?;
        let commands = side.figure;
        println!("  {commands:.0} commands a second, and {queries} queries answered");
        Ok(Side { figure: side.p99_ms.unwrap_or(f64::NAN), ..side })
    })
}
