//! The public HTTP API, as a client of the association uses it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use chrono::TimeDelta;
use guildhall_event_store::Clock;
use guildhall_web::{Role, TokenKeys, TokenRequest};
use serde_json::Value;

/// The longest the story waits for a process or a projection.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client of one association with every scope.
pub(super) struct Api {
    http: reqwest::Client,
    url: String,
    pub(super) token: String,
    /// Receipts of the story, in order: name and answer.
    pub(super) receipts: Vec<(String, Value)>,
    /// The token of the latest receipt.
    latest: String,
}

impl Api {
    pub(super) fn new(address: SocketAddr, token_secret: &str, association: &str) -> anyhow::Result<Self> {
        let request = TokenRequest {
            association: association.to_owned(),
            subject: "demo".to_owned(),
            roles: BTreeSet::from(Role::ALL),
            lifetime: TimeDelta::hours(24),
        };
        let token = TokenKeys::parse(token_secret)?.issue(&request, Clock::system().now())?;
        // Over plain HTTP to this machine: no certificates are needed.
        let http = reqwest::Client::builder().tls_certs_only([]).build()?;
        let url = format!("http://{address}");
        Ok(Self { http, url, token, receipts: vec![], latest: String::new() })
    }

    /// Sends a command. The key makes it the same command when the demo is started again.
    pub(super) async fn command(&mut self, name: &str, key: &str, body: Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}/v1/commands/{name}", self.url)).bearer_auth(&self.token);
        let response = request.header("Idempotency-Key", key).json(&body).send().await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        anyhow::ensure!(status.is_success(), "{name} ({key}) was answered {status}: {answer}");
        answer["token"].as_str().unwrap_or_default().clone_into(&mut self.latest);
        self.receipts.push((name.to_owned(), answer.clone()));
        Ok(answer)
    }

    /// Reads what is at least as new as the latest receipt.
    pub(super) async fn read(&self, path: &str) -> anyhow::Result<Value> {
        let glue = if path.contains('?') { '&' } else { '?' };
        let at_least = if self.latest.is_empty() { String::new() } else { format!("{glue}at_least={}", self.latest) };
        let url = format!("{}{path}{at_least}", self.url);
        let response = self.http.get(&url).bearer_auth(&self.token).send().await?;
        let status = response.status();
        let answer: Value = response.json().await.with_context(|| format!("{path} gave no JSON"))?;
        anyhow::ensure!(status.is_success(), "{path} was answered {status}: {answer}");
        Ok(answer)
    }

    /// Reads again and again until what is looked for is there: what processes do follows a moment later.
    pub(super) async fn wait_for<T>(
        &self,
        what: &str,
        path: &str,
        find: impl Fn(&Value) -> Option<T>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        loop {
            if let Some(found) = find(&self.read(path).await?["data"]) {
                return Ok(found);
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "{what} did not come about within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}
