//! One association with its processes on a fresh database, and words to talk to it.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};
use guildhall_aggregates::{
    Decide, MemberId, Money, StoredEvent, TenantId,
    association::{Association, FoundAssociation},
    association_event::{AssociationEvent, EventDetails, Schedule, ScheduleEvent},
    event_roster::{
        CancelRegistration, CapacityPool, EventRoster, OpenRegistration, RegisterForEvent, Registrant, RosterPolicy,
        Standing, TicketType,
    },
    ids::{InvoiceId, MembershipId, PaymentId, PlanId, RegistrationId},
    invoice::{Invoice, InvoiceEvent},
    membership::{ApplyForMembership, Membership, SoldPlan},
    membership_plan::{DurationUnit, Period, PlanTerms, Proration},
    money::Currency,
    payment::{Payment, RecordPayment},
    tenant_of_slug,
};
use guildhall_commands::{ExecuteError, Executor, ExecutorOptions, Order};
use guildhall_event_store::{
    Actor, Clock, EventStore, KeyEncryptionKey, Metadata, Receipt, RecordedEvent, StoreOptions,
};
use guildhall_processes::{ProcessOptions, Processes};
use guildhall_sandbox::testing::TestDatabase;
use uuid::Uuid;

/// The association event of a test; its roster has the same id.
pub(crate) const CONGRESS: Uuid = Uuid::from_u128(0xC0);

/// A node: a store, a write side and the processes on it.
pub(crate) struct Node {
    pub(crate) store: EventStore,
    pub(crate) executor: Executor,
    pub(crate) processes: Processes,
}

/// An association in a database of its own, seen from one node.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) clock: Clock,
    pub(crate) node: Node,
    kek: KeyEncryptionKey,
}

impl World {
    /// The association `founders`, in Berlin, on 15 January 2027 at nine in the morning.
    pub(crate) async fn start() -> Self {
        let database = TestDatabase::create().await;
        let clock = Clock::standing_at(DateTime::from_timestamp(1_800_000_000, 0).expect("the instant exists"));
        let kek = KeyEncryptionKey::generate();
        let node = node(&database, &kek, &clock).await;
        let world = Self { database, clock, node, kek };
        world.found(founders(), "founders").await;
        world
    }

    /// Another node over the same database.
    pub(crate) async fn another_node(&self) -> Node {
        node(&self.database, &self.kek, &self.clock).await
    }

    pub(crate) async fn found(&self, tenant: TenantId, slug: &str) {
        let command = FoundAssociation {
            name: "Society of Bell Founders".into(),
            slug: slug.into(),
            time_zone: chrono_tz::Europe::Berlin,
            currency: Currency::EUR,
        };
        self.send_for::<Association>(tenant, tenant.uuid(), command).await.expect("the association is founded");
    }

    /// Sends a command of `founders` that is accepted.
    pub(crate) async fn send<A: Decide<Error: std::fmt::Display>>(
        &self,
        id: Uuid,
        command: impl Into<A::Command>,
    ) -> Receipt {
        let answer = self.send_for::<A>(founders(), id, command).await;
        answer.unwrap_or_else(|refused| panic!("the command is accepted, but: {refused}"))
    }

    pub(crate) async fn send_for<A: Decide>(
        &self,
        tenant: TenantId,
        id: Uuid,
        command: impl Into<A::Command>,
    ) -> Result<Receipt, ExecuteError<A::Error>> {
        self.node.executor.execute(order::<A>(tenant, id, command)).await
    }

    /// Lets the processes finish.
    pub(crate) async fn settle(&self) {
        let reached = self.node.processes.settle().await.expect("the processes settle");
        assert_eq!(reached, self.node.store.head().await.expect("history answers"));
    }

    pub(crate) fn pass(&self, time: TimeDelta) {
        self.clock.advance(time);
    }

    /// Today in Berlin.
    pub(crate) fn today(&self) -> NaiveDate {
        self.clock.today(chrono_tz::Europe::Berlin)
    }

    /// Everything the association has on record.
    pub(crate) async fn history(&self) -> Vec<RecordedEvent> {
        self.history_after(0).await
    }

