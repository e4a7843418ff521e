//! What can go wrong here.

use guildhall_event_store::{NotACategory, StoreError, VaultError};

/// Why webhooks cannot be delivered or managed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// History could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tables of this room could not be read or written.
    #[error("the tables of webhooks do not answer: {0}")]
    Tables(String),
    /// A secret in the tables does not open.
    #[error("the secret of an endpoint cannot be opened: {0}")]
    Secret(#[from] VaultError),
    /// A category in the tables is none: this program is older than the one that wrote it.
    #[error("the endpoint cannot be served by this program: {0}")]
    Category(#[from] NotACategory),
    /// No connections can be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(reqwest::Error),
    /// Another node delivers to the endpoint, or it was changed.
    #[error("the endpoint is not ours any more")]
    Replaced,
}

impl From<tokio_postgres::Error> for WebhookError {
    fn from(error: tokio_postgres::Error) -> Self {
        let said = error.as_db_error().map(|error| error.message().to_owned());
        Self::Tables(said.unwrap_or_else(|| error.to_string()))
    }
}

impl From<deadpool_postgres::PoolError> for WebhookError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Tables(error.to_string())
    }
}
