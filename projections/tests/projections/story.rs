//! A small association's life as events: enough of everything that projections fold.

use std::collections::BTreeSet;

use chrono::{NaiveDate, TimeZone, Utc};
use guildhall_aggregates::{
    AssociationEventId, CreditNoteId, InvoiceId, MemberId, Money, PaymentId, PlanId, RefundId, RegistrationId,
    SourceRef, SubjectId, TenantId,
    association_event::{AssociationEventRecord, EventDetails, Schedule},
    event_roster::{CapacityPool, Registrant, Registration, RosterEvent, RosterPolicy, TicketType},
    invoice::{InvoiceEvent, InvoiceLine, InvoicePurpose, RevenueKind, ServicePeriod},
    member::{ContactDetails, MemberEvent, MemberKind},
    membership::{MembershipEvent, SoldPlan, Term},
    membership_plan::{DurationUnit, GracePeriod, Period, PlanEvent, PlanTerms, Proration},
    money::Currency,
    payment::{ContributionStanding, PaymentEvent},
    personal::{EmailAddress, PersonName, PhoneNumber, PostalAddress, Profile},
};
use uuid::Uuid;

use crate::support::{World, day, id};

pub(crate) fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

pub(crate) fn plan_terms(name: &str) -> PlanTerms {
    PlanTerms {
        name: name.to_owned(),
        fee: usd(12_000),
        duration_unit: DurationUnit::Year,
        duration_interval: 1,
        period: Period::Rolling,
        grace: GracePeriod::Months(1),
        renewal_window: None,
        approval_required: false,
        proration: Proration::None,
        benefits: vec![],
        inherited_by_max: None,
    }
}

pub(crate) fn plan_created(code: &str) -> PlanEvent {
    PlanEvent::PlanCreated { code: code.to_owned(), terms: plan_terms(code), source: None }
}

pub(crate) fn sold(plan: Uuid) -> SoldPlan {
    SoldPlan { plan_id: PlanId::new(plan), version: 1, terms: plan_terms("a plan") }
}

pub(crate) fn applied(member: Uuid, plan: Uuid, on: &str) -> MembershipEvent {
    MembershipEvent::MembershipApplied {
        member_id: MemberId::new(member),
        plan: sold(plan),
        applied_on: day(on),
        requested_start: None,
        terms: 1,
        fee: usd(12_000),
    }
}

pub(crate) fn term(number: u32, start: &str, end: &str) -> Term {
    Term { number, start: day(start), end: Some(day(end)) }
}

pub(crate) fn activated(start: &str, end: &str) -> MembershipEvent {
    MembershipEvent::MembershipActivated { term: term(1, start, end), payment_id: None, on: day(start) }
}

pub(crate) fn renewed(number: u32, plan: Uuid, start: &str, end: &str, first: &str, on: &str) -> MembershipEvent {
    MembershipEvent::MembershipRenewed {
        term: term(number, start, end),
        plan: sold(plan),
        terms: 1,
        membership_start: day(first),
        payment_id: None,
        on: day(on),
    }
}

/// Registers a person with everything sealed.
pub(crate) async fn person(world: &World, tenant: TenantId, member: Uuid, name: &str, city: &str) -> MemberEvent {
    let subject = SubjectId::new(member);
    let (first, last) = name.split_once(' ').expect("two names");
    let person = PersonName {
        display: name.to_owned(),
        first: Some(first.to_owned()),
        middle: None,
        last: Some(last.to_owned()),
    };
    let email = EmailAddress(format!("{}@example.org", first.to_lowercase()));
    let address = PostalAddress {
        lines: vec!["1 Main Street".to_owned()],
        city: Some(city.to_owned()),
        region: None,
        postal_code: None,
        country: None,
    };
    MemberEvent::MemberRegistered {
        kind: MemberKind::Person,
        name: world.seal(tenant, subject, person).await,
        contact: ContactDetails {
            email: Some(world.seal(tenant, subject, email).await),
            phone: Some(world.seal(tenant, subject, PhoneNumber("555 0100".to_owned())).await),
            address: Some(world.seal(tenant, subject, address).await),
        },
        birth_date: None,
        member_number: Some(format!("M-{last}")),
        source: None,
    }
}

