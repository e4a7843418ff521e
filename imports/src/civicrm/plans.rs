//! `membership_type`: the plans memberships are of.

use std::collections::{BTreeMap, HashSet};

use guildhall_aggregates::{
    Money,
    membership_plan::{DurationUnit, GracePeriod, MonthDay, Period, PlanTerms, Proration},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    intake::{Intake, source_of},
    table::{Row, Table},
};
use crate::report::RowIndex;

/// The plans that are taken, by the ids of the export.
pub(super) type Plans = BTreeMap<u64, Plan>;

/// A plan that is taken.
pub(super) struct Plan {
    pub(super) id: Uuid,
    pub(super) terms: PlanTerms,
    offered: bool,
    row: RowIndex,
}

/// Takes the plans.
pub(super) fn take(intake: &mut Intake<'_>, table: &Table, grace: GracePeriod) -> Plans {
    let (mut plans, mut codes) = (Plans::new(), HashSet::new());
    for row in table.rows() {
        let mut remarks = Vec::new();
        let terms = match terms_of(intake, row, grace, &mut remarks) {
            Ok(terms) => terms,
            Err(reason) => {
                intake.refuse(row, reason);
                continue;
            }
        };
        let mut code = code_of(&terms.name);
        if !codes.insert(code.clone()) {
            code = format!("{code}-{}", row.id);
            remarks.push("another plan has the same name: its code ends in its id".to_owned());
            codes.insert(code.clone());
        }
        let id = intake.id_of(table.name, row.id);
        let offered = !table.has("is_active") || row.flag("is_active");
        let index = intake.take(row, remarks);
        let body = json!({ "plan_id": id, "code": code, "terms": terms, "source": source_of(row) });
        intake.order("CreatePlan", (table.name, row.id), &[index], body);
        plans.insert(row.id, Plan { id, terms, offered, row: index });
    }
    plans
}

/// Retires the plans that are no longer offered; after the memberships, which need them.
pub(super) fn retire(intake: &mut Intake<'_>, plans: &Plans) {
    for (id, plan) in plans.iter().filter(|(_, plan)| !plan.offered) {
        intake.order("RetirePlan", ("membership_type", id), &[plan.row], json!({ "plan_id": plan.id }));
    }
}

fn terms_of(
    intake: &Intake<'_>,
    row: Row<'_>,
    grace: GracePeriod,
    remarks: &mut Vec<String>,
) -> Result<PlanTerms, String> {
    let currency = intake.options.currency;
    let name = row.line("name")?.ok_or("has no name")?;
    let fee = row.amount("minimum_fee", currency)?.unwrap_or_else(|| Money::zero(currency));
    if fee.minor < 0 {
        return Err("the fee is negative".to_owned());
    }
    let duration_unit = match row.text("duration_unit").ok_or("duration_unit is empty")? {
        "day" => DurationUnit::Day,
        "month" => DurationUnit::Month,
        "year" => DurationUnit::Year,
        "lifetime" => DurationUnit::Lifetime,
        other => return Err(format!("duration_unit {other:?} is not known")),
    };
    let duration_interval = match (row.number("duration_interval")?, duration_unit) {
        (None, DurationUnit::Lifetime) => 1,
        (None, _) => return Err("duration_interval is empty".to_owned()),
        (Some(interval), _) => interval,
    };
    let period = period_of(row, duration_unit, remarks)?;
    let inherited_by_max = row.number("max_related")?;
    if row.text("relationship_type_id").is_some() && inherited_by_max.is_none() {
        remarks.push("related contacts inherit without a limit there; here nobody inherits".to_owned());
    }
    Ok(PlanTerms {
        name,
        fee,
        duration_unit,
        duration_interval,
        period,
        grace,
        renewal_window: None,
        approval_required: false,
        proration: Proration::None,
        benefits: Vec::new(),
        inherited_by_max,
    })
}

/// When terms begin. A start day is written as month and day in one number: 101 is 1 January.
fn period_of(row: Row<'_>, unit: DurationUnit, remarks: &mut Vec<String>) -> Result<Period, String> {
    match (row.text("period_type"), unit) {
        (Some("fixed"), DurationUnit::Year) => {
            let start = month_day(row, "fixed_period_start_day")?;
            let rollover = month_day(row, "fixed_period_rollover_day")?;
            Ok(Period::FixedYear { start, rollover })
        }
        (Some("fixed"), DurationUnit::Month) => {
            let rollover_day = row.needed_number("fixed_period_rollover_day")?;
            let rollover_day = u32::try_from(rollover_day).ok().filter(|day| (1..=31).contains(day));
            let rollover_day = rollover_day.ok_or("fixed_period_rollover_day is not a day of the month")?;
            Ok(Period::FixedMonth { rollover_day })
        }
        (Some("fixed"), DurationUnit::Day | DurationUnit::Lifetime) => {
            remarks.push("terms of days or for life begin on the day of joining, not on a fixed day".to_owned());
            Ok(Period::Rolling)
        }
        (Some("rolling"), _) => Ok(Period::Rolling),
        (None, _) => Err("period_type is empty".to_owned()),
        (Some(other), _) => Err(format!("period_type {other:?} is not known")),
    }
}

fn month_day(row: Row<'_>, column: &str) -> Result<MonthDay, String> {
    let number = row.needed_number(column)?;
    let part = |value: u64, last: u32| u32::try_from(value).ok().filter(|part| (1..=last).contains(part));
    match (part(number / 100, 12), part(number % 100, 31)) {
        (Some(month), Some(day)) => Ok(MonthDay { month, day }),
        _ => Err(format!("{column} {number} is not a month and day such as 101 for 1 January")),
    }
}

/// A short form of a name for use in addresses and filters: `Friends & Family` is `friends-family`.
pub(super) fn code_of(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let code = words.collect::<Vec<_>>().join("-").to_lowercase();
    if code.is_empty() { "other".to_owned() } else { code.chars().take(64).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_name_in_small_letters_and_digits() {
        assert_eq!(code_of("Friends & Family"), "friends-family");
        assert_eq!(code_of("Tiny-tots (ages 5-8)"), "tiny-tots-ages-5-8");
        assert_eq!(code_of("Fördermitglied"), "fördermitglied");
        assert_eq!(code_of("—"), "other");
    }
}
