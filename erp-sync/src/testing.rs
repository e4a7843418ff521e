//! A journal for the writers' tests.

use chrono::NaiveDate;
use guildhall_projections::erp_journal::{Account, JournalEntry, JournalLine};
use iso_currency::Currency;
use uuid::Uuid;

use crate::{Export, Format};

/// Dues of 120.50 USD, invoiced.
pub(crate) fn dues() -> JournalEntry {
    let account = |code: &str, name: &str, kind: &str| Account {
        code: code.to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
    };
    let line = |role: &str, account, debit_minor, credit_minor| JournalLine {
        role: role.to_owned(),
        account,
        debit_minor,
        credit_minor,
    };
    JournalEntry {
        entry_id: Uuid::from_u128(1),
        dated: NaiveDate::from_ymd_opt(2026, 2, 10).expect("a date"),
        kind: "invoice".to_owned(),
        description: "Issue of invoice 2026-1".to_owned(),
        currency: Currency::USD,
        record_id: Uuid::from_u128(2),
        stream: format!("invoice-{}", Uuid::from_u128(3)),
        rule_version: 1,
        lines: vec![
            line("receivable", account("1200", "Accounts Receivable", "asset"), 12_050, 0),
            line("deferred_dues", account("2400", "Deferred Membership Dues", "liability"), 0, 12_050),
        ],
    }
}

/// What these entries look like.
pub(crate) fn written(format: Format, entries: &[JournalEntry]) -> String {
    let mut export = Export::begin(format, Vec::new(), "Society of Examples").expect("a Vec takes everything");
    for entry in entries {
        export.entry(entry).expect("a Vec takes everything");
    }
    String::from_utf8(export.finish().expect("a Vec takes everything")).expect("journals are UTF-8")
}
