//! Exports that are wrong in places: such rows are reported, and the import goes on.

use guildhall_imports::{Outcome, RowOutcome, Verdict};
use serde_json::json;

use crate::export::{Export, body, find, remarks, row};

fn verdict(import: &guildhall_imports::Import, table: &str, id: u64) -> Verdict {
    row(import, table, id).verdict
}

#[test]
fn several_registrations_of_one_person_are_history() {
    let export = Export::of_the_ringers();
    let import = export.add("participant", "7,2,1,1,1,2026-05-09 09:00:00,,12.00,GBP,0").read();
    assert_eq!(body(&import, "ImportRegistration", "participant", 7)["standing"], "confirmed");
    assert_eq!(
        remarks(&import, "participant", 7),
        "the contact has another registration for the event; both are imported"
    );
    assert_eq!(verdict(&import, "participant", 1), Verdict::Taken);
}

#[test]
fn history_beyond_the_capacity_is_imported_and_said() {
    let export = Export::of_the_ringers();
    export.add("participant", "7,4,1,1,1,2026-05-09 09:00:00,,12.00,GBP,0");
    let import = export.add("participant", "8,6,1,2,1,2026-05-09 09:00:00,,12.00,GBP,0").read();
    assert_eq!(verdict(&import, "participant", 7), Verdict::Taken);
    assert_eq!(remarks(&import, "participant", 8), "is beyond the 3 places of the event; imported as history");
    assert!(find(&import, "ImportRegistration", "participant", 8).is_some());
}

#[test]
fn payments_that_match_nothing_are_imported_and_said() {
    let export = Export::of_the_ringers();
    export.replace("contribution", "2,3,2,4,2026-05-15 11:20:00,24.50", "2,3,2,4,2026-05-15 11:20:00,20.00");
    export.add("membership_payment", "4,99,6");
    let import = export.replace("participant_payment", "1,1,4", "1,2,4").read();
    assert_eq!(remarks(&import, "contribution", 2), "is 20.00 for membership 2, which cost 24.50");
    assert_eq!(remarks(&import, "contribution", 4), "is for participant 2 of another contact");
    assert_eq!(remarks(&import, "contribution", 6), "is for membership 99, which is not imported");
    assert_eq!(body(&import, "ImportContribution", "contribution", 2)["amount"]["minor"], 2000);
}

#[test]
fn an_address_that_several_contacts_share_identifies_none_of_them() {
    let export = Export::of_the_ringers();
    let import = export.add("email", "5,5,1,NED@example.org,1,0").read();
    for contact in [3, 5] {
        assert_eq!(body(&import, "RegisterMember", "contact", contact)["email_shared"], true);
        assert!(remarks(&import, "contact", contact).starts_with("shares its e-mail address"));
    }
    assert_eq!(body(&import, "RegisterMember", "contact", 2)["email_shared"], false);
}

#[test]
fn rows_that_belong_to_nothing_or_hold_no_longer_are_refused() {
    let export = Export::of_the_ringers();
    export.add("membership", "9,77,1,2026-01-01,2026-01-01,2026-12-31,2,0,,,0,");
    export.add("membership", "10,2,77,2026-01-01,2026-01-01,2026-12-31,2,0,,,0,");
    export.add("participant", "7,2,3,1,1,2026-05-09 09:00:00,,,,0");
    export.add("contribution", "8,,1,1,2026-06-06 00:00:00,10.00,GBP,,,1,0,");
    export.add("relationship", "5,2,88,5,,,1");
    export.add("contact", "9,Robot,,Bell Bot,,,,,,,,0,,,0,0,,");
    export.add("relationship", "6,4,7,5,,,0");
    let import = export.add("email", "5,9,1,bot@example.org,1,0").read();
    assert_eq!(remarks(&import, "relationship", 6), "has ended; only what holds now is imported");
    assert_eq!(remarks(&import, "contact", 9), "contact_type \"Robot\" is not known");
    assert_eq!(remarks(&import, "email", 5), "contact 9 is not imported");
    assert_eq!(remarks(&import, "membership", 9), "contact 77 is not imported");
    assert_eq!(remarks(&import, "membership", 10), "membership_type 77 is not imported");
    assert_eq!(remarks(&import, "participant", 7), "event 3 is not imported");
    assert_eq!(remarks(&import, "contribution", 8), "contact_id is empty");
    assert_eq!(remarks(&import, "relationship", 5), "contact 88 is not imported");
}

