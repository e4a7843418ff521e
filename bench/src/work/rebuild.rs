//! A read model built again from all of history.

use std::{process::Command, time::Instant};

use anyhow::Context as _;

use super::{Bench, Ours};
use crate::report::{Run, Side};

/// Notes in each stream, on both sides.
const NOTES: usize = 10;

/// The member directory; the time of the whole program counts.
pub fn directory(bench: &Bench) -> anyhow::Result<Vec<Run>> {
    let members = bench.size.members;
    let Ours { node, members: registered, secrets, database, .. } = Ours::start(bench, members)?;
    let notes = registered.ids.iter().cycle().take(members * (NOTES - 1));
    let events = bench.runtime.block_on(super::import::add_notes(&node.target, notes))? + members as u64 + 1;
    node.stop()?;
    let url = bench.machine.url();
    let baseline = bench.runtime.block_on(crate::baseline::Baseline::start(&url, 8, members, NOTES))?;
    bench.in_turn(|| {
        bench.settle()?;
        let mut command = Command::new(&bench.guildhall);
        command.args(["--json", "rebuild", "directory", "--repair"]);
        secrets.tell(&mut command, database.url());
        let started = Instant::now();
        let output = command.output().context("starting guildhall rebuild")?;
        let seconds = started.elapsed().as_secs_f64();
        anyhow::ensure!(output.status.success(), "rebuild: {}", String::from_utf8_lossy(&output.stderr));
        bench.settle()?;
        let baseline = bench.runtime.block_on(baseline.rebuild(members))?;
        Ok(Run { ours: Side::of(events as f64 / seconds), baseline: Some(Side::of(baseline)) })
    })
}
