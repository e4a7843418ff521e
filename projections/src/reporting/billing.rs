//! Invoices, what moves what is open of them, and revenue: rows and fold.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use deadpool_postgres::Transaction;
use guildhall_aggregates::{
    Money,
    invoice::{InvoiceEvent, InvoiceLine, RevenueKind},
    money::Currency,
    payment::{ContributionStanding, PaymentEvent},
};
use guildhall_event_store::RecordedEvent;
use postgres_types::{FromSql, Json, ToSql};
use tokio_postgres::Error;
use uuid::Uuid;

use crate::{
    decode::{Decoded, Decoder},
    rows::{KeyedRow, Row, WorkingSet, insert},
    shares::{Left, left_after},
    standing::key_of,
};

pub(super) const INVOICE: &str = "reporting_invoice";
pub(super) const MOVEMENT: &str = "reporting_invoice_movement";
pub(super) const REVENUE: &str = "reporting_revenue";
pub(super) const CONTRIBUTION: &str = "reporting_contribution";

#[derive(Debug, Clone, ToSql, FromSql)]
#[postgres(name = "reporting_invoice")]
struct InvoiceRow {
    tenant_id: Uuid,
    invoice_id: Uuid,
    bill_to: Uuid,
    purpose: String,
    series: Option<String>,
    number: Option<i64>,
    dated: NaiveDate,
    due_on: NaiveDate,
    currency: String,
    total_minor: i64,
    tax_minor: i64,
    credited_minor: i64,
    lines: Json<Vec<InvoiceLine>>,
}

#[derive(Debug, Clone, ToSql)]
#[postgres(name = "reporting_invoice_movement")]
struct MovementRow {
    tenant_id: Uuid,
    invoice_id: Uuid,
    version: i64,
    happened_on: NaiveDate,
    kind: &'static str,
    amount_minor: i64,
}

#[derive(Debug, Clone, ToSql)]
#[postgres(name = "reporting_revenue")]
struct RevenueRow {
    tenant_id: Uuid,
    record_id: Uuid,
    kind: &'static str,
    currency: String,
    earned_on: NaiveDate,
    amount_minor: i64,
}

#[derive(Debug, Clone, ToSql)]
#[postgres(name = "reporting_contribution")]
struct ContributionRow {
    tenant_id: Uuid,
    payment_id: Uuid,
    kind: &'static str,
    standing: &'static str,
    currency: String,
    amount_minor: i64,
    happened_on: NaiveDate,
}

impl Row for InvoiceRow {
    const TYPE: &'static str = INVOICE;
}
impl KeyedRow<2> for InvoiceRow {
    const KEY: [&'static str; 2] = ["tenant_id", "invoice_id"];
    const COLUMNS: &'static str = "tenant_id, invoice_id, bill_to, purpose, series, number, dated, due_on, currency, \
        total_minor, tax_minor, credited_minor, lines";
    fn key(&self) -> [Uuid; 2] {
        [self.tenant_id, self.invoice_id]
    }
}
impl Row for MovementRow {
    const TYPE: &'static str = MOVEMENT;
}
impl Row for RevenueRow {
    const TYPE: &'static str = REVENUE;
}
impl Row for ContributionRow {
    const TYPE: &'static str = CONTRIBUTION;
}

/// The rows a batch of invoices and payments makes.
pub(super) struct Billing {
    invoices: WorkingSet<InvoiceRow, 2>,
    movements: Vec<MovementRow>,
    revenue: Vec<RevenueRow>,
    contributions: Vec<ContributionRow>,
}

impl Billing {
    /// Folds in memory; nothing is written yet.
    pub(super) async fn fold(
        tx: &Transaction<'_>,
        invoices: &Decoded<'_, InvoiceEvent>,
        payments: &Decoded<'_, PaymentEvent>,
        decoder: &mut Decoder<'_>,
    ) -> Result<Self, Error> {
        let keys = invoices.iter().map(|(event, _)| key_of(event)).collect();
        let mut billing = Self {
            invoices: WorkingSet::load(tx, INVOICE, keys).await?,
            movements: vec![],
            revenue: vec![],
            contributions: vec![],
        };
        for (event, said) in invoices {
            if let Err(reason) = billing.fold_invoice(event, said) {
                decoder.blame(event, reason);
            }
        }
        for (event, said) in payments {
            billing.fold_payment(event, said);
        }
        Ok(billing)
    }

    pub(super) async fn write(&self, tx: &Transaction<'_>) -> Result<(), Error> {
        self.invoices.write(tx).await?;
        insert(tx, MOVEMENT, &self.movements).await?;
        insert(tx, REVENUE, &self.revenue).await?;
        insert(tx, CONTRIBUTION, &self.contributions).await
    }

