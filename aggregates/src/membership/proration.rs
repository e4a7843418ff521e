//! What a part of a term is worth: the price of who joins late, and the credit of who leaves early for
//! another plan. One rule for both, and one rounding ([`Money::share`]).

use chrono::{Datelike, NaiveDate};

use super::term::{add_months, add_units};
use crate::{
    Money,
    membership_plan::{DurationUnit, PlanTerms, Proration},
    money::MoneyError,
};

/// What the rest, from `from` on, of `count` terms that end on `end` is worth by the plan's proration: by
/// months, of which the begun one counts; by days, of which `from` counts; or by the band of the month of
/// `from`. Never more than the whole fee, also when a rollover made the term longer; nothing after the end.
///
/// Tax comes after. Months mean nothing in a term of days, nor any part in one for life: both are worth the
/// whole fee. Source: "Proration" and "Plan change" of the domain rules.
///
/// ```
/// # use chrono::NaiveDate;
/// # use guildhall_aggregates::{membership::*, membership_plan::*, money::{Currency, Money}};
/// # let mut plan = PlanTerms {
/// #     name: "Calendar year".into(), fee: Money::new(10_000, Currency::USD),
/// #     duration_unit: DurationUnit::Year, duration_interval: 1, period: Period::Rolling,
/// #     grace: GracePeriod::default(), renewal_window: None, approval_required: false,
/// #     proration: Proration::None, benefits: vec![], inherited_by_max: None,
/// # };
/// let (august, end) = (NaiveDate::from_ymd_opt(2026, 8, 20).unwrap(), NaiveDate::from_ymd_opt(2026, 12, 31));
/// let value = |plan: &PlanTerms| value_from(plan, 1, august, end).unwrap().minor;
/// assert_eq!(value(&plan), 10_000);
/// plan.proration = Proration::ByMonth; // August to December: 5 of 12
/// assert_eq!(value(&plan), 4_167);
/// plan.proration = Proration::ByDay; // 20 August to 31 December: 134 of 365
/// assert_eq!(value(&plan), 3_671);
/// ```
pub fn value_from(plan: &PlanTerms, count: u32, from: NaiveDate, end: Option<NaiveDate>) -> Result<Money, MoneyError> {
    let whole = plan.fee.times(count)?;
    let Some(next) = end.and_then(|end| end.succ_opt()) else { return Ok(whole) };
    if from >= next {
        return Ok(Money::zero(plan.fee.currency));
    }
    match &plan.proration {
        Proration::None => Ok(whole),
        Proration::ByMonth => {
            let months_a_unit = match plan.duration_unit {
                DurationUnit::Month => 1,
                DurationUnit::Year => 12,
                DurationUnit::Day | DurationUnit::Lifetime => return Ok(whole),
            };
            let months = i64::from(count) * i64::from(plan.duration_interval) * months_a_unit;
            part(whole, months_until(next, from), months)
        }
        Proration::ByDay => {
            let days = begin_of_last(plan, count, next).map_or(0, |begin| (next - begin).num_days());
            part(whole, (next - from).num_days(), days)
        }
        Proration::ByBand { percent } => {
            let later_terms =
                (1..count).take_while(|&n| begin_of_last(plan, n, next).is_some_and(|begin| begin > from));
            let later_terms = u32::try_from(later_terms.count()).map_err(|_| MoneyError::TooLarge)?;
            let percent = percent[from.month0() as usize];
            plan.fee.times(later_terms)?.plus(plan.fee.share(i64::from(percent), 100)?)
        }
    }
}

/// The first day of the last `count` terms before `next`.
fn begin_of_last(plan: &PlanTerms, count: u32, next: NaiveDate) -> Option<NaiveDate> {
    add_units(next, plan.duration_unit, -(i64::from(count) * i64::from(plan.duration_interval)))
}

/// Months, counted back from `next`, until `from` is covered: the month begun counts.
fn months_until(next: NaiveDate, from: NaiveDate) -> i64 {
    let month_of = |date: NaiveDate| i64::from(date.year()) * 12 + i64::from(date.month0());
    let at_least = month_of(next) - month_of(from) - 1;
    // Two months more are enough, also when days of a short month have run on.
    let candidates = at_least..at_least + 3;
    candidates.into_iter().find(|&n| add_months(next, -n).is_none_or(|begin| begin <= from)).unwrap_or(at_least + 3)
}

