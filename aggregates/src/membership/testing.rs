//! What the tests of a membership have in common.

use chrono::NaiveDate;
use uuid::Uuid;

use crate::{
    ids::{MemberId, PaymentId, PlanId},
    membership::SoldPlan,
    membership_plan::{DurationUnit, GracePeriod, MonthDay, Period, PlanTerms, Proration},
    money::{Currency, Money},
};

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// 120.00 a term, not prorated, no approval.
pub(crate) fn rolling(duration_unit: DurationUnit, duration_interval: u32) -> PlanTerms {
    PlanTerms {
        name: "Full member".into(),
        fee: Money::new(12_000, Currency::USD),
        duration_unit,
        duration_interval,
        period: Period::Rolling,
        grace: GracePeriod::default(),
        renewal_window: None,
        approval_required: false,
        proration: Proration::None,
        benefits: vec![],
        inherited_by_max: None,
    }
}

pub(crate) fn fixed_year(interval: u32, start: (u32, u32), rollover: (u32, u32)) -> PlanTerms {
    let on = |(month, day)| MonthDay { month, day };
    let period = Period::FixedYear { start: on(start), rollover: on(rollover) };
    PlanTerms { period, ..rolling(DurationUnit::Year, interval) }
}

pub(crate) fn fixed_month(interval: u32, rollover_day: u32) -> PlanTerms {
    PlanTerms { period: Period::FixedMonth { rollover_day }, ..rolling(DurationUnit::Month, interval) }
}

pub(crate) fn lifetime() -> PlanTerms {
    rolling(DurationUnit::Lifetime, 1)
}

pub(crate) fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

/// A plan as it is sold; plans of one number are one plan.
pub(crate) fn sold(plan: u128, terms: PlanTerms) -> SoldPlan {
    SoldPlan { plan_id: PlanId::new(Uuid::from_u128(plan)), version: 1, terms }
}

pub(crate) fn ada() -> MemberId {
    MemberId::new(Uuid::from_u128(1))
}

pub(crate) fn payment(n: u128) -> PaymentId {
    PaymentId::new(Uuid::from_u128(n))
}
