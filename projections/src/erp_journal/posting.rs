//! The posting rules: which entries a financial fact makes. Pure; accounts are roles here and become account numbers by
//! the association's mapping when the journal is read.
//!
//! * An invoice is owed (receivable) from its date. Tax goes to tax payable. Dues for a period are deferred and recognised
//!   by the day, booked at each month's end, the rounding in the last month; an event fee is deferred until the event's
//!   date; everything else is revenue at once, dues for life included.
//! * A credit note is a smaller invoice the other way round: it takes its share of every line and of every recognition.
//!   What was recognised already is taken back on the credit note's day, what was to come on its own day.
//! * Money received is a liability (unapplied payments) until it counts against an invoice. The payment's own record of
//!   the allocation is the same fact and not booked again.
//! * A refund takes what was never allocated first; the rest re-opens the receivable, which a credit note closes.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use guildhall_aggregates::{
    invoice::{InvoiceLine, RevenueKind, ServicePeriod},
    money::{Currency, MoneyError},
};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

use crate::shares::left_after;

/// Raised when the same fact makes other entries than before; part of every entry's id.
pub const RULE_VERSION: i64 = 1;

/// A period of more months than these is as good as for life.
const MOST_MONTHS: usize = 600;

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Where money is.
    Cash,
    /// What is owed to the association.
    Receivable,
    /// Money received that counts against nothing yet.
    UnappliedPayments,
    /// Tax owed to the state.
    TaxPayable,
    /// Dues for days to come.
    DeferredDues,
    /// Fees for association events to come.
    DeferredEventFee,
    /// Dues earned.
    RevenueDues,
    /// Event fees earned.
    RevenueEventFee,
    /// Gifts.
    RevenueDonation,
    /// Other income.
    RevenueOther,
    /// What will not be collected.
    BadDebt,
}

impl Role {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// How the role is written in the mapping and in the journal.
    pub fn name(self) -> &'static str {
        self.into()
    }

    fn revenue(kind: RevenueKind) -> Self {
        match kind {
            RevenueKind::Dues => Self::RevenueDues,
            RevenueKind::EventFee => Self::RevenueEventFee,
            RevenueKind::Donation => Self::RevenueDonation,
            RevenueKind::Other => Self::RevenueOther,
        }
    }
}

/// One entry, before it has accounts. Lines that come to nothing are left out, and so is an entry without lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Posting {
    /// Which of the entries of its fact this is; stable, part of its id.
    pub(super) part: String,
    pub(super) dated: NaiveDate,
    pub(super) kind: &'static str,
    /// Debits are positive, credits negative; they add up to nothing.
    pub(super) amounts: BTreeMap<Role, i64>,
}

impl Posting {
    fn new(kind: &'static str, dated: NaiveDate) -> Self {
        Self { part: kind.to_owned(), dated, kind, amounts: BTreeMap::new() }
    }

    fn debit(mut self, role: Role, minor: i64) -> Self {
        self.add(role, minor);
        self
    }

    fn credit(self, role: Role, minor: i64) -> Self {
        self.debit(role, -minor)
    }

    fn add(&mut self, role: Role, minor: i64) {
        let amount = self.amounts.entry(role).or_default();
        *amount += minor;
        if *amount == 0 {
            self.amounts.remove(&role);
        }
    }
}

/// What an invoice charges, as far as the books are concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charge<'a> {
    pub(super) lines: &'a [InvoiceLine],
    pub(super) currency: Currency,
    pub(super) dated: NaiveDate,
}

impl Charge<'_> {
    /// The entries of the issued invoice, of which `credited` was taken back before it had its number.
    pub(super) fn issued(self, credited: i64) -> Result<Vec<Posting>, MoneyError> {
        let charged = self.charged(credited)?;
        Ok(Self::postings("invoice", self.dated, &Charged::default(), &charged))
    }

    /// The entries of a credit note that raises what is credited in all from `before` to `after`.
    pub(super) fn credited(self, before: i64, after: i64, on: NaiveDate) -> Result<Vec<Posting>, MoneyError> {
        Ok(Self::postings("credit_note", on, &self.charged(before)?, &self.charged(after)?))
    }

    /// The entries that lead from what was booked to what should be, none of them before `on`.
    fn postings(kind: &'static str, on: NaiveDate, booked: &Charged, due: &Charged) -> Vec<Posting> {
        let mut charge = Posting::new(kind, on);
        for (sign, side) in [(-1, booked), (1, due)] {
            for (role, minor) in &side.at_once {
                charge.add(*role, sign * minor);
            }
        }
        let mut later: BTreeMap<NaiveDate, Posting> = BTreeMap::new();
        for (sign, side) in [(-1, booked), (1, due)] {
            for ((day, deferred, revenue), minor) in &side.recognised {
                let dated = on.max(*day);
                let entry = later.entry(dated).or_insert_with(|| Posting {
                    part: format!("recognition {dated}"),
                    ..Posting::new("recognition", dated)
                });
                entry.add(*deferred, sign * minor);
                entry.add(*revenue, -sign * minor);
            }
        }
        std::iter::once(charge).chain(later.into_values()).filter(|entry| !entry.amounts.is_empty()).collect()
    }

    /// All there is to book of the invoice when `credited` is taken back.
    fn charged(self, credited: i64) -> Result<Charged, MoneyError> {
        let mut charged = Charged::default();
        for (line, left) in self.lines.iter().zip(left_after(self.lines, self.currency, credited)?) {
            let revenue = Role::revenue(line.kind);
            let days = recognition_days(line.kind, line.service, self.dated);
            let deferred = match line.kind {
                RevenueKind::Dues => Role::DeferredDues,
                RevenueKind::EventFee | RevenueKind::Donation | RevenueKind::Other => Role::DeferredEventFee,
            };
            let against = if days.is_empty() { revenue } else { deferred };
            *charged.at_once.entry(Role::Receivable).or_default() += left.net + left.tax;
            *charged.at_once.entry(Role::TaxPayable).or_default() -= left.tax;
            *charged.at_once.entry(against).or_default() -= left.net;
            for (day, minor) in spread(left.net, &days) {
                *charged.recognised.entry((day, deferred, revenue)).or_default() += minor;
            }
        }
        Ok(charged)
    }
}

