//! A small association with a year of everything. Two associations get the same story under the same ids, told
//! apart by a word that stands in every text.

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;
use guildhall_aggregates::{
    AssociationEventId, InvoiceId, MemberId, MembershipId, Money, PaymentId, PlanId, RegistrationId, SubjectId,
    TenantId,
    association::AssociationRecord,
    association_event::{AssociationEventRecord, EventDetails, Schedule},
    event_roster::{CapacityPool, Registrant, Registration, RosterEvent, RosterPolicy, TicketType},
    invoice::{InvoiceEvent, InvoiceLine, InvoicePurpose, RevenueKind, ServicePeriod},
    invoice_series::SeriesEvent,
    member::{ContactDetails, MemberEvent, MemberKind, PrivacySwitches},
    membership::{MembershipEvent, SoldPlan, Term},
    membership_plan::{DurationUnit, GracePeriod, Period, PlanEvent, PlanTerms, Proration},
    money::Currency,
    payment::PaymentEvent,
    personal::{EmailAddress, PersonName, PhoneNumber, PostalAddress},
};
use uuid::Uuid;

use crate::world::World;

pub(crate) fn ada() -> MemberId {
    MemberId::new(Uuid::from_u128(0xADA))
}
pub(crate) fn grace() -> MemberId {
    MemberId::new(Uuid::from_u128(0x06ACE))
}
pub(crate) fn guest() -> SubjectId {
    SubjectId::new(Uuid::from_u128(0x06E57))
}
pub(crate) fn plan() -> PlanId {
    PlanId::new(Uuid::from_u128(0xB1A4))
}
pub(crate) fn membership() -> MembershipId {
    MembershipId::new(Uuid::from_u128(0x3E3))
}
pub(crate) fn congress() -> AssociationEventId {
    AssociationEventId::new(Uuid::from_u128(0xE7E4))
}
pub(crate) fn invoice() -> InvoiceId {
    InvoiceId::new(Uuid::from_u128(0x1C0E))
}
pub(crate) fn payment() -> PaymentId {
    PaymentId::new(Uuid::from_u128(0xBA1D))
}
pub(crate) fn series() -> Uuid {
    Uuid::from_u128(0x5E41)
}
fn registration(number: u128) -> RegistrationId {
    RegistrationId::new(Uuid::from_u128(0x4E60 + number))
}

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}
fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

/// Tells the whole story of an association. `mark` stands in every text of it.
pub(crate) async fn tell(world: &World, tenant: TenantId, slug: &str, mark: &str) {
    found(world, tenant, slug, mark).await;
    register_members(world, tenant, mark).await;
    sell_a_membership(world, tenant, mark).await;
    hold_a_congress(world, tenant, mark).await;
    bill(world, tenant, mark).await;
}

async fn found(world: &World, tenant: TenantId, slug: &str, mark: &str) {
    let founded = AssociationRecord::AssociationFounded {
        name: format!("{mark} association"),
        slug: slug.into(),
        time_zone: Tz::Europe__Vienna,
        currency: Currency::EUR,
    };
    world.record(tenant, tenant.uuid(), &[founded]).await;
}

/// Ada, who shows herself and her telephone number, and Grace, who is not listed.
async fn register_members(world: &World, tenant: TenantId, mark: &str) {
    let listed = PrivacySwitches { show_phone: true, ..PrivacySwitches::default() };
    let unlisted = PrivacySwitches { show_in_directory: false, ..PrivacySwitches::default() };
    let member = async |id: MemberId, first: &str, number: &str, privacy: PrivacySwitches| {
        let name = PersonName {
            display: format!("{first} {mark}"),
            first: Some(first.into()),
            middle: None,
            last: Some(mark.into()),
        };
        let address = PostalAddress {
            lines: vec![format!("1 {mark} street")],
            city: Some("Málaga".into()),
            region: None,
            postal_code: None,
            country: Some("ES".into()),
        };
        let email = EmailAddress(format!("{}@{}.example.org", first.to_lowercase(), mark.to_lowercase()));
        let contact = ContactDetails {
            email: Some(world.seal(tenant, id, email).await),
            phone: Some(world.seal(tenant, id, PhoneNumber("+34 1".into())).await),
            address: Some(world.seal(tenant, id, address).await),
        };
        let registered = MemberEvent::MemberRegistered {
            kind: MemberKind::Person,
            name: world.seal(tenant, id, name).await,
            contact,
            birth_date: None,
            member_number: Some(format!("{mark}-{number}")),
            source: None,
        };
        let credential = MemberEvent::CredentialAdded { credential: "RN".into() };
        let events = [registered, credential, MemberEvent::PrivacyChanged { privacy }];
        world.record(tenant, id.uuid(), &events).await;
    };
    member(ada(), "Ada", "1", listed).await;
    member(grace(), "Grace", "2", unlisted).await;
}