#[test]
fn test_rows_are_refused() {
    let import = Export::of_the_ringers().read();
    assert_eq!(remarks(&import, "membership", 8), "is a test row");
    assert_eq!(find(&import, "ImportMembership", "membership", 8), None);
}

#[test]
fn amounts_that_are_no_contribution_are_refused() {
    let export = Export::of_the_ringers();
    export.add("contribution", "8,2,1,1,2026-06-06 00:00:00,-10.00,GBP,,,1,0,");
    export.add("contribution", "9,2,1,1,2026-06-06 00:00:00,ten,GBP,,,1,0,");
    export.add("contribution", "10,2,1,1,2026-06-06 00:00:00,1.005,GBP,,,1,0,");
    export.add("contribution", "11,2,1,1,2026-06-06 00:00:00,1.00,Florins,,,1,0,");
    export.add("contribution", "12,2,1,1,,1.00,GBP,,,1,0,");
    let import = export.read();
    assert_eq!(remarks(&import, "contribution", 8), "total_amount is negative: record what was given back as a refund");
    assert_eq!(remarks(&import, "contribution", 9), "total_amount: \"ten\" is not an amount of money");
    assert!(remarks(&import, "contribution", 10).contains("fractions of the smallest unit"));
    assert_eq!(remarks(&import, "contribution", 11), "currency \"Florins\" is not a currency");
    assert_eq!(remarks(&import, "contribution", 12), "has no date");
}

#[test]
fn unusual_statuses_come_nearest_to_ours_and_are_said() {
    let export = Export::of_the_ringers();
    export.add("contribution", "8,2,9,1,2026-06-06 00:00:00,10.00,GBP,,,10,0,");
    export.add("participant", "7,4,1,14,1,2026-05-09 09:00:00,,12.00,GBP,0");
    export.add("participant", "8,6,1,6,1,2026-05-09 09:00:00,,12.00,GBP,0");
    export.add("membership_status", "8,Honorary,Ehren,,,,,,,1,0,8,0,1,0");
    let import = export.add("membership", "9,6,3,2020-01-01,2020-01-01,,8,1,,,0,").read();
    let contribution = body(&import, "ImportContribution", "contribution", 8);
    assert_eq!((&contribution["standing"], &contribution["kind"]), (&json!("refunded"), &json!("other")));
    assert_eq!(body(&import, "ImportRegistration", "participant", 7)["standing"], "confirmed");
    assert_eq!(body(&import, "ImportRegistration", "participant", 8)["standing"], "expired");
    assert_eq!(body(&import, "ImportMembership", "membership", 9)["overridden"]["status"], "current");
    for (table, id) in [("contribution", 8), ("participant", 7), ("participant", 8), ("membership_status", 8)] {
        assert_eq!(verdict(&import, table, id), Verdict::Adjusted, "{table} {id}");
    }
}

#[test]
fn a_row_with_broken_form_is_refused_with_its_line() {
    let export = Export::of_the_ringers();
    export.add("phone", "3,3,01632 960003");
    export.add("phone", b"4,3,01632 \xff960004,,1");
    export.add("phone", "none,3,01632 960005,,1");
    export.add("phone", "1,3,01632 960006,,1");
    let import = export.add("phone", "5,3,01632 960007,,1").read();
    let refused = import.report.rows.iter().filter(|row| row.table == "phone" && row.verdict == Verdict::Refused);
    let said: Vec<_> = refused.map(|row| (row.line, row.reasons[0].as_str())).collect();
    let expected = [
        (4, "has 3 fields where the header has 5: a quotation mark or a comma may be missing or one too many"),
        (5, "column 3 is not UTF-8 text"),
        (6, "has no whole number as its id"),
        (7, "another row above has the id 1, too"),
    ];
    assert_eq!(said, expected);
    assert_eq!(body(&import, "RegisterMember", "contact", 3)["contact"]["phone"], "01632 960007");
}

