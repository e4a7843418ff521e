//! Places that cost something: billed, awaited, paid, given back.

use chrono::TimeDelta;
use guildhall_aggregates::{
    association_event::{AssociationEvent, CancelEvent},
    event_roster::{
        AcceptOffer, CancelRegistration, CancellationFee, CloseRegistration, ConfirmRegistration, DeclineRegistration,
        EventRoster, RosterEvent, RosterPolicy, Standing,
    },
    ids::InvoiceId,
    invoice::{CreditInvoice, Invoice},
    payment::{Payment, PaymentEvent, RecordChargeback, RefundPayment},
};
use uuid::Uuid;

use crate::support::{CONGRESS, World, eur, founders, opening, order, payment, registration, wish};

const FEE: i64 = 5_000;

impl World {
    /// A congress of so many places, and someone who asked for one and has the invoice.
    async fn congress_with_one_billed(places: u32) -> (Self, InvoiceId) {
        let world = Self::start().await;
        world.open_congress(places, FEE).await;
        world.register(1).await;
        world.settle().await;
        let invoice = world.invoice().await;
        (world, invoice)
    }

    async fn call_off(&self) {
        self.send::<AssociationEvent>(CONGRESS, CancelEvent { reason: "storm".into() }).await;
    }

    /// The refunds there were, in cents.
    async fn refunds(&self) -> Vec<i64> {
        let refunded = |event| match event {
            PaymentEvent::PaymentRefunded { amount, .. } => Some(amount.minor),
            _ => None,
        };
        self.events::<PaymentEvent>().await.into_iter().filter_map(refunded).collect()
    }
}

#[tokio::test]
async fn a_held_place_is_billed_awaited_and_confirmed_when_paid() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    let roster: EventRoster = world.state(CONGRESS).await;
    assert_eq!(roster.invoice_of(registration(1)), Some(invoice));
    let bill: Invoice = world.state(invoice.uuid()).await;
    assert_eq!((bill.open(), bill.number()), (Some(eur(FEE)), Some(("2027", 1))));
    world.pay(1, invoice, FEE).await;
    world.settle().await;
    assert_eq!(world.standing(1).await, Standing::Confirmed);
}

#[tokio::test]
async fn a_place_that_costs_nothing_is_not_billed() {
    let world = World::start().await;
    world.open_congress(1, 0).await;
    world.register(1).await;
    world.settle().await;
    assert_eq!((world.standing(1).await, world.invoices().await), (Standing::Confirmed, vec![]));
}

#[tokio::test]
async fn an_unpaid_registration_lapses_when_its_time_is_up() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    world.pass(TimeDelta::days(14) - TimeDelta::seconds(1));
    world.settle().await;
    assert!(matches!(world.standing(1).await, Standing::AwaitingPayment { .. }));
    world.pass(TimeDelta::seconds(1));
    world.settle().await;
    assert_eq!(world.standing(1).await, Standing::Expired);
    assert_eq!(world.open(invoice).await, FEE, "a late payment may still find room");
    let client = world.database.connect().await;
    let row = client.query_one("SELECT count(*) FROM process.deadline", &[]).await.expect("the table can be read");
    assert_eq!(row.get::<_, i64>(0), 0, "no deadline is left");
}

#[tokio::test]
async fn a_late_payment_that_finds_room_is_placed_and_not_paid_back() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    world.pass(TimeDelta::days(14));
    world.settle().await;
    let payment = world.pay(1, invoice, FEE).await;
    world.settle().await;
    assert_eq!(world.standing(1).await, Standing::Confirmed);
    assert_eq!((world.refundable(payment).await, world.credited().await), (FEE, 0));
}

#[tokio::test]
async fn a_late_payment_that_finds_no_room_is_paid_back_and_not_placed() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    world.register(2).await;
    world.pass(TimeDelta::days(14));
    world.settle().await;
    assert!(matches!(world.standing(2).await, Standing::Offered { .. }), "the next in line has the place");
    let payment = world.pay(1, invoice, FEE).await;
    world.settle().await;
    assert_eq!(world.standing(1).await, Standing::Expired);
    assert_eq!((world.refundable(payment).await, world.credited().await), (0, FEE));
    assert_eq!(world.count("PaymentUnplaced").await, 1);
}

