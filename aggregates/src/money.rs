//! Money: whole minor units with an ISO 4217 currency. No floats anywhere.

use std::fmt;

pub use iso_currency::Currency;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount in whole minor units (cents, pence, yen) of one currency. May be negative.
///
/// ```
/// use guildhall_aggregates::money::{Currency, Money};
/// let fee = Money::new(12_500, Currency::USD);
/// assert_eq!(fee.to_string(), "125.00 USD");
/// assert_eq!(fee.minus(Money::new(500, Currency::USD)).unwrap().minor, 12_000);
/// assert!(fee.plus(Money::new(1, Currency::EUR)).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// The amount in minor units of `currency`.
    pub minor: i64,
    /// The ISO 4217 currency.
    #[schemars(schema_with = "crate::schema::currency")]
    pub currency: Currency,
}

/// Why two amounts cannot be computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The amounts are of two currencies.
    #[error("amounts in {0} and {1} cannot be added")]
    CurrenciesDiffer(Currency, Currency),
    /// The result is beyond what 64 bits of minor units hold.
    #[error("the amount is too large")]
    TooLarge,
}

impl Money {
    /// An amount of `minor` units.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in a currency.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// True for exactly nothing.
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// The sum of two amounts of one currency.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// The difference of two amounts of one currency.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    /// `quantity` times the amount.
    pub fn times(self, quantity: u32) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(i64::from(quantity)).ok_or(MoneyError::TooLarge)?;
        Ok(Self::new(minor, self.currency))
    }

    /// The share `numerator/denominator` of the amount, rounded half away from zero: the one rounding rule
    /// of proration, discounts and tax.
    ///
    /// ```
    /// use guildhall_aggregates::money::{Currency, Money};
    /// let year = Money::new(10_000, Currency::USD);
    /// assert_eq!(year.share(5, 12).unwrap().minor, 4_167);
    /// ```
    pub fn share(self, numerator: i64, denominator: i64) -> Result<Self, MoneyError> {
        if denominator == 0 {
            return Err(MoneyError::TooLarge);
        }
        let product = i128::from(self.minor) * i128::from(numerator);
        let denominator = i128::from(denominator);
        let doubled = product * 2 + if (product < 0) == (denominator < 0) { denominator } else { -denominator };
        let minor = i64::try_from(doubled / (denominator * 2)).map_err(|_| MoneyError::TooLarge)?;
        Ok(Self::new(minor, self.currency))
    }

    fn combine(self, other: Self, op: fn(i64, i64) -> Option<i64>) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrenciesDiffer(self.currency, other.currency));
        }
        let minor = op(self.minor, other.minor).ok_or(MoneyError::TooLarge)?;
        Ok(Self::new(minor, self.currency))
    }

    /// The amount as a decimal number of major units, with the currency's usual digits: `125.00`, `1500`.
    pub fn decimal(self) -> String {
        let digits = usize::from(self.currency.exponent().unwrap_or(2));
        let sign = if self.minor < 0 { "-" } else { "" };
        let padded = format!("{:0>width$}", self.minor.unsigned_abs(), width = digits + 1);
        let (major, minor) = padded.split_at(padded.len() - digits);
        if digits == 0 { format!("{sign}{major}") } else { format!("{sign}{major}.{minor}") }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency.code())
    }
}
