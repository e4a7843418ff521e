//! What a plan may say: limits that keep every later computation of dates and amounts inside the calendar.

use super::{DurationUnit, GracePeriod, MonthDay, Period, PlanRefusal, PlanTerms, Proration};

/// A hundred years of months; more is a lifetime.
const LONGEST_INTERVAL: u32 = 1_200;
const LONGEST_GRACE_DAYS: u32 = 3_660;
const LONGEST_GRACE_MONTHS: u32 = 120;
const LONGEST_RENEWAL_WINDOW_DAYS: u32 = 3_660;
const MOST_BENEFITS: usize = 100;

impl PlanTerms {
    /// Whether a plan may say this.
    pub(crate) fn check(&self) -> Result<(), PlanRefusal> {
        if self.name.trim().is_empty() {
            return Err(PlanRefusal::NameMissing);
        }
        if self.fee.minor < 0 {
            return Err(PlanRefusal::FeeNegative);
        }
        if self.benefits.len() > MOST_BENEFITS {
            return Err(PlanRefusal::TooManyBenefits { most: MOST_BENEFITS });
        }
        self.check_duration()?;
        self.check_windows()?;
        match &self.proration {
            Proration::ByBand { percent } if percent.iter().any(|&p| p > 100) => Err(PlanRefusal::PercentOutOfRange),
            Proration::None | Proration::ByMonth | Proration::ByDay | Proration::ByBand { .. } => Ok(()),
        }
    }

    fn check_duration(&self) -> Result<(), PlanRefusal> {
        let lifetime = self.duration_unit == DurationUnit::Lifetime;
        if !lifetime && !(1..=LONGEST_INTERVAL).contains(&self.duration_interval) {
            return Err(PlanRefusal::IntervalOutOfRange { most: LONGEST_INTERVAL });
        }
        let (fits, days_valid) = match self.period {
            Period::Rolling => (true, true),
            Period::FixedYear { start, rollover } => {
                (self.duration_unit == DurationUnit::Year, start.is_valid() && rollover.is_valid())
            }
            Period::FixedMonth { rollover_day } => {
                (self.duration_unit == DurationUnit::Month, (1..=31).contains(&rollover_day))
            }
        };
        if !fits && !lifetime {
            return Err(PlanRefusal::PeriodDoesNotFit);
        }
        if days_valid { Ok(()) } else { Err(PlanRefusal::DayOutOfRange) }
    }

    fn check_windows(&self) -> Result<(), PlanRefusal> {
        let grace_too_long = match self.grace {
            GracePeriod::Days(days) => days > LONGEST_GRACE_DAYS,
            GracePeriod::Months(months) => months > LONGEST_GRACE_MONTHS,
        };
        if grace_too_long {
            return Err(PlanRefusal::GraceTooLong { most_days: LONGEST_GRACE_DAYS, most_months: LONGEST_GRACE_MONTHS });
        }
        let widest = self.renewal_window.map_or(0, |window| window.days_before.max(window.days_after));
        if widest > LONGEST_RENEWAL_WINDOW_DAYS {
            return Err(PlanRefusal::RenewalWindowTooLong { most: LONGEST_RENEWAL_WINDOW_DAYS });
        }
        Ok(())
    }
}

impl MonthDay {
    fn is_valid(self) -> bool {
        (1..=12).contains(&self.month) && (1..=31).contains(&self.day)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        membership_plan::RenewalWindow,
        money::{Currency, Money},
    };

    /// A plan like most: 125.00 a year from the day of joining.
    pub(crate) fn yearly() -> PlanTerms {
        PlanTerms {
            name: "Full member".into(),
            fee: Money::new(12_500, Currency::USD),
            duration_unit: DurationUnit::Year,
            duration_interval: 1,
            period: Period::Rolling,
            grace: GracePeriod::default(),
            renewal_window: None,
            approval_required: false,
            proration: Proration::None,
            benefits: vec![],
            inherited_by_max: None,
        }
    }

    #[test]
    fn usual_plans_are_accepted() {
        let day = |month, day| MonthDay { month, day };
        let fixed_year = Period::FixedYear { start: day(11, 1), rollover: day(1, 1) };
        let plans = [
            yearly(),
            PlanTerms { period: fixed_year, ..yearly() },
            PlanTerms {
                duration_unit: DurationUnit::Month,
                period: Period::FixedMonth { rollover_day: 15 },
                ..yearly()
            },
            PlanTerms { duration_unit: DurationUnit::Lifetime, duration_interval: 0, ..yearly() },
            PlanTerms { fee: Money::zero(Currency::USD), ..yearly() },
        ];
        for plan in plans {
            assert_eq!(plan.check(), Ok(()), "{plan:?}");
        }
    }

    #[test]
    fn what_no_plan_may_say_is_refused() {
        let fixed = |month, day| {
            let start = MonthDay { month, day };
            Period::FixedYear { start, rollover: start }
        };
        let mut percent = [100; 12];
        percent[3] = 101;
        let window = RenewalWindow { days_before: LONGEST_RENEWAL_WINDOW_DAYS + 1, days_after: 0 };
        let grace_refusal =
            PlanRefusal::GraceTooLong { most_days: LONGEST_GRACE_DAYS, most_months: LONGEST_GRACE_MONTHS };
        let interval_refusal = PlanRefusal::IntervalOutOfRange { most: LONGEST_INTERVAL };
        let cases = [
            (PlanTerms { name: "  ".into(), ..yearly() }, PlanRefusal::NameMissing),
            (PlanTerms { fee: Money::new(-1, Currency::USD), ..yearly() }, PlanRefusal::FeeNegative),
            (PlanTerms { duration_interval: 0, ..yearly() }, interval_refusal.clone()),
            (PlanTerms { duration_interval: LONGEST_INTERVAL + 1, ..yearly() }, interval_refusal),
            (PlanTerms { period: Period::FixedMonth { rollover_day: 1 }, ..yearly() }, PlanRefusal::PeriodDoesNotFit),
            (
                PlanTerms { duration_unit: DurationUnit::Day, period: fixed(1, 1), ..yearly() },
                PlanRefusal::PeriodDoesNotFit,
            ),
            (PlanTerms { period: fixed(13, 1), ..yearly() }, PlanRefusal::DayOutOfRange),
            (PlanTerms { period: fixed(1, 0), ..yearly() }, PlanRefusal::DayOutOfRange),
            (PlanTerms { proration: Proration::ByBand { percent }, ..yearly() }, PlanRefusal::PercentOutOfRange),
            (PlanTerms { grace: GracePeriod::Days(LONGEST_GRACE_DAYS + 1), ..yearly() }, grace_refusal.clone()),
            (PlanTerms { grace: GracePeriod::Months(LONGEST_GRACE_MONTHS + 1), ..yearly() }, grace_refusal),
            (
                PlanTerms { renewal_window: Some(window), ..yearly() },
                PlanRefusal::RenewalWindowTooLong { most: LONGEST_RENEWAL_WINDOW_DAYS },
            ),
            (
                PlanTerms { benefits: vec![String::new(); MOST_BENEFITS + 1], ..yearly() },
                PlanRefusal::TooManyBenefits { most: MOST_BENEFITS },
            ),
        ];
        for (plan, refusal) in cases {
            assert_eq!(plan.check(), Err(refusal), "{plan:?}");
        }
    }
}