/// What is booked of an invoice: at once, and later by day and by the two roles that revenue moves between.
#[derive(Debug, Default)]
struct Charged {
    at_once: BTreeMap<Role, i64>,
    recognised: BTreeMap<(NaiveDate, Role, Role), i64>,
}

/// The days revenue of a line is recognised on, each with its weight; none when it is recognised at once.
fn recognition_days(kind: RevenueKind, service: Option<ServicePeriod>, dated: NaiveDate) -> Vec<(NaiveDate, i64)> {
    match (kind, service) {
        (RevenueKind::Dues, Some(ServicePeriod { from, to: Some(to) })) if from <= to => {
            let months = months_of(from, to);
            if months.len() > MOST_MONTHS { vec![] } else { months }
        }
        (RevenueKind::EventFee, Some(ServicePeriod { from, .. })) if from > dated => vec![(from, 1)],
        _ => vec![],
    }
}

/// The month ends of a period, each with how many days of the month belong to it.
fn months_of(from: NaiveDate, to: NaiveDate) -> Vec<(NaiveDate, i64)> {
    let mut months = Vec::new();
    let mut first = from;
    while first <= to && months.len() <= MOST_MONTHS {
        let last = last_of_month(first);
        months.push((last, (last.min(to) - first).num_days() + 1));
        let Some(next) = last.succ_opt() else { break };
        first = next;
    }
    months
}

fn last_of_month(day: NaiveDate) -> NaiveDate {
    let (year, month) = if day.month() == 12 { (day.year() + 1, 1) } else { (day.year(), day.month() + 1) };
    NaiveDate::from_ymd_opt(year, month, 1).and_then(|first| first.pred_opt()).unwrap_or(day)
}

/// An amount spread by weight, whole minor units each, the remainder in the last.
fn spread(minor: i64, days: &[(NaiveDate, i64)]) -> Vec<(NaiveDate, i64)> {
    let total: i64 = days.iter().map(|(_, weight)| weight).sum();
    let mut left = minor;
    let mut parts = Vec::with_capacity(days.len());
    for (at, (day, weight)) in days.iter().enumerate() {
        let share = i64::try_from(i128::from(minor) * i128::from(*weight) / i128::from(total)).unwrap_or(left);
        let part = if at + 1 == days.len() { left } else { share };
        left -= part;
        parts.push((*day, part));
    }
    parts
}

/// A payment counts against an invoice.
pub(super) fn payment_applied(minor: i64, on: NaiveDate) -> Posting {
    Posting::new("application", on).debit(Role::UnappliedPayments, minor).credit(Role::Receivable, minor)
}

/// A payment does not count against an invoice any more.
pub(super) fn payment_reversed(minor: i64, on: NaiveDate) -> Posting {
    Posting::new("reversal", on).debit(Role::Receivable, minor).credit(Role::UnappliedPayments, minor)
}

/// What is open will not be collected.
pub(super) fn written_off(minor: i64, on: NaiveDate) -> Posting {
    Posting::new("write_off", on).debit(Role::BadDebt, minor).credit(Role::Receivable, minor)
}

/// Money came.
pub(super) fn payment_received(minor: i64, on: NaiveDate) -> Posting {
    Posting::new("payment", on).debit(Role::Cash, minor).credit(Role::UnappliedPayments, minor)
}

/// Money was given back, of which `unallocated` had never counted against an invoice.
pub(super) fn payment_refunded(minor: i64, unallocated: i64, on: NaiveDate) -> Posting {
    let from_unapplied = minor.min(unallocated.max(0));
    Posting::new("refund", on)
        .debit(Role::UnappliedPayments, from_unapplied)
        .debit(Role::Receivable, minor - from_unapplied)
        .credit(Role::Cash, minor)
}

/// The payer's bank took money back; that invoices are open again is the invoices' own fact.
pub(super) fn charged_back(minor: i64, on: NaiveDate) -> Posting {
    Posting::new("chargeback", on).debit(Role::UnappliedPayments, minor).credit(Role::Cash, minor)
}

/// A contribution that another system had completed: money and revenue at once.
pub(super) fn contribution(kind: RevenueKind, minor: i64, on: NaiveDate) -> Posting {
    Posting::new("contribution", on).debit(Role::Cash, minor).credit(Role::revenue(kind), minor)
}

#[cfg(test)]
mod tests;
