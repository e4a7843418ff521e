//! The load, sent over HTTP.
//!
//! * [`closed`]: so many connections, each sending the next command when the last one is answered. `wrk` does that, in
//!   a process of its own, with a tenth of the processor time the server takes.
//! * [`open`]: commands that come at a constant rate, whatever has been answered.
//! * [`bulk`]: many commands in one request.
//! * [`query`]: reads, one after another.

pub mod bulk;
pub mod closed;
pub mod open;
pub mod query;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::combinators::BoxBody;
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::AbortHandle};

/// Where commands go, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// The API's address.
    pub address: SocketAddr,
    /// The bearer token.
    pub token: String,
}

/// What became of a load.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// How many commands were recorded.
    pub commands: u64,
    /// How long that took.
    pub seconds: f64,
    /// The 99th percentile of the time to an answer, in milliseconds.
    pub p99_ms: f64,
}

/// Where a run begins to number its notes, so that none is the latest note of an earlier run: that would record nothing.
/// Always ten digits.
fn first_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1_000_000_000);
    NEXT.fetch_add(10_000_000, Ordering::Relaxed)
}

/// Times to an answer, in microseconds, from 1 to a minute with three digits.
pub fn times() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}

/// Notes one of them.
pub fn note(times: &mut Histogram<u64>, time: Duration) {
    times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}

/// The 99th percentile, in milliseconds.
pub fn p99_ms(times: &Histogram<u64>) -> f64 {
    times.value_at_quantile(0.99) as f64 / 1000.0
}

type Body = BoxBody<Bytes, std::convert::Infallible>;

/// A keep-alive connection.
struct Connection {
    sender: http1::SendRequest<Body>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    async fn open(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection).abort_handle();
        Ok(Self { sender, driver })
    }
}

fn post(target: &Target, path: &str, media_type: &str) -> hyper::http::request::Builder {
    Request::post(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", target.token))
        .header("content-type", media_type)
}
