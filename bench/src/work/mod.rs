//! What is measured, and what must be reached.

mod append;
mod growth;
mod import;
mod kafka;
mod load;
mod memory;
mod projections;

use std::{
    cell::{Cell, OnceCell},
    path::PathBuf,
    process::Command,
};

use anyhow::Context as _;
use guildhall_sandbox::testing::TestDatabase;
use tokio::runtime::{Builder, Runtime};

use self::projections::History;
use crate::{
    baseline::Baseline,
    cpu::{Meter, Server},
    load::{Outcome, closed},
    machine::{Machine, connect},
    node::{self, Members, Node, Program, Secrets},
    report::{Run, Side, number},
};

/// A row of the table.
pub struct Work {
    pub name: &'static str,
    pub unit: &'static str,
    /// Ours, and what it stands beside.
    pub what: &'static str,
    pub target: Target,
    /// It takes so long that it is measured only when it is asked for.
    pub on_demand: bool,
    pub run: fn(&Bench) -> anyhow::Result<Vec<Run>>,
}

/// What must be reached.
pub enum Target {
    /// Ours is at least so many times the baseline.
    Ratio(f64),
    /// That, and our p99 at most the baseline's divided by the second figure.
    RatioAndP99(f64, f64),
    /// Ours is at most so many times the baseline.
    RatioBelow(f64),
    /// Our figure stays below this.
    Below(f64),
    /// Ours is at least so much, and so many times the baseline.
    FigureAndRatio(f64, f64),
}

const fn work(
    name: &'static str,
    unit: &'static str,
    target: Target,
    what: &'static str,
    run: fn(&Bench) -> anyhow::Result<Vec<Run>>,
) -> Work {
    Work { name, unit, what, target, on_demand: false, run }
}

const fn growth(name: &'static str, what: &'static str, run: fn(&Bench) -> anyhow::Result<Vec<Run>>) -> Work {
    Work { name, unit: "commands/s", what, target: Target::Ratio(0.85), on_demand: true, run }
}

/// All rows, in order.
pub const ALL: [Work; 19] = [
    work(
        "spread_64",
        "commands/s",
        Target::RatioAndP99(8.0, 5.0),
        "64 connections, notes spread over 10,000 streams; beside 64 workers of cqrs-es + postgres-es",
        |bench| append::spread(bench, 64),
    ),
    work("spread_8", "commands/s", Target::Ratio(2.0), "the same with 8 connections; beside 8 workers", |bench| {
        append::spread(bench, 8)
    }),
    work("spread_1", "commands/s", Target::Ratio(1.2), "the same with 1 connection; beside 1 worker", |bench| {
        append::spread(bench, 1)
    }),
    work(
        "half_peak",
        "ms, p99",
        Target::Below(5.0),
        "commands at half the rate of spread_64, timed from when each was due",
        append::half_peak,
    ),
    work(
        "hot_64",
        "commands/s",
        Target::Ratio(100.0),
        "64 connections, all notes on one stream; beside 8 workers that try again after a conflict",
        append::hot,
    ),
    work(
        "share_of_limit",
        "commands/s",
        Target::Ratio(0.75),
        "spread_64; beside the same server without decision, dedup, encryption and hash",
        append::share_of_limit,
    ),
    work(
        "bulk_import",
        "events/s",
        Target::Ratio(0.4),
        "members and notes as one NDJSON request; beside INSERTs of the same rows from arrays of 512",
        import::bulk,
    ),
    work("load_20", "events/s", Target::Ratio(1.5), "cold streams of 20 events folded; beside postgres-es", |bench| {
        load::cold(bench, 20)
    }),
    work("load_1000", "events/s", Target::Ratio(3.0), "the same, of 1,000 events", |bench| load::cold(bench, 1_000)),
    work("load_100000", "events/s", Target::Ratio(5.0), "the same, of 100,000 events", |bench| {
        load::cold(bench, 100_000)
    }),
    growth("growth_100k", "spread_64 with 100 thousand events stored before; beside none", |bench| {
        growth::grown(bench, 100_000)
    }),
    growth("growth_1m", "the same with 1 million", |bench| growth::grown(bench, 1_000_000)),
    growth("growth_10m", "the same with 10 million", |bench| growth::grown(bench, 10_000_000)),
    work(
        "memory_peak_mb",
        "MB resident",
        Target::Below(256.0),
        "the node's peak at full load with 100,000 aggregates cached",
        memory::peak,
    ),
    work(
        "integrity_cost",
        "commands/s",
        Target::Ratio(0.95),
        "spread_64 with a sealer at work; beside without",
        append::integrity_cost,
    ),
    work(
        "projection_live",
        "events/s",
        Target::FigureAndRatio(40_000.0, 10.0),
        "all three read models from nothing to the end of history; beside one view of postgres-es with 8 workers",
        projections::live,
    ),
    work(
        "rebuild",
        "events/s",
        Target::FigureAndRatio(150_000.0, 60.0),
        "the directory built again from a member's registration and nine notes, and compared; beside a replay of postgres-es",
        projections::rebuild,
    ),
    work(
        "rebuild_command_p99",
        "ms, p99",
        Target::RatioBelow(2.0),
        "commands at a quarter of spread_64 while all read models are built again at a pace; beside without",
        projections::command_p99,
    ),
    work(
        "visible_kafka_ms",
        "ms, p99",
        Target::Below(100.0),
        "from a command to the member in the directory, over Kafka, with a token, at a quarter of spread_64",
        kafka::visible,
    ),
];

