//! Ours beside `cqrs-es` on `postgres-es`: the same work on the same Postgres in one run, as ratios.
//!
//! Ours is the `guildhall` program as it is shipped, in a process of its own; the load comes over HTTP from another.
//! The baseline runs in this process, without HTTP. Every figure is the median of several runs, ours and the
//! baseline's in turn, so that a machine whose speed drifts slows down both. [`work::ALL`] is the table of what is
//! measured and of what must be reached; raw figures go to `target/bench/results.json`.

mod baseline;
mod cpu;
mod limit;
mod load;
mod machine;
mod node;
mod report;
mod seal;
mod work;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand, builder::PossibleValuesParser};

use crate::{
    report::{Results, Row},
    work::{Bench, Size, Work},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Guildhall beside `cqrs-es` on `postgres-es`, on a private Postgres with fsync, and prints ratios.
///
/// Reads CPU times from /proc, so it runs on Linux. A run that measures only some rows keeps the others in the file of
/// results, each with the time it was measured.
#[derive(Debug, Parser)]
#[command(name = "make bench", bin_name = "make bench")]
struct Cli {
    /// The program to measure.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/release/guildhall"))]
    guildhall: PathBuf,
    /// Only these rows, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = PossibleValuesParser::new(work::names()))]
    only: Vec<String>,
    /// Show in a minute or two that everything runs. Measures nothing worth quoting, and writes it to `quick.json`.
    #[arg(long)]
    quick: bool,
    /// Measure growth as well: with 100 thousand, 1 million and 10 million events stored before. They are made once,
    /// which takes minutes and several gigabytes, and kept.
    #[arg(long)]
    growth: bool,
    /// Where the events for `--growth` are kept [default: ~/.cache/guildhall-bench].
    #[arg(long, value_name = "DIR", env = "GUILDHALL_BENCH_DATA")]
    data: Option<PathBuf>,
    /// How often each side runs; the median counts.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: Option<u32>,
    /// How long each run lasts, for work that is as long as one likes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What this program does when it is started by itself.
#[derive(Debug, Subcommand)]
enum Part {
    /// Serve the bare pipeline that ours is compared with.
    #[command(hide = true)]
    Limit,
    /// Seal what the node records.
    #[command(hide = true)]
    Seal,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.part {
        Some(Part::Limit) => limit::serve(),
        Some(Part::Seal) => seal::seal(),
        None => measure(&cli),
    }
}

fn measure(cli: &Cli) -> anyhow::Result<()> {
    let chosen: Vec<&Work> = work::ALL.iter().filter(|work| is_chosen(cli, work)).collect();
    let mut size = if cli.quick { Size::QUICK } else { Size::FULL };
    size.runs = cli.runs.unwrap_or(size.runs);
    size.seconds = cli.seconds.unwrap_or(size.seconds);
    let guildhall = cli.guildhall.canonicalize().with_context(|| {
        format!("{}: `make bench` builds it; `--guildhall FILE` names another", cli.guildhall.display())
    })?;
    let bench = Bench::start(guildhall, size, data_folder(cli)?)?;
    println!("{}\n", bench.setup()?);
    let mut results = Results::open(cli.quick)?;
    let mut rows = Vec::new();
    for work in &chosen {
        println!("{}: {}", work.name, work.what);
        let row = Row::of(work, (work.run)(&bench).with_context(|| format!("measuring {}", work.name))?);
        results.keep(&row)?;
        rows.push(row);
    }
    println!("\n{}", report::table(&rows));
    println!("Raw figures: {}", results.file().display());
    Ok(())
}

fn is_chosen(cli: &Cli, work: &Work) -> bool {
    if cli.only.is_empty() { !work.on_demand || cli.growth } else { cli.only.iter().any(|name| name == work.name) }
}

fn data_folder(cli: &Cli) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &cli.data {
        return Ok(folder.clone());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".cache"));
    let cache = cache.or_else(home).context("there is no home directory: `--data DIR` says where data may be kept")?;
    Ok(cache.join("guildhall-bench"))
}
