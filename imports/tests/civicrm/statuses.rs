//! The rules of `membership_status`, against an evaluation of that table that shares nothing with ours.

use std::{collections::HashMap, path::Path};

use chrono::{Datelike, Months, NaiveDate};
use guildhall_aggregates::{
    MemberId, PlanId, SourceRef,
    membership::{MembershipEvent, MembershipFacts, MembershipStatus, SoldPlan, StatusRules, Term},
};
use guildhall_imports::Import;
use proptest::prelude::*;
use serde_json::Value;

use crate::export::{Export, body, day, find, remarks, row};

/// A row of any table, by the names of its columns.
type Row = HashMap<String, String>;

/// The rows of a file, as they stand there.
pub(crate) fn rows(path: &Path) -> Vec<Row> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

/// What the table gives for a membership, as its source evaluates it: the active rules by weight, those set
/// by hand left out; a side counts only when its event has a date; a rule without a date never holds.
pub(crate) fn by_the_table(table: &[Row], membership: &Row, date: NaiveDate) -> Option<String> {
    let dated = |rule: &Row, side: &str| -> Option<NaiveDate> {
        let from: NaiveDate = membership.get(&rule[&format!("{side}_event")])?.parse().ok()?;
        let count: i32 = rule[&format!("{side}_event_adjust_interval")].parse().unwrap_or_default();
        Some(match rule[&format!("{side}_event_adjust_unit")].as_str() {
            "day" => from + chrono::Days::new(u64::try_from(count).unwrap()),
            "month" => later(from, count),
            "year" => later(from, count * 12),
            _ => from,
        })
    };
    let mut rules: Vec<_> = table.iter().filter(|rule| rule["is_active"] == "1" && rule["is_admin"] != "1").collect();
    rules.sort_by_key(|rule| rule["weight"].parse::<i32>().unwrap());
    let holds = |rule: &&&Row| match (dated(rule, "start"), dated(rule, "end")) {
        (None, None) => false,
        (from, to) => from.is_none_or(|from| from <= date) && to.is_none_or(|to| date <= to),
    };
    rules.iter().find(holds).map(|rule| rule["name"].clone())
}

/// Months later; days the month does not have run on into the next.
fn later(from: NaiveDate, months: i32) -> NaiveDate {
    let first = from.with_day(1).unwrap() + Months::new(u32::try_from(months).unwrap());
    first + chrono::Days::new(u64::from(from.day0()))
}

/// What an imported membership is here on a date, by the plan and the rules that came with it.
pub(crate) fn by_our_rules(import: &Import, membership: u64, date: NaiveDate) -> MembershipStatus {
    let request = body(import, "ImportMembership", "membership", membership);
    let plan =
        import.lines.iter().find(|line| line.command == "CreatePlan" && line.body["plan_id"] == request["plan_id"]);
    let read = |value: &Value| value.clone();
    let imported = MembershipEvent::MembershipImported {
        member_id: serde_json::from_value::<MemberId>(read(&request["member_id"])).unwrap(),
        plan: SoldPlan {
            plan_id: serde_json::from_value::<PlanId>(read(&request["plan_id"])).unwrap(),
            version: 1,
            terms: serde_json::from_value(read(&plan.unwrap().body["terms"])).unwrap(),
        },
        joined_on: serde_json::from_value(read(&request["joined_on"])).unwrap(),
        term: serde_json::from_value::<Term>(read(&request["term"])).unwrap(),
        as_of: serde_json::from_value(read(&request["as_of"])).unwrap(),
        overridden: serde_json::from_value(read(&request["overridden"])).unwrap(),
        source: serde_json::from_value::<SourceRef>(read(&request["source"])).unwrap(),
    };
    let mut facts = None;
    MembershipFacts::fold(&mut facts, &imported);
    facts.unwrap().status_on(&rules_of(import), date).unwrap()
}

/// The rules an import brings along.
pub(crate) fn rules_of(import: &Import) -> StatusRules {
    let line = import.lines.iter().find(|line| line.command == "ChangeStatusRules");
    line.map_or_else(StatusRules::default, |line| serde_json::from_value(line.body["rules"].clone()).unwrap())
}

#[test]
fn the_rules_as_the_source_installs_them_are_our_usual_ones() {
    let import = Export::of_the_ringers().read();
    assert_eq!(rules_of(&import), StatusRules::default());
    assert_eq!(import.lines[0].command, "ChangeStatusRules");
}

