//! What an invoice is made of and what can happen to it.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use crate::{
    Money,
    ids::{AssociationEventId, CreditNoteId, MembershipId, PaymentId, RegistrationId, SubjectId},
};

/// What is charged for; decides the account of the revenue and when it is recognised.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RevenueKind {
    /// Membership dues: deferred, and recognised monthly over the term.
    Dues,
    /// A place at an association event: recognised on its date.
    EventFee,
    /// A gift.
    Donation,
    /// Anything else.
    Other,
}

/// The span a charge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServicePeriod {
    /// First day.
    pub from: NaiveDate,
    /// Last day; none for life.
    pub to: Option<NaiveDate>,
}

/// One line. Amounts are of the invoice's currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceLine {
    /// What is charged for, as people read it; says nothing about a person.
    pub description: String,
    /// What kind of revenue it is.
    pub kind: RevenueKind,
    /// How many.
    pub quantity: u32,
    /// What one costs, in minor units.
    pub unit_minor: i64,
    /// Discount on the whole line, in minor units.
    #[serde(default)]
    pub discount_minor: i64,
    /// Tax rate in hundredths of a percent, on the amount after discount.
    #[serde(default)]
    pub tax_rate_bp: u32,
    /// The span it is for, where revenue is recognised over time or on a later date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServicePeriod>,
}

/// What an invoice is for: whose settlement starts something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InvoicePurpose {
    /// The first term of a membership.
    MembershipDues {
        /// Which membership.
        membership_id: MembershipId,
    },
    /// A further term of a membership.
    RenewalDues {
        /// Which membership.
        membership_id: MembershipId,
        /// The number the term will have.
        term_number: u32,
    },
    /// A place at an association event.
    EventFee {
        /// Which association event.
        event_id: AssociationEventId,
        /// Whose registration.
        registration_id: RegistrationId,
    },
    /// Something that starts nothing.
    Other,
}

impl InvoicePurpose {
    /// Its word, as it is stored: `membership_dues`, `renewal_dues`, `event_fee` or `other`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::MembershipDues { .. } => "membership_dues",
            Self::RenewalDues { .. } => "renewal_dues",
            Self::EventFee { .. } => "event_fee",
            Self::Other => "other",
        }
    }
}

/// What happened. Stored for ever: add variants and versions, never change one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(tag = "type")]
pub enum InvoiceEvent {
    /// It is written, and waits for its number.
    InvoiceDrafted {
        /// Who is to pay.
        bill_to: SubjectId,
        /// What for.
        purpose: InvoicePurpose,
        /// The lines.
        lines: Vec<InvoiceLine>,
        /// The sum to pay, tax included.
        total: Money,
        /// Of which tax.
        tax: Money,
        /// When it is dated.
        dated: NaiveDate,
        /// When it is to be paid.
        due_on: NaiveDate,
    },
    /// It has its number, and never changes from now on.
    InvoiceIssued {
        /// The series: `2026`.
        series: String,
        /// The number in the series: 1, 2, 3 … without a gap.
        number: u32,
    },
    /// A payment counts against it.
    PaymentApplied {
        /// Which payment.
        payment_id: PaymentId,
        /// How much of it: never more than was open.
        amount: Money,
        /// How much the payment exceeds what was open.
        excess: Money,
        /// On which day.
        on: NaiveDate,
    },
    /// Nothing is open any more.
    InvoiceSettled {
        /// The payment that settled it; none when a credit note did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payment_id: Option<PaymentId>,
        /// On which day.
        on: NaiveDate,
    },
    /// A payment no longer counts against it: it was charged back.
    PaymentReversed {
        /// Which payment.
        payment_id: PaymentId,
        /// How much of it had counted.
        amount: Money,
        /// On which day.
        on: NaiveDate,
    },
    /// A part or all of it is taken back by a credit note.
    InvoiceCredited {
        /// The credit note.
        credit_note_id: CreditNoteId,
        /// How much.
        amount: Money,
        /// Why, as the books read it.
        reason: String,
        /// On which day.
        on: NaiveDate,
    },
    /// What is open will not be collected.
    InvoiceWrittenOff {
        /// How much was open.
        amount: Money,
        /// Why, as the books read it.
        reason: String,
        /// On which day.
        on: NaiveDate,
    },
}
