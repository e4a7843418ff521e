//! Commands that come at a constant rate. Each is timed from when it was to be sent: what waits for a connection
//! because others are slow has waited, and counts.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_channel::{Receiver, Sender};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use tokio::{runtime, task::JoinSet};
use uuid::Uuid;

use super::{Connection, Outcome, Target, first_number, note, p99_ms, post, times};
use crate::node;

/// Enough that none is waited for as long as answers come within `CONNECTIONS / rate`.
const CONNECTIONS: usize = 128;

/// How often the clock is looked at; commands that have become due are then sent together.
const TICK: Duration = Duration::from_micros(250);

/// Sends notes about these members in turn, so many a second, for so long.
pub fn send(target: &Target, per_second: f64, seconds: u64, members: &[Uuid]) -> anyhow::Result<Outcome> {
    let (due, arrivals) = async_channel::unbounded();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let connections = runtime.block_on(async {
        let mut open = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            open.push(Connection::open(target).await?);
        }
        anyhow::Ok(open)
    })?;
    let first = first_number();
    let started = Instant::now();
    thread::scope(|scope| {
        let clock = scope.spawn(move || tick(started, per_second, seconds, &due));
        let merged = runtime.block_on(async {
            let mut working = JoinSet::new();
            for connection in connections {
                let (target, arrivals, members) = (target.clone(), arrivals.clone(), members.to_vec());
                working.spawn(answer(connection, target, first, arrivals, members));
            }
            let mut merged = times();
            while let Some(ended) = working.join_next().await {
                merged.add(ended??)?;
            }
            anyhow::Ok(merged)
        })?;
        let sent = clock.join().ok().context("the clock stopped")?;
        anyhow::ensure!(merged.len() == sent, "{} of {sent} commands were answered", merged.len());
        Ok(Outcome { commands: sent, seconds: started.elapsed().as_secs_f64(), p99_ms: p99_ms(&merged) })
    })
}

/// Says which commands are due, until the time is up.
fn tick(started: Instant, per_second: f64, seconds: u64, due: &Sender<(u64, Instant)>) -> u64 {
    let all = (per_second * seconds as f64) as u64;
    let mut said = 0;
    while said < all {
        let reached = ((started.elapsed().as_secs_f64() * per_second) as u64).min(all);
        for nth in said..reached {
            let at = started + Duration::from_secs_f64(nth as f64 / per_second);
            // Nobody listens any more only after an error, which is told elsewhere.
            let _ = due.try_send((nth, at));
        }
        said = reached;
        thread::sleep(TICK);
    }
    said
}

async fn answer(
    mut connection: Connection,
    target: Target,
    first: u64,
    arrivals: Receiver<(u64, Instant)>,
    members: Vec<Uuid>,
) -> anyhow::Result<Histogram<u64>> {
    let mut times = times();
    while let Ok((nth, due)) = arrivals.recv().await {
        let member = members[usize::try_from(nth)? % members.len()];
        let body = Full::new(Bytes::from(node::note(member, first + nth).to_string()));
        let request = post(&target, "/v1/commands/AddNote", "application/json")
            .header("idempotency-key", Uuid::now_v7().to_string())
            .body(body.boxed())?;
        connection.sender.ready().await?;
        let response = connection.sender.send_request(request).await.context("the server went away")?;
        let status = response.status();
        let said = response.into_body().collect().await?.to_bytes();
        anyhow::ensure!(status.is_success(), "a command was answered {status}: {}", String::from_utf8_lossy(&said));
        note(&mut times, due.elapsed());
    }
    Ok(times)
}
