//! When terms begin and end: plain calendar arithmetic, the same for every association.

use chrono::{Datelike, Days, NaiveDate};

use crate::membership_plan::{DurationUnit, MonthDay, Period, PlanTerms};

/// The last year a term may end in, so that every date can be written with four digits.
const LAST_YEAR: i32 = 9999;

/// A term, or a date it is computed from, would lie beyond the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the term would end after the year 9999")]
pub struct BeyondCalendar;

/// The span of a first term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstTerm {
    /// First day. Of a fixed period it may lie before the day of joining.
    pub start: NaiveDate,
    /// Last day; none for life.
    pub end: Option<NaiveDate>,
}

/// The first term of who joins on `join`, bought as `count` terms at once, with the start somebody asked
/// for where they did.
///
/// A rolling term runs from its start. A fixed one runs from the plan's own day, and one unit longer for
/// who joins on or after the rollover day. Source: "First term" of the domain rules.
///
/// ```
/// use chrono::NaiveDate;
/// use guildhall_aggregates::{membership::*, membership_plan::*, money::{Currency, Money}};
/// let day = |text: &str| text.parse::<NaiveDate>().unwrap();
/// let plan = PlanTerms {
///     name: "From November".into(),
///     fee: Money::new(10_000, Currency::USD),
///     duration_unit: DurationUnit::Year,
///     duration_interval: 1,
///     period: Period::FixedYear {
///         start: MonthDay { month: 11, day: 1 },
///         rollover: MonthDay { month: 1, day: 1 },
///     },
///     grace: GracePeriod::default(),
///     renewal_window: None,
///     approval_required: false,
///     proration: Proration::None,
///     benefits: vec![],
///     inherited_by_max: None,
/// };
/// let term = first_term(&plan, day("2015-01-28"), None, 1).unwrap();
/// assert_eq!((term.start, term.end), (day("2014-11-01"), Some(day("2016-10-31"))));
/// ```
pub fn first_term(
    plan: &PlanTerms,
    join: NaiveDate,
    given_start: Option<NaiveDate>,
    count: u32,
) -> Result<FirstTerm, BeyondCalendar> {
    let base = given_start.unwrap_or(join);
    if plan.duration_unit == DurationUnit::Lifetime {
        return Ok(FirstTerm { start: base, end: None });
    }
    let (anchor, rolled_over) = match plan.period {
        Period::Rolling => (base, false),
        Period::FixedYear { start, rollover } => {
            let anchor = latest_on_or_before(start, base)?;
            (anchor, rollover_date(anchor, rollover, base)? <= join)
        }
        Period::FixedMonth { rollover_day } => {
            let anchor = base.with_day(1).ok_or(BeyondCalendar)?;
            (anchor, base.day() >= rollover_day)
        }
    };
    let units = i64::from(count) * i64::from(plan.duration_interval) + i64::from(rolled_over);
    Ok(FirstTerm { start: given_start.unwrap_or(anchor), end: Some(last_day(anchor, plan.duration_unit, units)?) })
}

/// The last day of `count` more terms after one that ends on `end`; none when the plan is for life.
///
/// The day is added first and taken off last, so the end of a month stays one.
/// Source: "Renewal" of the domain rules.
///
/// ```
/// # use chrono::NaiveDate;
/// # use guildhall_aggregates::{membership::*, membership_plan::*, money::{Currency, Money}};
/// # let plan = PlanTerms {
/// #     name: "Monthly".into(), fee: Money::new(1_000, Currency::USD), duration_unit: DurationUnit::Month,
/// #     duration_interval: 1, period: Period::Rolling, grace: GracePeriod::default(), renewal_window: None,
/// #     approval_required: false, proration: Proration::None, benefits: vec![], inherited_by_max: None,
/// # };
/// let february = NaiveDate::from_ymd_opt(2018, 2, 28).unwrap();
/// assert_eq!(renewed_end(&plan, february, 1).unwrap(), NaiveDate::from_ymd_opt(2018, 3, 31));
/// ```
pub fn renewed_end(plan: &PlanTerms, end: NaiveDate, count: u32) -> Result<Option<NaiveDate>, BeyondCalendar> {
    if plan.duration_unit == DurationUnit::Lifetime {
        return Ok(None);
    }
    let next = end.succ_opt().ok_or(BeyondCalendar)?;
    let units = i64::from(count) * i64::from(plan.duration_interval);
    last_day(next, plan.duration_unit, units).map(Some)
}