fn terms(mark: &str) -> PlanTerms {
    PlanTerms {
        name: format!("{mark} standard"),
        fee: euros(12_000),
        duration_unit: DurationUnit::Year,
        duration_interval: 1,
        period: Period::Rolling,
        grace: GracePeriod::default(),
        renewal_window: None,
        approval_required: false,
        proration: Proration::None,
        benefits: vec![],
        inherited_by_max: None,
    }
}

async fn sell_a_membership(world: &World, tenant: TenantId, mark: &str) {
    let created = PlanEvent::PlanCreated { code: "STD".into(), terms: terms(mark), source: None };
    world.record(tenant, plan().uuid(), &[created]).await;
    let sold = SoldPlan { plan_id: plan(), version: 1, terms: terms(mark) };
    let applied = MembershipEvent::MembershipApplied {
        member_id: ada(),
        plan: sold,
        applied_on: day("2025-11-01"),
        requested_start: None,
        terms: 1,
        fee: euros(12_000),
    };
    let term = Term { number: 1, start: day("2025-11-01"), end: Some(day("2026-10-31")) };
    let activated = MembershipEvent::MembershipActivated { term, payment_id: None, on: day("2025-11-01") };
    world.record(tenant, membership().uuid(), &[applied, activated]).await;
}

/// A congress with one place: Ada has it, a guest and then Grace wait for it, the guest first.
async fn hold_a_congress(world: &World, tenant: TenantId, mark: &str) {
    let starts = day("2026-05-01").and_hms_opt(9, 0, 0).unwrap();
    let scheduled = AssociationEventRecord::EventScheduled {
        details: EventDetails { title: format!("{mark} congress"), summary: None, venue: None },
        schedule: Schedule { starts, ends: starts + TimeDelta::hours(8), time_zone: Tz::Europe__Vienna },
        source: None,
    };
    world.record(tenant, congress().uuid(), &[scheduled]).await;

    let ask = |number: u128, registrant: Registrant| Registration {
        registration_id: registration(number),
        registrant,
        ticket_type: "standard".into(),
        places: 1,
        fee: euros(0),
        priority: 0,
    };
    let name = PersonName { display: format!("Guest {mark}"), first: None, middle: None, last: None };
    let visitor = Registrant::Guest { subject: guest(), name: world.seal(tenant, guest(), name).await, email: None };
    let at = world.clock.now();
    let events = [
        RosterEvent::RegistrationOpened {
            pools: vec![CapacityPool { name: "hall".into(), size: Some(1) }],
            ticket_types: vec![TicketType {
                code: "standard".into(),
                fee: euros(0),
                member_fee: None,
                pools: vec!["hall".into()],
            }],
            policy: RosterPolicy::default(),
            closes_at: None,
        },
        RosterEvent::PlaceConfirmed { registration: ask(1, Registrant::Member { member_id: ada() }) },
        RosterEvent::RegistrationWaitlisted { registration: ask(2, visitor), at },
        RosterEvent::RegistrationWaitlisted { registration: ask(3, Registrant::Member { member_id: grace() }), at },
    ];
    world.record(tenant, congress().uuid(), &events).await;
}

/// Dues of 120.00, of which 50.00 are paid.
async fn bill(world: &World, tenant: TenantId, mark: &str) {
    let line = InvoiceLine {
        description: format!("{mark} dues"),
        kind: RevenueKind::Dues,
        quantity: 1,
        unit_minor: 12_000,
        discount_minor: 0,
        tax_rate_bp: 0,
        service: Some(ServicePeriod { from: day("2025-11-01"), to: Some(day("2026-10-31")) }),
    };
    let events = [
        InvoiceEvent::InvoiceDrafted {
            bill_to: ada().into(),
            purpose: InvoicePurpose::MembershipDues { membership_id: membership() },
            lines: vec![line],
            total: euros(12_000),
            tax: euros(0),
            dated: day("2025-11-01"),
            due_on: day("2025-11-15"),
        },
        InvoiceEvent::InvoiceIssued { series: format!("{mark}-2025"), number: 1 },
        InvoiceEvent::PaymentApplied {
            payment_id: payment(),
            amount: euros(5_000),
            excess: euros(0),
            on: day("2025-11-20"),
        },
    ];
    world.record(tenant, invoice().uuid(), &events).await;
    let assigned = SeriesEvent::NumberAssigned { invoice_id: invoice(), series: format!("{mark}-2025"), number: 1 };
    world.record(tenant, series(), &[assigned]).await;
    let received = PaymentEvent::PaymentReceived {
        provider: "test".into(),
        reference: format!("{mark}-1"),
        payer: Some(ada().into()),
        amount: euros(5_000),
        invoice_id: Some(invoice()),
        on: day("2025-11-20"),
    };
    let allocated =
        PaymentEvent::PaymentAllocated { invoice_id: invoice(), amount: euros(5_000), on: day("2025-11-20") };
    world.record(tenant, payment().uuid(), &[received, allocated]).await;
}
