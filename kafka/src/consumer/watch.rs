//! Notices partitions that stand still though there is more to read.

use std::{collections::BTreeMap, time::Duration};

use crate::topics::Place;

/// Looks at every partition from time to time. Only time spent waiting for Kafka counts: while the caller is busy,
/// standing still is nobody's fault.
#[derive(Debug)]
pub(super) struct Watch {
    every: Duration,
    waited: Duration,
    stood_at: BTreeMap<Place, i64>,
}

impl Watch {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, waited: Duration::ZERO, stood_at: BTreeMap::new() }
    }

    /// Notes time spent waiting for Kafka. True when it is time to look.
    pub(super) fn waited(&mut self, time: Duration) -> bool {
        self.waited += time;
        let look = self.waited >= self.every;
        if look {
            self.waited = Duration::ZERO;
        }
        look
    }

    /// The partitions that stand where they stood when last looked at, out of all that ought to move.
    pub(super) fn standing_still(&mut self, now_at: BTreeMap<Place, i64>) -> Vec<(Place, i64)> {
        let still = now_at.iter().filter(|(place, offset)| self.stood_at.get(place) == Some(offset));
        let still = still.map(|(place, offset)| (*place, *offset)).collect();
        self.stood_at = now_at;
        still
    }
}

/// Whether a partition of which the broker has the offsets from `oldest` to before `end` has more to read than one
/// who is to read `next` has got. Records that have expired are not more.
pub(super) fn has_more(next: i64, oldest: i64, end: i64) -> bool {
    end > next.max(oldest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::Topic;

    const ONE: Place = Place { topic: Topic::Members, partition: 0 };
    const OTHER: Place = Place { topic: Topic::Members, partition: 1 };

    #[test]
    fn only_partitions_seen_twice_at_the_same_offset_stand_still() {
        let mut watch = Watch::new(Duration::from_secs(30));
        assert_eq!(watch.standing_still([(ONE, 5), (OTHER, 5)].into()), []);
        assert_eq!(watch.standing_still([(ONE, 6), (OTHER, 5)].into()), [(OTHER, 5)]);
        assert_eq!(watch.standing_still([(OTHER, 9)].into()), []);
        assert_eq!(watch.standing_still([(ONE, 6), (OTHER, 10)].into()), [], "a partition that was away is new");
    }

    #[test]
    fn it_is_time_to_look_when_enough_time_was_spent_waiting() {
        let mut watch = Watch::new(Duration::from_secs(1));
        assert!(!watch.waited(Duration::from_millis(600)));
        assert!(watch.waited(Duration::from_millis(600)));
        assert!(!watch.waited(Duration::from_millis(600)));
    }

    #[test]
    fn expired_records_are_nothing_to_read() {
        assert!(has_more(5, 0, 6));
        assert!(!has_more(6, 0, 6));
        assert!(!has_more(0, 6, 6));
        assert!(has_more(0, 6, 7));
    }
}
