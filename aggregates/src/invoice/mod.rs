//! One bill: lines, payments against it, credit notes.
//! The boundary is one invoice; once issued it never changes, corrections are credit notes.

mod commands;
mod draft;
mod events;
mod refusal;
mod settle;

use std::collections::BTreeMap;

pub use commands::*;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
pub use draft::LineAmount;
pub use events::*;
pub use refusal::*;
use serde::{Deserialize, Serialize};

use crate::{
    Decide, Money, StoredEvent,
    ids::{CreditNoteId, PaymentId, SubjectId},
};

/// An invoice and what counts against it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    charge: Option<Charge>,
    number: Option<SeriesNumber>,
    payments: BTreeMap<PaymentId, AppliedPayment>,
    credits: BTreeMap<CreditNoteId, Money>,
    written_off_minor: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Charge {
    bill_to: SubjectId,
    purpose: InvoicePurpose,
    lines: Vec<InvoiceLine>,
    total: Money,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SeriesNumber {
    series: String,
    number: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct AppliedPayment {
    amount: Money,
    reversed: bool,
}

impl Invoice {
    /// The sum to pay, tax included; none before it is written.
    pub fn total(&self) -> Option<Money> {
        self.charge.as_ref().map(|charge| charge.total)
    }

    /// What it is for.
    pub fn purpose(&self) -> Option<InvoicePurpose> {
        self.charge.as_ref().map(|charge| charge.purpose)
    }

    /// Who is to pay.
    pub fn bill_to(&self) -> Option<SubjectId> {
        self.charge.as_ref().map(|charge| charge.bill_to)
    }

    /// Series and number, once it is issued.
    pub fn number(&self) -> Option<(&str, u32)> {
        self.number.as_ref().map(|given| (given.series.as_str(), given.number))
    }

    /// What is still to be paid: never less than nothing, also when more was credited than was open.
    pub fn open(&self) -> Option<Money> {
        let charge = self.charge.as_ref()?;
        Some(Money::new(self.open_minor(charge), charge.total.currency))
    }

    // No sum here can overflow: every part was checked against the total before it was recorded.
    fn open_minor(&self, charge: &Charge) -> i64 {
        let paid: i64 = self.payments.values().filter(|payment| !payment.reversed).map(|p| p.amount.minor).sum();
        let given_up = self.credited_minor() + self.written_off_minor;
        (charge.total.minor - given_up - paid).max(0)
    }

    fn credited_minor(&self) -> i64 {
        self.credits.values().map(|part| part.minor).sum()
    }

    fn charge(&self) -> Result<&Charge, InvoiceRefusal> {
        self.charge.as_ref().ok_or(InvoiceRefusal::InvoiceUnknown)
    }
}

impl Decide for Invoice {
    fn decide(&self, command: InvoiceCommand) -> Result<Vec<InvoiceEvent>, InvoiceRefusal> {
        match command {
            InvoiceCommand::DraftInvoice(command) => self.draft(command),
            InvoiceCommand::IssueInvoice(command) => self.issue(command),
            InvoiceCommand::ApplyPayment(command) => self.apply_payment(command),
            InvoiceCommand::ReversePayment(command) => self.reverse_payment(command),
            InvoiceCommand::CreditInvoice(command) => self.credit(command),
            InvoiceCommand::WriteOffInvoice(command) => self.write_off(command),
        }
    }
}

impl Aggregate for Invoice {
    const TYPE: &'static str = InvoiceEvent::CATEGORY;
    type Command = InvoiceCommand;
    type Event = InvoiceEvent;
    type Error = InvoiceRefusal;
    type Services = ();

    async fn handle(&mut self, command: InvoiceCommand, (): &(), sink: &EventSink<Self>) -> Result<(), InvoiceRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, event: InvoiceEvent) {
        match event {
            InvoiceEvent::InvoiceDrafted { bill_to, purpose, lines, total, tax: _, dated: _, due_on: _ } => {
                self.charge = Some(Charge { bill_to, purpose, lines, total });
            }
            InvoiceEvent::InvoiceIssued { series, number } => self.number = Some(SeriesNumber { series, number }),
            InvoiceEvent::PaymentApplied { payment_id, amount, excess: _, on: _ } => {
                self.payments.insert(payment_id, AppliedPayment { amount, reversed: false });
            }
            // That nothing is open any more follows from the amounts; others wait for being told.
            InvoiceEvent::InvoiceSettled { payment_id: _, on: _ } => {}
            InvoiceEvent::PaymentReversed { payment_id, amount: _, on: _ } => {
                if let Some(payment) = self.payments.get_mut(&payment_id) {
                    payment.reversed = true;
                }
            }
            InvoiceEvent::InvoiceCredited { credit_note_id, amount, reason: _, on: _ } => {
                self.credits.insert(credit_note_id, amount);
            }
            InvoiceEvent::InvoiceWrittenOff { amount, reason: _, on: _ } => self.written_off_minor += amount.minor,
        }
    }
}

impl DomainEvent for InvoiceEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for InvoiceEvent {
    const CATEGORY: &'static str = "invoice";
    fn type_name(&self) -> &'static str {
        self.into()
    }
}
