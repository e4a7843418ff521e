//! What is left of an invoice's lines when a part of it was credited.
//!
//! A credit note takes the same share of every line. Shares are computed from the sum credited so far, never note by
//! note, so whatever the notes were, crediting the whole invoice leaves exactly nothing of any line.

use guildhall_aggregates::{
    invoice::InvoiceLine,
    money::{Currency, MoneyError},
};

/// What is left of one line, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Left {
    pub(crate) net: i64,
    pub(crate) tax: i64,
}

/// What is left of each line after `credited` of the invoice was taken back; everything for 0, nothing for the total.
/// The parts always add up to the total less what was credited.
pub(crate) fn left_after(lines: &[InvoiceLine], currency: Currency, credited: i64) -> Result<Vec<Left>, MoneyError> {
    let amounts = lines.iter().map(|line| line.amount(currency)).collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<i64> = amounts.iter().flat_map(|amount| [amount.net.minor, amount.tax.minor]).collect();
    let taken = shared(credited, &parts).ok_or(MoneyError::TooLarge)?;
    let left: Vec<i64> = parts.iter().zip(taken).map(|(part, taken)| part - taken).collect();
    Ok(left.chunks_exact(2).map(|pair| Left { net: pair[0], tax: pair[1] }).collect())
}

/// An amount shared out in proportion to the parts: whole minor units, what rounding down leaves going to those it took
/// most from. `None` for sums beyond what can be counted.
fn shared(minor: i64, parts: &[i64]) -> Option<Vec<i64>> {
    let total = parts.iter().try_fold(0_i64, |sum, part| sum.checked_add(*part))?;
    if total == 0 {
        return Some(vec![0; parts.len()]);
    }
    let exact = |part: &i64| i128::from(minor) * i128::from(*part);
    let mut shares =
        parts.iter().map(|part| i64::try_from(exact(part) / i128::from(total))).collect::<Result<Vec<_>, _>>().ok()?;
    let mut by_remainder: Vec<usize> = (0..parts.len()).collect();
    by_remainder.sort_by_key(|at| std::cmp::Reverse(exact(&parts[*at]) % i128::from(total)));
    let mut missing = minor - shares.iter().sum::<i64>();
    for at in by_remainder {
        if missing == 0 {
            break;
        }
        shares[at] += 1;
        missing -= 1;
    }
    Some(shares)
}

#[cfg(test)]
mod tests {
    use guildhall_aggregates::invoice::RevenueKind;
    use proptest::prelude::*;

    use super::*;

    fn line(unit_minor: i64, tax_rate_bp: u32) -> InvoiceLine {
        let description = "A line".to_owned();
        let (kind, quantity, discount_minor, service) = (RevenueKind::Other, 1, 0, None);
        InvoiceLine { description, kind, quantity, unit_minor, discount_minor, tax_rate_bp, service }
    }

    #[test]
    fn nothing_credited_leaves_every_line_as_it_was() {
        let left = left_after(&[line(1_000, 2_000), line(333, 0)], Currency::EUR, 0).unwrap();
        assert_eq!(left, [Left { net: 1_000, tax: 200 }, Left { net: 333, tax: 0 }]);
    }

    #[test]
    fn crediting_everything_leaves_nothing_of_any_line() {
        let left = left_after(&[line(1_000, 2_000), line(333, 0)], Currency::EUR, 1_533).unwrap();
        assert_eq!(left, [Left::default(), Left::default()]);
    }

    #[test]
    fn a_cent_goes_to_the_line_that_rounding_took_most_from() {
        let left = left_after(&[line(12_000, 1_000), line(5_000, 1_000)], Currency::USD, 1_100).unwrap();
        assert_eq!(left, [Left { net: 11_294, tax: 1_129 }, Left { net: 4_706, tax: 471 }]);
    }

    proptest! {
        #[test]
        fn the_parts_add_up_to_what_was_not_credited(
            units in prop::collection::vec((0_i64..1_000_000, 0_u32..3_000), 1..8),
            share in 0_i64..=1_000,
        ) {
            let lines: Vec<_> = units.iter().map(|(unit, rate)| line(*unit, *rate)).collect();
            let sum = |left: Vec<Left>| left.iter().map(|left| left.net + left.tax).sum::<i64>();
            let total = sum(left_after(&lines, Currency::EUR, 0).unwrap());
            let credited = total * share / 1_000;
            let left = left_after(&lines, Currency::EUR, credited).unwrap();
            prop_assert!(left.iter().all(|left| left.net >= 0 && left.tax >= 0));
            prop_assert_eq!(sum(left), total - credited);
        }
    }
}
