//! The limits of an executor.

use std::time::Duration;

/// The limits of an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutorOptions {
    /// How many streams are kept in memory. One that is dropped is folded again when it is wanted.
    pub cached_streams: usize,
    /// How many commands may wait for one stream.
    pub waiting_per_stream: usize,
    /// How many commands may wait for all streams together: half of them those of callers who are told to come back when
    /// there is no room, half those of callers who wait until there is, as bulk requests do.
    pub waiting: usize,
    /// How long a command may wait for its turn. Who sent it has given up by then or will soon, so it is sent back
    /// instead of being executed for nobody.
    pub longest_wait: Duration,
    /// How many commands one unit holds at most.
    pub unit_commands: usize,
    /// After how many events no further command is taken into a unit.
    pub unit_events: usize,
    /// After how many bytes of events no further command is taken into a unit.
    pub unit_bytes: usize,
    /// How often a stream is decided anew because another node was faster.
    pub conflict_attempts: u32,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self {
            cached_streams: 100_000,
            waiting_per_stream: 10_000,
            waiting: 8_192,
            longest_wait: Duration::from_secs(5),
            unit_commands: 256,
            unit_events: 384,
            unit_bytes: 512 * 1024,
            conflict_attempts: 3,
        }
    }
}
