//! Amounts of money as other systems write them: decimal text. Never through a float.

use guildhall_aggregates::{Money, money::Currency};
use rust_decimal::{Decimal, prelude::ToPrimitive};

/// The amount that decimal text such as `100.000000000` or `-5.50` means in a currency, exactly: digits
/// beyond the currency's smallest unit must be zeros.
pub(crate) fn amount(text: &str, currency: Currency) -> Result<Money, String> {
    let major = Decimal::from_str_exact(text).map_err(|_| format!("{text:?} is not an amount of money"))?;
    let digits = i64::from(currency.exponent().unwrap_or(2));
    let units = major.checked_mul(Decimal::from(10_i64.pow(u32::try_from(digits).unwrap_or(2))));
    let too_large = || format!("{text} is more money than can be kept");
    let units = units.ok_or_else(too_large)?;
    if !units.fract().is_zero() {
        return Err(format!("{text} cannot be paid in {}: it has fractions of the smallest unit", currency.code()));
    }
    Ok(Money::new(units.to_i64().ok_or_else(too_large)?, currency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text_becomes_whole_minor_units() {
        let minor = |text| amount(text, Currency::USD).unwrap().minor;
        assert_eq!(minor("100.000000000"), 10_000);
        assert_eq!(minor("0.07"), 7);
        assert_eq!(minor("1200"), 120_000);
        assert_eq!(minor("-5.50"), -550);
        assert_eq!(amount("1500", Currency::JPY).unwrap().minor, 1500);
    }

    #[test]
    fn what_is_not_exactly_an_amount_is_refused() {
        for text in ["", "abc", "10.005", "1e3", "1,000.00", "NaN", "99999999999999999999.00", "१२"] {
            assert!(amount(text, Currency::USD).is_err(), "{text} was taken for an amount");
        }
        assert!(amount("10.50", Currency::JPY).is_err(), "there are no fractions of a yen");
    }
}
