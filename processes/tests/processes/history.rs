//! What holds for every process: once, by whatever node, however often history is read.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use guildhall_aggregates::{
    association_event::{AssociationEvent, CancelEvent},
    event_roster::{EventRoster, ImportRegistration, ImportedStanding, Registrant, Registration, Standing},
    invoice::{Invoice, InvoicePurpose, RevenueKind},
    member::{ContactDetails, ForgetMember, Member, MemberKind, RegisterMember},
    membership::{CancelMembership, ImportMembership, Membership, Term},
    payment::{ContributionStanding, ImportContribution, Payment, RecordChargeback, RecordPayment},
    personal::{Clear, Opened, PersonName, Personal},
    source::SourceRef,
};
use guildhall_event_store::{Actor, RecordedEvent};
use uuid::Uuid;

use crate::support::{CONGRESS, World, by_consent, eur, founders, member, membership, payment, registration, yearly};

impl World {
    /// A bit of everything: memberships and places, paid, half paid, too late, taken back by a bank, given up.
    async fn bustle(&self) {
        self.open_congress(3, 5_000).await;
        for n in 1..=6 {
            self.apply(n, yearly()).await;
            self.register(n).await;
        }
        self.apply(7, by_consent()).await;
        self.settle().await;
        // Streams have no order among themselves; who pays what must not depend on it.
        let mut invoices = BTreeMap::new();
        for invoice in self.invoices().await {
            let bill: Invoice = self.state(invoice.uuid()).await;
            invoices.insert((bill.bill_to(), matches!(bill.purpose(), Some(InvoicePurpose::EventFee { .. }))), invoice);
        }
        for (n, invoice) in (1..).zip(invoices.into_values().skip(1)) {
            self.pay(n, invoice, if n % 3 == 0 { 2_000 } else { 12_000 }).await;
        }
        self.settle().await;
        // The bank takes the fee of the first back, who pays anew.
        self.send::<Payment>(payment(1).uuid(), RecordChargeback { today: self.today() }).await;
        self.settle().await;
        let fee = self.state::<Payment>(payment(1).uuid()).await.invoice_id().expect("it was meant for the fee");
        self.pay(20, fee, 5_000).await;
        self.settle().await;
        let command = CancelMembership { reason: None, today: self.today() };
        self.send::<Membership>(membership(4).uuid(), command).await;
        self.give_back(2).await;
        self.give_back(3).await;
        self.pass(TimeDelta::days(15));
    }

    /// Makes the processes forget how far they have read, and what is due.
    async fn start_over(&self) {
        let client = self.database.connect().await;
        let forget = "DELETE FROM process.checkpoint; DELETE FROM process.deadline";
        client.batch_execute(forget).await.expect("the tables can be emptied");
    }

    async fn name_of(&self, n: u128) -> Personal<PersonName> {
        let name = PersonName { display: "Ada".into(), first: None, middle: None, last: None };
        let sealed = self.node.store.vault().seal(founders(), member(n).into(), Uuid::now_v7(), &Clear(name)).await;
        sealed.expect("a name can be sealed")
    }

    async fn put_on_record(&self, n: u128) -> Personal<PersonName> {
        let name = self.name_of(n).await;
        let command = RegisterMember {
            kind: MemberKind::Person,
            name: name.clone(),
            contact: ContactDetails::default(),
            birth_date: None,
            member_number: None,
            source: None,
        };
        self.send::<Member>(member(n).uuid(), command).await;
        name
    }
}

/// Histories of streams, by what happened in each; without regard to the order of streams.
fn told(history: &[RecordedEvent]) -> BTreeMap<String, Vec<String>> {
    let mut streams = BTreeMap::<String, Vec<String>>::new();
    for event in history {
        streams.entry(event.stream.to_string()).or_default().push(event.type_name.to_string());
    }
    streams
}

