//! What becomes of an export in good order.

use std::collections::{HashMap, HashSet};

use guildhall_aggregates::{ids::derived, tenant_of_slug};
use guildhall_imports::{Verdict, civicrm};
use serde_json::{Value, json};

use crate::export::{Export, body, find, options, remarks, row};

fn id(table: &str, id: u64) -> String {
    derived(tenant_of_slug("bell-ringers").uuid(), &["civicrm", table, &id.to_string()]).to_string()
}

#[test]
fn every_row_has_a_verdict() {
    let import = Export::of_the_ringers().read();
    let tables = [
        ("address", 2),
        ("contact", 8),
        ("contribution", 7),
        ("email", 4),
        ("event", 3),
        ("membership", 8),
        ("membership_status", 7),
        ("membership_type", 4),
        ("participant", 6),
        ("participant_status_type", 8),
        ("phone", 2),
        ("relationship", 4),
        ("relationship_type", 2),
    ];
    let counted: Vec<_> = import.report.tables.iter().map(|(name, table)| (*name, table.rows)).collect();
    assert_eq!(counted, tables);
    for table in import.report.tables.values() {
        assert_eq!(table.taken + table.adjusted + table.refused, table.rows);
    }
    assert!(import.report.rows.iter().all(|row| (row.verdict == Verdict::Taken) == row.reasons.is_empty()));
}

#[test]
fn tables_that_are_not_imported_are_counted_with_a_reason() {
    let left_out = Export::of_the_ringers().read().report.left_out;
    let counted: Vec<_> = left_out.iter().map(|table| (table.table.as_str(), table.rows)).collect();
    assert_eq!(counted, [("activity", 2), ("membership_payment", 3), ("participant_payment", 2), ("survey", 1)]);
    assert!(left_out.iter().all(|table| !table.reason.is_empty()));
}

#[test]
fn a_contact_becomes_a_member_who_is_reached_at_the_primary_address() {
    let import = Export::of_the_ringers().read();
    let expected = json!({
        "member_id": id("contact", 2),
        "kind": "person",
        "name": { "display": "Ms. Wilma J. Quill", "first": "Wilma", "middle": "J.", "last": "Quill" },
        "contact": {
            "email": "Wilma@example.org",
            "phone": "01632 960001 ext. 12",
            "address": {
                "lines": ["1 Belfry Lane"],
                "city": "Exampleton",
                "region": null,
                "postal_code": "EX1 1AA",
                "country": null,
            },
        },
        "email_shared": false,
        "birth_date": "1961-04-30",
        "source": { "system": "civicrm", "table": "contact", "id": "2" },
    });
    assert_eq!(body(&import, "RegisterMember", "contact", 2), &expected);
    assert_eq!(row(&import, "email", 2).verdict, Verdict::Taken);
    assert_eq!(remarks(&import, "email", 1), "a member has one here, and another row of the contact comes first");
    assert_eq!(remarks(&import, "email", 4), "belongs to no contact");
    assert_eq!(body(&import, "ChangeProfile", "contact", 2)["profile"], json!({ "job_title": "Tower Captain" }));
}

#[test]
fn states_and_countries_have_names_when_the_export_names_them() {
    let export = Export::of_the_ringers();
    let notes = |import: &guildhall_imports::Import| import.report.tables["address"].notes.len();
    assert_eq!(notes(&export.read()), 1);
    export.write("state_province", "id,name\n2717,Devon\n").write("country", "id,name,iso_code\n1226,England,GB\n");
    let import = export.read();
    let address = &body(&import, "RegisterMember", "contact", 2)["contact"]["address"];
    assert_eq!((&address["region"], &address["country"]), (&json!("Devon"), &json!("GB")));
    assert_eq!(notes(&import), 0);
}

#[test]
fn organizations_and_households_are_members_of_their_kind() {
    let import = Export::of_the_ringers().read();
    assert_eq!(body(&import, "RegisterMember", "contact", 6)["kind"], "household");
    assert_eq!(body(&import, "RegisterMember", "contact", 7)["kind"], "organization");
}

#[test]
fn who_works_where_is_known_by_employer_and_by_relationship() {
    let import = Export::of_the_ringers().read();
    for employee in [2, 5] {
        let organizations = &body(&import, "ChangeAffiliations", "contact", employee)["organizations"];
        assert_eq!(organizations, &json!([id("contact", 7)]));
    }
    assert_eq!(remarks(&import, "relationship", 3), "has ended; only what holds now is imported");
    assert_eq!(remarks(&import, "relationship", 4), "of the relationships, only employment is imported");
}