pub(crate) async fn profile(world: &World, tenant: TenantId, member: Uuid) -> MemberEvent {
    let profile = Profile {
        biography: Some("She wrote the first program, for a machine that was never built.".to_owned()),
        job_title: Some("Analyst".to_owned()),
        picture_url: Some("https://example.org/ada.png".to_owned()),
        social_links: vec!["https://example.org/ada".to_owned()],
    };
    MemberEvent::ProfileChanged { profile: world.seal(tenant, SubjectId::new(member), profile).await }
}

pub(crate) fn affiliated(organization: Uuid) -> MemberEvent {
    MemberEvent::AffiliationsChanged { organizations: BTreeSet::from([MemberId::new(organization)]) }
}

pub(crate) fn scheduled(title: &str, on: &str) -> AssociationEventRecord {
    let at = |hour| day(on).and_hms_opt(hour, 0, 0).expect("an hour");
    AssociationEventRecord::EventScheduled {
        details: EventDetails { title: title.to_owned(), summary: None, venue: None },
        schedule: Schedule { starts: at(9), ends: at(17), time_zone: chrono_tz::Europe::Vienna },
        source: None,
    }
}

pub(crate) fn opened(size: Option<u32>) -> RosterEvent {
    RosterEvent::RegistrationOpened {
        pools: vec![CapacityPool { name: "hall".to_owned(), size }],
        ticket_types: vec![TicketType {
            code: "standard".to_owned(),
            fee: usd(5_000),
            member_fee: None,
            pools: vec!["hall".to_owned()],
        }],
        policy: RosterPolicy::default(),
        closes_at: None,
    }
}

pub(crate) fn wish(registration: u128, member: Uuid, places: u32) -> Registration {
    Registration {
        registration_id: RegistrationId::new(id(registration)),
        registrant: Registrant::Member { member_id: MemberId::new(member) },
        ticket_type: "standard".to_owned(),
        places,
        fee: usd(5_000),
        priority: 0,
    }
}

pub(crate) fn held(registration: Registration) -> RosterEvent {
    RosterEvent::PlaceHeld { registration, until: Utc.timestamp_opt(1_800_000_000, 0).single().expect("an instant") }
}

pub(crate) fn confirmed(registration: u128) -> RosterEvent {
    RosterEvent::RegistrationConfirmed {
        registration_id: RegistrationId::new(id(registration)),
        payment_id: None,
        paid: usd(5_000),
    }
}

pub(crate) fn waitlisted(registration: Registration) -> RosterEvent {
    RosterEvent::RegistrationWaitlisted {
        registration,
        at: Utc.timestamp_opt(1_700_000_000, 0).single().expect("an instant"),
    }
}

pub(crate) fn checked_in(registration: u128) -> RosterEvent {
    RosterEvent::CheckedIn {
        registration_id: RegistrationId::new(id(registration)),
        at: Utc.timestamp_opt(1_790_000_000, 0).single().expect("an instant"),
        nonce: "n".to_owned(),
    }
}

pub(crate) fn line(kind: RevenueKind, unit_minor: i64, service: Option<(&str, &str)>) -> InvoiceLine {
    InvoiceLine {
        description: "A charge".to_owned(),
        kind,
        quantity: 1,
        unit_minor,
        discount_minor: 0,
        tax_rate_bp: 1_000,
        service: service.map(|(from, to)| ServicePeriod { from: day(from), to: Some(day(to)) }),
    }
}

pub(crate) fn drafted(lines: Vec<InvoiceLine>, dated: &str, due_on: &str) -> InvoiceEvent {
    let amounts: Vec<_> = lines.iter().map(|line| line.amount(Currency::USD).expect("small amounts")).collect();
    let tax = amounts.iter().map(|amount| amount.tax.minor).sum();
    let net: i64 = amounts.iter().map(|amount| amount.net.minor).sum();
    InvoiceEvent::InvoiceDrafted {
        bill_to: SubjectId::new(id(1)),
        purpose: InvoicePurpose::Other,
        lines,
        total: usd(net + tax),
        tax: usd(tax),
        dated: day(dated),
        due_on: day(due_on),
    }
}

pub(crate) fn issued(number: u32) -> InvoiceEvent {
    InvoiceEvent::InvoiceIssued { series: "2026".to_owned(), number }
}

pub(crate) fn paid(payment: u128, minor: i64, on: &str) -> InvoiceEvent {
    InvoiceEvent::PaymentApplied {
        payment_id: PaymentId::new(id(payment)),
        amount: usd(minor),
        excess: usd(0),
        on: day(on),
    }
}