fn last_day(from: NaiveDate, unit: DurationUnit, units: i64) -> Result<NaiveDate, BeyondCalendar> {
    let end = add_units(from, unit, units).and_then(|next| next.pred_opt()).ok_or(BeyondCalendar)?;
    if end.year() > LAST_YEAR { Err(BeyondCalendar) } else { Ok(end) }
}

/// The latest occurrence of a day of the year that is not after `base`.
fn latest_on_or_before(day: MonthDay, base: NaiveDate) -> Result<NaiveDate, BeyondCalendar> {
    let this_year = on_day_of(base.year(), day)?;
    if this_year <= base { Ok(this_year) } else { on_day_of(base.year() - 1, day) }
}

/// The rollover day that belongs to the year beginning at `anchor`.
fn rollover_date(anchor: NaiveDate, rollover: MonthDay, base: NaiveDate) -> Result<NaiveDate, BeyondCalendar> {
    let year_end = last_day(anchor, DurationUnit::Year, 1)?;
    let date = on_day_of(base.year(), rollover)?;
    if date > year_end {
        on_day_of(base.year() - 1, rollover)
    } else if date < anchor {
        on_day_of(base.year() + 1, rollover)
    } else {
        Ok(date)
    }
}

fn on_day_of(year: i32, day: MonthDay) -> Result<NaiveDate, BeyondCalendar> {
    let first = NaiveDate::from_ymd_opt(year, day.month, 1);
    first.and_then(|first| run_on(first, day.day)).ok_or(BeyondCalendar)
}

/// `units` later, or earlier when negative. Nothing is a lifetime later than anything.
pub(super) fn add_units(date: NaiveDate, unit: DurationUnit, units: i64) -> Option<NaiveDate> {
    match unit {
        DurationUnit::Day => date.checked_add_signed(chrono::TimeDelta::try_days(units)?),
        DurationUnit::Month => add_months(date, units),
        DurationUnit::Year => add_months(date, units.checked_mul(12)?),
        DurationUnit::Lifetime => None,
    }
}

/// The same day of the month `months` later. When that month is too short, the surplus days run on into
/// the next one: 31 January and one month is 3 March in a common year.
pub(super) fn add_months(date: NaiveDate, months: i64) -> Option<NaiveDate> {
    let total = (i64::from(date.year()) * 12 + i64::from(date.month0())).checked_add(months)?;
    let year = i32::try_from(total.div_euclid(12)).ok()?;
    let before = u32::try_from(total.rem_euclid(12)).ok()?;
    run_on(NaiveDate::from_ymd_opt(year, before + 1, 1)?, date.day())
}

