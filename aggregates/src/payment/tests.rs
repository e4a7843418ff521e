//! What a payment decides.

use chrono::NaiveDate;
use uuid::Uuid;

use super::*;
use crate::{
    ids::SubjectId,
    invoice::RevenueKind,
    money::{Currency, MoneyError},
    testing::given,
};

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}
fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 1).unwrap()
}
fn invoice(n: u128) -> InvoiceId {
    InvoiceId::new(Uuid::from_u128(n))
}
fn refund_id(n: u128) -> RefundId {
    RefundId::new(Uuid::from_u128(n))
}
fn record(amount: Money) -> RecordPayment {
    RecordPayment {
        provider: "test".into(),
        reference: "ch_1".into(),
        payer: None,
        amount,
        invoice_id: Some(invoice(1)),
        today: today(),
    }
}
fn received(minor: i64) -> PaymentEvent {
    PaymentEvent::PaymentReceived {
        provider: "test".into(),
        reference: "ch_1".into(),
        payer: None,
        amount: usd(minor),
        invoice_id: Some(invoice(1)),
        on: today(),
    }
}
fn allocate(n: u128, minor: i64) -> AllocatePayment {
    AllocatePayment { invoice_id: invoice(n), amount: usd(minor), today: today() }
}
fn allocated(n: u128, minor: i64) -> PaymentEvent {
    PaymentEvent::PaymentAllocated { invoice_id: invoice(n), amount: usd(minor), on: today() }
}
fn refund(n: u128, minor: i64) -> RefundPayment {
    RefundPayment { refund_id: refund_id(n), amount: usd(minor), reason: "overpaid".into(), today: today() }
}
fn refunded(n: u128, minor: i64) -> PaymentEvent {
    PaymentEvent::PaymentRefunded {
        refund_id: refund_id(n),
        amount: usd(minor),
        reason: "overpaid".into(),
        on: today(),
    }
}
fn charged_back(minor: i64) -> PaymentEvent {
    PaymentEvent::PaymentChargedBack { amount: usd(minor), on: today() }
}
fn import(standing: ContributionStanding, row: &str) -> ImportContribution {
    ImportContribution {
        payer: SubjectId::new(Uuid::from_u128(9)),
        amount: usd(5_000),
        kind: RevenueKind::Donation,
        standing,
        on: today(),
        source: SourceRef { system: "civicrm".into(), table: "contribution".into(), id: row.into() },
    }
}
fn imported(standing: ContributionStanding) -> PaymentEvent {
    let ImportContribution { payer, amount, kind, standing, on, source } = import(standing, "1");
    PaymentEvent::ContributionImported { payer, amount, kind, standing, on, source }
}

#[test]
fn money_that_came_is_recorded() {
    given::<Payment>([]).when(record(usd(100))).then([received(100)]);
}

#[test]
fn a_payment_told_again_is_one_payment_also_on_another_day() {
    let tomorrow = RecordPayment { today: today().succ_opt().unwrap(), ..record(usd(100)) };
    given::<Payment>([received(100)]).when(tomorrow).then_nothing();
}

#[test]
fn one_reference_does_not_stand_for_two_amounts() {
    given::<Payment>([received(100)]).when(record(usd(101))).then_refused(PaymentRefusal::PaymentDiffers);
}

#[test]
fn a_payment_has_a_provider_and_a_reference() {
    given::<Payment>([])
        .when(RecordPayment { provider: String::new(), ..record(usd(100)) })
        .then_refused(PaymentRefusal::ReferenceMissing);
    given::<Payment>([])
        .when(RecordPayment { reference: " ".into(), ..record(usd(100)) })
        .then_refused(PaymentRefusal::ReferenceMissing);
}

#[test]
fn amounts_are_more_than_nothing() {
    given::<Payment>([]).when(record(usd(0))).then_refused(PaymentRefusal::AmountNotPositive);
    given::<Payment>([received(100)]).when(allocate(1, 0)).then_refused(PaymentRefusal::AmountNotPositive);
    given::<Payment>([received(100)]).when(refund(1, -1)).then_refused(PaymentRefusal::AmountNotPositive);
}

#[test]
fn a_payment_is_allocated_to_several_invoices() {
    given::<Payment>([received(100), allocated(1, 60)]).when(allocate(2, 40)).then([allocated(2, 40)]);
}

