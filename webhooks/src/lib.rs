//! Webhooks: a partner names an address, and every event is sent there, signed, in order and at least once.
//!
//! The messages and their signatures are those of the [Standard Webhooks](https://www.standardwebhooks.com)
//! specification, so that a partner checks them with a library that exists. What is sent is the event of the feed, one to
//! a message; its id is the event's and the same however often it is sent.
//!
//! Each endpoint has a cursor. It moves in the statement that logs the delivery, under a lease with an epoch: any number of
//! nodes deliver, one of them to an endpoint at a time, and one that was replaced without noticing moves nothing. What an
//! endpoint does not take is tried again for three days; then it is disabled, and its cursor stays.
//!
//! This room decides nothing and appends nothing, knows nothing of Kafka and read tables, and of SQL only the schema
//! `webhook`.

mod api;
mod cursor;
mod deliverer;
mod endpoint;
mod error;
mod guard;
mod log;
mod message;
mod options;
mod patience;
mod secret;
mod sender;

use std::sync::Arc;

use guildhall_event_store::EventStore;
use tokio::sync::Semaphore;

pub use api::{WebhookApi, document, router};
pub use error::WebhookError;
pub use options::WebhookOptions;

/// What delivers to endpoints, and what manages them. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    store: EventStore,
    options: Arc<WebhookOptions>,
    sender: sender::Sender,
    /// Places for those who try an endpoint and wait for what comes of it.
    pings: Arc<Semaphore>,
}

impl Webhooks {
    /// Webhooks over a history. Nothing is delivered until [`Webhooks::run`].
    ///
    /// # Errors
    /// This machine cannot make encrypted connections.
    pub fn new(store: EventStore, options: WebhookOptions) -> Result<Self, WebhookError> {
        let sender = sender::Sender::new(&options)?;
        let pings = Arc::new(Semaphore::new(options.concurrency));
        Ok(Self { store, options: Arc::new(options), sender, pings })
    }
}
