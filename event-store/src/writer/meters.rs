//! What is counted of appends, with its handles kept: looking one up by name and labels costs more than counting.

use std::time::Duration;

use metrics::{Counter, Histogram};

use super::queue::Answer;
use crate::UnitOutcome;

/// The meters of one writer. Made when it starts, so whoever collects metrics has to be there before.
pub(super) struct Meters {
    queue_age: Histogram,
    batch_events: Histogram,
    batch_units: Histogram,
    commit_seconds: Histogram,
    appended: Counter,
    conflict: Counter,
    duplicate: Counter,
    claim_taken: Counter,
    error: Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        let outcome = |outcome: &'static str| metrics::counter!("append_outcomes_total", "outcome" => outcome);
        Self {
            queue_age: metrics::histogram!("append_queue_age_seconds"),
            batch_events: metrics::histogram!("append_batch_events"),
            batch_units: metrics::histogram!("append_batch_units"),
            commit_seconds: metrics::histogram!("append_commit_seconds"),
            appended: outcome("appended"),
            conflict: outcome("conflict"),
            duplicate: outcome("duplicate"),
            claim_taken: outcome("claim_taken"),
            error: outcome("error"),
        }
    }

    /// Counts a unit that was taken from the queue.
    pub(super) fn taken(&self, age: Duration) {
        self.queue_age.record(age.as_secs_f64());
    }

    /// Counts a batch that was answered.
    pub(super) fn batch(&self, events: usize, units: usize, took: Duration) {
        self.batch_events.record(number(events));
        self.batch_units.record(number(units));
        self.commit_seconds.record(took.as_secs_f64());
    }

    /// Counts what became of a unit.
    pub(super) fn outcome(&self, answer: &Answer) {
        let counter = match answer {
            Ok(UnitOutcome::Appended(_)) => &self.appended,
            Ok(UnitOutcome::Conflict { .. }) => &self.conflict,
            Ok(UnitOutcome::Duplicate(_)) => &self.duplicate,
            Ok(UnitOutcome::ClaimTaken { .. }) => &self.claim_taken,
            Err(_) => &self.error,
        };
        counter.increment(1);
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
