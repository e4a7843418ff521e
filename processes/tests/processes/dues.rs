//! Applications and renewals: billed, numbered, paid, begun.

use chrono::{Days, NaiveDate, TimeDelta};
use guildhall_aggregates::{
    MembershipId,
    ids::PaymentId,
    invoice::{CreditInvoice, Invoice, InvoiceEvent},
    membership::{
        ApproveMembership, CancelMembership, ChangeMembershipPlan, DeclineMembership, Membership, MembershipStatus,
        RenewMembership, StatusRules,
    },
    payment::{Payment, RecordChargeback, RefundPayment},
    tenant_of_slug,
};

use crate::support::{World, by_consent, eur, plan, yearly};

impl World {
    async fn status(&self, membership: MembershipId) -> Option<MembershipStatus> {
        let state: Membership = self.state(membership.uuid()).await;
        state.status_on(&StatusRules::default(), self.today())
    }

    async fn last_day(&self, membership: MembershipId) -> Option<NaiveDate> {
        self.state::<Membership>(membership.uuid()).await.latest_term().and_then(|term| term.end)
    }

    async fn ask_to_renew(&self, membership: MembershipId) {
        let (rules, today) = (StatusRules::default(), self.today());
        let command = RenewMembership { plan: yearly(), terms: 1, payment_id: None, rules, today };
        self.send::<Membership>(membership.uuid(), command).await;
    }

    /// A member whose dues are paid.
    async fn join(&self, n: u128) -> (MembershipId, PaymentId) {
        let membership = self.apply(n, yearly()).await;
        self.settle().await;
        let invoice = *self.invoices().await.last().expect("the dues are billed");
        let payment = self.pay(n, invoice, 10_000).await;
        self.settle().await;
        (membership, payment)
    }

    /// Series and numbers of all invoices, in the order they were given.
    async fn numbers(&self) -> Vec<(String, u32)> {
        let issued = |event| match event {
            InvoiceEvent::InvoiceIssued { series, number } => Some((series, number)),
            _ => None,
        };
        self.events::<InvoiceEvent>().await.into_iter().filter_map(issued).collect()
    }
}

#[tokio::test]
async fn dues_are_billed_and_their_payment_starts_the_membership() {
    let world = World::start().await;
    let membership = world.apply(1, yearly()).await;
    world.settle().await;
    assert_eq!(world.status(membership).await, Some(MembershipStatus::Pending));
    let invoice = world.invoice().await;
    let bill: Invoice = world.state(invoice.uuid()).await;
    assert_eq!((bill.open(), bill.number()), (Some(eur(10_000)), Some(("2027", 1))));

    let payment = world.pay(1, invoice, 10_000).await;
    world.settle().await;
    assert_eq!(world.status(membership).await, Some(MembershipStatus::New));
    assert_eq!(world.open(invoice).await, 0);
    let paid: Payment = world.state(payment.uuid()).await;
    assert_eq!(paid.unallocated(), Some(eur(0)), "the payment knows where its money went");
}

#[tokio::test]
async fn what_costs_nothing_is_not_billed() {
    let world = World::start().await;
    let membership = world.apply(1, plan(1, 0)).await;
    world.settle().await;
    assert_eq!(world.status(membership).await, Some(MembershipStatus::New));
    assert_eq!(world.invoices().await, []);
}

#[tokio::test]
async fn invoices_are_numbered_without_gaps_in_each_association_and_year() {
    let world = World::start().await;
    for n in 1..=40 {
        world.apply(n, yearly()).await;
    }
    let others = tenant_of_slug("others");
    world.found(others, "others").await;
    let command = guildhall_aggregates::membership::ApplyForMembership {
        member_id: crate::support::member(1),
        plan: yearly(),
        requested_start: None,
        terms: 1,
        today: world.today(),
    };
    world
        .send_for::<Membership>(others, uuid::Uuid::from_u128(1), command)
        .await
        .expect("the others have members, too");
    world.settle().await;
    world.pass(TimeDelta::days(365));
    for n in 41..=43 {
        world.apply(n, yearly()).await;
    }
    world.settle().await;

    let mut numbers = world.numbers().await;
    numbers.sort_unstable();
    let year = |series: &str, most| (1..=most).map(|number| (series.to_owned(), number)).collect::<Vec<_>>();
    assert_eq!(numbers, [year("2027", 40), year("2028", 3)].concat());
    let theirs = world.node.store.read_tenant_after(others, 0, 1_000).await.expect("history can be read");
    let issued = theirs.iter().find(|event| &*event.type_name == "InvoiceIssued").expect("their dues are billed");
    let first = InvoiceEvent::InvoiceIssued { series: "2027".into(), number: 1 };
    assert_eq!(issued.decode::<InvoiceEvent>().expect("it can be read"), first);
}