/// The names of all rows.
pub fn names() -> [&'static str; ALL.len()] {
    let mut names = [""; ALL.len()];
    for (name, work) in names.iter_mut().zip(&ALL) {
        *name = work.name;
    }
    names
}

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// How often each side runs.
    pub runs: u32,
    /// How long a run is.
    pub seconds: u64,
    /// Streams the spread load is spread over.
    pub members: usize,
    /// Events that read models are made of.
    pub projected: usize,
    /// Lines of a bulk import.
    pub lines: usize,
    /// Events that are loaded in one run, in streams of whatever length.
    pub loaded: usize,
    /// Aggregates in memory when its peak is taken.
    pub cached: usize,
}

impl Size {
    pub const FULL: Self = Self {
        runs: 3,
        seconds: 6,
        members: 10_000,
        projected: 1_000_000,
        lines: 60_000,
        loaded: 100_000,
        cached: 100_000,
    };
    /// Enough to see that everything runs.
    pub const QUICK: Self =
        Self { runs: 1, seconds: 1, members: 500, projected: 5_000, lines: 2_000, loaded: 2_000, cached: 1_000 };
}

/// What all work is done with.
pub struct Bench {
    pub machine: Machine,
    pub size: Size,
    /// Where events for growth are kept.
    pub data: PathBuf,
    guildhall: PathBuf,
    runtime: Runtime,
    /// What `spread_64` came to.
    peak: Cell<Option<f64>>,
    history: OnceCell<History>,
}

impl Bench {
    /// Starts Postgres.
    pub fn start(guildhall: PathBuf, size: Size, data: PathBuf) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        let (machine, peak, history) = (Machine::temporary()?, Cell::new(None), OnceCell::new());
        Ok(Self { machine, size, data, guildhall, runtime, peak, history })
    }

    /// How is measured, in words.
    pub fn setup(&self) -> anyhow::Result<String> {
        let Size { runs, seconds, .. } = self.size;
        Ok(format!(
            "Ours:     {}, in a process of its own, over HTTP from wrk or from here.\n\
             Baseline: cqrs-es + postgres-es in this process, a thread for each core.\n\
             Postgres: {}.\n\
             {runs} run(s) of {seconds} s on each side, in turn, a checkpoint before each; medians. Both sides begin with \
             one event in each stream\nand keep what they write, so that whoever is faster soon has the longer streams. \
             A p99 counts what a slow answer held up.",
            self.guildhall.display(),
            self.runtime.block_on(self.machine.described())?
        ))
    }

    /// Each side in turn, as often as was asked for.
    fn in_turn(&self, mut run: impl FnMut() -> anyhow::Result<Run>) -> anyhow::Result<Vec<Run>> {
        (0..self.size.runs)
            .map(|_| {
                let run = run()?;
                let told = |side: Side| match side.p99_ms {
                    Some(p99_ms) => format!("{} (p99 {} ms)", number(Some(side.figure)), number(Some(p99_ms))),
                    None => number(Some(side.figure)),
                };
                let baseline = run.baseline.map_or(String::new(), |side| format!(", baseline {}", told(side)));
                println!("  ours {}{baseline}", told(run.ours));
                Ok(run)
            })
            .collect()
    }

    /// What read models are made of.
    fn history(&self) -> anyhow::Result<&History> {
        if self.history.get().is_none() {
            // Nobody else sets it: there is one thread.
            let _ = self.history.set(History::make(self)?);
        }
        self.history.get().context("it was set above")
    }

    /// Writes out what is in memory, so that no run pays for another's.
    fn settle(&self) -> anyhow::Result<()> {
        self.runtime.block_on(self.machine.checkpoint())
    }

    /// The baseline with notebooks of one note each.
    fn baseline(&self, workers: u32, notebooks: usize) -> anyhow::Result<Baseline> {
        self.runtime.block_on(Baseline::start(&self.machine.url(), workers, notebooks, 1))
    }
}