    async fn history_after(&self, mut position: u64) -> Vec<RecordedEvent> {
        let mut history = Vec::new();
        loop {
            let page = self.node.store.read_tenant_after(founders(), position, 10_000).await;
            let page = page.expect("history can be read");
            let Some(last) = page.last() else { return history };
            position = last.position;
            history.extend(page);
        }
    }

    /// The names of what was recorded after a position, in order.
    pub(crate) async fn names_after(&self, position: u64) -> Vec<String> {
        self.history_after(position).await.iter().map(|event| event.type_name.to_string()).collect()
    }

    /// How often something happened.
    pub(crate) async fn count(&self, name: &str) -> usize {
        self.history().await.iter().filter(|event| &*event.type_name == name).count()
    }

    /// All events of one kind of stream, in order.
    pub(crate) async fn events<E: StoredEvent>(&self) -> Vec<E> {
        let history = self.history().await;
        let mine = history.iter().filter(|event| &*event.stream.category == E::CATEGORY);
        mine.map(|event| event.decode().expect("a recorded event can be read")).collect()
    }

    pub(crate) async fn state<A: Decide>(&self, id: Uuid) -> A {
        self.node.store.load::<A>(founders(), id).await.expect("the state can be read").state
    }

    /// The invoices, in the order they were written.
    pub(crate) async fn invoices(&self) -> Vec<InvoiceId> {
        let history = self.history().await;
        let drafted = history.iter().filter(|event| &*event.type_name == "InvoiceDrafted");
        drafted.map(|event| event.stream.id.into()).collect()
    }

    /// The only invoice there is.
    pub(crate) async fn invoice(&self) -> InvoiceId {
        let invoices = self.invoices().await;
        assert_eq!(invoices.len(), 1, "there is one invoice");
        invoices[0]
    }

    /// What is still to be paid of an invoice, in cents.
    pub(crate) async fn open(&self, invoice: InvoiceId) -> i64 {
        self.state::<Invoice>(invoice.uuid()).await.open().expect("the invoice is written").minor
    }

    /// What was credited of all invoices, in cents.
    pub(crate) async fn credited(&self) -> i64 {
        let credited = |event| match event {
            InvoiceEvent::InvoiceCredited { amount, .. } => amount.minor,
            _ => 0,
        };
        self.events::<InvoiceEvent>().await.into_iter().map(credited).sum()
    }

    /// What a payment could still be paid back of, in cents.
    pub(crate) async fn refundable(&self, payment: PaymentId) -> i64 {
        self.state::<Payment>(payment.uuid()).await.refundable().expect("the payment came").minor
    }

    /// Applies for a membership.
    pub(crate) async fn apply(&self, n: u128, plan: SoldPlan) -> MembershipId {
        let (member_id, today) = (member(n), self.today());
        let command = ApplyForMembership { member_id, plan, requested_start: None, terms: 1, today };
        self.send::<Membership>(membership(n).uuid(), command).await;
        membership(n)
    }

    /// Pays towards an invoice.
    pub(crate) async fn pay(&self, n: u128, invoice: InvoiceId, minor: i64) -> PaymentId {
        let command = RecordPayment {
            provider: "bank".into(),
            reference: n.to_string(),
            payer: None,
            amount: eur(minor),
            invoice_id: Some(invoice),
            today: self.today(),
        };
        self.send::<Payment>(payment(n).uuid(), command).await;
        payment(n)
    }

    /// Puts the congress on the calendar and opens its registration.
    pub(crate) async fn open_congress(&self, places: u32, fee: i64) {
        self.open_congress_as(places, fee, RosterPolicy::default()).await;
    }

    pub(crate) async fn open_congress_as(&self, places: u32, fee: i64, policy: RosterPolicy) {
        let day = NaiveDate::from_ymd_opt(2027, 6, 1).expect("the day exists");
        let at = |hour| NaiveDateTime::new(day, chrono::NaiveTime::from_hms_opt(hour, 0, 0).expect("the hour exists"));
        let schedule = Schedule { starts: at(9), ends: at(17), time_zone: chrono_tz::Europe::Berlin };
        let details = EventDetails { title: "Congress".into(), summary: None, venue: None };
        self.send::<AssociationEvent>(CONGRESS, ScheduleEvent { details, schedule, source: None }).await;
        self.send::<EventRoster>(CONGRESS, opening(places, fee, policy)).await;
    }