fn source(table: &str) -> SourceRef {
    SourceRef { system: "other".into(), table: table.into(), id: "1".into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_read_again_from_the_beginning_records_nothing_new() {
    let world = World::start().await;
    world.bustle().await;
    world.settle().await;
    let before = world.history().await;
    for days in [0, 1] {
        world.pass(TimeDelta::days(days));
        world.start_over().await;
        let other = world.another_node().await;
        other.processes.settle().await.expect("another node settles");
        assert_eq!(told(&world.history().await), told(&before));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_settle_at_the_same_time_record_everything_once() {
    let alone = World::start().await;
    alone.bustle().await;
    alone.settle().await;

    let together = World::start().await;
    together.bustle().await;
    together.start_over().await;
    let other = together.another_node().await;
    let (here, there) = tokio::join!(together.node.processes.settle(), other.processes.settle());
    here.and(there).expect("both nodes settle");
    let counted = |history: Vec<RecordedEvent>| {
        let mut names = BTreeMap::<String, usize>::new();
        for event in history {
            *names.entry(event.type_name.to_string()).or_default() += 1;
        }
        names
    };
    assert_eq!(counted(together.history().await), counted(alone.history().await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_number_invoices_without_a_gap() {
    let world = World::start().await;
    for n in 1..=60 {
        world.apply(n, yearly()).await;
    }
    let other = world.another_node().await;
    let (here, there) = tokio::join!(world.node.processes.settle(), other.processes.settle());
    here.and(there).expect("both nodes settle");
    let mut numbers = BTreeSet::new();
    for invoice in world.invoices().await {
        let bill: Invoice = world.state(invoice.uuid()).await;
        let (_, number) = bill.number().expect("every invoice is issued");
        assert!(numbers.insert(number), "number {number} is given twice");
    }
    assert_eq!(numbers, (1..=60).collect());
}

#[tokio::test]
async fn what_a_process_records_says_what_it_was_caused_by() {
    let world = World::start().await;
    world.apply(1, yearly()).await;
    world.settle().await;
    let history = world.history().await;
    let event = |name: &str| {
        history.iter().find(|event| &*event.type_name == name).unwrap_or_else(|| panic!("{name} is on record"))
    };
    let of = |name: &str| event(name).parsed_metadata().expect("metadata can be read");
    let issued = of("InvoiceIssued");
    assert_eq!(issued.actor, Actor::Process("numbering".into()));
    assert_eq!(issued.causation_id, Some(event("InvoiceDrafted").event_id));
    assert_eq!(issued.correlation_id, of("MembershipApplied").correlation_id);
}

#[tokio::test]
async fn a_refusal_does_not_stop_the_others() {
    let world = World::start().await;
    let nowhere = Uuid::from_u128(404).into();
    let lost = world.pay(1, nowhere, 10_000).await;
    world.apply(1, yearly()).await;
    world.settle().await;
    world.pay(2, world.invoice().await, 10_000).await;
    world.settle().await;
    assert_eq!(world.count("MembershipActivated").await, 1);
    let lost: Payment = world.state(lost.uuid()).await;
    assert_eq!(lost.unallocated(), Some(eur(10_000)), "money for an invoice nobody knows stays the payer's");
}

#[tokio::test]
async fn imported_facts_set_nothing_in_motion() {
    let world = World::start().await;
    world.open_congress(1, 5_000).await;
    let today = world.today();
    let command = ImportMembership {
        member_id: member(1),
        plan: yearly(),
        joined_on: today,
        term: Term { number: 1, start: today, end: None },
        as_of: today,
        overridden: None,
        source: source("membership"),
    };
    world.send::<Membership>(Uuid::from_u128(1), command).await;
    let wish = Registration {
        registration_id: registration(1),
        registrant: Registrant::Member { member_id: member(1) },
        ticket_type: "standard".into(),
        places: 1,
        fee: eur(5_000),
        priority: 0,
    };
    let (standing, at) = (ImportedStanding::Pending, world.clock.now());
    let command = ImportRegistration { registration: wish, standing, at, source: source("participant") };
    world.send::<EventRoster>(CONGRESS, command).await;
    let command = ImportContribution {
        payer: member(1).into(),
        amount: eur(5_000),
        kind: RevenueKind::EventFee,
        standing: ContributionStanding::Completed,
        on: today,
        source: source("contribution"),
    };
    let receipt = world.send::<Payment>(payment(1).uuid(), command).await;
    world.settle().await;
    world.pass(TimeDelta::days(365));
    world.settle().await;
    assert_eq!(world.names_after(receipt.position).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_key_of_a_forgotten_member_is_destroyed() {
    let world = World::start().await;
    let name = world.put_on_record(1).await;
    let vault = world.node.store.vault();
    world.settle().await;
    assert!(matches!(vault.open(founders(), &name).await, Ok(Opened::Known(_))));
    world.send::<Member>(member(1).uuid(), ForgetMember {}).await;
    world.settle().await;
    assert!(matches!(vault.open(founders(), &name).await, Ok(Opened::Forgotten)));
}

#[tokio::test]
async fn a_forgotten_member_is_paid_back_for_a_cancelled_event() {
    let world = World::start().await;
    world.open_congress(2, 5_000).await;
    world.put_on_record(1).await;
    world.register(1).await;
    world.settle().await;
    let paid = world.pay(1, world.invoice().await, 5_000).await;
    world.send::<Member>(member(1).uuid(), ForgetMember {}).await;
    world.settle().await;
    world.send::<AssociationEvent>(CONGRESS, CancelEvent { reason: "storm".into() }).await;
    world.settle().await;
    assert_eq!(world.standing(1).await, Standing::Cancelled);
    assert_eq!(world.refundable(paid).await, 0);
}

#[tokio::test]
async fn associations_do_not_meet() {
    let world = World::start().await;
    let others = guildhall_aggregates::tenant_of_slug("others");
    world.found(others, "others").await;
    world.apply(1, yearly()).await;
    world.settle().await;
    let command = RecordPayment {
        provider: "bank".into(),
        reference: "1".into(),
        payer: None,
        amount: eur(10_000),
        invoice_id: Some(world.invoice().await),
        today: world.today(),
    };
    world.send_for::<Payment>(others, payment(1).uuid(), command).await.expect("they got money");
    world.settle().await;
    assert_eq!(world.open(world.invoice().await).await, 10_000, "their money does not pay our invoices");
}