/// Measures a load: commands a second, times to an answer, and who used the processors.
fn measured(machine: &Machine, server: Server, load: impl FnOnce() -> anyhow::Result<Outcome>) -> anyhow::Result<Side> {
    let meter = Meter::start(server, machine.pid()?)?;
    let Outcome { commands, seconds, p99_ms } = load()?;
    let cpu = meter.stop(commands)?;
    Ok(Side { figure: commands as f64 / seconds, p99_ms: Some(p99_ms), cpu: Some(cpu) })
}

/// Our side: a node that serves, and members on record.
struct Ours {
    node: Node,
    sealer: Option<Program>,
    members: Members,
    secrets: Secrets,
    /// Dropped after the node.
    database: TestDatabase,
}

impl Ours {
    /// A node with so many members of one event each, on a fresh database.
    fn start(bench: &Bench, members: usize) -> anyhow::Result<Self> {
        let database = bench.runtime.block_on(bench.machine.copy_of("template0"))?;
        Self::start_on(bench, database, members)
    }

    /// The same on this database, where no such association is.
    fn start_on(bench: &Bench, database: TestDatabase, members: usize) -> anyhow::Result<Self> {
        Self::start_with(bench, database, members, |url, secrets| Node::guildhall(&bench.guildhall, url, secrets))
    }

    /// The same with a node that is started in another way.
    fn start_with(
        bench: &Bench,
        database: TestDatabase,
        members: usize,
        start: impl FnOnce(&str, &Secrets) -> anyhow::Result<Node>,
    ) -> anyhow::Result<Self> {
        let secrets = Secrets::generate();
        // The program brings its own schema, so that an older one can be measured as well.
        node::migrate(&bench.guildhall, database.url(), &secrets)?;
        let node = start(database.url(), &secrets)?;
        let members = Members::new(members)?;
        bench.runtime.block_on(async {
            node::found(&node.target).await?;
            members.register(&node.target).await
        })?;
        Ok(Self { node, sealer: None, members, secrets, database })
    }

    /// A node on a database where the association is, with members of its own.
    fn resume(bench: &Bench, database: TestDatabase, secrets: Secrets) -> anyhow::Result<Self> {
        let node = Node::guildhall(&bench.guildhall, database.url(), &secrets)?;
        let members = Members::new(bench.size.members)?;
        bench.runtime.block_on(members.register(&node.target))?;
        Ok(Self { node, sealer: None, members, secrets, database })
    }

    /// Lets a sealer work beside the node.
    fn sealed(mut self) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("seal");
        self.sealer = Some(Program::start(command, self.database.url(), &self.secrets)?);
        Ok(self)
    }

    /// The bare pipeline, in the place of a node.
    fn limit(bench: &Bench) -> anyhow::Result<Self> {
        let database = bench.runtime.block_on(TestDatabase::create_on(&bench.machine.url()))?;
        let secrets = Secrets::generate();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("limit");
        let node = Node::start(command, database.url(), &secrets)?;
        Ok(Self { node, sealer: None, members: Members::new(bench.size.members)?, secrets, database })
    }

    fn server(&self) -> Server {
        let sealer = self.sealer.as_ref().map(Program::pid);
        Server::Processes(std::iter::once(self.node.pid()).chain(sealer).collect())
    }

    /// As many notes as so many connections get answered.
    fn send(&self, bench: &Bench, machine: &Machine, connections: u32) -> anyhow::Result<Side> {
        let (target, members) = (&self.node.target, self.members.file());
        self.measured(bench, machine, || closed::send(target, connections, bench.size.seconds, members))
    }

    /// Measures a load, and looks that there is an event for each command that was answered.
    fn measured(
        &self,
        bench: &Bench,
        machine: &Machine,
        load: impl FnOnce() -> anyhow::Result<Outcome>,
    ) -> anyhow::Result<Side> {
        let before = bench.runtime.block_on(head(self.database.url()))?;
        let mut answered = 0;
        let side = measured(machine, self.server(), || load().inspect(|outcome| answered = outcome.commands))?;
        let stored = bench.runtime.block_on(head(self.database.url()))?.saturating_sub(before);
        anyhow::ensure!(stored >= answered, "{answered} commands were answered and {stored} events stored");
        Ok(side)
    }
}

/// How many events are stored.
async fn head(database_url: &str) -> anyhow::Result<u64> {
    let row = connect(database_url).await?.query_one("SELECT coalesce(max(position), 0) FROM es.event", &[]).await?;
    Ok(u64::try_from(row.get::<_, i64>(0))?)
}
