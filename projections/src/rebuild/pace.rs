//! How fast a rebuild goes over history.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many times a second a rebuild at a pace folds.
const BURSTS: u64 = 100;

/// How many positions are gone over at once, `most` where there is no pace. At a pace it is little and often: what is done at
/// once, others wait for.
pub(super) fn at_once(pace: Option<NonZeroU32>, most: u64) -> u64 {
    pace.map_or(most, |pace| most.min(u64::from(pace.get()) / BURSTS)).max(1)
}

/// A pace that is kept from a position on, at rest for half of the time at least. Who is late does not hurry afterwards:
/// what made him late keeps others waiting, too.
pub(super) struct Pace {
    a_second: Option<NonZeroU32>,
    at: u64,
    due: Instant,
    since: Instant,
}

impl Pace {
    /// So many positions a second at most, or as many as it goes.
    pub(super) fn from(at: u64, a_second: Option<NonZeroU32>) -> Self {
        let now = Instant::now();
        Self { a_second, at, due: now, since: now }
    }

    /// Having reached this position, waits until it may go on, or until it is told to stop.
    pub(super) async fn keep(&mut self, reached: u64, stop: &CancellationToken) {
        let Some(due) = self.due(reached, Instant::now()) else { return };
        let _stopping = tokio::time::timeout_at(due, stop.cancelled()).await;
        (self.at, self.due, self.since) = (reached, due, Instant::now());
    }

    fn due(&self, reached: u64, now: Instant) -> Option<Instant> {
        let slot = Duration::from_secs(reached - self.at) / self.a_second?.get();
        Some((self.due + slot).max(now + (now - self.since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_in_small_steps() {
        assert_eq!(at_once(None, 5_000), 5_000);
        assert_eq!(at_once(NonZeroU32::new(10_000), 5_000), 100);
        assert_eq!(at_once(NonZeroU32::new(1_000_000), 5_000), 5_000, "a transaction has its limit at any pace");
        assert_eq!(at_once(NonZeroU32::new(1), 5_000), 1);
    }

    #[test]
    fn a_position_is_due_by_its_distance_from_the_one_before() {
        let pace = Pace::from(1_000, NonZeroU32::new(100));
        let soon = pace.due + Duration::from_millis(1);
        assert_eq!(pace.due(1_050, soon), Some(pace.due + Duration::from_millis(500)));
        let woken = Pace { since: soon, ..pace };
        assert_eq!(
            woken.due(1_001, soon),
            Some(woken.due + Duration::from_millis(10)),
            "the time of waking up is in it"
        );
        assert_eq!(Pace::from(1_000, None).due(1_050, soon), None);
    }

    #[test]
    fn who_is_late_rests_as_long_as_that_took_and_hurries_no_more_than_before() {
        let pace = Pace::from(0, NonZeroU32::new(100));
        let late = pace.due + Duration::from_secs(3);
        assert_eq!(pace.due(1, late), Some(late + Duration::from_secs(3)));
    }

    #[tokio::test]
    async fn who_is_to_stop_does_not_wait() {
        let stop = CancellationToken::new();
        stop.cancel();
        Pace::from(0, NonZeroU32::new(1)).keep(1_000_000, &stop).await;
    }
}
