//! How much memory a node takes.

use super::{Bench, Ours};
use crate::{
    cpu::peak_memory_mb,
    report::{Run, Side},
};

/// The peak of a node that has had every aggregate it may keep, under full load.
pub fn peak(bench: &Bench) -> anyhow::Result<Vec<Run>> {
    bench.in_turn(|| {
        let ours = Ours::start(bench, bench.size.cached)?;
        let under_load = ours.send(bench, &bench.machine, 64)?;
        let figure = peak_memory_mb(ours.node.pid())?;
        ours.node.stop()?;
        Ok(Run { ours: Side { figure, ..under_load }, baseline: None })
    })
}
