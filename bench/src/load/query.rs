//! Reads, one after another on one connection.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use serde_json::Value;

use super::{Connection, Target, post};

/// How long nobody asks after an answer.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks the same again and again until it is over, and says how often it was answered.
///
/// # Errors
/// Any answer is no success.
pub fn until(over: &AtomicBool, target: &Target, path: &str) -> anyhow::Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Client::open(target).await?;
        let mut answered = 0;
        while !over.load(Ordering::Relaxed) {
            client.get(path).await?;
            answered += 1;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(answered)
    })
}

/// A client that waits for each answer.
pub struct Client {
    target: Target,
    connection: Connection,
}

impl Client {
    pub async fn open(target: &Target) -> anyhow::Result<Self> {
        Ok(Self { target: target.clone(), connection: Connection::open(target).await? })
    }

    /// Reads something that is there.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        let request = Request::get(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", self.target.token))
            .body(Full::new(Bytes::new()).boxed())?;
        self.answer(request).await
    }

    /// Sends a command under a new key.
    pub async fn command(&mut self, name: &str, body: &Value) -> anyhow::Result<Value> {
        let request = post(&self.target, &format!("/v1/commands/{name}"), "application/json")
            .header("idempotency-key", uuid::Uuid::now_v7().to_string())
            .body(Full::new(Bytes::from(body.to_string())).boxed())?;
        self.answer(request).await
    }

    async fn answer(&mut self, request: Request<super::Body>) -> anyhow::Result<Value> {
        let asked = request.uri().clone();
        let response = self.connection.sender.send_request(request).await.context("the server went away")?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        anyhow::ensure!(status.is_success(), "{asked} was answered {status}: {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }
}
