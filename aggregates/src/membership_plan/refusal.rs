//! Why a plan says no.

use strum::IntoStaticStr;

/// Why a command to a plan is refused. The name in kebab case is stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum PlanRefusal {
    /// There is no such plan.
    #[error("there is no such membership plan")]
    PlanUnknown,
    /// There is a plan with this identity, and it says something else.
    #[error("the plan exists and says something else: revise it instead")]
    PlanAlreadyExists,
    /// It is no longer offered.
    #[error("the plan is retired")]
    PlanRetired,
    /// A code is needed.
    #[error("a plan needs a code")]
    CodeMissing,
    /// A name is needed.
    #[error("a plan needs a name")]
    NameMissing,
    /// Nobody is paid for being a member.
    #[error("the fee must not be negative")]
    FeeNegative,
    /// The interval is nothing, or longer than anyone lives.
    #[error("a term must be 1 to {most} units long")]
    IntervalOutOfRange {
        /// The longest interval.
        most: u32,
    },
    /// Fixed years need terms of years, fixed months terms of months.
    #[error("a period fixed by the year needs terms in years, one fixed by the month terms in months")]
    PeriodDoesNotFit,
    /// A start or rollover day is no day of a calendar.
    #[error("start and rollover days need a month from 1 to 12 and a day from 1 to 31")]
    DayOutOfRange,
    /// A share of the fee is more than all of it.
    #[error("a percentage must be 0 to 100")]
    PercentOutOfRange,
    /// The grace period is longer than a plan may give.
    #[error("the grace period may be at most {most_days} days or {most_months} months")]
    GraceTooLong {
        /// In days.
        most_days: u32,
        /// In months.
        most_months: u32,
    },
    /// The renewal window is longer than a plan may give.
    #[error("the renewal window may reach at most {most} days to either side")]
    RenewalWindowTooLong {
        /// In days.
        most: u32,
    },
    /// More benefits than anyone reads.
    #[error("a plan may name at most {most} benefits")]
    TooManyBenefits {
        /// How many there may be.
        most: usize,
    },
}
