//! When a delivery that failed is tried again.

use std::time::Duration;

use aws_lc_rs::rand;
use chrono::{DateTime, Utc};

/// However long an endpoint asks us to wait, it is asked again after this time.
const LONGEST_WISH: Duration = Duration::from_hours(24);

/// How long to wait after so many failures in a row; none when it has been tried often enough. A little more or less
/// than the schedule says, so that endpoints that failed together do not come back together.
pub(crate) fn pause(retries: &[Duration], failures: usize, wish: Option<Duration>) -> Option<Duration> {
    let scheduled = retries.get(failures.checked_sub(1)?)?;
    let wished = wish.unwrap_or_default().min(LONGEST_WISH);
    Some(scheduled.mul_f64(0.9 + 0.2 * fraction()).max(wished))
}

/// What `Retry-After` says: seconds, or a date.
pub(crate) fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(value).ok()?;
    (until.to_utc() - now).to_std().ok()
}

/// A number from 0 on, below 1.
fn fraction() -> f64 {
    let mut bytes = [0; 4];
    rand::fill(&mut bytes).expect("the system has randomness");
    f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WebhookOptions;

    #[test]
    fn it_is_tried_for_three_days_ever_more_seldom() {
        let retries = WebhookOptions::default().retries;
        let pauses: Vec<_> = (1..).map_while(|failures| pause(&retries, failures, None)).collect();
        assert_eq!(pauses.len(), 9);
        assert!(pauses.is_sorted(), "{pauses:?}");
        for (pause, scheduled) in pauses.iter().zip(&retries) {
            assert!((scheduled.mul_f64(0.9)..scheduled.mul_f64(1.1)).contains(pause), "{pause:?}");
        }
        let days = retries.iter().sum::<Duration>().as_secs_f64() / 86_400.0;
        assert!((3.0..3.5).contains(&days), "{days}");
    }

    #[test]
    fn an_endpoint_may_ask_for_more_time_but_not_for_more_than_a_day() {
        let retries = [Duration::from_secs(5)];
        let asked = |seconds| pause(&retries, 1, Some(Duration::from_secs(seconds))).unwrap();
        assert_eq!(asked(120), Duration::from_mins(2));
        assert_eq!(asked(u64::MAX), Duration::from_hours(24));
        assert!(asked(0) >= Duration::from_secs(4));
    }

    #[test]
    fn a_wish_is_in_seconds_or_a_date() {
        let now = "1994-11-06T08:49:00Z".parse().unwrap();
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(37)));
        for none in ["", "-1", "soon", "Sun, 06 Nov 1994 08:48:37 GMT"] {
            assert_eq!(retry_after(none, now), None, "{none}");
        }
    }
}
