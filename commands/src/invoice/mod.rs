//! Commands to an invoice.

mod credit_invoice;
mod draft_invoice;
mod reverse_payment;
mod write_off_invoice;

use chrono::Days;
use guildhall_aggregates::{event_roster::EventRoster, invoice::InvoiceRefusal, membership::Membership};
use guildhall_event_store::StreamId;
use guildhall_web::{Kind, Problem};

use crate::{
    Context,
    endpoint::{Refusal, stream_of},
    registry::CommandType,
    wire::Purpose,
};

/// How long an invoice may stay open unless it says otherwise.
const USUAL_TERM: Days = Days::new(14);

pub(crate) fn all() -> Vec<CommandType> {
    vec![
        CommandType::of::<draft_invoice::DraftInvoice>(),
        CommandType::of::<credit_invoice::CreditInvoice>(),
        CommandType::of::<reverse_payment::ReversePayment>(),
        CommandType::of::<write_off_invoice::WriteOffInvoice>(),
    ]
}

impl Refusal for InvoiceRefusal {
    fn kind(&self) -> Kind {
        let word = self.into();
        match self {
            Self::InvoiceUnknown => Kind::absent(word),
            Self::InvoiceAlreadyDrafted
            | Self::AlreadyIssued { .. }
            | Self::NotIssued
            | Self::PaymentUnknown
            | Self::CreditTooLarge { .. }
            | Self::CreditNoteDiffers
            | Self::NothingOpen => Kind::refused(word),
            Self::NoLines
            | Self::TooManyLines { .. }
            | Self::QuantityMissing { .. }
            | Self::PriceNegative { .. }
            | Self::DiscountOutOfRange { .. }
            | Self::TaxRateOutOfRange { .. }
            | Self::DueBeforeDated
            | Self::NumberInvalid
            | Self::AmountNotPositive
            | Self::ReasonMissing
            | Self::Money(_) => Kind::invalid(word),
        }
    }
}

fn nothing() -> Purpose {
    Purpose::Other {}
}

/// The stream of what an invoice is for.
fn purpose_stream(purpose: Purpose) -> Option<StreamId> {
    match purpose {
        Purpose::MembershipDues { membership_id } | Purpose::RenewalDues { membership_id, .. } => {
            Some(stream_of::<Membership>(membership_id.uuid()))
        }
        Purpose::EventFee { event_id, .. } => Some(stream_of::<EventRoster>(event_id.uuid())),
        Purpose::Other {} => None,
    }
}

/// Requires that what an invoice is for exists.
async fn require_purpose(context: &Context, purpose: Purpose) -> Result<(), Problem> {
    match purpose {
        Purpose::MembershipDues { membership_id } | Purpose::RenewalDues { membership_id, .. } => {
            context.require::<Membership>(membership_id.uuid(), "/purpose/membership_id").await
        }
        Purpose::EventFee { event_id, .. } => {
            context.require::<EventRoster>(event_id.uuid(), "/purpose/event_id").await
        }
        Purpose::Other {} => Ok(()),
    }
}