fn run_on(first_of_month: NaiveDate, day: u32) -> Option<NaiveDate> {
    first_of_month.checked_add_days(Days::new(u64::from(day.saturating_sub(1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::testing::{day, fixed_month, fixed_year, lifetime, rolling};

    fn first(plan: &PlanTerms, join: &str, given: Option<&str>) -> (String, String) {
        let term = first_term(plan, day(join), given.map(day), 1).unwrap();
        (term.start.to_string(), term.end.map_or("life".into(), |end| end.to_string()))
    }
    fn expect(plan: &PlanTerms, join: &str, given: Option<&str>, start: &str, end: &str) {
        assert_eq!(first(plan, join, given), (start.to_owned(), end.to_owned()), "{plan:?} {join} {given:?}");
    }
    fn renewed(plan: &PlanTerms, end: &str, count: u32) -> String {
        renewed_end(plan, day(end), count).unwrap().unwrap().to_string()
    }

    #[test]
    fn a_rolling_term_runs_from_the_day_of_joining() {
        let year = rolling(DurationUnit::Year, 1);
        expect(&year, "2009-01-21", None, "2009-01-21", "2010-01-20");
        expect(&year, "2009-01-21", Some("2009-03-01"), "2009-03-01", "2010-02-28");
        expect(&rolling(DurationUnit::Day, 30), "2015-01-28", None, "2015-01-28", "2015-02-26");
        expect(&rolling(DurationUnit::Year, 3), "2020-01-01", None, "2020-01-01", "2022-12-31");
    }

    #[test]
    fn a_fixed_year_runs_from_its_own_day() {
        expect(&fixed_year(5, (1, 1), (11, 1)), "2015-01-28", None, "2015-01-01", "2019-12-31");
        expect(&fixed_year(1, (1, 1), (11, 1)), "2015-01-28", None, "2015-01-01", "2015-12-31");
    }

    #[test]
    fn who_joins_on_or_after_the_rollover_day_gets_the_next_year_too() {
        let calendar_year = fixed_year(1, (1, 1), (11, 1));
        expect(&calendar_year, "2015-10-31", None, "2015-01-01", "2015-12-31");
        expect(&calendar_year, "2015-11-01", None, "2015-01-01", "2016-12-31");
        let from_november = fixed_year(1, (11, 1), (1, 1));
        expect(&from_november, "2015-01-28", None, "2014-11-01", "2016-10-31");
        expect(&from_november, "2014-12-31", None, "2014-11-01", "2015-10-31");
        expect(&from_november, "2015-01-28", Some("2015-01-28"), "2015-01-28", "2016-10-31");
        expect(&fixed_year(5, (1, 1), (11, 1)), "2015-11-02", None, "2015-01-01", "2020-12-31");
    }

    #[test]
    fn a_start_asked_for_decides_the_fixed_year_and_joining_decides_the_rollover() {
        let calendar_year = fixed_year(1, (1, 1), (11, 1));
        expect(&calendar_year, "2015-12-20", Some("2016-02-01"), "2016-02-01", "2016-12-31");
        expect(&calendar_year, "2015-12-20", Some("2015-06-01"), "2015-06-01", "2016-12-31");
    }

    #[test]
    fn a_fixed_month_runs_from_the_first_and_rolls_over_by_the_day() {
        let month = fixed_month(1, 15);
        expect(&month, "2015-04-14", None, "2015-04-01", "2015-04-30");
        expect(&month, "2015-04-15", None, "2015-04-01", "2015-05-31");
        expect(&month, "2015-04-02", Some("2015-04-20"), "2015-04-20", "2015-05-31");
        expect(&fixed_month(3, 31), "2015-01-30", None, "2015-01-01", "2015-03-31");
    }

    #[test]
    fn a_lifetime_has_no_end() {
        expect(&lifetime(), "2015-04-14", None, "2015-04-14", "life");
        assert_eq!(renewed_end(&lifetime(), day("2015-04-14"), 1), Ok(None));
    }

    #[test]
    fn several_terms_are_one_span() {
        let term = first_term(&fixed_year(1, (1, 1), (11, 1)), day("2015-03-01"), None, 3).unwrap();
        assert_eq!(term.end, Some(day("2017-12-31")));
        assert_eq!(renewed(&rolling(DurationUnit::Month, 6), "2015-06-30", 2), "2016-06-30");
    }

    #[test]
    fn surplus_days_run_on_into_the_next_month() {
        let cases = [
            ("2015-01-31", 1, "2015-03-03"),
            ("2016-01-31", 1, "2016-03-02"),
            ("2016-02-29", 12, "2017-03-01"),
            ("2015-12-31", 2, "2016-03-02"),
            ("2015-03-31", -1, "2015-03-03"),
            ("2015-01-15", -13, "2013-12-15"),
        ];
        for (from, months, to) in cases {
            assert_eq!(add_months(day(from), months), Some(day(to)), "{from} {months}");
        }
    }

    #[test]
    fn a_renewal_keeps_the_end_of_the_month() {
        let monthly = rolling(DurationUnit::Month, 1);
        assert_eq!(renewed(&monthly, "2018-02-28", 1), "2018-03-31");
        assert_eq!(renewed(&monthly, "2018-03-31", 1), "2018-04-30");
        assert_eq!(renewed(&rolling(DurationUnit::Year, 1), "2007-01-20", 1), "2008-01-20");
        assert_eq!(renewed(&rolling(DurationUnit::Month, 12), "2001-12-31", 1), "2002-12-31");
        assert_eq!(renewed(&rolling(DurationUnit::Month, 12), "2002-05-31", 1), "2003-05-31");
        assert_eq!(renewed(&rolling(DurationUnit::Year, 3), "2022-12-31", 1), "2025-12-31");
        assert_eq!(renewed(&rolling(DurationUnit::Day, 7), "2022-12-31", 2), "2023-01-14");
    }

    #[test]
    fn a_term_beyond_the_calendar_is_an_error() {
        let century = rolling(DurationUnit::Year, 100);
        assert_eq!(first_term(&century, day("2020-01-01"), None, 80), Err(BeyondCalendar));
        assert_eq!(renewed_end(&century, day("9990-01-01"), 1), Err(BeyondCalendar));
        assert_eq!(first_term(&century, NaiveDate::MAX, None, u32::MAX), Err(BeyondCalendar));
    }
}