    /// Asks for a place at the congress.
    pub(crate) async fn register(&self, n: u128) -> RegistrationId {
        self.send::<EventRoster>(CONGRESS, wish(n, self)).await;
        registration(n)
    }

    pub(crate) async fn give_back(&self, n: u128) {
        let command = CancelRegistration {
            registration_id: registration(n),
            refund_override: None,
            reason: None,
            now: self.clock.now(),
        };
        self.send::<EventRoster>(CONGRESS, command).await;
    }

    /// Where a registration for the congress stands.
    pub(crate) async fn standing(&self, n: u128) -> Standing {
        let roster = self.state::<EventRoster>(CONGRESS).await;
        roster.standing(registration(n)).expect("the registration is on the roster")
    }
}

async fn node(database: &TestDatabase, kek: &KeyEncryptionKey, clock: &Clock) -> Node {
    let options = StoreOptions::new(database.url(), kek.clone());
    let store = EventStore::open(options, clock.clone()).await.expect("the store opens on a migrated database");
    let executor = Executor::new(store.clone(), ExecutorOptions::default());
    let processes = Processes::new(executor.clone(), store.clone(), ProcessOptions::default());
    Node { store, executor, processes }
}

/// A command as somebody at a desk sends it.
pub(crate) fn order<A: Decide>(tenant: TenantId, id: Uuid, command: impl Into<A::Command>) -> Order<A> {
    let command_id = Uuid::now_v7();
    let metadata = Metadata {
        command: "Test".into(),
        actor: Actor::Caller("front-desk".into()),
        correlation_id: command_id,
        causation_id: None,
        traceparent: None,
    };
    Order {
        tenant,
        id,
        command: command.into(),
        command_id,
        request_hash: [7; 32],
        metadata,
        claims: vec![],
        expected_version: None,
    }
}

pub(crate) fn founders() -> TenantId {
    tenant_of_slug("founders")
}
pub(crate) fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}
pub(crate) fn member(n: u128) -> MemberId {
    Uuid::from_u128(0xA000 + n).into()
}
pub(crate) fn membership(n: u128) -> MembershipId {
    Uuid::from_u128(0xB000 + n).into()
}
pub(crate) fn registration(n: u128) -> RegistrationId {
    Uuid::from_u128(0xD0_0000 + n).into()
}
pub(crate) fn payment(n: u128) -> PaymentId {
    Uuid::from_u128(0xE0_0000 + n).into()
}

/// A plan that costs 100.00 for a year from the day of joining.
pub(crate) fn yearly() -> SoldPlan {
    plan(1, 10_000)
}

pub(crate) fn plan(n: u128, fee: i64) -> SoldPlan {
    let terms = PlanTerms {
        name: "Professional".into(),
        fee: eur(fee),
        duration_unit: DurationUnit::Year,
        duration_interval: 1,
        period: Period::Rolling,
        grace: guildhall_aggregates::membership_plan::GracePeriod::default(),
        renewal_window: None,
        approval_required: false,
        proration: Proration::None,
        benefits: vec![],
        inherited_by_max: None,
    };
    SoldPlan { plan_id: PlanId::new(Uuid::from_u128(0xF0 + n)), version: 1, terms }
}

/// The same plan, for those somebody agrees to.
pub(crate) fn by_consent() -> SoldPlan {
    let mut plan = yearly();
    plan.terms.approval_required = true;
    plan
}

pub(crate) fn opening(places: u32, fee: i64, policy: RosterPolicy) -> OpenRegistration {
    let pools = vec![CapacityPool { name: "hall".into(), size: Some(places) }];
    let standard = TicketType { code: "standard".into(), fee: eur(fee), member_fee: None, pools: vec!["hall".into()] };
    let gratis = TicketType { code: "free".into(), fee: eur(0), ..standard.clone() };
    OpenRegistration { pools, ticket_types: vec![standard, gratis], policy, closes_at: None }
}

pub(crate) fn wish(n: u128, world: &World) -> RegisterForEvent {
    RegisterForEvent {
        registration_id: registration(n),
        registrant: Registrant::Member { member_id: member(n) },
        ticket_type: "standard".into(),
        places: 1,
        member_price: false,
        priority: 0,
        now: world.clock.now(),
    }
}
