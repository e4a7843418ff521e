//! Money and what a membership plan says.

use guildhall_aggregates::{
    Money,
    membership_plan::{DurationUnit, GracePeriod, MonthDay, Period, PlanTerms, Proration, RenewalWindow},
    money::Currency,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Line;

/// An amount in whole minor units of one currency.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// The amount in minor units: cents, pence, yen.
    #[schema(example = 12_500)]
    pub minor: i64,
    /// The ISO 4217 currency.
    #[schema(value_type = String, example = "USD", pattern = "^[A-Z]{3}$")]
    pub currency: Currency,
}

impl From<Amount> for Money {
    fn from(amount: Amount) -> Self {
        Self::new(amount.minor, amount.currency)
    }
}

/// The unit a term is counted in.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duration {
    /// Days.
    Day,
    /// Calendar months.
    Month,
    /// Calendar years.
    Year,
    /// For life: the term has no end.
    Lifetime,
}

/// A day of the year.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DayOfYear {
    /// 1 to 12.
    #[schema(minimum = 1, maximum = 12)]
    pub month: u32,
    /// 1 to 31.
    #[schema(minimum = 1, maximum = 31)]
    pub day: u32,
}

/// When terms begin.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TermStart {
    /// On the day of joining.
    Rolling {},
    /// On one day of the year for everyone.
    FixedYear {
        /// The day terms begin.
        start: DayOfYear,
        /// The day from which joining counts for the next term as well.
        rollover: DayOfYear,
    },
    /// On the first of the month.
    FixedMonth {
        /// The day of the month from which joining counts for the next month as well.
        #[schema(minimum = 1, maximum = 31)]
        rollover_day: u32,
    },
}

/// How long after its end a membership is still in grace.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(tag = "unit", content = "count", rename_all = "snake_case", deny_unknown_fields)]
pub enum Grace {
    /// A number of days.
    Days(u32),
    /// A number of calendar months.
    Months(u32),
}

/// How a fee is reduced for a part of a term.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ProrationRule {
    /// It is not.
    None {},
    /// A twelfth of the fee for each remaining month.
    ByMonth {},
    /// By days; the day of joining counts.
    ByDay {},
    /// A percentage of the fee for each month of joining.
    ByBand {
        /// Twelve percentages, 0 to 100, January first.
        #[schema(value_type = Vec<u8>, min_items = 12, max_items = 12)]
        percent: [u8; 12],
    },
}

/// Days around the end of a term in which it may be renewed.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Days before the end.
    pub days_before: u32,
    /// Days after the end.
    pub days_after: u32,
}

/// All that a plan says.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Its name.
    #[schema(example = "Professional")]
    pub name: Line,
    /// What one term costs.
    pub fee: Amount,
    /// What a term is counted in.
    pub duration_unit: Duration,
    /// How many units make one term; 1 where not given.
    #[serde(default = "one")]
    #[schema(minimum = 1)]
    pub duration_interval: u32,
    /// When terms begin; on the day of joining where not given.
    #[serde(default = "rolling")]
    pub period: TermStart,
    /// How long after the end a membership is in grace; one month where not given.
    pub grace: Option<Grace>,
    /// When it may be renewed; at any time where not given.
    pub renewal_window: Option<Window>,
    /// Whether someone has to approve an application.
    #[serde(default)]
    pub approval_required: bool,
    /// How the fee is reduced for a part of a term; not at all where not given.
    #[serde(default = "not_prorated")]
    pub proration: ProrationRule,
    /// What members of the plan get, as people read it; at most 50.
    #[serde(default, deserialize_with = "super::at_most::<50, _, _>")]
    #[schema(max_items = 50)]
    pub benefits: Vec<Line>,
    /// How many related contacts may inherit a membership; none where not given.
    pub inherited_by_max: Option<u32>,
}

fn one() -> u32 {
    1
}

fn rolling() -> TermStart {
    TermStart::Rolling {}
}

fn not_prorated() -> ProrationRule {
    ProrationRule::None {}
}

impl From<DayOfYear> for MonthDay {
    fn from(day: DayOfYear) -> Self {
        Self { month: day.month, day: day.day }
    }
}

impl From<TermStart> for Period {
    fn from(start: TermStart) -> Self {
        match start {
            TermStart::Rolling {} => Self::Rolling,
            TermStart::FixedYear { start, rollover } => {
                Self::FixedYear { start: start.into(), rollover: rollover.into() }
            }
            TermStart::FixedMonth { rollover_day } => Self::FixedMonth { rollover_day },
        }
    }
}

impl From<Grace> for GracePeriod {
    fn from(grace: Grace) -> Self {
        match grace {
            Grace::Days(count) => Self::Days(count),
            Grace::Months(count) => Self::Months(count),
        }
    }
}

impl From<ProrationRule> for Proration {
    fn from(rule: ProrationRule) -> Self {
        match rule {
            ProrationRule::None {} => Self::None,
            ProrationRule::ByMonth {} => Self::ByMonth,
            ProrationRule::ByDay {} => Self::ByDay,
            ProrationRule::ByBand { percent } => Self::ByBand { percent },
        }
    }
}

impl From<Duration> for DurationUnit {
    fn from(unit: Duration) -> Self {
        match unit {
            Duration::Day => Self::Day,
            Duration::Month => Self::Month,
            Duration::Year => Self::Year,
            Duration::Lifetime => Self::Lifetime,
        }
    }
}

impl From<Terms> for PlanTerms {
    fn from(terms: Terms) -> Self {
        Self {
            name: terms.name.into(),
            fee: terms.fee.into(),
            duration_unit: terms.duration_unit.into(),
            duration_interval: terms.duration_interval,
            period: terms.period.into(),
            grace: terms.grace.map(Into::into).unwrap_or_default(),
            renewal_window: terms
                .renewal_window
                .map(|window| RenewalWindow { days_before: window.days_before, days_after: window.days_after }),
            approval_required: terms.approval_required,
            proration: terms.proration.into(),
            benefits: terms.benefits.into_iter().map(Into::into).collect(),
            inherited_by_max: terms.inherited_by_max,
        }
    }
}