#[test]
fn a_deleted_contact_is_imported_and_kept_out_of_the_directory() {
    let import = Export::of_the_ringers().read();
    assert_eq!(row(&import, "contact", 8).verdict, Verdict::Adjusted);
    let privacy = &body(&import, "ChangePrivacy", "contact", 8)["privacy"];
    assert_eq!((&privacy["show_in_directory"], &privacy["allow_messages"]), (&json!(false), &json!(false)));
    let privacy = &body(&import, "ChangePrivacy", "contact", 3)["privacy"];
    assert_eq!((&privacy["show_in_directory"], &privacy["allow_messages"]), (&json!(true), &json!(false)));
}

#[test]
fn a_death_is_recorded_after_everything_else() {
    let import = Export::of_the_ringers().read();
    let death = json!({ "member_id": id("contact", 4), "on": "2026-02-11" });
    assert_eq!(body(&import, "RecordDeath", "contact", 4), &death);
    let at = |command: &str| import.lines.iter().rposition(|line| line.command == command).unwrap();
    assert!(at("RecordDeath") > at("ImportMembership") && at("RecordDeath") > at("ImportContribution"));
}

#[test]
fn a_plan_says_when_its_terms_begin() {
    let import = Export::of_the_ringers().read();
    let terms = |plan| body(&import, "CreatePlan", "membership_type", plan)["terms"].clone();
    assert_eq!(terms(1)["fee"], json!({ "minor": 2450, "currency": "GBP" }));
    assert_eq!(terms(1)["period"], json!({ "kind": "rolling" }));
    let fixed = json!({
        "kind": "fixed_year", "start": { "month": 1, "day": 1 }, "rollover": { "month": 11, "day": 1 }
    });
    assert_eq!(terms(2)["period"], fixed);
    assert_eq!(terms(2)["inherited_by_max"], 4);
    assert_eq!(terms(3)["duration_unit"], "lifetime");
    assert_eq!(terms(4)["period"], json!({ "kind": "fixed_month", "rollover_day": 15 }));
    assert_eq!(body(&import, "CreatePlan", "membership_type", 2)["code"], "tower-calendar-year");
}

#[test]
fn a_plan_that_is_no_longer_offered_is_retired_after_its_memberships() {
    let import = Export::of_the_ringers().read();
    assert_eq!(body(&import, "RetirePlan", "membership_type", 4), &json!({ "plan_id": id("membership_type", 4) }));
    assert_eq!(find(&import, "RetirePlan", "membership_type", 1), None);
    let at = |command: &str| import.lines.iter().rposition(|line| line.command == command).unwrap();
    assert!(at("RetirePlan") > at("ImportMembership"));
}

#[test]
fn a_membership_keeps_its_dates() {
    let import = Export::of_the_ringers().read();
    let expected = json!({
        "membership_id": id("membership", 3),
        "member_id": id("contact", 7),
        "plan_id": id("membership_type", 2),
        "joined_on": "2024-03-01",
        "term": { "number": 1, "start": "2026-01-01", "end": "2026-12-31" },
        "as_of": "2026-06-30",
        "overridden": null,
        "source": { "system": "civicrm", "table": "membership", "id": "3" },
    });
    assert_eq!(body(&import, "ImportMembership", "membership", 3), &expected);
    assert_eq!(body(&import, "ImportMembership", "membership", 1)["term"]["end"], Value::Null);
    assert_eq!(row(&import, "membership", 1).verdict, Verdict::Taken);
}

#[test]
fn an_event_has_a_roster_with_the_tickets_that_were_charged() {
    let import = Export::of_the_ringers().read();
    let event = json!({
        "event_id": id("event", 1),
        "details": { "title": "Striking Contest", "summary": "Bring your own rope.\nTea is served." },
        "schedule": {
            "starts": "2026-09-12T10:00:00", "ends": "2026-09-12T18:00:00", "time_zone": "Europe/London"
        },
        "source": { "system": "civicrm", "table": "event", "id": "1" },
    });
    assert_eq!(body(&import, "ScheduleEvent", "event", 1), &event);
    let roster = body(&import, "OpenRegistration", "event", 1);
    assert_eq!(roster["pools"], json!([{ "name": "places", "size": 3 }]));
    let pools = json!(["places"]);
    let tickets = json!([
        { "code": "single-1", "fee": { "minor": 1200, "currency": "GBP" }, "pools": pools },
        { "code": "team-1", "fee": { "minor": 3000, "currency": "GBP" }, "pools": pools },
    ]);
    assert_eq!(roster["ticket_types"], tickets);
    assert_eq!(roster["policy"]["waitlist"], true);
    assert_eq!(roster["closes_at"], "2026-08-31T23:00:00Z");
    assert_eq!(find(&import, "CloseRegistration", "event", 1), None);
    assert_eq!(body(&import, "CloseRegistration", "event", 2), &json!({ "event_id": id("event", 2) }));
    assert_eq!(remarks(&import, "event", 3), "is a template for events and no event");
}

