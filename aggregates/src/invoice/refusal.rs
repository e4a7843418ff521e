//! Why an invoice says no.

use strum::IntoStaticStr;

use crate::{Money, money::MoneyError};

/// Why a command to an invoice is refused. The name in kebab case is stable. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum InvoiceRefusal {
    /// There is no such invoice.
    #[error("there is no such invoice")]
    InvoiceUnknown,
    /// There is an invoice with this identity, and it says something else.
    #[error("the invoice is written and says something else: credit it and write a new one")]
    InvoiceAlreadyDrafted,
    /// Nothing is charged.
    #[error("an invoice needs at least one line")]
    NoLines,
    /// More lines than an invoice holds.
    #[error("an invoice may have at most {most} lines")]
    TooManyLines {
        /// How many there may be.
        most: usize,
    },
    /// A line charges for nothing.
    #[error("line {line}: the quantity must be at least 1")]
    QuantityMissing {
        /// Which line.
        line: usize,
    },
    /// A line would pay the payer.
    #[error("line {line}: the unit price must not be negative; use a credit note")]
    PriceNegative {
        /// Which line.
        line: usize,
    },
    /// A discount adds something, or takes more than there is.
    #[error("line {line}: the discount must be between zero and the price of the line")]
    DiscountOutOfRange {
        /// Which line.
        line: usize,
    },
    /// More tax than price.
    #[error("line {line}: the tax rate must be at most 10000 hundredths of a percent")]
    TaxRateOutOfRange {
        /// Which line.
        line: usize,
    },
    /// It would be overdue before it is written.
    #[error("an invoice cannot be due before its date")]
    DueBeforeDated,
    /// It has another number, and issued invoices never change.
    #[error("the invoice has number {number} in series {series}")]
    AlreadyIssued {
        /// Its series.
        series: String,
        /// Its number.
        number: u32,
    },
    /// Numbers count from 1 in a series that has a name.
    #[error("name the series and give a number from 1")]
    NumberInvalid,
    /// It has no number yet.
    #[error("the invoice is not issued yet")]
    NotIssued,
    /// An amount must be more than nothing.
    #[error("the amount must be more than zero")]
    AmountNotPositive,
    /// The payment never counted against it.
    #[error("the payment does not count against this invoice")]
    PaymentUnknown,
    /// More would be taken back than was charged.
    #[error("only {available} of the invoice can be credited")]
    CreditTooLarge {
        /// What may be credited.
        available: Money,
    },
    /// The credit note is on record with another amount.
    #[error("the credit note is on record with another amount")]
    CreditNoteDiffers,
    /// The books need a reason.
    #[error("say why")]
    ReasonMissing,
    /// Nothing is left to be given up.
    #[error("nothing of the invoice is open")]
    NothingOpen,
    /// The amounts cannot be computed with.
    #[error(transparent)]
    Money(#[from] MoneyError),
}
