//! How much is too much.

use std::time::Duration;

/// What one server takes on at a time. Beyond it, a request gets a problem instead of a place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest body that is read whole. Streams have limits of their own.
    pub body_bytes: usize,
    /// How long a request may take until its answer begins.
    pub request_timeout: Duration,
    /// How many requests may be worked on at once.
    pub concurrent_requests: usize,
}

impl Default for Limits {
    /// 128 KiB, 30 seconds, 4,096 requests.
    fn default() -> Self {
        Self { body_bytes: 128 * 1024, request_timeout: Duration::from_secs(30), concurrent_requests: 4096 }
    }
}
