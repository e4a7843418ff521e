//! Commands, one event each.

use super::{Bench, Ours, measured};
use crate::{
    cpu::Server,
    load::open,
    machine::connect,
    report::{Run, Side, median},
};

/// Workers of the baseline on one stream: more only conflict more.
const HOT_WORKERS: u32 = 8;
/// Connections at full load.
const FULL_LOAD: u32 = 64;

/// Notes spread over many streams.
pub fn spread(bench: &Bench, connections: u32) -> anyhow::Result<Vec<Run>> {
    let members = bench.size.members;
    let ours = Ours::start(bench, members)?;
    let baseline = bench.baseline(connections, members)?;
    let runs = bench.in_turn(|| {
        bench.settle()?;
        let ours = ours.send(bench, &bench.machine, connections)?;
        bench.settle()?;
        let baseline = measured(&bench.machine, Server::Ourselves, || {
            bench.runtime.block_on(baseline.send(connections.into(), members, bench.size.seconds))
        })?;
        Ok(Run { ours, baseline: Some(baseline) })
    })?;
    ours.node.stop()?;
    if connections == FULL_LOAD {
        bench.peak.set(median(runs.iter().map(|run| run.ours.figure)));
    }
    Ok(runs)
}

/// What `spread_64` came to, or what this node does at full load where that was not measured.
pub fn peak(bench: &Bench, ours: &Ours) -> anyhow::Result<f64> {
    match bench.peak.get() {
        Some(peak) => Ok(peak),
        None => Ok(ours.send(bench, &bench.machine, FULL_LOAD)?.figure),
    }
}

/// Notes at half the rate of the peak.
pub fn half_peak(bench: &Bench) -> anyhow::Result<Vec<Run>> {
    let ours = Ours::start(bench, bench.size.members)?;
    let peak = peak(bench, &ours)?;
    println!("  {:.0} commands a second", peak / 2.0);
    let runs = bench.in_turn(|| {
        let load = || open::send(&ours.node.target, peak / 2.0, open::seconds(bench.size.seconds), &ours.members.ids);
        bench.settle()?;
        let side = ours.measured(bench, &bench.machine, load)?;
        Ok(Run { ours: Side { figure: side.p99_ms.unwrap_or(f64::NAN), ..side }, baseline: None })
    })?;
    ours.node.stop()?;
    Ok(runs)
}

/// Notes that all go to one stream. Each run has a new one: the baseline reads the whole stream for every command.
pub fn hot(bench: &Bench) -> anyhow::Result<Vec<Run>> {
    bench.in_turn(|| {
        let ours = Ours::start(bench, 1)?;
        bench.settle()?;
        let side = ours.send(bench, &bench.machine, FULL_LOAD)?;
        ours.node.stop()?;
        let baseline = bench.baseline(HOT_WORKERS, 1)?;
        bench.settle()?;
        let baseline = measured(&bench.machine, Server::Ourselves, || {
            bench.runtime.block_on(baseline.send(HOT_WORKERS.into(), 1, bench.size.seconds))
        })?;
        Ok(Run { ours: side, baseline: Some(baseline) })
    })
}

/// The whole node beside the bare pipeline.
pub fn share_of_limit(bench: &Bench) -> anyhow::Result<Vec<Run>> {
    beside(bench, &Ours::start(bench, bench.size.members)?, &Ours::limit(bench)?)
}

/// A node whose history is sealed while it grows, beside one whose is not. Both hash their events, and the sealer's own
/// process counts as ours.
pub fn integrity_cost(bench: &Bench) -> anyhow::Result<Vec<Run>> {
    let sealed = Ours::start(bench, bench.size.members)?.sealed()?;
    let runs = beside(bench, &sealed, &Ours::start(bench, bench.size.members)?)?;
    let reached = bench.runtime.block_on(async {
        let client = connect(sealed.database.url()).await?;
        let reached = "SELECT (SELECT max(position) FROM es.checkpoint), (SELECT max(position) FROM es.event)";
        anyhow::Ok(client.query_one(reached, &[]).await?)
    })?;
    let (signed, head): (Option<i64>, i64) = (reached.get(0), reached.get(1));
    println!("  signed by then: {} of {head} events", signed.unwrap_or(0));
    Ok(runs)
}

/// Two servers under full load in turn.
fn beside(bench: &Bench, one: &Ours, other: &Ours) -> anyhow::Result<Vec<Run>> {
    bench.in_turn(|| {
        bench.settle()?;
        let ours = one.send(bench, &bench.machine, FULL_LOAD)?;
        bench.settle()?;
        let baseline = Some(other.send(bench, &bench.machine, FULL_LOAD)?);
        Ok(Run { ours, baseline })
    })
}
