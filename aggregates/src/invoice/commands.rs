//! What an invoice can be asked.

use chrono::NaiveDate;

use super::{InvoiceLine, InvoicePurpose};
use crate::{
    Money,
    decide::command_enum,
    ids::{CreditNoteId, PaymentId, SubjectId},
    money::Currency,
};

/// Write an invoice. It is issued as soon as its series has given it a number.
#[derive(Debug, Clone)]
pub struct DraftInvoice {
    /// Who is to pay.
    pub bill_to: SubjectId,
    /// What for.
    pub purpose: InvoicePurpose,
    /// The lines; at least one.
    pub lines: Vec<InvoiceLine>,
    /// The currency of all amounts.
    pub currency: Currency,
    /// When it is dated.
    pub today: NaiveDate,
    /// When it is to be paid.
    pub due_on: NaiveDate,
}

/// Give the invoice its number.
#[derive(Debug, Clone)]
pub struct IssueInvoice {
    /// The series.
    pub series: String,
    /// The number in the series.
    pub number: u32,
}

/// Count a payment against it.
#[derive(Debug, Clone)]
pub struct ApplyPayment {
    /// Which payment.
    pub payment_id: PaymentId,
    /// How much is available.
    pub amount: Money,
    /// Today.
    pub today: NaiveDate,
}

/// Take back a payment that was charged back.
#[derive(Debug, Clone)]
pub struct ReversePayment {
    /// Which payment.
    pub payment_id: PaymentId,
    /// Today.
    pub today: NaiveDate,
}

/// Take back a part or all of it by a credit note.
#[derive(Debug, Clone)]
pub struct CreditInvoice {
    /// The credit note.
    pub credit_note_id: CreditNoteId,
    /// How much.
    pub amount: Money,
    /// Why.
    pub reason: String,
    /// Today.
    pub today: NaiveDate,
}

/// Give up what is open.
#[derive(Debug, Clone)]
pub struct WriteOffInvoice {
    /// Why.
    pub reason: String,
    /// Today.
    pub today: NaiveDate,
}

command_enum! {
    /// Everything an invoice can be asked.
    InvoiceCommand {
        DraftInvoice, IssueInvoice, ApplyPayment, ReversePayment, CreditInvoice, WriteOffInvoice
    }
}