#[tokio::test]
async fn a_late_payment_in_two_parts_is_paid_back_in_two_parts() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    let first = world.pay(1, invoice, 2_000).await;
    world.register(2).await;
    world.pass(TimeDelta::days(14));
    world.settle().await;
    let second = world.pay(2, invoice, 3_000).await;
    world.settle().await;
    assert_eq!((world.refundable(first).await, world.refundable(second).await), (0, 0));
    assert_eq!(world.credited().await, FEE);
}

#[tokio::test]
async fn a_paid_place_given_back_is_paid_back_and_credited() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    let payment = world.pay(1, invoice, FEE).await;
    world.settle().await;
    world.give_back(1).await;
    world.settle().await;
    assert_eq!((world.refundable(payment).await, world.credited().await, world.open(invoice).await), (0, FEE, 0));
}

#[tokio::test]
async fn of_a_paid_place_given_back_the_fee_of_the_policy_is_kept() {
    let world = World::start().await;
    let cancellation_fee = CancellationFee::Fixed { amount: eur(1_000) };
    world.open_congress_as(1, FEE, RosterPolicy { cancellation_fee, ..RosterPolicy::default() }).await;
    world.register(1).await;
    world.settle().await;
    let invoice = world.invoice().await;
    let (first, second) = (world.pay(1, invoice, 3_000).await, world.pay(2, invoice, 2_000).await);
    world.settle().await;
    world.give_back(1).await;
    world.settle().await;
    assert_eq!((world.credited().await, world.open(invoice).await), (4_000, 0));
    let mut refunds = world.refunds().await;
    refunds.sort_unstable();
    assert_eq!(refunds, [2_000, 2_000], "the latest payment first");
    assert_eq!((world.refundable(first).await, world.refundable(second).await), (1_000, 0));
}

#[tokio::test]
async fn an_unpaid_place_given_back_owes_nothing() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    world.give_back(1).await;
    world.settle().await;
    assert_eq!((world.open(invoice).await, world.credited().await), (0, FEE));
    let payment = world.pay(1, invoice, FEE).await;
    world.settle().await;
    assert_eq!(world.refundable(payment).await, 0, "what is paid for nothing is paid back");
}

#[tokio::test]
async fn a_place_paid_in_part_and_given_back_is_paid_back() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    let payment = world.pay(1, invoice, 2_000).await;
    world.settle().await;
    world.give_back(1).await;
    world.settle().await;
    assert_eq!((world.refundable(payment).await, world.credited().await, world.open(invoice).await), (0, FEE, 0));
    let part: Payment = world.state(payment.uuid()).await;
    assert_eq!(part.unallocated(), Some(eur(0)));
    assert_eq!(world.count("PaymentAllocated").await, 1, "it counted before it was paid back");
}

#[tokio::test]
async fn a_place_given_back_before_its_invoice_has_a_number_owes_nothing() {
    let world = World::start().await;
    world.open_congress(1, FEE).await;
    world.register(1).await;
    world.give_back(1).await;
    world.settle().await;
    for invoice in world.invoices().await {
        assert_eq!(world.open(invoice).await, 0);
    }
}

#[tokio::test]
async fn a_place_given_back_at_another_node_before_it_is_billed_owes_nothing() {
    let world = World::start().await;
    world.open_congress(1, FEE).await;
    world.register(1).await;
    let other = world.another_node().await;
    let (registration_id, now) = (registration(1), world.clock.now());
    let command = CancelRegistration { registration_id, refund_override: None, reason: None, now };
    let order = order::<EventRoster>(founders(), CONGRESS, command);
    other.executor.execute(order).await.expect("the place is given back");
    // What this node remembers of the roster is a moment old, so it may write an invoice for a place that is gone.
    world.settle().await;
    for invoice in world.invoices().await {
        assert_eq!(world.open(invoice).await, 0);
    }
}

