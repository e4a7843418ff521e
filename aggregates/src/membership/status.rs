//! The words of membership status, and the windows an association derives it by.

use chrono::{Days, NaiveDate, TimeDelta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

use super::term::add_months;
use crate::membership_plan::GracePeriod;

/// Where a membership stands on a date.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    EnumString,
    EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MembershipStatus {
    /// In its first months.
    New,
    /// Running.
    Current,
    /// Ended, and still treated as current for a while.
    Grace,
    /// Ended.
    Expired,
    /// Not paid or not approved yet.
    Pending,
    /// Ended before its time, or declined.
    Cancelled,
    /// The member has died.
    Deceased,
}

impl MembershipStatus {
    /// Whether a membership of this status counts as one: new, current or in grace. Decides the member
    /// price and whether a renewal goes on or begins anew.
    pub const fn is_current(self) -> bool {
        matches!(self, Self::New | Self::Current | Self::Grace)
    }
}

/// A date of a membership that a status window hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The day of joining.
    Join,
    /// The first day of the membership.
    Start,
    /// The last day of the latest term.
    End,
    /// The last day of grace: the end and the plan's grace period.
    GraceEnd,
}

/// A date, moved by whole months and then by days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Boundary {
    /// What it hangs on.
    pub anchor: Anchor,
    /// Calendar months to add; surplus days run on into the next month.
    #[serde(default)]
    pub months: i32,
    /// Days to add, after the months.
    #[serde(default)]
    pub days: i32,
}

/// "This status holds from … to …", both days included. A side that is not given is open, and so is the last
/// day where the membership has no such date; what begins on a date it does not have never holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusRule {
    /// The status.
    pub status: MembershipStatus,
    /// First day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Boundary>,
    /// Last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Boundary>,
}

/// The status rules of an association, in order: the first that matches wins; none matching is `Expired`.
/// Pending, Cancelled and Deceased are facts and come before all rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StatusRules(pub Vec<StatusRule>);

impl Default for StatusRules {
    /// New: join to join + 3 months. Current: start to end. Grace: end to the end of grace.
    fn default() -> Self {
        let on = |anchor| Some(Boundary { anchor, months: 0, days: 0 });
        let three_months_in = Some(Boundary { anchor: Anchor::Join, months: 3, days: 0 });
        Self(vec![
            StatusRule { status: MembershipStatus::New, from: on(Anchor::Join), to: three_months_in },
            StatusRule { status: MembershipStatus::Current, from: on(Anchor::Start), to: on(Anchor::End) },
            StatusRule { status: MembershipStatus::Grace, from: on(Anchor::End), to: on(Anchor::GraceEnd) },
        ])
    }
}

impl Boundary {
    /// The day moved as the boundary says; a day beyond the calendar is the calendar's own end.
    pub(super) fn moved(self, day: NaiveDate) -> NaiveDate {
        let moved = add_months(day, i64::from(self.months))
            .and_then(|day| day.checked_add_signed(TimeDelta::days(i64::from(self.days))));
        let backwards = self.months < 0 || (self.months == 0 && self.days < 0);
        moved.unwrap_or(if backwards { NaiveDate::MIN } else { NaiveDate::MAX })
    }
}

impl GracePeriod {
    /// The last day of grace of a term that ends on `end`.
    pub(super) fn after(self, end: NaiveDate) -> NaiveDate {
        let last = match self {
            Self::Days(days) => end.checked_add_days(Days::new(u64::from(days))),
            Self::Months(months) => add_months(end, i64::from(months)),
        };
        last.unwrap_or(NaiveDate::MAX)
    }
}
