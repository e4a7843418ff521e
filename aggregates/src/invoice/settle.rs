//! What reduces an invoice: payments, credit notes, giving up.

use chrono::NaiveDate;

use super::{
    ApplyPayment, Charge, CreditInvoice, Invoice, InvoiceEvent, InvoiceRefusal, ReversePayment, WriteOffInvoice,
};
use crate::{Money, ids::PaymentId};

impl Invoice {
    /// Takes what is open and shows the rest as excess. A payment may come before the invoice has its
    /// number, because a provider can be faster than the series.
    pub(super) fn apply_payment(&self, command: ApplyPayment) -> Result<Vec<InvoiceEvent>, InvoiceRefusal> {
        let ApplyPayment { payment_id, amount, today } = command;
        let charge = self.charge()?;
        if self.payments.contains_key(&payment_id) {
            return Ok(vec![]);
        }
        check_positive(amount)?;
        let open = Money::new(self.open_minor(charge), charge.total.currency);
        let unused = amount.minus(open)?;
        let taken = if unused.minor > 0 { open } else { amount };
        let excess = amount.minus(taken)?;
        let mut events = vec![InvoiceEvent::PaymentApplied { payment_id, amount: taken, excess, on: today }];
        if !taken.is_zero() && taken == open {
            events.push(settled(Some(payment_id), today));
        }
        Ok(events)
    }

    pub(super) fn reverse_payment(&self, command: ReversePayment) -> Result<Vec<InvoiceEvent>, InvoiceRefusal> {
        let ReversePayment { payment_id, today } = command;
        self.charge()?;
        let payment = self.payments.get(&payment_id).ok_or(InvoiceRefusal::PaymentUnknown)?;
        if payment.reversed {
            return Ok(vec![]);
        }
        Ok(vec![InvoiceEvent::PaymentReversed { payment_id, amount: payment.amount, on: today }])
    }

    /// A credit may exceed what is open: then the payer has paid too much, which is for a refund to mend.
    pub(super) fn credit(&self, command: CreditInvoice) -> Result<Vec<InvoiceEvent>, InvoiceRefusal> {
        let CreditInvoice { credit_note_id, amount, reason, today } = command;
        let charge = self.charge()?;
        if self.number.is_none() {
            return Err(InvoiceRefusal::NotIssued);
        }
        if let Some(credited) = self.credits.get(&credit_note_id) {
            return if *credited == amount { Ok(vec![]) } else { Err(InvoiceRefusal::CreditNoteDiffers) };
        }
        check_positive(amount)?;
        check_reason(&reason)?;
        let available = self.creditable(charge);
        if available.minus(amount)?.minor < 0 {
            return Err(InvoiceRefusal::CreditTooLarge { available });
        }
        let open = self.open_minor(charge);
        let mut events = vec![InvoiceEvent::InvoiceCredited { credit_note_id, amount, reason, on: today }];
        if open > 0 && amount.minor >= open {
            events.push(settled(None, today));
        }
        Ok(events)
    }

    pub(super) fn write_off(&self, command: WriteOffInvoice) -> Result<Vec<InvoiceEvent>, InvoiceRefusal> {
        let WriteOffInvoice { reason, today } = command;
        let charge = self.charge()?;
        let open = Money::new(self.open_minor(charge), charge.total.currency);
        if open.is_zero() {
            return if self.written_off_minor > 0 { Ok(vec![]) } else { Err(InvoiceRefusal::NothingOpen) };
        }
        if self.number.is_none() {
            return Err(InvoiceRefusal::NotIssued);
        }
        check_reason(&reason)?;
        Ok(vec![InvoiceEvent::InvoiceWrittenOff { amount: open, reason, on: today }])
    }

    /// What a credit note can take back: what was charged and neither credited nor given up.
    fn creditable(&self, charge: &Charge) -> Money {
        let given_up = self.credited_minor() + self.written_off_minor;
        Money::new(charge.total.minor - given_up, charge.total.currency)
    }
}

fn settled(payment_id: Option<PaymentId>, on: NaiveDate) -> InvoiceEvent {
    InvoiceEvent::InvoiceSettled { payment_id, on }
}

fn check_positive(amount: Money) -> Result<(), InvoiceRefusal> {
    if amount.minor > 0 { Ok(()) } else { Err(InvoiceRefusal::AmountNotPositive) }
}

