//! What plain-text bookkeeping has in common: account names, amounts, text on one line, and what has to be declared.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use guildhall_projections::erp_journal::{Account, JournalEntry, JournalLine};
use iso_currency::Currency;
use rust_decimal::Decimal;

/// Everything a journal mentions and has to declare.
#[derive(Default)]
pub(crate) struct Mentioned {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) currencies: BTreeSet<&'static str>,
    pub(crate) first: Option<NaiveDate>,
}

impl Mentioned {
    pub(crate) fn note(&mut self, entry: &JournalEntry) {
        self.first = Some(self.first.map_or(entry.dated, |first| first.min(entry.dated)));
        self.currencies.insert(entry.currency.code());
        for line in &entry.lines {
            self.accounts.entry(name(&line.account)).or_insert_with(|| line.account.clone());
        }
    }
}

/// An account's name in the hierarchy, as `Assets:1200-Accounts-Receivable`: valid for both programs.
pub(crate) fn name(account: &Account) -> String {
    let top = match account.kind.as_str() {
        "asset" => "Assets",
        "liability" => "Liabilities",
        "equity" => "Equity",
        "income" => "Income",
        _ => "Expenses",
    };
    let plain = |text: &str| -> String {
        text.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect()
    };
    format!("{top}:{}-{}", plain(&account.code), plain(&account.name))
}

/// Minor units as a decimal with the currency's own digits.
pub(crate) fn decimal(minor: i64, currency: Currency) -> Decimal {
    Decimal::new(minor, u32::from(currency.exponent().unwrap_or(2)))
}

/// Debits positive, credits negative.
pub(crate) fn signed(line: &JournalLine, currency: Currency) -> Decimal {
    decimal(line.debit_minor, currency) - decimal(line.credit_minor, currency)
}

/// Text that stays on its line and ends where it seems to.
pub(crate) fn one_line(text: &str) -> String {
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    text.chars().map(plain).collect::<String>().trim().to_owned()
}
