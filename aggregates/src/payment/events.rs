//! What can happen to money received.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use crate::{
    Money,
    ids::{InvoiceId, RefundId, SubjectId},
    invoice::RevenueKind,
    source::SourceRef,
};

/// Where an imported contribution stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ContributionStanding {
    /// The money is there.
    Completed,
    /// It is expected.
    Pending,
    /// It will not come.
    Cancelled,
    /// It did not come.
    Failed,
    /// It was given back.
    Refunded,
}

/// What happened. Stored for ever: add variants and versions, never change one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(tag = "type")]
pub enum PaymentEvent {
    /// Money came.
    PaymentReceived {
        /// Who took it: `test`, `stripe`, `bank`, `cash`.
        provider: String,
        /// The provider's own reference, unique there.
        reference: String,
        /// Who paid, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payer: Option<SubjectId>,
        /// How much.
        amount: Money,
        /// The invoice it was meant for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invoice_id: Option<InvoiceId>,
        /// On which day.
        on: NaiveDate,
    },
    /// A part or all of it counts against an invoice.
    PaymentAllocated {
        /// Which invoice.
        invoice_id: InvoiceId,
        /// How much.
        amount: Money,
        /// On which day.
        on: NaiveDate,
    },
    /// A part or all of it was given back.
    PaymentRefunded {
        /// The refund.
        refund_id: RefundId,
        /// How much.
        amount: Money,
        /// Why, as the books read it.
        reason: String,
        /// On which day.
        on: NaiveDate,
    },
    /// The payer's bank took it back.
    PaymentChargedBack {
        /// How much.
        amount: Money,
        /// On which day.
        on: NaiveDate,
    },
    /// A contribution another system kept, as it stood there. Not decided here.
    ContributionImported {
        /// Who gave it.
        payer: SubjectId,
        /// How much.
        amount: Money,
        /// What it was for.
        kind: RevenueKind,
        /// Where it stood.
        standing: ContributionStanding,
        /// On which day it came, or was expected.
        on: NaiveDate,
        /// Which row it was.
        source: SourceRef,
    },
}
