//! When the relay's checkpoint is looked at: soon after something has come, seldom when nothing does.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(10);
const LAST: Duration = Duration::from_millis(120);

/// The next look.
#[derive(Debug)]
pub(super) struct Look {
    at: Instant,
    pause: Duration,
}

impl Look {
    /// Now, and then seldom.
    pub(super) fn new() -> Self {
        Self { at: Instant::now(), pause: LAST }
    }

    /// How long it is until then.
    pub(super) fn wait(&self) -> Duration {
        until(self.at)
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.at
    }

    /// Something has come: the relay will soon be further.
    pub(super) fn something_came(&mut self) {
        if self.pause > FIRST {
            (self.at, self.pause) = (self.at.min(Instant::now() + FIRST), FIRST);
        }
    }

    /// Somebody has looked, and has got further by it or not.
    pub(super) fn looked(&mut self, further: bool) {
        self.pause = if further { FIRST } else { LAST.min(self.pause * 2) };
        self.at = Instant::now() + self.pause;
    }
}

/// How long it is until then, rounded up to milliseconds: Kafka's client spins through a part of one.
pub(super) fn until(then: Instant) -> Duration {
    let left = then.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
    Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_brings_nothing_is_followed_by_a_longer_pause_until_something_comes() {
        let mut look = Look::new();
        assert!(look.is_due());
        look.looked(true);
        assert_eq!(look.pause, FIRST);
        for pause in [20, 40, 80, 120, 120] {
            look.looked(false);
            assert_eq!(look.pause, Duration::from_millis(pause));
        }
        assert!(look.wait() > FIRST);
        look.something_came();
        assert!(look.wait() <= FIRST, "{look:?}");
    }

    #[test]
    fn no_wait_has_a_part_of_a_millisecond() {
        let wait = until(Instant::now() + Duration::from_micros(300));
        assert!(wait <= Duration::from_millis(1) && wait.subsec_nanos().is_multiple_of(1_000_000), "{wait:?}");
        assert_eq!(until(Instant::now()), Duration::ZERO);
    }
}
