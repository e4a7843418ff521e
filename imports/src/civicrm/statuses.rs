//! `membership_status`: which statuses there are, and the rules by which dates decide between them.
//!
//! The rules are data there and stay data here: each row's window becomes a [`StatusRule`]. Pending,
//! Cancelled and Deceased are facts of a membership here and no windows of dates, and a grace period is kept
//! with the plans.

use std::collections::HashMap;

use guildhall_aggregates::{
    membership::{Anchor, Boundary, MembershipStatus, StatusRule, StatusRules},
    membership_plan::GracePeriod,
};
use serde_json::json;

use super::{
    intake::Intake,
    table::{Row, Table},
};

/// The statuses of the export.
pub(super) struct Statuses {
    by_id: HashMap<u64, Status>,
    /// The rules its rows come to.
    pub(super) rules: StatusRules,
    /// How long its grace lasts.
    pub(super) grace: GracePeriod,
}

/// A status the export names.
pub(super) struct Status {
    /// Its name there.
    pub(super) name: String,
    /// What comes nearest here.
    pub(super) ours: MembershipStatus,
}

impl Statuses {
    pub(super) fn get(&self, id: u64) -> Option<&Status> {
        self.by_id.get(&id)
    }
}

/// Whether a status is a fact of the membership, whatever its dates.
pub(super) fn is_fact(status: MembershipStatus) -> bool {
    match status {
        MembershipStatus::Pending | MembershipStatus::Cancelled | MembershipStatus::Deceased => true,
        MembershipStatus::New | MembershipStatus::Current | MembershipStatus::Grace | MembershipStatus::Expired => {
            false
        }
    }
}

/// Takes the statuses, and orders their rules unless there are none.
pub(super) fn take(intake: &mut Intake<'_>, table: &Table) -> Statuses {
    let (mut by_id, mut weighed, mut rows) = (HashMap::new(), Vec::new(), Vec::new());
    let mut grace = GracePeriod::default();
    for row in table.rows() {
        let Some(name) = row.text("name") else {
            intake.refuse(row, "has no name");
            continue;
        };
        let (ours, mut remarks) = nearest(row, name);
        by_id.insert(row.id, Status { name: name.to_owned(), ours });
        let derived = !row.flag("is_admin") && (!table.has("is_active") || row.flag("is_active"));
        match window(row, ours) {
            Ok(Some(_)) if is_fact(ours) => remarks.push("is a fact here and not derived from dates".to_owned()),
            Ok(Some(mut rule)) if derived => {
                if let Some(period) = grace_period(&rule) {
                    grace = period;
                    rule.to = Some(on(Anchor::GraceEnd));
                }
                let weight: i64 = row.number("weight").ok().flatten().unwrap_or(i64::MAX);
                weighed.push((weight, row.id, rule));
            }
            Ok(_) => {}
            Err(reason) => remarks.push(format!("no rule is made of it: {reason}")),
        }
        rows.push(intake.take(row, remarks));
    }
    let rules = in_order(weighed);
    if rules.0.is_empty() {
        intake.report.note(table.name, "no rule can be made of it: the usual rules stand".to_owned());
        return Statuses { by_id, rules: StatusRules::default(), grace };
    }
    intake.order("ChangeStatusRules", (table.name, "all"), &rows, json!({ "rules": rules }));
    Statuses { by_id, rules, grace }
}

/// The status here that comes nearest to one of the export, and what is to be said about it.
fn nearest(row: Row<'_>, name: &str) -> (MembershipStatus, Vec<String>) {
    let ours = match name.to_lowercase().as_str() {
        "new" => MembershipStatus::New,
        "current" => MembershipStatus::Current,
        "grace" => MembershipStatus::Grace,
        "expired" => MembershipStatus::Expired,
        "pending" => MembershipStatus::Pending,
        "cancelled" | "canceled" => MembershipStatus::Cancelled,
        "deceased" => MembershipStatus::Deceased,
        _ => {
            let ours =
                if row.flag("is_current_member") { MembershipStatus::Current } else { MembershipStatus::Expired };
            return (ours, vec![format!("there is no such status here: it is taken for {}", word(ours))]);
        }
    };
    (ours, Vec::new())
}

/// The status as it is written.
pub(super) fn word(status: MembershipStatus) -> &'static str {
    status.into()
}

/// The window of dates in which the row's status holds. A row with neither side never holds.
fn window(row: Row<'_>, status: MembershipStatus) -> Result<Option<StatusRule>, String> {
    let from = boundary(row, ["start_event", "start_event_adjust_unit", "start_event_adjust_interval"])?;
    let to = boundary(row, ["end_event", "end_event_adjust_unit", "end_event_adjust_interval"])?;
    Ok((from.is_some() || to.is_some()).then_some(StatusRule { status, from, to }))
}

fn boundary(row: Row<'_>, [event, unit, interval]: [&str; 3]) -> Result<Option<Boundary>, String> {
    let anchor = match row.text(event) {
        None => return Ok(None),
        Some("join_date") => Anchor::Join,
        Some("start_date") => Anchor::Start,
        Some("end_date") => Anchor::End,
        Some(other) => return Err(format!("{event} {other:?} is not known")),
    };
    let count: i32 = row.number(interval)?.unwrap_or_default();
    if !(-1200..=1200).contains(&count) {
        return Err(format!("{interval} {count} is out of range"));
    }
    let (months, days) = match row.text(unit) {
        None => (0, 0),
        Some("day") => (0, count),
        Some("month") => (count, 0),
        Some("year") if (-100..=100).contains(&count) => (count * 12, 0),
        Some(other) => return Err(format!("{unit} {other:?} is not known")),
    };
    Ok(Some(Boundary { anchor, months, days }))
}

/// The rules by weight. A last one for what has expired says nothing: what no rule matches has expired.
fn in_order(mut weighed: Vec<(i64, u64, StatusRule)>) -> StatusRules {
    weighed.sort_by_key(|&(weight, id, _)| (weight, id));
    let mut rules: Vec<_> = weighed.into_iter().map(|(_, _, rule)| rule).collect();
    while rules.last().is_some_and(|rule| rule.status == MembershipStatus::Expired) {
        rules.pop();
    }
    StatusRules(rules)
}

/// The grace period, if the rule is one: grace from the end until some time after it.
fn grace_period(rule: &StatusRule) -> Option<GracePeriod> {
    let to = rule.to.filter(|to| to.anchor == Anchor::End && rule.from == Some(on(Anchor::End)))?;
    match (rule.status, u32::try_from(to.months).ok()?, u32::try_from(to.days).ok()?) {
        (MembershipStatus::Grace, 0, days) => Some(GracePeriod::Days(days)),
        (MembershipStatus::Grace, months, 0) => Some(GracePeriod::Months(months)),
        _ => None,
    }
}

fn on(anchor: Anchor) -> Boundary {
    Boundary { anchor, months: 0, days: 0 }
}
