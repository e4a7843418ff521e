//! Endpoints as JSON.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::endpoint::Endpoint;

/// Where events are sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookBody {
    /// Its id.
    webhook_id: Uuid,
    /// Where messages go.
    url: String,
    /// Events of which categories; of all where empty.
    categories: Vec<String>,
    /// What its owner calls it.
    description: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// Everything for it up to here was delivered.
    position: u64,
    /// How often in a row it has failed to take the next message.
    failures: u32,
    /// When that is tried again.
    retry_at: Option<DateTime<Utc>>,
    /// Whether messages are sent.
    enabled: bool,
    /// Since when none is sent, and why.
    disabled: Option<Disabled>,
}

/// Since when an endpoint is disabled, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDisabled)]
pub(super) struct Disabled {
    /// Since when.
    at: DateTime<Utc>,
    /// Why.
    reason: String,
}

/// An endpoint that was made just now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewWebhook)]
pub(super) struct NewBody {
    /// The endpoint.
    pub(super) webhook: WebhookBody,
    /// What signs its messages. It is told once: keep it.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/]+=*$")]
    pub(super) secret: String,
}

impl From<Endpoint> for WebhookBody {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            webhook_id: endpoint.id,
            url: endpoint.url,
            categories: endpoint.categories,
            description: endpoint.description,
            created_at: endpoint.created_at,
            position: endpoint.position,
            failures: endpoint.failures,
            retry_at: endpoint.retry_at,
            enabled: endpoint.disabled.is_none(),
            disabled: endpoint.disabled.map(|(at, reason)| Disabled { at, reason }),
        }
    }
}