#[tokio::test]
async fn what_needs_consent_is_billed_once_somebody_agreed() {
    let world = World::start().await;
    let membership = world.apply(1, by_consent()).await;
    world.settle().await;
    assert_eq!(world.invoices().await, []);
    world.send::<Membership>(membership.uuid(), ApproveMembership { today: world.today() }).await;
    world.settle().await;
    let invoice = world.invoice().await;
    world.pay(1, invoice, 10_000).await;
    world.settle().await;
    assert_eq!(world.status(membership).await, Some(MembershipStatus::New));
}

#[tokio::test]
async fn a_renewal_is_billed_and_runs_once_it_is_paid() {
    let world = World::start().await;
    let (membership, _) = world.join(1).await;
    let first = world.last_day(membership).await.expect("the term has an end");
    world.ask_to_renew(membership).await;
    world.settle().await;
    assert_eq!(world.last_day(membership).await, Some(first), "nothing is extended before it is paid");

    let invoice = world.invoices().await[1];
    world.pay(2, invoice, 10_000).await;
    world.settle().await;
    let second = first.checked_add_days(Days::new(366));
    assert_eq!(world.last_day(membership).await, second, "2028 is a leap year");
    world.pay(2, invoice, 10_000).await;
    world.settle().await;
    assert_eq!(world.last_day(membership).await, second, "the same payment extends once");
}

#[tokio::test]
async fn a_part_of_the_dues_starts_nothing_and_the_rest_does() {
    let world = World::start().await;
    let membership = world.apply(1, yearly()).await;
    world.settle().await;
    let invoice = world.invoice().await;
    world.pay(1, invoice, 6_000).await;
    world.settle().await;
    assert_eq!(world.status(membership).await, Some(MembershipStatus::Pending));
    assert_eq!(world.open(invoice).await, 4_000);
    world.pay(2, invoice, 4_000).await;
    world.settle().await;
    assert_eq!(world.status(membership).await, Some(MembershipStatus::New));
    assert_eq!(world.open(invoice).await, 0);
}

#[tokio::test]
async fn a_credit_note_over_the_rest_of_the_dues_starts_the_membership() {
    let world = World::start().await;
    let membership = world.apply(1, yearly()).await;
    world.settle().await;
    let invoice = world.invoice().await;
    world.pay(1, invoice, 6_000).await;
    world.settle().await;
    let credit_note_id = uuid::Uuid::from_u128(1).into();
    let reason = "student".to_owned();
    let command = CreditInvoice { credit_note_id, amount: eur(4_000), reason, today: world.today() };
    world.send::<Invoice>(invoice.uuid(), command).await;
    world.settle().await;
    assert_eq!(world.status(membership).await, Some(MembershipStatus::New));
    assert_eq!(world.count("PaymentRefunded").await, 0, "what becomes of the money is said by who writes the note");
}

#[tokio::test]
async fn what_is_paid_too_much_shows_and_stays_the_payers() {
    let world = World::start().await;
    world.apply(1, yearly()).await;
    world.settle().await;
    let invoice = world.invoice().await;
    let payment = world.pay(1, invoice, 13_000).await;
    world.settle().await;
    let applied = world.events::<InvoiceEvent>().await.into_iter().find_map(|event| match event {
        InvoiceEvent::PaymentApplied { amount, excess, .. } => Some((amount, excess)),
        _ => None,
    });
    assert_eq!(applied, Some((eur(10_000), eur(3_000))));
    assert_eq!(world.state::<Payment>(payment.uuid()).await.unallocated(), Some(eur(3_000)));
    let refund_id = uuid::Uuid::from_u128(1).into();
    let command = RefundPayment { refund_id, amount: eur(3_000), reason: "paid too much".into(), today: world.today() };
    world.send::<Payment>(payment.uuid(), command).await;
    assert_eq!(world.refundable(payment).await, 10_000);
}

