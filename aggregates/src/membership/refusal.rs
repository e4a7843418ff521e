//! Why a membership says no.

use chrono::NaiveDate;
use strum::IntoStaticStr;

use super::BeyondCalendar;
use crate::money::MoneyError;

/// Why a command to a membership is refused. The name in kebab case is stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum MembershipRefusal {
    /// Nobody applied for it.
    #[error("there is no such membership: apply for one first")]
    MembershipUnknown,
    /// There is a membership with this identity, and it is another one.
    #[error("the membership exists, for another member, plan or date")]
    MembershipAlreadyExists,
    /// Terms are bought one or a few at a time.
    #[error("ask for 1 to {most} terms")]
    TermsOutOfRange {
        /// How many may be bought at once.
        most: u32,
    },
    /// The term would end beyond the calendar.
    #[error(transparent)]
    TermTooLong(#[from] BeyondCalendar),
    /// Somebody has to agree first.
    #[error("the application is not approved yet")]
    ApprovalOutstanding,
    /// Somebody declined the application.
    #[error("the application was declined: apply anew")]
    ApplicationDeclined,
    /// It ended before its time.
    #[error("the membership is cancelled: apply anew")]
    MembershipIsCancelled,
    /// Its first term runs already.
    #[error("the membership is active already")]
    AlreadyActive,
    /// Its first term does not run yet.
    #[error("the membership is pending: it is not paid or not approved yet")]
    NotActive,
    /// It is for life.
    #[error("the membership has no end and needs no renewal")]
    HasNoEnd,
    /// It is too early or too late to renew.
    #[error("the membership can be renewed from {from} to {to}")]
    OutsideRenewalWindow {
        /// The first day it can be renewed.
        from: NaiveDate,
        /// The last day it can be renewed.
        to: NaiveDate,
    },
    /// A renewal is for the plan the membership is of.
    #[error("the membership is of another plan: change the plan instead")]
    PlanDiffers,
    /// A renewal on other conditions waits for its payment.
    #[error("a renewal on other conditions waits for its payment")]
    RenewalOutstanding,
    /// Nobody asked for the renewal that was paid.
    #[error("no renewal waits for a payment")]
    NoRenewalRequested,
    /// Only a running term has an unused part.
    #[error("no term runs on that day: renew the membership instead")]
    NoTermRunning,
    /// The override would be over before it holds.
    #[error("an override cannot end before today")]
    OverrideInThePast,
    /// The amounts cannot be computed with.
    #[error(transparent)]
    Money(#[from] MoneyError),
}