#[test]
fn a_status_that_the_dates_contradict_is_reported_with_both() {
    let import = Export::of_the_ringers().read();
    let said = "is stored as New; by its dates and the rules it is grace on 2026-06-30";
    assert_eq!(remarks(&import, "membership", 5), said);
    assert_eq!(by_our_rules(&import, 5, day("2026-06-30")), MembershipStatus::Grace);
}

#[test]
fn a_status_set_by_hand_is_kept_and_so_is_one_that_is_a_fact() {
    let import = Export::of_the_ringers().read();
    let overridden = |id| body(&import, "ImportMembership", "membership", id)["overridden"].clone();
    assert_eq!(overridden(6), serde_json::json!({ "status": "current", "until": "2026-12-31" }));
    assert_eq!(overridden(7), serde_json::json!({ "status": "cancelled" }));
    assert_eq!(overridden(3), Value::Null);
    assert!(row(&import, "membership", 6).reasons.is_empty());
    assert!(remarks(&import, "membership", 7).starts_with("is stored as cancelled"));
}

#[test]
fn a_table_without_usable_rules_leaves_the_usual_ones() {
    let export = Export::of_the_ringers();
    export.write(
        "membership_status",
        "id,name,start_event,end_event\n1,New,birthday,\n2,Current,,\n4,Expired,,\n6,Cancelled,,\n",
    );
    let import = export.read();
    assert_eq!(find(&import, "ChangeStatusRules", "membership_status", 1), None);
    assert_eq!(rules_of(&import), StatusRules::default());
    assert_eq!(import.report.tables["membership_status"].notes.len(), 1);
    assert!(remarks(&import, "membership_status", 1).contains("start_event \"birthday\" is not known"));
}

#[test]
fn a_status_that_only_people_set_makes_no_rule() {
    let export = Export::of_the_ringers();
    export.replace(
        "membership_status",
        "2,Current,Aktiv,start_date,,,end_date,,,1,0",
        "2,Current,Aktiv,start_date,,,end_date,,,1,1",
    );
    assert_eq!(rules_of(&export.read()).0.len(), 2);
}

/// A table of rules: New until some months after joining, Current, Grace for a while, Expired.
fn a_table() -> impl Strategy<Value = String> {
    let unit = || prop::sample::select(vec!["day", "month", "year"]);
    (unit(), 1..20, unit(), 1..20, any::<bool>()).prop_map(|(new, first, late, grace, swapped)| {
        let (new_weight, current_weight) = if swapped { (2, 1) } else { (1, 2) };
        format!(
            "id,name,start_event,start_event_adjust_unit,start_event_adjust_interval,end_event,\
             end_event_adjust_unit,end_event_adjust_interval,is_admin,weight,is_active\n\
             1,New,join_date,,,join_date,{new},{first},0,{new_weight},1\n\
             2,Current,start_date,,,end_date,,,0,{current_weight},1\n\
             3,Grace,end_date,,,end_date,{late},{grace},0,3,1\n\
             4,Expired,end_date,{late},{grace},,,,0,4,1\n\
             6,Cancelled,join_date,,,join_date,,,0,6,0\n"
        )
    })
}

proptest! {
    #[test]
    fn any_table_of_rules_gives_the_same_status_here_on_any_date(
        table in a_table(),
        start in 0_u64..2000,
        length in 0_u64..900,
        lifelong in any::<bool>(),
        after in 0_u64..3000,
    ) {
        let joined = day("2015-01-31") + chrono::Days::new(start);
        let end = (!lifelong).then(|| joined + chrono::Days::new(length));
        let end_text = end.map(|end| end.to_string()).unwrap_or_default();
        let date = joined + chrono::Days::new(after);
        let export = Export::of_the_ringers();
        export.write("membership_status", table);
        export.write(
            "membership",
            format!("id,contact_id,membership_type_id,join_date,start_date,end_date,status_id\n1,2,1,{joined},{joined},{end_text},4\n"),
        );
        let membership = &rows(&export.path("membership"))[0];
        let theirs = by_the_table(&rows(&export.path("membership_status")), membership, date);
        let ours: &str = by_our_rules(&export.read(), 1, date).into();
        prop_assert_eq!(theirs.map(|name| name.to_lowercase()), Some(ours.to_owned()));
    }
}
