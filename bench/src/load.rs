//! The load on our side: keep-alive HTTP connections, each sending the next command when the last one is
//! answered.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use uuid::Uuid;

/// Where commands go, and as whom.
#[derive(Clone)]
pub struct Target {
    /// The API's address.
    pub address: SocketAddr,
    /// The bearer token.
    pub token: String,
}

/// What a run of commands took.
pub struct Measured {
    /// Commands per second, all answered.
    pub per_second: f64,
    /// The 99th percentile of the time to an answer, in milliseconds.
    pub p99_ms: f64,
}

/// Sends `commands` commands over `connections`; `body` gives name and body of the n-th.
pub async fn send(
    target: &Target,
    connections: u64,
    commands: u64,
    body: impl Fn(u64) -> (&'static str, String) + Send + Sync + Clone + 'static,
) -> anyhow::Result<Measured> {
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (target, next, body) = (target.clone(), Arc::clone(&next), body.clone());
        tasks.spawn(async move { one_connection(&target, &next, commands, body).await });
    }
    let mut times = Vec::with_capacity(usize::try_from(commands)?);
    while let Some(ended) = tasks.join_next().await {
        times.extend(ended??);
    }
    let seconds = started.elapsed().as_secs_f64();
    times.sort_unstable_by(f64::total_cmp);
    let p99_ms = times.get(times.len() * 99 / 100).copied().unwrap_or_default() * 1000.0;
    Ok(Measured { per_second: commands as f64 / seconds, p99_ms })
}

async fn one_connection(
    target: &Target,
    next: &AtomicU64,
    commands: u64,
    body: impl Fn(u64) -> (&'static str, String),
) -> anyhow::Result<Vec<f64>> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut times = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= commands {
            driver.abort();
            return Ok(times);
        }
        let (name, body) = body(index);
        let request = Request::post(format!("/v1/commands/{name}"))
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", target.token))
            .header("content-type", "application/json")
            .header("idempotency-key", Uuid::now_v7().to_string())
            .body(Full::new(Bytes::from(body)))?;
        let sent = Instant::now();
        let response = sender.send_request(request).await.context("the server went away")?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        anyhow::ensure!(
            status == StatusCode::OK || status == StatusCode::CREATED,
            "{name} was answered {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        times.push(sent.elapsed().as_secs_f64());
    }
}
