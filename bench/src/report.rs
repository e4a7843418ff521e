//! What was measured, as a table for people and as JSON for programs.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cpu::Cpu,
    work::{self, Target, Work},
};

/// What one side did in one run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Side {
    /// In the row's unit.
    pub figure: f64,
    /// The 99th percentile of the time to an answer, where commands were timed.
    pub p99_ms: Option<f64>,
    /// Seconds of processor time for 1,000 commands, where that was measured.
    pub cpu: Option<Cpu>,
}

impl Side {
    /// A figure and nothing else.
    pub fn of(figure: f64) -> Self {
        Self { figure, p99_ms: None, cpu: None }
    }
}

/// Both sides, one right after the other.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Run {
    pub ours: Side,
    pub baseline: Option<Side>,
}

/// One row of the table: medians, and the runs they come from.
#[derive(Debug, Serialize)]
pub struct Row {
    pub work: &'static str,
    pub unit: &'static str,
    pub ours: f64,
    pub baseline: Option<f64>,
    /// Ours over the baseline.
    pub ratio: Option<f64>,
    /// What must be reached, in words.
    pub target: String,
    /// Whether it was; none where nothing must be.
    pub met: Option<bool>,
    pub p99_ms: Option<f64>,
    pub baseline_p99_ms: Option<f64>,
    pub cpu: Option<Cpu>,
    pub baseline_cpu: Option<Cpu>,
    pub runs: Vec<Run>,
    pub measured_at: String,
}

impl Row {
    /// The medians of these runs.
    pub fn of(work: &Work, runs: Vec<Run>) -> Self {
        let ours = || runs.iter().map(|run| run.ours);
        let theirs = || runs.iter().filter_map(|run| run.baseline);
        let figure = median(ours().map(|side| side.figure)).unwrap_or(f64::NAN);
        let baseline = median(theirs().map(|side| side.figure));
        let ratio = baseline.map(|baseline| figure / baseline);
        let p99_ms = median(ours().filter_map(|side| side.p99_ms));
        let baseline_p99_ms = median(theirs().filter_map(|side| side.p99_ms));
        Self {
            work: work.name,
            unit: work.unit,
            ours: figure,
            baseline,
            ratio,
            target: work.target.described(),
            met: work.target.met(figure, ratio, p99_ms.zip(baseline_p99_ms)),
            p99_ms,
            baseline_p99_ms,
            cpu: cpu(ours().filter_map(|side| side.cpu)),
            baseline_cpu: cpu(theirs().filter_map(|side| side.cpu)),
            runs,
            measured_at: Utc::now().format("%FT%TZ").to_string(),
        }
    }
}

fn cpu(of: impl Iterator<Item = Cpu> + Clone) -> Option<Cpu> {
    Some(Cpu {
        server: median(of.clone().map(|cpu| cpu.server))?,
        postgres: median(of.clone().map(|cpu| cpu.postgres))?,
        generator: median(of.map(|cpu| cpu.generator))?,
    })
}

/// The middle one; of an even number, the upper of the two in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

impl Target {
    fn described(&self) -> String {
        match *self {
            Self::Ratio(least) => format!(">= {least}x"),
            Self::RatioAndP99(least, part) => format!(">= {least}x, p99 <= 1/{part}"),
            Self::RatioBelow(most) => format!("<= {most}x"),
            Self::Below(limit) => format!("< {limit}"),
            Self::FigureAndRatio(least, ratio) => format!(">= {least}, {ratio}x"),
        }
    }

    fn met(&self, figure: f64, ratio: Option<f64>, p99s: Option<(f64, f64)>) -> Option<bool> {
        match *self {
            Self::Ratio(least) => ratio.map(|ratio| ratio >= least),
            Self::RatioAndP99(least, part) => {
                Some(ratio? >= least && p99s.is_some_and(|(ours, baseline)| ours * part <= baseline))
            }
            Self::RatioBelow(most) => ratio.map(|ratio| ratio <= most),
            Self::Below(limit) => Some(figure < limit),
            Self::FigureAndRatio(least, times) => ratio.map(|ratio| figure >= least && ratio >= times),
        }
    }
}

/// The rows as a table, and below it who used the processors.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<20}{:>11}{:>11}{:>9}  {:<20}{:<5}{:>8}{:>10}  {}\n",
        "work", "ours", "baseline", "ratio", "must reach", "met", "p99 ms", "baseline", "unit"
    );
    for row in rows {
        let ratio = row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"));
        let met = row.met.map_or("-", |met| if met { "yes" } else { "NO" });
        let _ = writeln!(
            text,
            "{:<20}{:>11}{:>11}{:>9}  {:<20}{:<5}{:>8}{:>10}  {}",
            row.work,
            number(Some(row.ours)),
            number(row.baseline),
            ratio,
            row.target,
            met,
            number(row.p99_ms),
            number(row.baseline_p99_ms),
            row.unit
        );
    }
    text += "\nProcessor time for 1,000 commands, in milliseconds:\n";
    let _ = writeln!(
        text,
        "{:<20}{:>11}{:>11}{:>11}{:>9}   {:>11}{:>11}",
        "work", "node", "its pg", "generator", "sum", "baseline", "its pg"
    );
    for row in rows {
        let Some(Cpu { server, postgres, generator }) = row.cpu else { continue };
        let baseline = row.baseline_cpu;
        let _ = writeln!(
            text,
            "{:<20}{:>11.1}{:>11.1}{:>11.1}{:>9.1}   {:>11}{:>11}",
            row.work,
            server * 1000.0,
            postgres * 1000.0,
            generator * 1000.0,
            (server + postgres + generator) * 1000.0,
            number(baseline.map(|cpu| cpu.server * 1000.0)),
            number(baseline.map(|cpu| cpu.postgres * 1000.0)),
        );
    }
    text
}

/// Digits that mean something.
pub fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// The file of results. Rows that are not measured this time stay as they were.
pub struct Results {
    file: PathBuf,
    rows: Vec<Value>,
}

impl Results {
    /// Quick runs have a file of their own.
    pub fn open(quick: bool) -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let file = folder.canonicalize()?.join(if quick { "quick.json" } else { "results.json" });
        let rows = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Ok(Self { file, rows })
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Writes a row in its place.
    pub fn keep(&mut self, row: &Row) -> anyhow::Result<()> {
        let place = |row: &Value| work::ALL.iter().position(|work| row["work"] == work.name);
        self.rows.retain(|kept| place(kept).is_some() && kept["work"] != row.work);
        self.rows.push(serde_json::to_value(row)?);
        self.rows.sort_by_key(place);
        std::fs::write(&self.file, serde_json::to_vec_pretty(&self.rows)?)
            .with_context(|| format!("writing {}", self.file.display()))
    }
}
