//! Sends one message once, and says what came of it.

use std::{
    error::Error as _,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use reqwest::{Client, ClientBuilder, StatusCode, header, redirect::Policy};

use crate::{
    WebhookError, WebhookOptions,
    guard::{self, Resolver},
    message::Message,
    patience,
    secret::Secret,
};

/// How much of an answer's body is read, so that the connection can be used again. What it says is nobody's business.
const READ_OF_BODY: usize = 16 * 1024;
/// The longest text about a failure.
const LONGEST_DETAIL: usize = 200;

/// What sends. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender {
    client: Client,
    allow_insecure: bool,
}

/// What came of sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// The status that was answered; none where no answer came.
    pub(crate) status: Option<u16>,
    /// What a person is told.
    pub(crate) detail: String,
    /// How long it took.
    pub(crate) took: Duration,
    /// How long the endpoint asks to be left alone.
    pub(crate) wish: Option<Duration>,
}

impl Sent {
    /// Whether the message was taken: any status of success says so.
    pub(crate) fn taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the endpoint says that it wants nothing more.
    pub(crate) fn gone(&self) -> bool {
        self.status == Some(StatusCode::GONE.as_u16())
    }
}

impl Sender {
    pub(crate) fn new(options: &WebhookOptions) -> Result<Self, WebhookError> {
        // A machine without certificates can do everything else: what fails is each delivery, and says why.
        let client = client(options).build().or_else(|error| {
            tracing::error!(?error, "webhooks trust nobody: install the system's certificates (`ca-certificates`)");
            client(options).tls_certs_only([]).build()
        });
        Ok(Self { client: client.map_err(WebhookError::Client)?, allow_insecure: options.allow_insecure })
    }

    /// Sends a message, signed with every secret that holds now.
    pub(crate) async fn send(&self, url: &str, secrets: &[Secret], message: &Message, now: DateTime<Utc>) -> Sent {
        let started = Instant::now();
        let said = |status: Option<u16>, detail: String, wish| Sent { status, detail, took: started.elapsed(), wish };
        // A host that is an address is not looked up, so it is judged here.
        let url = match guard::parse(url, self.allow_insecure) {
            Ok(url) => url,
            Err(error) => return said(None, error.to_string(), None),
        };
        let timestamp = now.timestamp();
        let signatures: Vec<_> =
            secrets.iter().map(|secret| secret.sign(&message.id, timestamp, &message.body)).collect();
        let request = self
            .client
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "))
            .body(message.body.clone());
        match request.send().await {
            Err(error) => said(None, cause(&error), None),
            Ok(response) => {
                let (status, headers) = (response.status(), response.headers());
                let wish = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                let wish = wish.and_then(|value| patience::retry_after(value, now));
                drain(response).await;
                said(Some(status.as_u16()), status.to_string(), wish)
            }
        }
    }
}

fn client(options: &WebhookOptions) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("guildhall/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        // A proxy would look names up itself.
        .no_proxy()
        .connect_timeout(options.connect_timeout)
        .timeout(options.timeout)
        .pool_max_idle_per_host(1);
    if options.allow_insecure { builder } else { builder.dns_resolver(Arc::new(Resolver)).https_only(true) }
}

/// Reads the body, if it is a small one.
async fn drain(mut response: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > READ_OF_BODY {
            return;
        }
    }
}

/// The innermost reason, without the address: that may hold what the partner keeps for himself.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause = error.source();
    let mut said = if error.is_connect() { "no connection" } else { "no answer" }.to_owned();
    while let Some(inner) = cause {
        if inner.source().is_none() {
            said = format!("{said}: {inner}");
        }
        cause = inner.source();
    }
    said.chars().take(LONGEST_DETAIL).collect()
}
