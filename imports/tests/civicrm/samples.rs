//! The three associations the source ships as samples, where they are at hand: the folder that holds them
//! is named by `GUILDHALL_CIVICRM_DATA`. They are not part of this repository.

use std::path::{Path, PathBuf};

use guildhall_aggregates::{money::Currency, tenant_of_slug};
use guildhall_imports::{
    Import, Verdict,
    civicrm::{self, ImportOptions},
};

use crate::{
    export::{day, row},
    statuses::{by_our_rules, by_the_table, rows},
};

/// Folder, day of the export, and the sum of its contributions in cents.
const SAMPLES: [(&str, &str, i64); 3] = [
    ("civi-5.21.2", "2019-11-28", 2_293_500),
    ("civi-5.13.5", "2018-12-04", 2_288_500),
    ("civi-2010-05", "2010-05-20", 233_500),
];

fn samples(test: &str) -> Vec<(PathBuf, &'static str, i64)> {
    let Some(folder) = std::env::var_os("GUILDHALL_CIVICRM_DATA").map(PathBuf::from) else {
        println!("NOT RUN: {test}: GUILDHALL_CIVICRM_DATA does not name the folder of the three samples");
        return Vec::new();
    };
    SAMPLES.into_iter().map(|(name, as_of, total)| (folder.join(name), as_of, total)).collect()
}

fn read(dir: &Path, as_of: &str) -> Import {
    let association = dir.file_name().unwrap().to_str().unwrap().replace('.', "-");
    let options = ImportOptions {
        tenant: tenant_of_slug(&association),
        association,
        as_of: day(as_of),
        currency: Currency::USD,
        time_zone: chrono_tz::UTC,
    };
    civicrm::read(dir, &options).unwrap()
}

#[test]
fn every_contact_membership_participant_and_contribution_is_imported() {
    for (dir, as_of, total) in samples("counts") {
        let import = read(&dir, as_of);
        let counts = [
            ("contact", "RegisterMember"),
            ("membership_type", "CreatePlan"),
            ("membership", "ImportMembership"),
            ("participant", "ImportRegistration"),
            ("contribution", "ImportContribution"),
        ];
        for (table, command) in counts {
            let lines = import.lines.iter().filter(|line| line.command == command).count();
            assert_eq!(lines, rows(&dir.join(table).with_extension("csv")).len(), "{table} of {}", dir.display());
            assert_eq!(import.report.tables[table].refused, 0, "{table} of {}", dir.display());
        }
        let contributions = import.lines.iter().filter(|line| line.command == "ImportContribution");
        let cents: i64 = contributions.map(|line| line.body["amount"]["minor"].as_i64().unwrap()).sum();
        assert_eq!(cents, total, "{}", dir.display());
    }
}

#[test]
fn every_row_of_every_table_is_accounted_for() {
    for (dir, as_of, _) in samples("rows") {
        let report = read(&dir, as_of).report;
        let files = std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path());
        for file in files.filter(|path| path.extension().is_some_and(|extension| extension == "csv")) {
            let table = file.file_stem().unwrap().to_str().unwrap();
            let left_out = report.left_out.iter().find(|left_out| left_out.table == table);
            let counted = left_out.map_or_else(|| report.tables[table].rows, |left_out| left_out.rows);
            assert_eq!(counted, rows(&file).len(), "{}", file.display());
        }
    }
}

#[test]
fn every_membership_has_the_status_that_the_rules_of_its_export_give() {
    for (dir, as_of, _) in samples("statuses") {
        let import = read(&dir, as_of);
        let table = rows(&dir.join("membership_status.csv"));
        let mut contradicted = 0;
        for membership in rows(&dir.join("membership.csv")) {
            let id = membership["id"].parse().unwrap();
            let theirs = by_the_table(&table, &membership, day(as_of)).unwrap();
            let ours: &str = by_our_rules(&import, id, day(as_of)).into();
            assert_eq!(ours, theirs.to_lowercase(), "membership {id} of {}", dir.display());
            let stored = table.iter().find(|status| status["id"] == membership["status_id"]).unwrap();
            let reported = row(&import, "membership", id).reasons.iter().any(|said| said.starts_with("is stored as"));
            assert_eq!(reported, stored["name"] != theirs, "membership {id} of {}", dir.display());
            contradicted += usize::from(reported);
        }
        assert_eq!(contradicted, 6, "{}", dir.display());
    }
}

#[test]
fn only_what_the_samples_really_have_wrong_is_adjusted() {
    for (dir, as_of, _) in samples("remarks") {
        let import = read(&dir, as_of);
        for table in ["participant", "contribution"] {
            let said: Vec<_> = import.report.rows.iter().filter(|row| row.table == table).collect();
            assert!(said.iter().all(|row| row.verdict == Verdict::Taken), "{said:?}");
        }
    }
}