#[test]
fn dates_that_are_none_are_said_without_quoting_a_birthday() {
    let export = Export::of_the_ringers();
    export.replace("contact", "1961-04-30", "1961-04-31");
    let import = export.add("membership", "9,2,1,0000-00-00,2026-13-01,2026-12-31,2,0,,,0,").read();
    assert_eq!(body(&import, "RegisterMember", "contact", 2)["birth_date"], json!(null));
    assert_eq!(remarks(&import, "contact", 2), "birth_date is not a date between 1800 and 9999: it is left out");
    assert_eq!(remarks(&import, "membership", 9), "start_date is not a date between 1800 and 9999");
}

#[test]
fn one_date_of_a_membership_stands_in_for_the_other() {
    let export = Export::of_the_ringers();
    export.add("membership", "9,2,1,2026-04-01,,2027-03-31,1,0,,,0,");
    export.add("membership", "10,2,1,,,2027-03-31,1,0,,,0,");
    let import = export.add("membership", "11,2,1,2026-04-01,2026-04-01,,1,0,,,0,").read();
    assert_eq!(body(&import, "ImportMembership", "membership", 9)["term"]["start"], "2026-04-01");
    assert_eq!(remarks(&import, "membership", 9), "has no start_date: it starts on its join_date");
    assert_eq!(remarks(&import, "membership", 10), "has neither join_date nor start_date");
    assert!(remarks(&import, "membership", 11).starts_with("has no end_date, though its plan is not for life"));
    let import = export.add("membership", "12,2,1,2026-04-01,2026-04-01,2026-03-31,1,0,,,0,").read();
    assert_eq!(remarks(&import, "membership", 12), "ends before it starts");
}

#[test]
fn a_contact_without_a_name_still_has_its_history() {
    let export = Export::of_the_ringers();
    let import = export.add("contact", "9,Individual,,,,,,,,,,0,,,0,0,,").read();
    assert_eq!(body(&import, "RegisterMember", "contact", 9)["name"]["display"], "(no name)");
    assert_eq!(verdict(&import, "contact", 9), Verdict::Adjusted);
}

#[test]
fn names_are_kept_on_one_line() {
    let export = Export::of_the_ringers();
    let import = export.replace("contact", "Ned Fletcher", "\"Ned\n\t Fletcher\u{7}\"").read();
    assert_eq!(body(&import, "RegisterMember", "contact", 3)["name"]["display"], "Ned Fletcher");
}

#[test]
fn an_event_whose_price_is_not_known_takes_nobody_in() {
    let export = Export::of_the_ringers();
    let event = "4,Dinner,,1,1,2026-12-01 19:00:00,,1,,,,1,0,0,GBP,1,0,";
    let import = export.add("event", event).read();
    assert!(find(&import, "CloseRegistration", "event", 4).is_some());
    let said = remarks(&import, "event", 4);
    assert!(said.contains("costs something, and the export does not say how much"), "{said}");
    assert!(said.contains("has no end_date after its start"), "{said}");
}

#[test]
fn an_event_that_is_disabled_or_not_yet_open_takes_nobody_in() {
    let export = Export::of_the_ringers();
    export.add("event", "4,Supper,,1,1,2026-12-01 19:00:00,2026-12-01 23:00:00,1,,,,0,0,0,GBP,0,0,");
    export.add("event", "5,Carols,,1,1,2026-12-20 19:00:00,2026-12-20 23:00:00,1,2026-10-01 08:00:00,,,0,0,0,GBP,1,0,");
    let import =
        export.add("event", "6,Stroll,,1,1,2026-12-27 10:00:00,2026-12-27 12:00:00,1,,,,0,0,0,GBP,1,0,").read();
    assert_eq!(remarks(&import, "event", 4), "is disabled there: registration is closed");
    assert_eq!(remarks(&import, "event", 5), "registration begins on 2026-10-01: it is closed until somebody opens it");
    let closed = [4, 5, 6].map(|event| find(&import, "CloseRegistration", "event", event).is_some());
    assert_eq!(closed, [true, true, false]);
}