#[tokio::test]
async fn a_payment_that_crosses_with_giving_back_is_paid_back_once() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    let payment = world.pay(1, invoice, FEE + 10_000).await;
    world.give_back(1).await;
    world.settle().await;
    assert_eq!(world.standing(1).await, Standing::Cancelled);
    assert_eq!((world.open(invoice).await, world.credited().await), (0, FEE));
    let refunds = world.refunds().await;
    // Whether it counted before the credit note decides whether the rest stays the payer's to say about.
    assert!(refunds == [FEE] || refunds == [FEE + 10_000], "{refunds:?}");
    assert_eq!(world.refundable(payment).await, FEE + 10_000 - refunds[0]);
}

#[tokio::test]
async fn a_declined_registration_owes_nothing() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    let command = DeclineRegistration { registration_id: registration(1), reason: None, now: world.clock.now() };
    world.send::<EventRoster>(CONGRESS, command).await;
    world.settle().await;
    assert_eq!((world.open(invoice).await, world.credited().await), (0, FEE));
}

#[tokio::test]
async fn money_taken_at_the_desk_is_paid_back_from_where_it_came() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    let cash = payment(9);
    let command = guildhall_aggregates::payment::RecordPayment {
        provider: "cash".into(),
        reference: "9".into(),
        payer: None,
        amount: eur(FEE),
        invoice_id: None,
        today: world.today(),
    };
    world.send::<Payment>(cash.uuid(), command).await;
    let command = ConfirmRegistration { registration_id: registration(1), payment_id: cash, paid: eur(FEE) };
    world.send::<EventRoster>(CONGRESS, command).await;
    world.give_back(1).await;
    world.settle().await;
    assert_eq!((world.refundable(cash).await, world.open(invoice).await, world.credited().await), (0, 0, FEE));
}

#[tokio::test]
async fn what_the_bank_took_back_is_not_paid_back_again() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    let payment = world.pay(1, invoice, FEE).await;
    world.settle().await;
    world.send::<Payment>(payment.uuid(), RecordChargeback { today: world.today() }).await;
    world.settle().await;
    assert_eq!(world.open(invoice).await, FEE);
    world.give_back(1).await;
    world.settle().await;
    assert_eq!((world.open(invoice).await, world.credited().await, world.refunds().await), (0, FEE, vec![]));
}

#[tokio::test]
async fn a_place_given_back_while_the_bank_takes_the_money_back_owes_nothing() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    let payment = world.pay(1, invoice, FEE).await;
    world.settle().await;
    world.send::<Payment>(payment.uuid(), RecordChargeback { today: world.today() }).await;
    world.give_back(1).await;
    world.settle().await;
    assert_eq!((world.open(invoice).await, world.credited().await, world.refunds().await), (0, FEE, vec![]));
}

#[tokio::test]
async fn what_was_refunded_by_hand_is_not_paid_back_again() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    let payment = world.pay(1, invoice, FEE).await;
    world.settle().await;
    let refund_id = Uuid::from_u128(1).into();
    let reason = "the dinner was cold".to_owned();
    let command = RefundPayment { refund_id, amount: eur(1_000), reason: reason.clone(), today: world.today() };
    world.send::<Payment>(payment.uuid(), command).await;
    let credit_note_id = Uuid::from_u128(1).into();
    let command = CreditInvoice { credit_note_id, amount: eur(1_000), reason, today: world.today() };
    world.send::<Invoice>(invoice.uuid(), command).await;
    world.settle().await;
    assert_eq!(world.refunds().await, [1_000]);
    world.give_back(1).await;
    world.settle().await;
    assert_eq!((world.refunds().await, world.credited().await), (vec![1_000, FEE - 1_000], FEE));
}

