//! What is written is read by the programs it is written for. They are optional on a machine; without them these tests say
//! that they were not run.

use std::{fs, process::Command};

use chrono::{Days, NaiveDate};
use guildhall_erp_sync::{Export, Format};
use guildhall_projections::erp_journal::{Account, JournalEntry, JournalLine};
use iso_currency::Currency;
use uuid::Uuid;

/// Entries of all kinds of accounts, currencies and descriptions.
fn entries() -> impl Iterator<Item = JournalEntry> {
    const DESCRIPTIONS: [&str; 6] = [
        "Issue of invoice 2026-1",
        "Refund: \"never again\"; | \\ \n 2026-01-01 open Assets:X",
        "Größe, 名前, emoji 🎉",
        "; a comment?",
        "",
        "! (not a code) * = ~ @",
    ];
    const KINDS: [&str; 5] = ["asset", "liability", "equity", "income", "expense"];
    const CURRENCIES: [Currency; 4] = [Currency::USD, Currency::EUR, Currency::JPY, Currency::BHD];
    (0..600_usize).map(|nth| {
        let account = |at: usize| Account {
            code: format!("{}", 1000 + at % 10),
            name: format!("Account - No {}", at % 10),
            kind: KINDS[at % 5].to_owned(),
        };
        let amount = i64::try_from(nth).expect("small") * 37 + 1;
        let line = |account, debit_minor, credit_minor| JournalLine {
            role: "cash".to_owned(),
            account,
            debit_minor,
            credit_minor,
        };
        JournalEntry {
            entry_id: Uuid::from_u128(nth as u128),
            dated: NaiveDate::from_ymd_opt(2024, 1, 1).expect("a date") + Days::new(nth as u64),
            kind: "payment".to_owned(),
            description: DESCRIPTIONS[nth % DESCRIPTIONS.len()].to_owned(),
            currency: CURRENCIES[nth % CURRENCIES.len()],
            record_id: Uuid::from_u128(7),
            stream: format!("payment-{}", Uuid::from_u128(8)),
            rule_version: 1,
            lines: vec![
                line(account(nth), amount + 1, 0),
                line(account(nth + 1), 0, amount),
                line(account(nth + 3), 0, 1),
            ],
        }
    })
}

fn accepts(program: &str, arguments: &[&str], format: Format) {
    if Command::new(program).arg("--version").output().is_err() {
        guildhall_sandbox::testing::not_run(&format!("{program} is not installed"));
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(format!("journal.{}", format.extension()));
    let mut export = Export::begin(format, Vec::new(), "Society \"of\" Examples; \\ \n x").expect("a Vec takes all");
    for entry in entries() {
        export.entry(&entry).expect("a Vec takes all");
    }
    fs::write(&file, export.finish().expect("a Vec takes all")).expect("the folder is ours");
    // In the C locale hledger refuses every name that is not ASCII.
    let said =
        Command::new(program).env("LC_ALL", "C.UTF-8").args(arguments).arg(&file).output().expect("it answered before");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && err.is_empty(), "{program}: {out}{err}");
}

#[test]
fn hledger_finds_nothing_wrong() {
    accepts("hledger", &["check", "--strict", "-f"], Format::Hledger);
}

#[test]
fn beancount_finds_nothing_wrong() {
    accepts("bean-check", &[], Format::Beancount);
}