#[test]
fn a_registration_stands_where_its_status_says() {
    let import = Export::of_the_ringers().read();
    let expected = json!({
        "event_id": id("event", 1),
        "registration_id": id("participant", 1),
        "registrant": { "kind": "member", "member_id": id("contact", 2) },
        "ticket_type": "team-1",
        "places": 1,
        "fee": { "minor": 3000, "currency": "GBP" },
        "standing": "confirmed",
        "at": "2026-05-01T08:00:00Z",
        "source": { "system": "civicrm", "table": "participant", "id": "1" },
    });
    assert_eq!(body(&import, "ImportRegistration", "participant", 1), &expected);
    let standing = |id| body(&import, "ImportRegistration", "participant", id)["standing"].clone();
    let standings: Vec<_> = (1..=6).map(standing).collect();
    assert_eq!(standings, ["confirmed", "pending", "waitlisted", "checked_in", "no_show", "cancelled"]);
}

#[test]
fn contributions_keep_amount_currency_kind_and_standing() {
    let import = Export::of_the_ringers().read();
    let expected = json!({
        "payment_id": id("contribution", 6),
        "payer": id("contact", 5),
        "amount": { "minor": 1001, "currency": "GBP" },
        "kind": "donation",
        "standing": "refunded",
        "on": "2026-06-06",
        "source": { "system": "civicrm", "table": "contribution", "id": "6" },
    });
    assert_eq!(body(&import, "ImportContribution", "contribution", 6), &expected);
    let contribution = |id| body(&import, "ImportContribution", "contribution", id);
    assert_eq!(contribution(7)["amount"]["currency"], "EUR");
    let kinds: Vec<_> = (1..=7).map(|id| contribution(id)["kind"].clone()).collect();
    assert_eq!(kinds, ["dues", "dues", "dues", "event_fee", "event_fee", "donation", "donation"]);
    assert_eq!(import.report.tables["contribution"].taken, 7);
}

/// Everything a line's body names must have been created by an earlier line, or be created by it.
#[test]
fn the_lines_come_in_an_order_that_works() {
    let import = Export::of_the_ringers().read();
    let creating: HashMap<&str, &str> = HashMap::from([
        ("RegisterMember", "member_id"),
        ("CreatePlan", "plan_id"),
        ("ImportMembership", "membership_id"),
        ("ScheduleEvent", "event_id"),
        ("ImportRegistration", "registration_id"),
        ("ImportContribution", "payment_id"),
    ]);
    let mut known = HashSet::new();
    for line in &import.lines {
        if let Some(created) = creating.get(line.command) {
            assert!(known.insert(line.body[*created].to_string()), "{line:?} creates what there is");
        }
        let fields = line.body.as_object().unwrap();
        let named = fields.iter().filter(|(field, _)| field.ends_with("_id") || *field == "payer").map(|(_, id)| id);
        let organizations = line.body["organizations"].as_array().into_iter().flatten();
        for id in named.chain(organizations) {
            assert!(known.contains(&id.to_string()), "{line:?} names {id} before it is there");
        }
    }
}

#[test]
fn reading_again_gives_the_same_keys_and_bodies() {
    let export = Export::of_the_ringers();
    let (first, second) = (export.read(), export.read());
    assert_eq!(first.lines, second.lines);
    let keys: HashSet<_> = first.lines.iter().map(|line| &line.idempotency_key).collect();
    assert_eq!(keys.len(), first.lines.len());
    assert!(keys.iter().all(|key| key.len() <= 128 && key.chars().all(|c| c.is_ascii_graphic())));
}

#[test]
fn two_associations_share_no_id_even_where_the_source_does() {
    let export = Export::of_the_ringers();
    let ids = |import: &guildhall_imports::Import| -> HashSet<String> {
        let bodies = import.lines.iter().filter(|line| line.command == "RegisterMember");
        bodies.map(|line| line.body["member_id"].to_string()).collect()
    };
    let theirs = civicrm::read(export.path("contact").parent().unwrap(), &options("other-ringers")).unwrap();
    assert_eq!(ids(&theirs).len(), 8);
    assert!(ids(&export.read()).is_disjoint(&ids(&theirs)));
}
