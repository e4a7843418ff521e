//! How long to wait before beginning again after an error.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

const FIRST: Duration = Duration::from_millis(200);
const MOST: Duration = Duration::from_secs(10);

/// Waits ever longer, with some chance in it so that many do not come back at once; and as little as at first when
/// the last attempt went well for a while.
pub(crate) struct Patience {
    delays: ExponentialBackoff,
    began: Instant,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { delays: delays(), began: Instant::now() }
    }

    /// Notes that an attempt begins.
    pub(crate) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// How long to wait now that it has failed.
    pub(crate) fn delay(&mut self) -> Duration {
        if self.began.elapsed() > MOST {
            self.delays = delays();
        }
        self.delays.next().unwrap_or(MOST)
    }
}

fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default().with_min_delay(FIRST).with_max_delay(MOST).without_max_times().with_jitter().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_and_has_an_end() {
        let mut patience = Patience::new();
        let delays: Vec<_> = (0..20).map(|_| patience.delay()).collect();
        assert!(delays[0] >= FIRST && delays[0] <= 2 * FIRST, "{delays:?}");
        assert!(delays[10..].iter().all(|delay| *delay >= MOST && *delay <= 2 * MOST), "{delays:?}");
    }
}
