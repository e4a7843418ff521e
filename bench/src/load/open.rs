//! Commands that come at a constant rate. Each is timed from when it was to be sent: what waits for a connection
//! because others are slow has waited, and counts.
//!
//! The load shares the processor with what it measures, so it says no more HTTP than it must.

use std::{
    fmt::Write as _,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_channel::{Receiver, Sender};
use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime,
    task::JoinSet,
};
use uuid::Uuid;

use super::{Outcome, Target, first_number, note, p99_ms, times};
use crate::node;

/// Enough that none is waited for as long as answers come within `CONNECTIONS / rate`.
const CONNECTIONS: usize = 128;

/// How often the clock is looked at; commands that have become due are then sent together.
const TICK: Duration = Duration::from_micros(250);

/// For so many seconds.
pub fn seconds(many: u64) -> impl Fn(Duration) -> bool + Send {
    move |elapsed| elapsed >= Duration::from_secs(many)
}

/// Sends notes about these members in turn, so many a second, until `over` says of the time that has gone by that it is.
pub fn send(
    target: &Target,
    per_second: f64,
    over: impl Fn(Duration) -> bool + Send,
    members: &[Uuid],
) -> anyhow::Result<Outcome> {
    let (due, arrivals) = async_channel::unbounded();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let connections = runtime.block_on(async {
        let mut open = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(target.address).await?;
            stream.set_nodelay(true)?;
            open.push(stream);
        }
        anyhow::Ok(open)
    })?;
    let head: Arc<str> = format!(
        "POST /v1/commands/AddNote HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\n",
        target.token
    )
    .into();
    let first = first_number();
    let started = Instant::now();
    thread::scope(|scope| {
        let clock = scope.spawn(move || tick(started, per_second, over, &due));
        let merged = runtime.block_on(async {
            let mut working = JoinSet::new();
            let members: Arc<[Uuid]> = members.into();
            for stream in connections {
                working.spawn(answer(stream, head.clone(), first, arrivals.clone(), members.clone()));
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

/// Says which commands are due, until it is over.
fn tick(started: Instant, per_second: f64, over: impl Fn(Duration) -> bool, due: &Sender<(u64, Instant)>) -> u64 {
    let mut said = 0;
    loop {
        let elapsed = started.elapsed();
        let reached = (elapsed.as_secs_f64() * per_second) as u64;
        for nth in said..reached {
            let at = started + Duration::from_secs_f64(nth as f64 / per_second);
            // Nobody listens any more only after an error, which is told elsewhere.
            let _ = due.try_send((nth, at));
        }
        said = reached;
        if over(elapsed) {
            return said;
        }
        thread::sleep(TICK);
    }
}

async fn answer(
    mut stream: TcpStream,
    head: Arc<str>,
    first: u64,
    arrivals: Receiver<(u64, Instant)>,
    members: Arc<[Uuid]>,
) -> anyhow::Result<Histogram<u64>> {
    let (mut request, mut answer) = (String::new(), Vec::new());
    let mut times = times();
    while let Ok((nth, due)) = arrivals.recv().await {
        let member = members[usize::try_from(nth)? % members.len()];
        let (key, body) = (Uuid::now_v7(), node::note(member, first + nth).to_string());
        request.clear();
        write!(request, "{head}idempotency-key: {key}\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
        stream.write_all(request.as_bytes()).await?;
        answer.clear();
        let status = loop {
            anyhow::ensure!(stream.read_buf(&mut answer).await? > 0, "the server went away");
            if let Some(status) = status_of_whole(&answer)? {
                break status;
            }
        };
        anyhow::ensure!(
            (200..300).contains(&status),
            "a command was answered {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        note(&mut times, due.elapsed());
    }
    Ok(times)
}

/// The status of an answer, once all of it is there.
fn status_of_whole(answer: &[u8]) -> anyhow::Result<Option<u16>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(answer)? else { return Ok(None) };
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = std::str::from_utf8(length.context("an answer has no length")?.value)?.parse()?;
    Ok(response.code.filter(|_| answer.len() >= head + length))
}
