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

/// A pace that is kept from a position on.
pub(super) struct Pace {
    a_second: Option<NonZeroU32>,
    from: u64,
    began: Instant,
}

impl Pace {
    /// So many positions a second at most, or as many as it goes.
    pub(super) fn from(from: u64, a_second: Option<NonZeroU32>) -> Self {
        Self { a_second, from, began: Instant::now() }
    }

    /// Having reached this position, waits until it may go on, or until it is told to stop.
    pub(super) async fn keep(&self, reached: u64, stop: &CancellationToken) {
        if let Some(due) = self.due(reached) {
            let _stopping = tokio::time::timeout_at(due, stop.cancelled()).await;
        }
    }

    fn due(&self, reached: u64) -> Option<Instant> {
        self.a_second.map(|positions| self.began + Duration::from_secs(reached - self.from) / positions.get())
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
    fn a_position_is_due_by_its_distance_from_the_first() {
        let pace = Pace::from(1_000, NonZeroU32::new(100));
        assert_eq!(pace.due(1_050), Some(pace.began + Duration::from_millis(500)));
        assert_eq!(pace.due(1_000), Some(pace.began));
        assert_eq!(Pace::from(1_000, None).due(1_050), None);
    }

    #[tokio::test]
    async fn who_is_to_stop_does_not_wait() {
        let stop = CancellationToken::new();
        stop.cancel();
        Pace::from(0, NonZeroU32::new(1)).keep(1_000_000, &stop).await;
    }
}
