//! Commands to a payment.

mod import_contribution;
mod record_chargeback;
mod record_payment;
mod refund_payment;

use guildhall_aggregates::{TenantId, derived, payment::PaymentRefusal};
use guildhall_web::Kind;
use uuid::Uuid;

use crate::{endpoint::Refusal, registry::CommandType};

pub(crate) fn all() -> Vec<CommandType> {
    vec![
        CommandType::of::<record_payment::RecordPayment>(),
        CommandType::of::<refund_payment::RefundPayment>(),
        CommandType::of::<record_chargeback::RecordChargeback>(),
        CommandType::of::<import_contribution::ImportContribution>(),
    ]
}

impl Refusal for PaymentRefusal {
    fn kind(&self) -> Kind {
        let word = self.into();
        match self {
            Self::PaymentUnknown => Kind::absent(word),
            Self::PaymentDiffers
            | Self::AllocationTooLarge { .. }
            | Self::AllocationDiffers
            | Self::RefundTooLarge { .. }
            | Self::RefundDiffers
            | Self::NothingLeft => Kind::refused(word),
            Self::ReferenceMissing | Self::AmountNotPositive | Self::ReasonMissing | Self::Money(_) => {
                Kind::invalid(word)
            }
        }
    }
}

/// The payment a provider knows by a reference: the same reference is the same stream, so money that is told
/// five times is recorded once.
pub fn payment_id(tenant: TenantId, provider: &str, reference: &str) -> Uuid {
    derived(tenant.uuid(), &["payment", provider, reference])
}
