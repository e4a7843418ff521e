//! Writing an invoice and giving it its number.

use super::{Charge, DraftInvoice, Invoice, InvoiceEvent, InvoiceLine, InvoiceRefusal, IssueInvoice, SeriesNumber};
use crate::{
    Money,
    money::{Currency, MoneyError},
};

/// More lines than these belong on several invoices.
const MOST_LINES: usize = 500;
/// Tax rates are in hundredths of a percent: this is 100 %.
const WHOLE_RATE_BP: u32 = 10_000;

/// What one line comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineAmount {
    /// Quantity times unit price, less the discount.
    pub net: Money,
    /// Tax on the net amount, rounded once.
    pub tax: Money,
}

impl InvoiceLine {
    /// What the line comes to in the invoice's currency. The total of an invoice is the sum of its lines,
    /// so a line's tax is rounded once and never again.
    ///
    /// ```
    /// use guildhall_aggregates::{invoice::*, money::Currency};
    /// let line = InvoiceLine {
    ///     description: "Congress".into(),
    ///     kind: RevenueKind::EventFee,
    ///     quantity: 3,
    ///     unit_minor: 9_999,
    ///     discount_minor: 2_000,
    ///     tax_rate_bp: 2_000,
    ///     service: None,
    /// };
    /// let amount = line.amount(Currency::EUR).unwrap();
    /// assert_eq!(amount.net.minor, 27_997);
    /// assert_eq!(amount.tax.minor, 5_599);
    /// ```
    pub fn amount(&self, currency: Currency) -> Result<LineAmount, MoneyError> {
        let gross = Money::new(self.unit_minor, currency).times(self.quantity)?;
        let net = gross.minus(Money::new(self.discount_minor, currency))?;
        let tax = net.share(i64::from(self.tax_rate_bp), i64::from(WHOLE_RATE_BP))?;
        Ok(LineAmount { net, tax })
    }

    fn check(&self, line: usize) -> Result<(), InvoiceRefusal> {
        if self.quantity == 0 {
            return Err(InvoiceRefusal::QuantityMissing { line });
        }
        if self.unit_minor < 0 {
            return Err(InvoiceRefusal::PriceNegative { line });
        }
        let gross = self.unit_minor.checked_mul(i64::from(self.quantity)).ok_or(MoneyError::TooLarge)?;
        if !(0..=gross).contains(&self.discount_minor) {
            return Err(InvoiceRefusal::DiscountOutOfRange { line });
        }
        if self.tax_rate_bp > WHOLE_RATE_BP {
            return Err(InvoiceRefusal::TaxRateOutOfRange { line });
        }
        Ok(())
    }
}

impl Invoice {
    pub(super) fn draft(&self, command: DraftInvoice) -> Result<Vec<InvoiceEvent>, InvoiceRefusal> {
        let DraftInvoice { bill_to, purpose, lines, currency, today, due_on } = command;
        if let Some(charge) = &self.charge {
            // Asked again on another day it is still the same invoice, so the dates are not compared.
            let asked = Charge { bill_to, purpose, lines, total: charge.total };
            let same = *charge == asked && charge.total.currency == currency;
            return if same { Ok(vec![]) } else { Err(InvoiceRefusal::InvoiceAlreadyDrafted) };
        }
        if due_on < today {
            return Err(InvoiceRefusal::DueBeforeDated);
        }
        let (total, tax) = totals(&lines, currency)?;
        let drafted = InvoiceEvent::InvoiceDrafted { bill_to, purpose, lines, total, tax, dated: today, due_on };
        Ok(if total.is_zero() {
            vec![drafted, InvoiceEvent::InvoiceSettled { payment_id: None, on: today }]
        } else {
            vec![drafted]
        })
    }

    pub(super) fn issue(&self, command: IssueInvoice) -> Result<Vec<InvoiceEvent>, InvoiceRefusal> {
        let IssueInvoice { series, number } = command;
        self.charge()?;
        match &self.number {
            Some(given) if given.series == series && given.number == number => Ok(vec![]),
            Some(SeriesNumber { series, number }) => {
                Err(InvoiceRefusal::AlreadyIssued { series: series.clone(), number: *number })
            }
            None if series.trim().is_empty() || number == 0 => Err(InvoiceRefusal::NumberInvalid),
            None => Ok(vec![InvoiceEvent::InvoiceIssued { series, number }]),
        }
    }
}

