//! What a payment can be asked.

use chrono::NaiveDate;

use super::ContributionStanding;
use crate::{
    Money,
    decide::command_enum,
    ids::{InvoiceId, RefundId, SubjectId},
    invoice::RevenueKind,
    source::SourceRef,
};

/// Record money that came. The stream's id follows from provider and reference, so the same payment told
/// five times is one payment.
#[derive(Debug, Clone)]
pub struct RecordPayment {
    /// Who took it.
    pub provider: String,
    /// The provider's own reference.
    pub reference: String,
    /// Who paid.
    pub payer: Option<SubjectId>,
    /// How much; more than nothing.
    pub amount: Money,
    /// The invoice it is meant for.
    pub invoice_id: Option<InvoiceId>,
    /// Today.
    pub today: NaiveDate,
}

/// Note that a part counts against an invoice.
#[derive(Debug, Clone)]
pub struct AllocatePayment {
    /// Which invoice.
    pub invoice_id: InvoiceId,
    /// How much.
    pub amount: Money,
    /// Today.
    pub today: NaiveDate,
}

/// Give a part or all of it back.
#[derive(Debug, Clone)]
pub struct RefundPayment {
    /// The refund.
    pub refund_id: RefundId,
    /// How much; never more than was received and not given back.
    pub amount: Money,
    /// Why.
    pub reason: String,
    /// Today.
    pub today: NaiveDate,
}

/// Record that the payer's bank took it back.
#[derive(Debug, Clone)]
pub struct RecordChargeback {
    /// Today.
    pub today: NaiveDate,
}

/// Take over a contribution another system kept.
#[derive(Debug, Clone)]
pub struct ImportContribution {
    /// Who gave it.
    pub payer: SubjectId,
    /// How much.
    pub amount: Money,
    /// What for.
    pub kind: RevenueKind,
    /// Where it stands.
    pub standing: ContributionStanding,
    /// On which day.
    pub on: NaiveDate,
    /// Which row it is.
    pub source: SourceRef,
}

command_enum! {
    /// Everything a payment can be asked.
    PaymentCommand {
        RecordPayment, AllocatePayment, RefundPayment, RecordChargeback, ImportContribution
    }
}
