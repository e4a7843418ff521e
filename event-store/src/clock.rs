//! The one place where the time is read. Rules get it as an argument.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

/// The time, as the process sees it or as a test or a story sets it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    set_to_micros: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { set_to_micros: None }
    }

    /// A clock that stands at `now` until it is moved; clones move together.
    ///
    /// ```
    /// use guildhall_event_store::Clock;
    /// let start = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    /// let clock = Clock::standing_at(start);
    /// let seen_by_another = clock.clone();
    /// clock.advance(chrono::TimeDelta::minutes(31));
    /// assert_eq!(seen_by_another.now(), start + chrono::TimeDelta::minutes(31));
    /// ```
    pub fn standing_at(now: DateTime<Utc>) -> Self {
        Self { set_to_micros: Some(Arc::new(AtomicI64::new(now.timestamp_micros()))) }
    }

    /// Moves a standing clock. The machine's clock does not move by this.
    pub fn advance(&self, by: chrono::TimeDelta) {
        if let Some(micros) = &self.set_to_micros {
            micros.fetch_add(by.num_microseconds().unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// The instant now, to the microsecond.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the clock is read")]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = match &self.set_to_micros {
            Some(micros) => micros.load(Ordering::SeqCst),
            None => Utc::now().timestamp_micros(),
        };
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }

    /// The date now in a zone: an association's "today".
    pub fn today(&self, zone: Tz) -> NaiveDate {
        self.now().with_timezone(&zone).date_naive()
    }
}