#[test]
fn allocating_the_same_again_records_nothing() {
    given::<Payment>([received(100), allocated(1, 100)]).when(allocate(1, 100)).then_nothing();
}

#[test]
fn a_payment_counts_once_against_an_invoice() {
    given::<Payment>([received(100), allocated(1, 60)])
        .when(allocate(1, 20))
        .then_refused(PaymentRefusal::AllocationDiffers);
}

#[test]
fn no_more_is_allocated_than_there_is() {
    given::<Payment>([received(100), allocated(1, 60), refunded(1, 30)])
        .when(allocate(2, 11))
        .then_refused(PaymentRefusal::AllocationTooLarge { available: usd(10) });
}

#[test]
fn an_allocation_is_in_the_currency_of_the_payment() {
    let euros = Money::new(10, Currency::EUR);
    given::<Payment>([received(100)])
        .when(AllocatePayment { amount: euros, ..allocate(1, 10) })
        .then_refused(PaymentRefusal::Money(MoneyError::CurrenciesDiffer(Currency::USD, Currency::EUR)));
}

#[test]
fn money_is_refunded_in_parts() {
    given::<Payment>([received(100), refunded(1, 60)]).when(refund(2, 40)).then([refunded(2, 40)]);
}

#[test]
fn the_same_refund_is_paid_once() {
    given::<Payment>([received(100), refunded(1, 60)]).when(refund(1, 60)).then_nothing();
    given::<Payment>([received(100), refunded(1, 60)]).when(refund(1, 40)).then_refused(PaymentRefusal::RefundDiffers);
}

#[test]
fn no_more_is_refunded_than_was_received() {
    given::<Payment>([received(100), refunded(1, 60)])
        .when(refund(2, 41))
        .then_refused(PaymentRefusal::RefundTooLarge { available: usd(40) });
    given::<Payment>([received(100), charged_back(100)])
        .when(refund(1, 1))
        .then_refused(PaymentRefusal::RefundTooLarge { available: usd(0) });
}

#[test]
fn a_refund_has_a_reason() {
    given::<Payment>([received(100)])
        .when(RefundPayment { reason: String::new(), ..refund(1, 10) })
        .then_refused(PaymentRefusal::ReasonMissing);
}

#[test]
fn a_chargeback_takes_what_is_left_and_once() {
    let chargeback = RecordChargeback { today: today() };
    given::<Payment>([received(100), refunded(1, 60)]).when(chargeback.clone()).then([charged_back(40)]);
    given::<Payment>([received(100), charged_back(100)]).when(chargeback.clone()).then_nothing();
    given::<Payment>([received(100), refunded(1, 100)]).when(chargeback).then_refused(PaymentRefusal::NothingLeft);
}

#[test]
fn what_never_came_goes_nowhere() {
    given::<Payment>([]).when(allocate(1, 10)).then_refused(PaymentRefusal::PaymentUnknown);
    given::<Payment>([]).when(refund(1, 10)).then_refused(PaymentRefusal::PaymentUnknown);
    given::<Payment>([]).when(RecordChargeback { today: today() }).then_refused(PaymentRefusal::PaymentUnknown);
}

#[test]
fn a_contribution_is_taken_over_as_it_stood() {
    given::<Payment>([])
        .when(import(ContributionStanding::Pending, "1"))
        .then([imported(ContributionStanding::Pending)]);
}

#[test]
fn a_row_of_another_system_is_taken_over_once() {
    given::<Payment>([imported(ContributionStanding::Pending)])
        .when(import(ContributionStanding::Completed, "1"))
        .then_nothing();
    given::<Payment>([imported(ContributionStanding::Pending)])
        .when(import(ContributionStanding::Pending, "2"))
        .then_refused(PaymentRefusal::PaymentDiffers);
}

#[test]
fn only_a_completed_contribution_can_be_refunded() {
    let events = |standing| vec![imported(standing)];
    given::<Payment>(events(ContributionStanding::Completed)).when(refund(1, 5_000)).then([refunded(1, 5_000)]);
    given::<Payment>(events(ContributionStanding::Pending))
        .when(refund(1, 1))
        .then_refused(PaymentRefusal::RefundTooLarge { available: usd(0) });
}
