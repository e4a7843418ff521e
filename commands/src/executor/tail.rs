//! Keeping what is in memory warm: history is followed, and what other nodes recorded is folded into the lanes that
//! are there.
//!
//! What this executor appended is not read again: its lanes have it. So following costs a node that writes alone
//! nothing but looking whether it still does. Nothing depends on the tail: an event it left out is found by the
//! version check of the next append.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use guildhall_event_store::{EventStore, StoreError};
use tokio_util::sync::CancellationToken;

use super::lanes::Lanes;

/// How long the tail waits for something to be recorded before it asks whether it should stop.
const IDLE: Duration = Duration::from_secs(10);
/// How far the tail stays behind, so that those who appended here have said so.
const BEHIND: Duration = Duration::from_millis(20);
/// How many events are read at once, and then no more for a moment: appending comes first.
const PAGE: u64 = 256;
/// Further behind than this the rest is skipped; by then it costs less to let each lane catch up when it is wanted.
const FAR_BEHIND: u64 = 8 * PAGE;
/// How long to leave a database alone that did not answer.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// How many runs are noted between two looks at most. What is not noted is read.
const MOST_RUNS: usize = 16 * 1024;

/// Positions in a row: the first and the last.
type Run = (u64, u64);

/// What this executor appended since the tail looked last.
#[derive(Default)]
pub(super) struct Appended {
    /// None while nobody follows.
    runs: Mutex<Option<Vec<Run>>>,
}

impl Appended {
    /// Notes what was appended.
    pub(super) fn note(&self, first: u64, last: u64) {
        if let Some(runs) = self.lock().as_mut().filter(|runs| runs.len() < MOST_RUNS) {
            runs.push((first, last));
        }
    }

    /// What was noted since the last time; from now on it is noted.
    fn take(&self) -> Vec<Run> {
        self.lock().replace(Vec::new()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows history until told to stop.
///
/// # Errors
/// A position is missing: history was damaged.
pub(super) async fn follow(
    store: &EventStore,
    lanes: &Lanes,
    appended: &Appended,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    let stopped = stop.run_until_cancelled(async {
        let mut tail = Tail { store, lanes, position: None, own: appended.take() };
        loop {
            match tail.step(appended).await {
                Ok(()) => (),
                Err(hole @ StoreError::Hole { .. }) => return hole,
                Err(error) => {
                    tracing::debug!(%error, "history cannot be followed for the moment");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    });
    stopped.await.map_or(Ok(()), Err)
}

struct Tail<'a> {
    store: &'a EventStore,
    lanes: &'a Lanes,
    /// Up to here the lanes were told. None before the first look: what was recorded before is nobody's news.
    position: Option<u64>,
    /// What this executor appended behind that, in order.
    own: Vec<Run>,
}

impl Tail<'_> {
    /// Waits for something new, and reads a page of it at most.
    async fn step(&mut self, appended: &Appended) -> Result<(), StoreError> {
        let Some(position) = self.position else {
            self.position = Some(self.store.head().await?);
            return Ok(());
        };
        let reached = self.store.wait_past(position, IDLE).await?;
        if reached <= position {
            return Ok(());
        }
        tokio::time::sleep(BEHIND).await;
        self.own.extend(appended.take());
        self.own.sort_unstable();
        let others = gaps(&self.own, position, reached);
        let behind: u64 = others.iter().map(|(first, last)| last - first + 1).sum();
        let position = if behind <= FAR_BEHIND {
            self.tell(&others).await?.unwrap_or(reached)
        } else {
            metrics::counter!("command_tail_skips_total").increment(1);
            reached
        };
        self.own.retain(|(_, last)| *last > position);
        self.position = Some(position);
        Ok(())
    }

    /// Tells the lanes what others appended. Where that is more than a page, says how far it came.
    async fn tell(&self, others: &[Run]) -> Result<Option<u64>, StoreError> {
        let mut room = PAGE;
        for (first, last) in others {
            let take = room.min(last - first + 1);
            for event in self.store.read_after(first - 1, usize::try_from(take).unwrap_or(usize::MAX)).await? {
                self.lanes.hear(&event);
            }
            metrics::counter!("command_tail_events_total").increment(take);
            room -= take;
            if room == 0 {
                return Ok(Some(first + take - 1));
            }
        }
        Ok(None)
    }
}

/// The positions after `position`, up to `reached`, that are in none of the runs, which are in order.
fn gaps(runs: &[Run], position: u64, reached: u64) -> Vec<Run> {
    let mut gaps = Vec::new();
    let mut covered = position;
    for (first, last) in runs.iter().copied().chain([(reached + 1, reached + 1)]) {
        let end = (first - 1).min(reached);
        if end > covered {
            gaps.push((covered + 1, end));
        }
        covered = covered.max(last);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_own_runs_is_others() {
        assert_eq!(gaps(&[(3, 4), (5, 5), (8, 9)], 1, 12), [(2, 2), (6, 7), (10, 12)]);
        assert_eq!(gaps(&[], 5, 7), [(6, 7)]);
    }

    #[test]
    fn a_node_that_writes_alone_has_nothing_to_read() {
        assert_eq!(gaps(&[(1, 4), (5, 9)], 2, 8), []);
        assert_eq!(gaps(&[], 5, 5), []);
    }

    #[test]
    fn runs_behind_the_end_and_before_the_beginning_do_not_matter() {
        assert_eq!(gaps(&[(1, 2), (20, 30)], 4, 6), [(5, 6)]);
    }

    #[test]
    fn nothing_is_noted_before_somebody_follows() {
        let appended = Appended::default();
        appended.note(1, 2);
        assert_eq!(appended.take(), []);
        appended.note(3, 4);
        assert_eq!(appended.take(), [(3, 4)]);
    }
}