#[tokio::test]
async fn a_payment_that_is_charged_back_opens_the_invoice_again() {
    let world = World::start().await;
    let (membership, payment) = world.join(1).await;
    world.send::<Payment>(payment.uuid(), RecordChargeback { today: world.today() }).await;
    world.settle().await;
    let invoice = world.invoice().await;
    assert_eq!(world.open(invoice).await, 10_000);
    let term = world.last_day(membership).await;
    world.pay(2, invoice, 10_000).await;
    world.settle().await;
    assert_eq!(world.open(invoice).await, 0);
    assert_eq!(world.last_day(membership).await, term, "paid anew it is not extended");
}

#[tokio::test]
async fn an_old_invoice_paid_anew_does_not_pay_for_the_next_renewal() {
    let world = World::start().await;
    let (membership, _) = world.join(1).await;
    world.ask_to_renew(membership).await;
    world.settle().await;
    let second = world.invoices().await[1];
    let payment = world.pay(2, second, 10_000).await;
    world.settle().await;
    world.send::<Payment>(payment.uuid(), RecordChargeback { today: world.today() }).await;
    world.ask_to_renew(membership).await;
    world.settle().await;
    let term = world.last_day(membership).await;
    world.pay(3, second, 10_000).await;
    world.settle().await;
    assert_eq!(world.last_day(membership).await, term, "the third term is still to be paid");
    let third = world.invoices().await[2];
    world.pay(4, third, 10_000).await;
    world.settle().await;
    assert_ne!(world.last_day(membership).await, term);
}

#[tokio::test]
async fn what_never_began_is_not_owed_and_what_was_paid_of_it_is_paid_back() {
    let world = World::start().await;
    let declined = world.apply(1, yearly()).await;
    let cancelled = world.apply(2, yearly()).await;
    world.settle().await;
    let invoices = world.invoices().await;
    let payment = world.pay(1, invoices[0], 2_500).await;
    world.settle().await;
    let command = DeclineMembership { reason: None, today: world.today() };
    world.send::<Membership>(declined.uuid(), command).await;
    let command = CancelMembership { reason: None, today: world.today() };
    world.send::<Membership>(cancelled.uuid(), command).await;
    world.settle().await;
    assert_eq!((world.open(invoices[0]).await, world.open(invoices[1]).await), (0, 0));
    assert_eq!((world.credited().await, world.refundable(payment).await), (20_000, 0));

    let late = world.pay(2, invoices[1], 10_000).await;
    world.settle().await;
    assert_eq!(world.refundable(late).await, 0, "what comes later is paid back, too");
    assert_eq!(world.count("PaymentRefunded").await, 2);
}

#[tokio::test]
async fn a_membership_given_up_owes_no_renewal_and_gets_nothing_back_for_its_term() {
    let world = World::start().await;
    let (membership, payment) = world.join(1).await;
    world.ask_to_renew(membership).await;
    world.settle().await;
    let renewal = world.invoices().await[1];
    let command = CancelMembership { reason: None, today: world.today() };
    world.send::<Membership>(membership.uuid(), command).await;
    world.settle().await;
    assert_eq!((world.open(renewal).await, world.credited().await), (0, 10_000));
    assert_eq!(world.refundable(payment).await, 10_000);
}

#[tokio::test]
async fn another_plan_is_billed_less_what_is_left_of_the_old_one() {
    let world = World::start().await;
    let mut daily = yearly();
    daily.terms.proration = guildhall_aggregates::membership_plan::Proration::ByDay;
    let membership = world.apply(1, daily).await;
    world.settle().await;
    let first = world.invoice().await;
    world.pay(1, first, 10_000).await;
    world.settle().await;
    let command = ChangeMembershipPlan { plan: plan(2, 36_500), today: world.today() };
    world.send::<Membership>(membership.uuid(), command).await;
    world.settle().await;
    let second = world.invoices().await[1];
    assert_eq!(world.open(second).await, 26_500);
}