#[tokio::test]
async fn a_discount_after_the_fact_is_not_paid_back() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    let credit_note_id = Uuid::from_u128(1).into();
    let reason = "speaker".to_owned();
    let command = CreditInvoice { credit_note_id, amount: eur(1_000), reason, today: world.today() };
    world.send::<Invoice>(invoice.uuid(), command).await;
    let payment = world.pay(1, invoice, FEE - 1_000).await;
    world.settle().await;
    let paid = world.events::<RosterEvent>().await.into_iter().find_map(|event| match event {
        RosterEvent::RegistrationConfirmed { paid, .. } => Some(paid.minor),
        _ => None,
    });
    assert_eq!(paid, Some(FEE - 1_000));
    world.give_back(1).await;
    world.settle().await;
    assert_eq!((world.refundable(payment).await, world.credited().await, world.open(invoice).await), (0, FEE, 0));
}

#[tokio::test]
async fn an_offered_place_that_is_taken_up_is_billed() {
    let (world, first) = World::congress_with_one_billed(1).await;
    world.register(2).await;
    world.give_back(1).await;
    world.settle().await;
    assert!(matches!(world.standing(2).await, Standing::Offered { .. }));
    let command = AcceptOffer { registration_id: registration(2), now: world.clock.now() };
    world.send::<EventRoster>(CONGRESS, command).await;
    world.settle().await;
    let second = world.invoices().await.into_iter().find(|invoice| *invoice != first).expect("the offer is billed");
    world.pay(2, second, FEE).await;
    world.settle().await;
    assert_eq!(world.standing(2).await, Standing::Confirmed);
}

#[tokio::test]
async fn an_offer_that_nobody_answers_goes_to_the_next() {
    let world = World::start().await;
    world.open_congress(1, 0).await;
    for n in 1..=3 {
        world.register(n).await;
    }
    world.give_back(1).await;
    world.settle().await;
    assert!(matches!(world.standing(2).await, Standing::Offered { .. }));
    world.pass(TimeDelta::hours(48));
    world.settle().await;
    assert_eq!(world.standing(2).await, Standing::Expired);
    assert!(matches!(world.standing(3).await, Standing::Offered { .. }));
}

#[tokio::test]
async fn room_left_while_registration_was_closed_is_offered_when_it_opens_again() {
    let world = World::start().await;
    world.open_congress(1, 0).await;
    world.register(1).await;
    world.register(2).await;
    world.send::<EventRoster>(CONGRESS, CloseRegistration {}).await;
    world.give_back(1).await;
    world.settle().await;
    assert!(matches!(world.standing(2).await, Standing::Waitlisted { .. }));
    world.send::<EventRoster>(CONGRESS, opening(1, 0, RosterPolicy::default())).await;
    world.settle().await;
    assert!(matches!(world.standing(2).await, Standing::Offered { .. }));
}

#[tokio::test]
async fn a_cancelled_event_takes_no_registrations_and_pays_everyone_back() {
    let world = World::start().await;
    let cancellation_fee = CancellationFee::Percent { percent: 50 };
    world.open_congress_as(3, FEE, RosterPolicy { cancellation_fee, ..RosterPolicy::default() }).await;
    for n in 1..=4 {
        world.register(n).await;
    }
    world.settle().await;
    let invoices = world.invoices().await;
    let (full, part) = (world.pay(1, invoices[0], FEE).await, world.pay(2, invoices[1], 1_000).await);
    world.settle().await;
    world.call_off().await;
    world.settle().await;
    for n in 1..=4 {
        assert_eq!(world.standing(n).await, Standing::Cancelled);
    }
    for invoice in invoices {
        assert_eq!(world.open(invoice).await, 0);
    }
    assert_eq!((world.refundable(full).await, world.refundable(part).await, world.credited().await), (0, 0, 3 * FEE));
    let refused = world.send_for::<EventRoster>(founders(), CONGRESS, wish(5, &world)).await;
    assert!(refused.is_err(), "registration is closed");
}

#[tokio::test]
async fn a_late_payment_for_a_cancelled_event_is_paid_back() {
    let (world, invoice) = World::congress_with_one_billed(1).await;
    world.pass(TimeDelta::days(14));
    world.settle().await;
    world.call_off().await;
    world.settle().await;
    let payment = world.pay(1, invoice, FEE).await;
    world.settle().await;
    assert_eq!((world.refundable(payment).await, world.open(invoice).await), (0, 0));
    assert_eq!(world.standing(1).await, Standing::Cancelled);
}
