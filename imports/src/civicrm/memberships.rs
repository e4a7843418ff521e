//! `membership`: who was a member of what, and when.

use chrono::NaiveDate;
use guildhall_aggregates::{
    MemberId, Money, PlanId,
    membership::{ImportedOverride, MembershipEvent, MembershipFacts, MembershipStatus, SoldPlan, StatusRules, Term},
    membership_plan::DurationUnit,
};
use serde_json::json;

use super::{
    contacts::{self, Members},
    intake::{Intake, source_of},
    links::Priced,
    plans::{Plan, Plans},
    statuses::{self, Statuses},
    table::{Row, Table},
};

/// Takes the memberships. The answer says what each one's payment should be.
pub(super) fn take(
    intake: &mut Intake<'_>,
    table: &Table,
    statuses: &Statuses,
    plans: &Plans,
    members: &Members,
) -> Priced {
    let mut priced = Priced::new();
    for row in table.rows() {
        match take_membership(intake, row, statuses, plans, members) {
            Ok(price) => {
                priced.insert(row.id, price);
            }
            Err(reason) => intake.refuse(row, reason),
        }
    }
    priced
}

fn take_membership(
    intake: &mut Intake<'_>,
    row: Row<'_>,
    statuses: &Statuses,
    plans: &Plans,
    members: &Members,
) -> Result<(u64, Money), String> {
    if row.flag("is_test") {
        return Err("is a test row".to_owned());
    }
    let contact = row.needed_number("contact_id")?;
    let member_id = contacts::member_id(members, contact)?;
    let plan_number = row.needed_number("membership_type_id")?;
    let plan = plans.get(&plan_number).ok_or_else(|| format!("membership_type {plan_number} is not imported"))?;
    let mut remarks = Vec::new();
    let (joined_on, term) = dates_of(row, plan, &mut remarks)?;
    let stored_id = row.needed_number("status_id")?;
    let stored = statuses.get(stored_id).ok_or_else(|| format!("membership_status {stored_id} is not imported"))?;
    let overridden = overridden(row, stored.ours, &mut remarks)?;
    if row.text("owner_membership_id").is_some() {
        remarks.push("was inherited from another membership there; it stands by itself here".to_owned());
    }
    let as_of = intake.options.as_of;
    let sold = SoldPlan { plan_id: PlanId::new(plan.id), version: 1, terms: plan.terms.clone() };
    let imported = MembershipEvent::MembershipImported {
        member_id: MemberId::new(member_id),
        plan: sold,
        joined_on,
        term,
        as_of,
        overridden,
        source: source_of(row),
    };
    let computed = status_on(&imported, &statuses.rules, as_of);
    if computed != Some(stored.ours) {
        let (name, computed) = (&stored.name, computed.map_or("none yet", statuses::word));
        remarks.push(format!("is stored as {name}; by its dates and the rules it is {computed} on {as_of}"));
    }
    let membership_id = intake.id_of(row.table, row.id);
    let index = intake.take(row, remarks);
    let body = json!({
        "membership_id": membership_id,
        "member_id": member_id,
        "plan_id": plan.id,
        "joined_on": joined_on,
        "term": term,
        "as_of": as_of,
        "overridden": overridden,
        "source": source_of(row),
    });
    intake.order("ImportMembership", (row.table, row.id), &[index], body);
    Ok((contact, plan.terms.fee))
}

/// The day of joining and the term. One of the first two dates may stand in for the other.
fn dates_of(row: Row<'_>, plan: &Plan, remarks: &mut Vec<String>) -> Result<(NaiveDate, Term), String> {
    let (joined_on, start) = match (row.date("join_date")?, row.date("start_date")?) {
        (Some(joined_on), Some(start)) => (joined_on, start),
        (Some(joined_on), None) => {
            remarks.push("has no start_date: it starts on its join_date".to_owned());
            (joined_on, joined_on)
        }
        (None, Some(start)) => {
            remarks.push("has no join_date: its start_date is taken".to_owned());
            (start, start)
        }
        (None, None) => return Err("has neither join_date nor start_date".to_owned()),
    };
    let end = row.date("end_date")?;
    if end.is_none() && plan.terms.duration_unit != DurationUnit::Lifetime {
        remarks.push("has no end_date, though its plan is not for life: it has no end here either".to_owned());
    }
    if end.is_some_and(|end| end < start) {
        remarks.push("ends before it starts".to_owned());
    }
    Ok((joined_on, Term { number: 1, start, end }))
}

/// A status that holds whatever the dates say: one set by hand there, or one that is a fact.
fn overridden(
    row: Row<'_>,
    status: MembershipStatus,
    remarks: &mut Vec<String>,
) -> Result<Option<ImportedOverride>, String> {
    if row.flag("is_override") {
        return Ok(Some(ImportedOverride { status, until: row.date("status_override_end_date")? }));
    }
    if statuses::is_fact(status) {
        remarks.push(format!("is stored as {}: the status is kept until somebody clears it", statuses::word(status)));
        return Ok(Some(ImportedOverride { status, until: None }));
    }
    Ok(None)
}

/// The status of a membership that was imported like this, by the rules that will hold for it here.
fn status_on(imported: &MembershipEvent, rules: &StatusRules, date: NaiveDate) -> Option<MembershipStatus> {
    let mut facts = None;
    MembershipFacts::fold(&mut facts, imported);
    facts?.status_on(rules, date)
}