    fn fold_invoice(&mut self, event: &RecordedEvent, said: &InvoiceEvent) -> Result<(), String> {
        let key @ [tenant_id, invoice_id] = key_of(event);
        match said {
            InvoiceEvent::InvoiceDrafted { bill_to, purpose, lines, total, tax, dated, due_on } => {
                self.invoices.put(InvoiceRow {
                    tenant_id,
                    invoice_id,
                    bill_to: bill_to.uuid(),
                    purpose: purpose.word().to_owned(),
                    series: None,
                    number: None,
                    dated: *dated,
                    due_on: *due_on,
                    currency: total.currency.code().to_owned(),
                    total_minor: total.minor,
                    tax_minor: tax.minor,
                    credited_minor: 0,
                    lines: Json(lines.clone()),
                });
            }
            InvoiceEvent::InvoiceIssued { series, number } => {
                self.invoices.change(key, |row| {
                    row.series = Some(series.clone());
                    row.number = Some(i64::from(*number));
                });
                let dated = self.drafted(key)?.dated;
                // A draft is no revenue; from here on it is, less what was credited while it was one.
                let credited = self.drafted(key)?.credited_minor;
                self.earn(event, dated, None, credited)?;
            }
            InvoiceEvent::InvoiceCredited { amount, on, .. } => {
                let before = self.drafted(key)?.credited_minor;
                let after = before.checked_add(amount.minor).ok_or("more is credited than can be counted")?;
                self.invoices.change(key, |row| row.credited_minor = after);
                self.move_open(event, "credit_note", -amount.minor, *on);
                if self.drafted(key)?.number.is_some() {
                    self.earn(event, *on, Some(before), after)?;
                }
            }
            InvoiceEvent::PaymentApplied { amount, on, .. } => self.move_open(event, "payment", -amount.minor, *on),
            InvoiceEvent::PaymentReversed { amount, on, .. } => self.move_open(event, "reversal", amount.minor, *on),
            InvoiceEvent::InvoiceWrittenOff { amount, on, .. } => {
                self.move_open(event, "write_off", -amount.minor, *on);
            }
            InvoiceEvent::InvoiceSettled { .. } => {}
        }
        Ok(())
    }

    fn drafted(&self, key: [Uuid; 2]) -> Result<&InvoiceRow, String> {
        self.invoices.get(key).ok_or_else(|| "the invoice was never drafted".to_owned())
    }

    fn move_open(&mut self, event: &RecordedEvent, kind: &'static str, amount_minor: i64, happened_on: NaiveDate) {
        let [tenant_id, invoice_id] = key_of(event);
        let version = event.version.cast_signed();
        self.movements.push(MovementRow { tenant_id, invoice_id, version, happened_on, kind, amount_minor });
    }

    /// Counts the net amounts by kind: what is left after `credited`, less what was counted when `before` was credited.
    fn earn(&mut self, event: &RecordedEvent, on: NaiveDate, before: Option<i64>, credited: i64) -> Result<(), String> {
        let row = self.drafted(key_of(event))?;
        let lines = &row.lines.0;
        let currency = Currency::from_code(&row.currency).ok_or("the invoice's currency is unknown")?;
        let left = |credited| left_after(lines, currency, credited).map_err(|error| error.to_string());
        let counted = before.map(left).transpose()?.unwrap_or_else(|| vec![Left::default(); lines.len()]);
        let mut by_kind: BTreeMap<RevenueKind, i64> = BTreeMap::new();
        for ((line, now), counted) in lines.iter().zip(left(credited)?).zip(counted) {
            *by_kind.entry(line.kind).or_default() += now.net - counted.net;
        }
        for (kind, amount) in by_kind.into_iter().filter(|(_, amount)| *amount != 0) {
            self.count_revenue(event, kind, Money::new(amount, currency), on);
        }
        Ok(())
    }

    fn count_revenue(&mut self, event: &RecordedEvent, kind: RevenueKind, amount: Money, earned_on: NaiveDate) {
        self.revenue.push(RevenueRow {
            tenant_id: event.tenant.uuid(),
            record_id: event.event_id,
            kind: kind.into(),
            currency: amount.currency.code().to_owned(),
            earned_on,
            amount_minor: amount.minor,
        });
    }

    fn fold_payment(&mut self, event: &RecordedEvent, said: &PaymentEvent) {
        // Money received for invoices counts when they are issued; only what was imported counts by itself.
        let PaymentEvent::ContributionImported { amount, kind, standing, on, .. } = said else { return };
        let [tenant_id, payment_id] = key_of(event);
        self.contributions.push(ContributionRow {
            tenant_id,
            payment_id,
            kind: kind.into(),
            standing: standing.into(),
            currency: amount.currency.code().to_owned(),
            amount_minor: amount.minor,
            happened_on: *on,
        });
        if *standing == ContributionStanding::Completed && !amount.is_zero() {
            self.count_revenue(event, *kind, *amount, *on);
        }
    }
}
