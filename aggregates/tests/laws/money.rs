//! No money appears and none is lost: laws of invoices and payments.

use chrono::NaiveDate;
use guildhall_aggregates::{Money, SourceRef, invoice::*, money::Currency, payment::*};
use proptest::{prelude::*, sample::select};

use crate::{cases, date, few, run};

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

/// Mostly small amounts, so that parts add up to wholes; some of another currency or none at all.
fn amount() -> impl Strategy<Value = Money> + Clone {
    prop_oneof![
        8 => (1_i64..120).prop_map(usd),
        1 => (-1_i64..1).prop_map(usd),
        1 => Just(Money::new(50, Currency::EUR)),
    ]
}

fn today() -> impl Strategy<Value = NaiveDate> + Clone {
    (1_u32..4).prop_map(|day| date(2026, 3, day))
}

fn reason() -> impl Strategy<Value = String> + Clone {
    select(vec!["", "because", "because", "because"]).prop_map(str::to_owned)
}

fn line() -> impl Strategy<Value = InvoiceLine> {
    (0_u32..4, 0_i64..60, 0_i64..20, select(vec![0_u32, 825, 2_000])).prop_map(
        |(quantity, unit_minor, discount_minor, tax_rate_bp)| InvoiceLine {
            description: "Dues".into(),
            kind: RevenueKind::Dues,
            quantity,
            unit_minor,
            discount_minor,
            tax_rate_bp,
            service: None,
        },
    )
}

fn draft() -> impl Strategy<Value = InvoiceCommand> {
    (proptest::collection::vec(line(), 0..3), few(), today()).prop_map(|(lines, bill_to, today)| {
        let (purpose, currency) = (InvoicePurpose::Other, Currency::USD);
        DraftInvoice { bill_to, purpose, lines, currency, today, due_on: today }.into()
    })
}

fn invoice() -> impl Strategy<Value = InvoiceCommand> {
    prop_oneof![
        1 => draft(),
        1 => (0_u32..3).prop_map(|number| IssueInvoice { series: "2026".into(), number }.into()),
        3 => (few(), amount(), today())
            .prop_map(|(payment_id, amount, today)| ApplyPayment { payment_id, amount, today }.into()),
        1 => (few(), today()).prop_map(|(payment_id, today)| ReversePayment { payment_id, today }.into()),
        2 => (few(), amount(), reason(), today()).prop_map(|(credit_note_id, amount, reason, today)| {
            CreditInvoice { credit_note_id, amount, reason, today }.into()
        }),
        1 => (reason(), today()).prop_map(|(reason, today)| WriteOffInvoice { reason, today }.into()),
    ]
}

fn payment() -> impl Strategy<Value = PaymentCommand> {
    let standing = select(vec![ContributionStanding::Completed, ContributionStanding::Pending]);
    prop_oneof![
        1 => (amount(), today()).prop_map(|(amount, today)| {
            let (provider, reference) = ("test".into(), "ch_1".into());
            RecordPayment { provider, reference, payer: None, amount, invoice_id: None, today }.into()
        }),
        3 => (few(), amount(), today())
            .prop_map(|(invoice_id, amount, today)| AllocatePayment { invoice_id, amount, today }.into()),
        3 => (few(), amount(), reason(), today()).prop_map(|(refund_id, amount, reason, today)| {
            RefundPayment { refund_id, amount, reason, today }.into()
        }),
        1 => today().prop_map(|today| RecordChargeback { today }.into()),
        1 => (few(), amount(), standing, today()).prop_map(|(payer, amount, standing, on)| {
            let source = SourceRef { system: "elsewhere".into(), table: "row".into(), id: "1".into() };
            ImportContribution { payer, amount, kind: RevenueKind::Donation, standing, on, source }.into()
        }),
    ]
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn an_invoice_is_never_open_below_nothing(
        first in draft(),
        then in proptest::collection::vec(invoice(), 1..40),
    ) {
        let commands = std::iter::once(first).chain(then).collect();
        run::<Invoice>(commands, |before, _, events, after| {
            let open = after.open().expect("an accepted command left an invoice");
            prop_assert!((0..=after.total().map_or(0, |total| total.minor)).contains(&open.minor));
            let settled = events.iter().any(|event| matches!(event, InvoiceEvent::InvoiceSettled { .. }));
            let was_open = before.open().is_none_or(|open| open.minor > 0);
            let written_off = events.iter().any(|event| matches!(event, InvoiceEvent::InvoiceWrittenOff { .. }));
            prop_assert_eq!(settled, was_open && open.is_zero() && !written_off, "{:?}", events);
            Ok(())
        })?;
    }

    #[test]
    fn what_is_paid_is_either_counted_or_shown_as_excess(
        first in draft(),
        then in proptest::collection::vec(invoice(), 1..40),
    ) {
        let commands = std::iter::once(first).chain(then).collect();
        run::<Invoice>(commands, |before, command, events, after| {
            for event in events {
                if let InvoiceEvent::PaymentApplied { amount, excess, .. } = event {
                    let InvoiceCommand::ApplyPayment(asked) = command else { unreachable!("it was paid") };
                    prop_assert_eq!(amount.plus(*excess), Ok(asked.amount));
                    let opened = before.open().and_then(|open| open.minus(*amount).ok());
                    prop_assert_eq!(opened, after.open());
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_more_is_given_back_or_allocated_than_was_received(
        commands in proptest::collection::vec(payment(), 1..40),
    ) {
        let (mut received, mut back, mut allocated) = (0, 0, 0);
        run::<Payment>(commands, |_, _, events, after| {
            for event in events {
                match event {
                    PaymentEvent::PaymentReceived { amount, .. } => received += amount.minor,
                    PaymentEvent::ContributionImported { amount, standing, .. } => {
                        let there = *standing == ContributionStanding::Completed;
                        received += if there { amount.minor } else { 0 };
                    }
                    PaymentEvent::PaymentAllocated { amount, .. } => allocated += amount.minor,
                    PaymentEvent::PaymentRefunded { amount, .. } | PaymentEvent::PaymentChargedBack { amount, .. } => {
                        back += amount.minor;
                    }
                }
            }
            prop_assert!(back == 0 || back <= received);
            prop_assert!(allocated == 0 || allocated <= received);
            prop_assert_eq!(after.refundable().map(|left| left.minor), Some(received - back));
            Ok(())
        })?;
    }
}