fn check_reason(reason: &str) -> Result<(), InvoiceRefusal> {
    if reason.trim().is_empty() { Err(InvoiceRefusal::ReasonMissing) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        ids::CreditNoteId,
        invoice::draft::tests::{drafted, issued, today, usd},
        money::{Currency, MoneyError},
        testing::given,
    };

    fn payment(n: u128) -> PaymentId {
        PaymentId::new(Uuid::from_u128(n))
    }
    fn note(n: u128) -> CreditNoteId {
        CreditNoteId::new(Uuid::from_u128(n))
    }
    fn pay(n: u128, minor: i64) -> ApplyPayment {
        ApplyPayment { payment_id: payment(n), amount: usd(minor), today: today() }
    }
    fn paid(n: u128, minor: i64, excess: i64) -> InvoiceEvent {
        InvoiceEvent::PaymentApplied { payment_id: payment(n), amount: usd(minor), excess: usd(excess), on: today() }
    }
    fn settled_by(n: u128) -> InvoiceEvent {
        settled(Some(payment(n)), today())
    }
    fn reverse(n: u128) -> ReversePayment {
        ReversePayment { payment_id: payment(n), today: today() }
    }
    fn reversed(n: u128, minor: i64) -> InvoiceEvent {
        InvoiceEvent::PaymentReversed { payment_id: payment(n), amount: usd(minor), on: today() }
    }
    fn credit(n: u128, minor: i64) -> CreditInvoice {
        CreditInvoice { credit_note_id: note(n), amount: usd(minor), reason: "wrong rate".into(), today: today() }
    }
    fn credited(n: u128, minor: i64) -> InvoiceEvent {
        InvoiceEvent::InvoiceCredited {
            credit_note_id: note(n),
            amount: usd(minor),
            reason: "wrong rate".into(),
            on: today(),
        }
    }
    fn give_up() -> WriteOffInvoice {
        WriteOffInvoice { reason: "uncollectable".into(), today: today() }
    }
    fn given_up(minor: i64) -> InvoiceEvent {
        InvoiceEvent::InvoiceWrittenOff { amount: usd(minor), reason: "uncollectable".into(), on: today() }
    }

    #[test]
    fn a_full_payment_settles_also_before_the_invoice_has_its_number() {
        given::<Invoice>([drafted(100)]).when(pay(1, 100)).then([paid(1, 100, 0), settled_by(1)]);
    }

    #[test]
    fn partial_payments_settle_together() {
        given::<Invoice>([drafted(100), issued()]).when(pay(1, 60)).then([paid(1, 60, 0)]);
        given::<Invoice>([drafted(100), issued(), paid(1, 60, 0)])
            .when(pay(2, 40))
            .then([paid(2, 40, 0), settled_by(2)]);
    }

    #[test]
    fn an_over_payment_shows_its_excess() {
        given::<Invoice>([drafted(100), issued()]).when(pay(1, 130)).then([paid(1, 100, 30), settled_by(1)]);
        given::<Invoice>([drafted(100), paid(1, 100, 0), settled_by(1)]).when(pay(2, 50)).then([paid(2, 0, 50)]);
    }

    #[test]
    fn the_same_payment_counts_once() {
        given::<Invoice>([drafted(100), paid(1, 60, 0)]).when(pay(1, 60)).then_nothing();
    }

    #[test]
    fn a_payment_is_more_than_nothing_and_in_the_currency_of_the_invoice() {
        given::<Invoice>([drafted(100)]).when(pay(1, 0)).then_refused(InvoiceRefusal::AmountNotPositive);
        given::<Invoice>([drafted(100)])
            .when(ApplyPayment { amount: Money::new(1, Currency::EUR), ..pay(1, 1) })
            .then_refused(InvoiceRefusal::Money(MoneyError::CurrenciesDiffer(Currency::EUR, Currency::USD)));
    }

    #[test]
    fn a_payment_charged_back_opens_the_invoice_again() {
        let history = [drafted(100), issued(), paid(1, 100, 0), settled_by(1)];
        given::<Invoice>(history.clone()).when(reverse(1)).then([reversed(1, 100)]);
        let reopened = || history.clone().into_iter().chain([reversed(1, 100)]);
        given::<Invoice>(reopened()).when(reverse(1)).then_nothing();
        given::<Invoice>(reopened()).when(pay(2, 100)).then([paid(2, 100, 0), settled_by(2)]);
        given::<Invoice>(reopened()).when(pay(1, 100)).then_nothing();
    }

    #[test]
    fn only_a_payment_that_counts_is_reversed() {
        given::<Invoice>([drafted(100)]).when(reverse(1)).then_refused(InvoiceRefusal::PaymentUnknown);
    }

    #[test]
    fn a_credit_note_takes_back_a_part() {
        given::<Invoice>([drafted(100), issued()]).when(credit(1, 30)).then([credited(1, 30)]);
    }

    #[test]
    fn a_credit_note_over_what_is_open_settles() {
        given::<Invoice>([drafted(100), issued(), paid(1, 60, 0)])
            .when(credit(1, 50))
            .then([credited(1, 50), settled(None, today())]);
    }

    #[test]
    fn crediting_a_settled_invoice_does_not_settle_it_again() {
        given::<Invoice>([drafted(100), issued(), paid(1, 100, 0), settled_by(1)])
            .when(credit(1, 100))
            .then([credited(1, 100)]);
    }

    #[test]
    fn no_more_is_credited_than_was_charged() {
        given::<Invoice>([drafted(100), issued(), credited(1, 30)])
            .when(credit(2, 71))
            .then_refused(InvoiceRefusal::CreditTooLarge { available: usd(70) });
    }

    #[test]
    fn a_credit_note_counts_once() {
        let history = [drafted(100), issued(), credited(1, 30)];
        given::<Invoice>(history.clone()).when(credit(1, 30)).then_nothing();
        given::<Invoice>(history).when(credit(1, 20)).then_refused(InvoiceRefusal::CreditNoteDiffers);
    }

    #[test]
    fn a_credit_note_is_over_something_and_says_why() {
        given::<Invoice>([drafted(100), issued()]).when(credit(1, 0)).then_refused(InvoiceRefusal::AmountNotPositive);
        given::<Invoice>([drafted(100), issued()])
            .when(CreditInvoice { reason: " ".into(), ..credit(1, 10) })
            .then_refused(InvoiceRefusal::ReasonMissing);
    }

    #[test]
    fn only_an_issued_invoice_is_credited_or_written_off() {
        given::<Invoice>([drafted(100)]).when(credit(1, 10)).then_refused(InvoiceRefusal::NotIssued);
        given::<Invoice>([drafted(100)]).when(give_up()).then_refused(InvoiceRefusal::NotIssued);
    }

    #[test]
    fn what_is_open_can_be_given_up() {
        given::<Invoice>([drafted(100), issued(), paid(1, 60, 0)]).when(give_up()).then([given_up(40)]);
        given::<Invoice>([drafted(100), issued(), given_up(100)]).when(give_up()).then_nothing();
        given::<Invoice>([drafted(100), issued(), paid(1, 60, 0), given_up(40), reversed(1, 60)])
            .when(give_up())
            .then([given_up(60)]);
        given::<Invoice>([drafted(100), issued(), paid(1, 60, 0), given_up(40), reversed(1, 60), given_up(60)])
            .when(give_up())
            .then_nothing();
    }

    #[test]
    fn giving_up_needs_something_open_and_a_reason() {
        given::<Invoice>([drafted(100), issued(), paid(1, 100, 0)])
            .when(give_up())
            .then_refused(InvoiceRefusal::NothingOpen);
        given::<Invoice>([drafted(100), issued()])
            .when(WriteOffInvoice { reason: String::new(), ..give_up() })
            .then_refused(InvoiceRefusal::ReasonMissing);
    }

    #[test]
    fn what_is_not_written_is_not_paid_credited_or_given_up() {
        given::<Invoice>([]).when(pay(1, 10)).then_refused(InvoiceRefusal::InvoiceUnknown);
        given::<Invoice>([]).when(reverse(1)).then_refused(InvoiceRefusal::InvoiceUnknown);
        given::<Invoice>([]).when(credit(1, 10)).then_refused(InvoiceRefusal::InvoiceUnknown);
        given::<Invoice>([]).when(give_up()).then_refused(InvoiceRefusal::InvoiceUnknown);
    }
}
