//! Ours beside `postgres-es`: the same work on the same Postgres in one run, as ratios.
//!
//! Every figure is the median of several runs, ours and the baseline's in turn, so that a machine whose
//! speed drifts slows down both. Raw figures go to `target/bench/results.json`.

mod baseline;
mod load;
mod ours;

use std::path::Path;

use guildhall_sandbox::{postgres::Postgres, testing::TestDatabase};
use guildhall_server::node::Roles;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Streams the spread load is spread over.
const STREAMS: u64 = 10_000;
/// Connections on our side and workers on the baseline's.
const CONNECTIONS: u64 = 64;
/// Workers of the baseline on one stream: more only conflict more.
const HOT_WORKERS: u64 = 8;

/// One row of the table.
#[derive(Debug, Serialize)]
struct Row {
    work: &'static str,
    unit: &'static str,
    ours: f64,
    baseline: f64,
    ratio: f64,
    runs: Vec<[f64; 2]>,
}

impl Row {
    fn new(work: &'static str, unit: &'static str, runs: Vec<[f64; 2]>) -> Self {
        let ours = median(runs.iter().map(|run| run[0]));
        let baseline = median(runs.iter().map(|run| run[1]));
        Self { work, unit, ours, baseline, ratio: ours / baseline, runs }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How much work one run is. `--quick` shows that everything runs, and measures nothing worth quoting.
struct Size {
    runs: usize,
    spread: u64,
    baseline_spread: u64,
    hot: u64,
    baseline_hot: u64,
}

/// Each side runs as it is fastest on few cores that Postgres shares: ours on one thread, as `guildhall serve` does with
/// `TOKIO_WORKER_THREADS=1`; the baseline on a thread for each core.
struct Sides {
    ours: Runtime,
    baseline: Runtime,
}

impl Sides {
    fn start() -> anyhow::Result<Self> {
        let ours = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let baseline = Builder::new_multi_thread().enable_all().build()?;
        Ok(Self { ours, baseline })
    }
}

fn main() -> anyhow::Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let size = if quick {
        Size { runs: 1, spread: 20_000, baseline_spread: 4_000, hot: 4_000, baseline_hot: 100 }
    } else {
        Size { runs: 3, spread: 150_000, baseline_spread: 30_000, hot: 30_000, baseline_hot: 1_000 }
    };
    let postgres = Postgres::temporary(true, vec![])?;
    println!("Private Postgres, fsync on. {} run(s) each, in turn; medians.\n", size.runs);
    let sides = Sides::start()?;
    let rows =
        vec![spread(&sides, &postgres, &size)?, hot(&sides, &postgres, &size)?, rebuild(&sides, &postgres, &size)?];
    println!("{:<12} {:>14} {:>14} {:>8}  {}", "work", "ours", "postgres-es", "ratio", "unit");
    for row in &rows {
        println!("{:<12} {:>14.0} {:>14.0} {:>7.1}x  {}", row.work, row.ours, row.baseline, row.ratio, row.unit);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("results.json"), serde_json::to_vec_pretty(&rows)?)?;
    println!("\nRaw figures: target/bench/results.json");
    Ok(())
}

/// Commands spread over many streams.
fn spread(sides: &Sides, postgres: &Postgres, size: &Size) -> anyhow::Result<Row> {
    let node = sides.ours.block_on(ours::Bench::start(postgres, Roles::SERVE, STREAMS))?;
    let (pool, _database) = sides.baseline.block_on(baseline_on(postgres, CONNECTIONS))?;
    let mut runs = Vec::new();
    for _ in 0..size.runs {
        let ours = sides.ours.block_on(node.add_notes(CONNECTIONS, size.spread, STREAMS))?;
        let work = baseline::commands_per_second(&pool, CONNECTIONS, STREAMS, size.baseline_spread);
        let baseline = sides.baseline.block_on(work)?;
        println!("  spread_64: ours {:.0}/s (p99 {:.1} ms), baseline {baseline:.0}/s", ours.per_second, ours.p99_ms);
        runs.push([ours.per_second, baseline]);
    }
    sides.baseline.block_on(pool.close());
    sides.ours.block_on(node.stop());
    Ok(Row::new("spread_64", "commands/s", runs))
}

/// Commands that all go to one stream.
fn hot(sides: &Sides, postgres: &Postgres, size: &Size) -> anyhow::Result<Row> {
    let node = sides.ours.block_on(ours::Bench::start(postgres, Roles::SERVE, 1))?;
    let mut runs = Vec::new();
    for _ in 0..size.runs {
        let ours = sides.ours.block_on(node.add_notes(CONNECTIONS, size.hot, 1))?;
        // A new database each time: the baseline reads its whole stream for every command.
        let (pool, _database) = sides.baseline.block_on(baseline_on(postgres, HOT_WORKERS))?;
        let work = baseline::commands_per_second(&pool, HOT_WORKERS, 1, size.baseline_hot);
        let baseline = sides.baseline.block_on(work)?;
        sides.baseline.block_on(pool.close());
        println!("  hot_64: ours {:.0}/s (p99 {:.1} ms), baseline {baseline:.0}/s", ours.per_second, ours.p99_ms);
        runs.push([ours.per_second, baseline]);
    }
    sides.ours.block_on(node.stop());
    Ok(Row::new("hot_64", "commands/s", runs))
}

/// A read model built again from all of history.
fn rebuild(sides: &Sides, postgres: &Postgres, size: &Size) -> anyhow::Result<Row> {
    let roles = Roles { project: true, ..Roles::SERVE };
    let node = sides.ours.block_on(ours::Bench::start(postgres, roles, STREAMS))?;
    sides.ours.block_on(node.add_notes(CONNECTIONS, size.spread, STREAMS))?;
    let (pool, _database) = sides.baseline.block_on(baseline_on(postgres, CONNECTIONS))?;
    let fill = baseline::commands_per_second(&pool, CONNECTIONS, STREAMS, size.baseline_spread);
    sides.baseline.block_on(fill)?;
    let mut runs = Vec::new();
    for _ in 0..size.runs {
        let ours = sides.ours.block_on(node.rebuild_events_per_second())?;
        let views = STREAMS.min(size.baseline_spread);
        let baseline = sides.baseline.block_on(baseline::rebuild_events_per_second(&pool, views))?;
        println!("  rebuild: ours {ours:.0}/s, baseline {baseline:.0}/s");
        runs.push([ours, baseline]);
    }
    sides.baseline.block_on(pool.close());
    sides.ours.block_on(node.stop());
    Ok(Row::new("rebuild", "events/s", runs))
}

/// A fresh database for the baseline, and its pool. The database goes when it is dropped.
async fn baseline_on(postgres: &Postgres, connections: u64) -> anyhow::Result<(sqlx::PgPool, TestDatabase)> {
    let database = TestDatabase::create_on(&postgres.url()).await?;
    let pool = baseline::open(database.url(), u32::try_from(connections)?).await?;
    Ok((pool, database))
}
