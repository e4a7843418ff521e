//! Why a payment says no.

use strum::IntoStaticStr;

use crate::{Money, money::MoneyError};

/// Why a command to a payment is refused. The name in kebab case is stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum PaymentRefusal {
    /// No such money came.
    #[error("there is no such payment")]
    PaymentUnknown,
    /// The payment is on record with another provider, reference or amount.
    #[error("the payment is on record with another provider, reference or amount")]
    PaymentDiffers,
    /// Provider or reference is missing, so the payment could not be told from another one.
    #[error("name the provider and its reference for the payment")]
    ReferenceMissing,
    /// An amount must be more than nothing.
    #[error("the amount must be more than zero")]
    AmountNotPositive,
    /// More would count against invoices than is left of the payment.
    #[error("only {available} of the payment is not allocated yet")]
    AllocationTooLarge {
        /// What may be allocated.
        available: Money,
    },
    /// The payment counts against that invoice with another amount.
    #[error("the payment counts against that invoice already, with another amount")]
    AllocationDiffers,
    /// More would be given back than there is.
    #[error("only {available} of the payment can be refunded")]
    RefundTooLarge {
        /// What may be given back.
        available: Money,
    },
    /// The refund is on record with another amount.
    #[error("the refund is on record with another amount")]
    RefundDiffers,
    /// The books need a reason.
    #[error("say why the money is given back")]
    ReasonMissing,
    /// Everything was given back already.
    #[error("nothing of the payment is left to be charged back")]
    NothingLeft,
    /// The amounts cannot be computed with.
    #[error(transparent)]
    Money(#[from] MoneyError),
}
