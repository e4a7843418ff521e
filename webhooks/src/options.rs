//! How webhooks run, and the limits they keep.

use std::time::Duration;

/// How webhooks run.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// Whether messages may go to plain `http` and to addresses inside: for development. Whoever may name an endpoint can
    /// have this node knock on any door of its network then.
    pub allow_insecure: bool,
    /// How many endpoints this node delivers to at the same time.
    pub concurrency: usize,
    /// How many endpoints an association may have.
    pub endpoints: usize,
    /// After which times a delivery that failed is tried again. When the last has passed in vain, the endpoint is disabled.
    pub retries: Vec<Duration>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a delivery may take in all.
    pub timeout: Duration,
    /// How long a node that says nothing more is waited for until another delivers to its endpoints. Longer than a
    /// delivery may take.
    pub lease: Duration,
    /// How long an endpoint is delivered to until others have their turn.
    pub turn: Duration,
    /// How often is looked for endpoints that have become due.
    pub poll: Duration,
    /// How long a secret signs after it was replaced.
    pub rotation: Duration,
    /// How long the log of deliveries is kept, and how many lines of an endpoint.
    pub log: (Duration, u32),
}

/// The times that the specification recommends: three days and four hours in all.
const RETRIES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

impl Default for WebhookOptions {
    fn default() -> Self {
        Self {
            allow_insecure: false,
            concurrency: 16,
            endpoints: 20,
            retries: RETRIES.to_vec(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            lease: Duration::from_mins(1),
            turn: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            rotation: Duration::from_hours(24),
            log: (Duration::from_hours(30 * 24), 10_000),
        }
    }
}