pub(crate) fn credited(minor: i64, on: &str) -> InvoiceEvent {
    InvoiceEvent::InvoiceCredited {
        credit_note_id: CreditNoteId::new(id(77)),
        amount: usd(minor),
        reason: "goodwill".to_owned(),
        on: day(on),
    }
}

pub(crate) fn received(reference: &str, minor: i64, on: &str) -> PaymentEvent {
    PaymentEvent::PaymentReceived {
        provider: "test".to_owned(),
        reference: reference.to_owned(),
        payer: None,
        amount: usd(minor),
        invoice_id: None,
        on: day(on),
    }
}

pub(crate) fn allocated(invoice: u128, minor: i64, on: &str) -> PaymentEvent {
    PaymentEvent::PaymentAllocated { invoice_id: InvoiceId::new(id(invoice)), amount: usd(minor), on: day(on) }
}

pub(crate) fn refunded(minor: i64, on: &str) -> PaymentEvent {
    PaymentEvent::PaymentRefunded {
        refund_id: RefundId::new(id(55)),
        amount: usd(minor),
        reason: "place given back".to_owned(),
        on: day(on),
    }
}

pub(crate) fn contributed(
    kind: RevenueKind,
    minor: i64,
    standing: ContributionStanding,
    on: NaiveDate,
) -> PaymentEvent {
    PaymentEvent::ContributionImported {
        payer: SubjectId::new(id(1)),
        amount: usd(minor),
        kind,
        standing,
        on,
        source: SourceRef { system: "civicrm".to_owned(), table: "contribution".to_owned(), id: "1".to_owned() },
    }
}

/// A bit of everything, in both billing and membership; ids are the same in every association.
pub(crate) async fn tell(world: &World, tenant: TenantId) {
    let (ada, grace, plan) = (id(1), id(2), id(10));
    world.record(tenant, plan, &[plan_created("regular")]).await;
    world.record(tenant, ada, &[person(world, tenant, ada, "Ada Lovelace", "London").await]).await;
    world.record(tenant, grace, &[person(world, tenant, grace, "Grace Hopper", "Arlington").await]).await;
    world
        .record(
            tenant,
            ada,
            &[profile(world, tenant, ada).await, MemberEvent::CredentialAdded { credential: "RN".into() }],
        )
        .await;
    let year = [applied(ada, plan, "2025-03-01"), activated("2025-03-01", "2026-02-28")];
    world.record(tenant, id(20), &year).await;
    world.record(tenant, id(20), &[renewed(2, plan, "2026-03-01", "2027-02-28", "2025-03-01", "2026-02-10")]).await;
    world.record(tenant, id(21), &[applied(grace, plan, "2025-06-01"), activated("2025-06-01", "2026-05-31")]).await;
    let congress = AssociationEventId::new(id(30)).uuid();
    world.record(tenant, congress, &[scheduled("Congress", "2026-09-01")]).await;
    world.record(tenant, congress, &[opened(Some(2)), held(wish(40, ada, 1)), confirmed(40), checked_in(40)]).await;
    world.record(tenant, congress, &[held(wish(41, grace, 1)), waitlisted(wish(42, grace, 3))]).await;
    let lines = vec![
        line(RevenueKind::Dues, 12_000, Some(("2026-03-01", "2027-02-28"))),
        line(RevenueKind::EventFee, 5_000, Some(("2026-09-01", "2026-09-01"))),
    ];
    world.record(tenant, id(50), &[drafted(lines, "2026-02-10", "2026-03-10"), issued(1)]).await;
    world.record(tenant, id(60), &[received("r1", 20_000, "2026-02-20"), allocated(50, 10_000, "2026-02-20")]).await;
    world.record(tenant, id(50), &[paid(60, 10_000, "2026-02-20"), credited(1_100, "2026-05-05")]).await;
    world.record(tenant, id(60), &[refunded(4_000, "2026-04-01")]).await;
    let gift = contributed(RevenueKind::Donation, 2_500, ContributionStanding::Completed, day("2025-12-24"));
    world.record(tenant, id(61), &[gift]).await;
    let hoped = contributed(RevenueKind::Dues, 9_900, ContributionStanding::Pending, day("2025-12-24"));
    world.record(tenant, id(62), &[hoped]).await;
}