#[test]
fn a_ticket_that_was_charged_differently_costs_the_most_that_was_charged() {
    let export = Export::of_the_ringers();
    export.add("participant", "7,4,1,4,1,2026-05-09 09:00:00,Team - 1,35.00,GBP,0");
    let import = export.add("participant", "8,6,1,4,1,2026-05-09 09:00:00,Team - 1,40.00,USD,0").read();
    let ticket = &body(&import, "OpenRegistration", "event", 1)["ticket_types"][1];
    assert_eq!(ticket["fee"], json!({ "minor": 3500, "currency": "GBP" }));
    assert_eq!(row(&import, "event", 1).reasons.len(), 2);
    let charged = |id| body(&import, "ImportRegistration", "participant", id)["fee"].clone();
    assert_eq!(charged(1), json!({ "minor": 3000, "currency": "GBP" }));
    assert_eq!(charged(8), json!({ "minor": 4000, "currency": "USD" }));
}

#[test]
fn an_event_with_more_fee_levels_than_a_roster_takes_has_one_ticket() {
    let export = Export::of_the_ringers();
    for id in 100..200 {
        export.add("participant", format!("{id},4,1,4,1,2026-05-09 09:00:00,Level {id},{id}.00,GBP,0"));
    }
    let import = export.read();
    let tickets = body(&import, "OpenRegistration", "event", 1)["ticket_types"].clone();
    let fee = json!({ "minor": 19900, "currency": "GBP" });
    assert_eq!(tickets, json!([{ "code": "standard", "fee": fee, "pools": ["places"] }]));
    assert_eq!(body(&import, "ImportRegistration", "participant", 150)["ticket_type"], "standard");
    assert_eq!(verdict(&import, "event", 1), Verdict::Adjusted);
}

#[test]
fn plans_of_one_name_have_codes_of_their_own() {
    let export = Export::of_the_ringers();
    let import = export.add("membership_type", "9,RINGER,,1,10.00,month,1,rolling,,,,,1,0").read();
    assert_eq!(body(&import, "CreatePlan", "membership_type", 1)["code"], "ringer");
    assert_eq!(body(&import, "CreatePlan", "membership_type", 9)["code"], "ringer-9");
    assert_eq!(verdict(&import, "membership_type", 9), Verdict::Adjusted);
}

#[test]
fn a_plan_that_makes_no_sense_is_refused_with_its_memberships() {
    let export = Export::of_the_ringers();
    export.add("membership_type", "9,Yearly,,1,10.00,year,1,fixed,1301,1101,,,1,0");
    export.add("membership_type", "10,Weekly,,1,10.00,week,1,rolling,,,,,1,0");
    let import = export.add("membership", "9,2,9,2026-01-01,2026-01-01,2026-12-31,2,0,,,0,").read();
    let said = "fixed_period_start_day 1301 is not a month and day such as 101 for 1 January";
    assert_eq!(remarks(&import, "membership_type", 9), said);
    assert_eq!(remarks(&import, "membership_type", 10), "duration_unit \"week\" is not known");
    assert_eq!(remarks(&import, "membership", 9), "membership_type 9 is not imported");
}

#[test]
fn a_refused_command_refuses_the_rows_it_stands_for() {
    let mut import = Export::of_the_ringers().read();
    let key = "civicrm/contact/2/RegisterMember";
    let line = import.lines.iter().position(|line| line.idempotency_key == key).unwrap();
    import.report.settle(line, &Outcome::Refused { problem: "the e-mail address is taken".to_owned() });
    for (table, id) in [("contact", 2), ("email", 2), ("phone", 1), ("address", 1)] {
        assert_eq!(row(&import, table, id).outcome, Some(RowOutcome::Refused), "{table} {id}");
        assert_eq!(verdict(&import, table, id), Verdict::Refused, "{table} {id}");
    }
    assert_eq!(row(&import, "contact", 3).outcome, None);
}

#[test]
fn the_report_names_nobody() {
    let export = Export::of_the_ringers();
    let import = export.add("email", "5,5,1,not-an-address-of-ned,1,0").read();
    let report = serde_json::to_string(&import.report).unwrap();
    for personal in ["Quill", "Fletcher", "example.org", "not-an-address", "960001", "1961", "Belfry"] {
        assert!(!report.contains(personal), "the report says {personal}");
    }
}
