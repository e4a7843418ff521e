//! How much is too much.

use std::time::Duration;

/// What one server takes on at a time. Beyond it, a request gets a problem instead of a place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a request may take until its answer begins.
    pub request_timeout: Duration,
    /// How many requests may be worked on at once.
    pub concurrent_requests: usize,
}

impl Default for Limits {
    /// 30 seconds, 4,096 requests.
    fn default() -> Self {
        Self { request_timeout: Duration::from_secs(30), concurrent_requests: 4096 }
    }
}
