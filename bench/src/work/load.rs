//! Streams read and folded by somebody who has nothing in memory yet.

use std::time::Instant;

use anyhow::Context as _;
use guildhall_aggregates::{member::Member, tenant_of_slug};
use guildhall_event_store::{Clock, EventStore, StoreOptions};
use uuid::Uuid;

use super::{Bench, Ours};
use crate::{
    baseline::Baseline,
    limit,
    node::ASSOCIATION,
    report::{Run, Side},
};

/// The prefix of the baseline's notebooks.
const NOTEBOOKS: &str = "cold";

/// Streams of so many events each, loaded one after another through a store that was just opened, without
/// snapshots on either side. Each side is a task of a runtime like the node's, as what handles a request is.
pub fn cold(bench: &Bench, events: usize) -> anyhow::Result<Vec<Run>> {
    let events = events.min(bench.size.loaded);
    let streams = (bench.size.loaded / events).clamp(1, 1_000);
    let Ours { node, members, secrets, database, .. } = Ours::start(bench, streams)?;
    let notes = members.ids.iter().cycle().take(streams * (events - 1));
    let recorded = bench.runtime.block_on(super::import::add_notes(&node.target, notes))?;
    anyhow::ensure!(recorded == (streams * (events - 1)) as u64, "{recorded} notes were recorded");
    node.stop()?;
    let vacuum = ["VACUUM ANALYZE es.event".to_owned(), "VACUUM ANALYZE es.stream".to_owned()];
    bench.runtime.block_on(bench.machine.execute(database.url(), &vacuum))?;
    let runtime = limit::runtime()?;
    let baseline = runtime.block_on(async {
        let baseline = Baseline::start(&bench.machine.url(), 8, 1, 1).await?;
        baseline.fill(NOTEBOOKS, streams, events).await?;
        anyhow::Ok(baseline)
    })?;
    bench.in_turn(|| {
        runtime.block_on(async {
            let mut options = StoreOptions::new(database.url(), secrets.key_encryption_key.clone());
            options.snapshot_after = None;
            let store = EventStore::open(options, Clock::system()).await?;
            let ours = tokio::spawn(load(store.clone(), members.ids.clone(), events)).await??;
            store.shutdown().await;
            let baseline = baseline.load(NOTEBOOKS, streams, events).await?;
            Ok(Run { ours: Side::of(ours), baseline: Some(Side::of(baseline)) })
        })
    })
}

/// Events a second.
async fn load(store: EventStore, ids: Vec<Uuid>, events: usize) -> anyhow::Result<f64> {
    let tenant = tenant_of_slug(ASSOCIATION);
    // The connection is warm and the statement prepared, as on the other side; only streams are not known yet.
    store.load::<Member>(tenant, Uuid::now_v7()).await.context("loading nobody")?;
    let started = Instant::now();
    for id in &ids {
        let loaded = store.load::<Member>(tenant, *id).await.context("loading a member")?;
        anyhow::ensure!(loaded.version == events as u64, "a stream of {events} is at {}", loaded.version);
    }
    Ok((ids.len() * events) as f64 / started.elapsed().as_secs_f64())
}
