//! Statuses, the rules they follow from, and terms.

use guildhall_aggregates::membership::{
    Anchor, Boundary, ImportedOverride, MembershipStatus, StatusRule, StatusRules, Term,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Day;

/// Where a membership stands on a date.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
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

/// A date of a membership that a status window hangs on.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DateOf {
    /// The day of joining.
    Join,
    /// The first day of the membership.
    Start,
    /// The last day of the latest term.
    End,
    /// The last day of grace.
    GraceEnd,
}

/// A date, moved by whole months and then by days.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// What it hangs on.
    pub anchor: DateOf,
    /// Calendar months to add: -1200 to 1200.
    #[serde(default, deserialize_with = "months")]
    #[schema(minimum = -1200, maximum = 1200)]
    pub months: i32,
    /// Days to add, after the months: -36500 to 36500.
    #[serde(default, deserialize_with = "days")]
    #[schema(minimum = -36500, maximum = 36500)]
    pub days: i32,
}

fn months<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    within(deserializer, 1200)
}

fn days<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    within(deserializer, 36_500)
}

fn within<'de, D: serde::Deserializer<'de>>(deserializer: D, most: i32) -> Result<i32, D::Error> {
    let value = i32::deserialize(deserializer)?;
    if (-most..=most).contains(&value) {
        return Ok(value);
    }
    Err(serde::de::Error::custom(format!("must be -{most} to {most}")))
}

/// "This status holds from … to …", both days included. A side that is not given is open.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The status.
    pub status: Status,
    /// First day.
    pub from: Option<Edge>,
    /// Last day.
    pub to: Option<Edge>,
}

/// One span of a membership.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// 1 for the first, counting up; 1 where not given.
    #[serde(default = "first")]
    #[schema(minimum = 1)]
    pub number: u32,
    /// First day.
    pub start: Day,
    /// Last day; left out for life.
    pub end: Option<Day>,
}

fn first() -> u32 {
    1
}

/// A status that was set by hand in the system a membership came from.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The status.
    pub status: Status,
    /// The last day it holds; until cleared where not given.
    pub until: Option<Day>,
}

impl From<Status> for MembershipStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::New => Self::New,
            Status::Current => Self::Current,
            Status::Grace => Self::Grace,
            Status::Expired => Self::Expired,
            Status::Pending => Self::Pending,
            Status::Cancelled => Self::Cancelled,
            Status::Deceased => Self::Deceased,
        }
    }
}

impl From<Edge> for Boundary {
    fn from(edge: Edge) -> Self {
        let anchor = match edge.anchor {
            DateOf::Join => Anchor::Join,
            DateOf::Start => Anchor::Start,
            DateOf::End => Anchor::End,
            DateOf::GraceEnd => Anchor::GraceEnd,
        };
        Self { anchor, months: edge.months, days: edge.days }
    }
}

/// The rules in the order they are given.
pub fn status_rules(rules: Vec<Rule>) -> StatusRules {
    let rule = |rule: Rule| StatusRule {
        status: rule.status.into(),
        from: rule.from.map(Into::into),
        to: rule.to.map(Into::into),
    };
    StatusRules(rules.into_iter().map(rule).collect())
}

impl From<Span> for Term {
    fn from(span: Span) -> Self {
        Self { number: span.number, start: span.start.0, end: span.end.map(|Day(day)| day) }
    }
}

impl From<Override> for ImportedOverride {
    fn from(set: Override) -> Self {
        Self { status: set.status.into(), until: set.until.map(|Day(day)| day) }
    }
}
