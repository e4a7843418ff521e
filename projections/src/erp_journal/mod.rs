//! The general journal: every financial fact as balanced entries, ready for an ERP.
//!
//! Entries hold roles, not accounts: which account plays a role is what people configure (`settings.account_mapping`), and
//! no fold of history. So a changed mapping needs no rebuild, and a rebuilt journal equals the live one.

mod posting;
mod queries;

use chrono::NaiveDate;
use deadpool_postgres::Transaction;
use guildhall_aggregates::{
    derived,
    invoice::{InvoiceEvent, InvoiceLine},
    money::Currency,
    payment::{ContributionStanding, PaymentEvent},
};
use guildhall_event_store::{Batch, RecordedEvent, Selection};
use postgres_types::{FromSql, Json, ToSql};
pub use posting::{RULE_VERSION, Role};
pub use queries::*;
use uuid::Uuid;

use crate::{
    ProjectError, Projector, Stage,
    decode::Decoder,
    rows::{KeyedRow, Row, WorkingSet, insert},
    standing::key_of,
};
use posting::{Charge, Posting};

const INVOICE: &str = "erp_journal_invoice";
const PAYMENT: &str = "erp_journal_payment";
const ENTRY: &str = "erp_journal_entry";
const LINE: &str = "erp_journal_line";

/// Folds financial facts into the journal.
#[derive(Debug)]
pub struct ErpJournal;

impl Projector for ErpJournal {
    const NAME: &'static str = "erp_journal";
    const VERSION: i32 = 1;
    const TABLES: &'static [&'static str] = &[INVOICE, PAYMENT, ENTRY, LINE];

    const READS: Selection = Selection { categories: &["invoice", "payment"], without: &[] };

    async fn apply(batch: &Batch, tx: &Transaction<'_>, _stage: Stage) -> Result<(), ProjectError> {
        let mut decoder = Decoder::new(batch, Self::READS);
        let (invoices, payments) = (decoder.all::<InvoiceEvent>(), decoder.all::<PaymentEvent>());
        let invoice_keys = invoices.iter().map(|(event, _)| key_of(event)).collect();
        let payment_keys = payments.iter().map(|(event, _)| key_of(event)).collect();
        let mut books = Books {
            invoices: WorkingSet::load(tx, INVOICE, invoice_keys).await?,
            payments: WorkingSet::load(tx, PAYMENT, payment_keys).await?,
            entries: vec![],
            lines: vec![],
        };
        for (event, said) in &invoices {
            if let Err(reason) = books.fold_invoice(event, said) {
                decoder.blame(event, reason);
            }
        }
        for (event, said) in &payments {
            if let Err(reason) = books.fold_payment(event, said) {
                decoder.blame(event, reason);
            }
        }
        decoder.finish()?;
        books.invoices.write(tx).await?;
        books.payments.write(tx).await?;
        insert(tx, ENTRY, &books.entries).await?;
        Ok(insert(tx, LINE, &books.lines).await?)
    }
}

/// What has to be known of an invoice to book what happens to it.
#[derive(Debug, Clone, ToSql, FromSql)]
#[postgres(name = "erp_journal_invoice")]
struct InvoiceRow {
    tenant_id: Uuid,
    invoice_id: Uuid,
    series: Option<String>,
    number: Option<i64>,
    dated: NaiveDate,
    currency: String,
    total_minor: i64,
    credited_minor: i64,
    lines: Json<Vec<InvoiceLine>>,
}

#[derive(Debug, Clone, ToSql, FromSql)]
#[postgres(name = "erp_journal_payment")]
struct PaymentRow {
    tenant_id: Uuid,
    payment_id: Uuid,
    unallocated_minor: i64,
}

#[derive(Debug, Clone, ToSql)]
#[postgres(name = "erp_journal_entry")]
struct EntryRow {
    tenant_id: Uuid,
    entry_id: Uuid,
    dated: NaiveDate,
    kind: &'static str,
    description: String,
    currency: String,
    record_id: Uuid,
    stream: String,
    rule_version: i64,
}

#[derive(Debug, Clone, ToSql)]
#[postgres(name = "erp_journal_line")]
struct LineRow {
    tenant_id: Uuid,
    entry_id: Uuid,
    line: i64,
    role: &'static str,
    debit_minor: i64,
    credit_minor: i64,
}

impl Row for InvoiceRow {
    const TYPE: &'static str = INVOICE;
}
impl KeyedRow<2> for InvoiceRow {
    const KEY: [&'static str; 2] = ["tenant_id", "invoice_id"];
    const COLUMNS: &'static str =
        "tenant_id, invoice_id, series, number, dated, currency, total_minor, credited_minor, lines";
    fn key(&self) -> [Uuid; 2] {
        [self.tenant_id, self.invoice_id]
    }
}
impl Row for PaymentRow {
    const TYPE: &'static str = PAYMENT;
}
impl KeyedRow<2> for PaymentRow {
    const KEY: [&'static str; 2] = ["tenant_id", "payment_id"];
    const COLUMNS: &'static str = "tenant_id, payment_id, unallocated_minor";
    fn key(&self) -> [Uuid; 2] {
        [self.tenant_id, self.payment_id]
    }
}
impl Row for EntryRow {
    const TYPE: &'static str = ENTRY;
}
impl Row for LineRow {
    const TYPE: &'static str = LINE;
}

impl InvoiceRow {
    fn named(&self) -> String {
        match (&self.series, self.number) {
            (Some(series), Some(number)) => format!("invoice {series}-{number}"),
            _ => "an invoice not yet numbered".to_owned(),
        }
    }