/// The sum to pay and the tax in it.
fn totals(lines: &[InvoiceLine], currency: Currency) -> Result<(Money, Money), InvoiceRefusal> {
    match lines.len() {
        0 => return Err(InvoiceRefusal::NoLines),
        1..=MOST_LINES => {}
        _ => return Err(InvoiceRefusal::TooManyLines { most: MOST_LINES }),
    }
    let (mut total, mut tax) = (Money::zero(currency), Money::zero(currency));
    for (index, line) in lines.iter().enumerate() {
        line.check(index + 1)?;
        let amount = line.amount(currency)?;
        tax = tax.plus(amount.tax)?;
        total = total.plus(amount.net)?.plus(amount.tax)?;
    }
    Ok((total, tax))
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::NaiveDate;
    use uuid::Uuid;

    use super::*;
    use crate::{
        ids::SubjectId,
        invoice::{InvoicePurpose, RevenueKind},
        testing::given,
    };

    pub(crate) fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::USD)
    }
    pub(crate) fn today() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, 1).unwrap()
    }
    fn line(unit_minor: i64) -> InvoiceLine {
        InvoiceLine {
            description: "Dues".into(),
            kind: RevenueKind::Dues,
            quantity: 1,
            unit_minor,
            discount_minor: 0,
            tax_rate_bp: 0,
            service: None,
        }
    }
    fn draft(lines: Vec<InvoiceLine>) -> DraftInvoice {
        DraftInvoice {
            bill_to: SubjectId::new(Uuid::from_u128(1)),
            purpose: InvoicePurpose::Other,
            lines,
            currency: Currency::USD,
            today: today(),
            due_on: today(),
        }
    }
    fn drafted_with(lines: Vec<InvoiceLine>, total: i64, tax: i64) -> InvoiceEvent {
        let DraftInvoice { bill_to, purpose, lines, currency, today, due_on } = draft(lines);
        let (total, tax) = (Money::new(total, currency), Money::new(tax, currency));
        InvoiceEvent::InvoiceDrafted { bill_to, purpose, lines, total, tax, dated: today, due_on }
    }
    /// An invoice of one line.
    pub(crate) fn drafted(total: i64) -> InvoiceEvent {
        drafted_with(vec![line(total)], total, 0)
    }
    pub(crate) fn issued() -> InvoiceEvent {
        InvoiceEvent::InvoiceIssued { series: "2026".into(), number: 1 }
    }
    fn issue(series: &str, number: u32) -> IssueInvoice {
        IssueInvoice { series: series.into(), number }
    }
    fn refuses(lines: Vec<InvoiceLine>, refusal: InvoiceRefusal) {
        given::<Invoice>([]).when(draft(lines)).then_refused(refusal);
    }

    #[test]
    fn tax_is_rounded_once_per_line_after_the_discount() {
        let dinner = InvoiceLine { quantity: 3, discount_minor: 1, tax_rate_bp: 825, ..line(333) };
        let lines = vec![dinner.clone(), dinner, line(100)];
        // 998 × 8.25 % = 82.335, rounded to 82 on each of the two lines.
        let total = 2 * (998 + 82) + 100;
        given::<Invoice>([]).when(draft(lines.clone())).then([drafted_with(lines, total, 164)]);
    }

    #[test]
    fn writing_the_same_invoice_again_records_nothing_also_on_another_day() {
        given::<Invoice>([drafted(100)]).when(draft(vec![line(100)])).then_nothing();
        let tomorrow = today().succ_opt().unwrap();
        given::<Invoice>([drafted(100)])
            .when(DraftInvoice { today: tomorrow, due_on: tomorrow, ..draft(vec![line(100)]) })
            .then_nothing();
    }

    #[test]
    fn an_invoice_never_changes() {
        given::<Invoice>([drafted(100)])
            .when(draft(vec![line(101)]))
            .then_refused(InvoiceRefusal::InvoiceAlreadyDrafted);
        given::<Invoice>([drafted(100)])
            .when(DraftInvoice { currency: Currency::EUR, ..draft(vec![line(100)]) })
            .then_refused(InvoiceRefusal::InvoiceAlreadyDrafted);
    }

    #[test]
    fn an_invoice_over_nothing_is_settled_at_once() {
        let settled = InvoiceEvent::InvoiceSettled { payment_id: None, on: today() };
        given::<Invoice>([]).when(draft(vec![line(0)])).then([drafted(0), settled]);
    }

    #[test]
    fn an_invoice_has_some_lines_but_not_endlessly_many() {
        refuses(vec![], InvoiceRefusal::NoLines);
        refuses(vec![line(1); MOST_LINES + 1], InvoiceRefusal::TooManyLines { most: MOST_LINES });
    }

    #[test]
    fn a_line_charges_something_and_says_which_line_is_wrong() {
        let second = |wrong| vec![line(100), wrong];
        refuses(second(InvoiceLine { quantity: 0, ..line(1) }), InvoiceRefusal::QuantityMissing { line: 2 });
        refuses(second(line(-1)), InvoiceRefusal::PriceNegative { line: 2 });
        for discount_minor in [-1, 101] {
            refuses(
                second(InvoiceLine { discount_minor, ..line(100) }),
                InvoiceRefusal::DiscountOutOfRange { line: 2 },
            );
        }
        refuses(
            second(InvoiceLine { tax_rate_bp: WHOLE_RATE_BP + 1, ..line(1) }),
            InvoiceRefusal::TaxRateOutOfRange { line: 2 },
        );
    }

    #[test]
    fn amounts_beyond_counting_are_refused() {
        let too_large = InvoiceRefusal::Money(MoneyError::TooLarge);
        refuses(vec![InvoiceLine { quantity: 2, ..line(i64::MAX) }], too_large.clone());
        refuses(vec![line(i64::MAX), line(1)], too_large);
    }

    #[test]
    fn an_invoice_is_not_due_before_it_is_written() {
        given::<Invoice>([])
            .when(DraftInvoice { due_on: today().pred_opt().unwrap(), ..draft(vec![line(1)]) })
            .then_refused(InvoiceRefusal::DueBeforeDated);
    }

    #[test]
    fn an_invoice_gets_its_number_once() {
        given::<Invoice>([drafted(100)]).when(issue("2026", 1)).then([issued()]);
        given::<Invoice>([drafted(100), issued()]).when(issue("2026", 1)).then_nothing();
        given::<Invoice>([drafted(100), issued()])
            .when(issue("2026", 2))
            .then_refused(InvoiceRefusal::AlreadyIssued { series: "2026".into(), number: 1 });
    }

    #[test]
    fn a_number_counts_from_one_in_a_named_series() {
        given::<Invoice>([drafted(100)]).when(issue("2026", 0)).then_refused(InvoiceRefusal::NumberInvalid);
        given::<Invoice>([drafted(100)]).when(issue("", 1)).then_refused(InvoiceRefusal::NumberInvalid);
    }

    #[test]
    fn what_is_not_written_gets_no_number() {
        given::<Invoice>([]).when(issue("2026", 1)).then_refused(InvoiceRefusal::InvoiceUnknown);
    }
}
