//! Exports of later and earlier releases, with more and fewer columns and tables.

use guildhall_imports::{Verdict, civicrm::ImportError};

use crate::export::{Export, body, find, row};

#[test]
fn columns_that_are_not_known_are_ignored_and_named() {
    let import = Export::of_the_ringers().read();
    let not_read = |table: &str| import.report.tables[table].columns_not_read.join(" ");
    assert_eq!(not_read("contact"), "contact_sub_type preferred_language contact_hash");
    assert_eq!(not_read("membership"), "campaign_id");
    assert_eq!(not_read("contribution"), "payment_instrument_id tax_amount");
}

#[test]
fn an_export_of_an_earlier_release_has_fewer_columns() {
    let export = Export::of_the_ringers();
    export.without_columns("contact", &["contact_sub_type", "employer_id", "is_deleted", "contact_hash"]);
    export.without_columns("membership_status", &["label", "is_active", "is_reserved"]);
    export.without_columns("membership_type", &["is_active", "max_related", "relationship_type_id"]);
    export.without_columns("membership", &["is_test", "owner_membership_id", "status_override_end_date"]);
    export.without_columns("event", &["is_online_registration", "has_waitlist", "requires_approval", "is_active"]);
    export.without_columns("participant", &["fee_currency", "is_test"]);
    export.without_columns("participant_status_type", &["is_counted"]);
    export.replace("contribution", "financial_type_id", "contribution_type_id");
    for table in ["email", "phone", "address", "relationship", "relationship_type", "membership_payment"] {
        export.remove(table);
    }
    let import = export.read();
    let count = |command: &str| import.lines.iter().filter(|line| line.command == command).count();
    assert_eq!(count("RegisterMember"), 8);
    assert_eq!(count("ImportMembership"), 8, "without is_test no row is known to be one");
    assert_eq!(count("ImportRegistration"), 6);
    assert_eq!(count("ImportContribution"), 7);
    assert_eq!(count("CloseRegistration"), 1);
    assert_eq!(body(&import, "ImportContribution", "contribution", 1)["kind"], "dues");
    assert_eq!(find(&import, "RetirePlan", "membership_type", 4), None);
}

#[test]
fn amounts_without_a_currency_are_the_associations() {
    let export = Export::of_the_ringers();
    export.without_columns("event", &["currency"]).without_columns("participant", &["fee_currency"]);
    let import = export.without_columns("contribution", &["currency"]).read();
    assert_eq!(import.report.tables["contribution"].notes.len(), 1);
    assert_eq!(row(&import, "contribution", 7).verdict, Verdict::Taken);
    assert_eq!(body(&import, "ImportContribution", "contribution", 7)["amount"]["currency"], "GBP");
    assert_eq!(body(&import, "ImportRegistration", "participant", 1)["fee"]["currency"], "GBP");
}

#[test]
fn types_of_contributions_go_by_the_name_the_export_gives_them() {
    let export = Export::of_the_ringers();
    let import = export.write("financial_type", "id,name,is_active\n2,Donation,1\n4,Bell Fund,1\n").read();
    let kind = |id| body(&import, "ImportContribution", "contribution", id)["kind"].clone();
    assert_eq!([kind(1), kind(4), kind(6)], ["donation", "other", "donation"]);
    assert_eq!(row(&import, "contribution", 4).verdict, Verdict::Adjusted);
}

#[test]
fn everything_that_is_needed_and_missing_is_named_at_once() {
    let export = Export::of_the_ringers();
    export.remove("participant");
    export.without_columns("contact", &["contact_type"]);
    export.without_columns("contribution", &["financial_type_id", "total_amount"]);
    export.without_columns("email", &["contact_id"]);
    let error = export.try_read().unwrap_err();
    let ImportError::Missing { missing, .. } = &error else { panic!("{error}") };
    let expected = [
        "contact.csv: column contact_type",
        "email.csv: column contact_id",
        "participant.csv",
        "contribution.csv: column total_amount",
        "contribution.csv: column financial_type_id or contribution_type_id",
    ];
    assert_eq!(missing, &expected);
    assert!(error.to_string().ends_with("nothing was written"));
}

#[test]
fn a_folder_without_an_export_is_an_error() {
    let error = Export::empty().try_read().unwrap_err();
    assert!(matches!(&error, ImportError::Missing { missing, .. } if missing.len() == 8), "{error}");
    let nowhere = Export::empty().path("contact").join("nowhere");
    let error = guildhall_imports::civicrm::read(&nowhere, &crate::export::options("bell-ringers")).unwrap_err();
    assert!(matches!(error, ImportError::NoFolder { .. }));
}

#[test]
fn files_are_known_by_the_names_the_source_gives_its_tables() {
    let export = Export::of_the_ringers();
    std::fs::rename(export.path("contact"), export.path("civicrm_Contact")).unwrap();
    let byte_order_mark = "\u{feff}ID, Contact_Type ,";
    let import = export.replace("civicrm_Contact", "id,contact_type,", byte_order_mark).read();
    assert_eq!(import.report.tables["contact"].rows, 8);
}