    fn charge(&self) -> Result<Charge<'_>, String> {
        let currency = Currency::from_code(&self.currency).ok_or("the invoice's currency is unknown")?;
        Ok(Charge { lines: &self.lines.0, currency, dated: self.dated })
    }
}

/// The journal's rows as a batch makes them.
struct Books {
    invoices: WorkingSet<InvoiceRow, 2>,
    payments: WorkingSet<PaymentRow, 2>,
    entries: Vec<EntryRow>,
    lines: Vec<LineRow>,
}

impl Books {
    fn fold_invoice(&mut self, event: &RecordedEvent, said: &InvoiceEvent) -> Result<(), String> {
        let key @ [tenant_id, invoice_id] = key_of(event);
        if let InvoiceEvent::InvoiceDrafted { lines, total, dated, .. } = said {
            self.invoices.put(InvoiceRow {
                tenant_id,
                invoice_id,
                series: None,
                number: None,
                dated: *dated,
                currency: total.currency.code().to_owned(),
                total_minor: total.minor,
                credited_minor: 0,
                lines: Json(lines.clone()),
            });
            return Ok(());
        }
        let mut invoice = self.invoices.get(key).ok_or("the invoice was never drafted")?.clone();
        let (about, postings) = match said {
            InvoiceEvent::InvoiceIssued { series, number } => {
                (invoice.series, invoice.number) = (Some(series.clone()), Some(i64::from(*number)));
                ("Issue of", invoice.charge()?.issued(invoice.credited_minor).map_err(|error| error.to_string())?)
            }
            InvoiceEvent::InvoiceCredited { amount, on, .. } => {
                let before = invoice.credited_minor;
                let after = before.checked_add(amount.minor).ok_or("more is credited than can be counted")?;
                invoice.credited_minor = after;
                // A draft is not in the books, so neither is a credit note to it: its issue takes less.
                let postings = match invoice.number {
                    Some(_) => invoice.charge()?.credited(before, after, *on).map_err(|error| error.to_string())?,
                    None => vec![],
                };
                ("Credit note to", postings)
            }
            InvoiceEvent::PaymentApplied { amount, on, .. } => {
                ("Payment of", vec![posting::payment_applied(amount.minor, *on)])
            }
            InvoiceEvent::PaymentReversed { amount, on, .. } => {
                ("Payment taken back from", vec![posting::payment_reversed(amount.minor, *on)])
            }
            InvoiceEvent::InvoiceWrittenOff { amount, on, .. } => {
                ("Write-off of", vec![posting::written_off(amount.minor, *on)])
            }
            InvoiceEvent::InvoiceSettled { .. } | InvoiceEvent::InvoiceDrafted { .. } => return Ok(()),
        };
        self.book(event, &format!("{about} {}", invoice.named()), &invoice.currency, postings);
        self.invoices.put(invoice);
        Ok(())
    }

    fn fold_payment(&mut self, event: &RecordedEvent, said: &PaymentEvent) -> Result<(), String> {
        let key @ [tenant_id, payment_id] = key_of(event);
        let (amount, about, posting) = match said {
            PaymentEvent::PaymentReceived { provider, reference, amount, on, .. } => {
                self.payments.put(PaymentRow { tenant_id, payment_id, unallocated_minor: amount.minor });
                let about = format!("Payment by {provider}, reference {reference}");
                (amount, about, posting::payment_received(amount.minor, *on))
            }
            PaymentEvent::PaymentAllocated { amount, .. } => {
                self.payments.change(key, |row| row.unallocated_minor -= amount.minor);
                return Ok(());
            }
            PaymentEvent::PaymentRefunded { amount, reason, on, .. } => {
                let unallocated = self.payments.get(key).ok_or("the payment was never received")?.unallocated_minor;
                let left = (unallocated - amount.minor).max(unallocated.min(0));
                self.payments.change(key, |row| row.unallocated_minor = left);
                (amount, format!("Refund: {reason}"), posting::payment_refunded(amount.minor, unallocated, *on))
            }
            PaymentEvent::PaymentChargedBack { amount, on } => {
                (amount, "Chargeback".to_owned(), posting::charged_back(amount.minor, *on))
            }
            PaymentEvent::ContributionImported { amount, kind, standing, on, source, .. } => {
                if *standing != ContributionStanding::Completed {
                    return Ok(());
                }
                let about = format!("Contribution {} of {}", source.id, source.system);
                (amount, about, posting::contribution(*kind, amount.minor, *on))
            }
        };
        self.book(event, &about, amount.currency.code(), vec![posting]);
        Ok(())
    }

    fn book(&mut self, event: &RecordedEvent, about: &str, currency: &str, postings: Vec<Posting>) {
        let tenant_id = event.tenant.uuid();
        for posting in postings.into_iter().filter(|posting| !posting.amounts.is_empty()) {
            let (record, version) = (event.event_id.to_string(), RULE_VERSION.to_string());
            let entry_id = derived(tenant_id, &["journal", &record, &posting.part, &version]);
            self.entries.push(EntryRow {
                tenant_id,
                entry_id,
                dated: posting.dated,
                kind: posting.kind,
                description: about.to_owned(),
                currency: currency.to_owned(),
                record_id: event.event_id,
                stream: event.stream.to_string(),
                rule_version: RULE_VERSION,
            });
            self.lines.extend(posting.amounts.iter().zip(1..).map(|((role, minor), line)| LineRow {
                tenant_id,
                entry_id,
                line,
                role: role.into(),
                debit_minor: (*minor).max(0),
                credit_minor: (-*minor).max(0),
            }));
        }
    }
}