fn part(whole: Money, remaining: i64, of: i64) -> Result<Money, MoneyError> {
    if remaining >= of { Ok(whole) } else { whole.share(remaining, of) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::testing::{day, fixed_year, lifetime, rolling};

    fn value(plan: &PlanTerms, proration: Proration, count: u32, from: &str, end: &str) -> i64 {
        let plan = PlanTerms { proration, ..plan.clone() };
        value_from(&plan, count, day(from), Some(day(end))).unwrap().minor
    }
    fn bands() -> Proration {
        Proration::ByBand { percent: [100, 100, 100, 75, 75, 75, 50, 50, 50, 25, 25, 25] }
    }
    fn year() -> PlanTerms {
        fixed_year(1, (1, 1), (11, 1))
    }

    #[test]
    fn without_proration_every_part_costs_the_whole() {
        assert_eq!(value(&year(), Proration::None, 1, "2026-12-31", "2026-12-31"), 12_000);
    }

    #[test]
    fn by_month_the_month_of_joining_counts() {
        for (from, months) in
            [("2026-01-01", 12), ("2026-01-31", 12), ("2026-05-01", 8), ("2026-05-20", 8), ("2026-12-31", 1)]
        {
            assert_eq!(value(&year(), Proration::ByMonth, 1, from, "2026-12-31"), months * 1_000, "{from}");
        }
        let from_mid_november = rolling(DurationUnit::Year, 1);
        assert_eq!(value(&from_mid_november, Proration::ByMonth, 1, "2026-03-14", "2026-11-14"), 9_000);
        assert_eq!(value(&from_mid_november, Proration::ByMonth, 1, "2026-03-15", "2026-11-14"), 8_000);
    }

    #[test]
    fn by_day_the_day_of_joining_counts() {
        assert_eq!(value(&year(), Proration::ByDay, 1, "2026-12-31", "2026-12-31"), 33);
        assert_eq!(value(&year(), Proration::ByDay, 1, "2026-07-02", "2026-12-31"), 6_016);
        let leap_year = value(&year(), Proration::ByDay, 1, "2028-07-02", "2028-12-31");
        assert_eq!(leap_year, 6_000, "183 of 366 days");
    }

    #[test]
    fn by_band_the_month_of_joining_decides() {
        assert_eq!(value(&year(), bands(), 1, "2026-03-31", "2026-12-31"), 12_000);
        assert_eq!(value(&year(), bands(), 1, "2026-04-01", "2026-12-31"), 9_000);
        assert_eq!(value(&year(), bands(), 1, "2026-10-10", "2026-12-31"), 3_000);
    }

    #[test]
    fn only_the_first_of_several_terms_is_reduced() {
        assert_eq!(value(&year(), Proration::ByMonth, 3, "2026-07-01", "2028-12-31"), 6_000 + 24_000);
        assert_eq!(value(&year(), bands(), 3, "2026-07-01", "2028-12-31"), 6_000 + 24_000);
    }

    #[test]
    fn a_rollover_never_makes_a_term_dearer() {
        assert_eq!(value(&year(), Proration::ByMonth, 1, "2026-11-01", "2027-12-31"), 12_000);
        assert_eq!(value(&year(), Proration::ByDay, 1, "2026-11-01", "2027-12-31"), 12_000);
    }

    #[test]
    fn a_rolling_term_from_its_first_day_costs_the_whole() {
        let monthly = rolling(DurationUnit::Month, 1);
        for (from, end) in [("2015-01-31", "2015-03-02"), ("2015-03-31", "2015-04-30"), ("2015-02-01", "2015-02-28")] {
            assert_eq!(value(&monthly, Proration::ByDay, 1, from, end), 12_000, "{from}");
            assert_eq!(value(&monthly, Proration::ByMonth, 1, from, end), 12_000, "{from}");
        }
    }

    #[test]
    fn nothing_is_left_after_the_end() {
        for proration in [Proration::None, Proration::ByMonth, Proration::ByDay, bands()] {
            assert_eq!(value(&year(), proration, 1, "2027-01-01", "2026-12-31"), 0);
        }
    }

    #[test]
    fn terms_for_life_have_no_parts_and_terms_of_days_no_months() {
        let for_life = PlanTerms { proration: Proration::ByDay, ..lifetime() };
        assert_eq!(value_from(&for_life, 1, day("2026-07-01"), None).unwrap().minor, 12_000);
        let ten_days = rolling(DurationUnit::Day, 10);
        assert_eq!(value(&ten_days, Proration::ByMonth, 1, "2026-01-08", "2026-01-10"), 12_000);
        assert_eq!(value(&ten_days, Proration::ByDay, 1, "2026-01-08", "2026-01-10"), 3_600);
    }
}
