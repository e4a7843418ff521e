//! What the tests of a roster have in common: an event with a hall, and people numbered from 1 whose
//! registrations have the same numbers.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::*;
use crate::{
    Money,
    ids::{InvoiceId, MemberId, PaymentId},
    money::Currency,
    personal::{FreeText, Personal, TokenParts},
    source::SourceRef,
};

pub(super) fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

/// A moment, by minutes after the first.
pub(super) fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
}

/// When an offer made at a minute lapses.
pub(super) fn two_days_after(minutes: i64) -> DateTime<Utc> {
    at(minutes + 48 * 60)
}

pub(super) fn id(n: u128) -> RegistrationId {
    RegistrationId::new(Uuid::from_u128(n))
}
pub(super) fn payment(n: u128) -> PaymentId {
    PaymentId::new(Uuid::from_u128(n))
}
pub(super) fn invoice(n: u128) -> InvoiceId {
    InvoiceId::new(Uuid::from_u128(n))
}
pub(super) fn person(n: u128) -> Registrant {
    Registrant::Member { member_id: MemberId::new(Uuid::from_u128(n)) }
}
pub(super) fn reason() -> Personal<FreeText> {
    let subject = person(1).subject();
    let parts = TokenParts { subject, sealed_by: Uuid::nil(), digest: [0; 16], ciphertext: vec![] };
    Personal::from_parts(&parts)
}

fn ticket(code: &str, fee: i64, member_fee: Option<i64>, pools: &[&str]) -> TicketType {
    TicketType {
        code: code.into(),
        fee: usd(fee),
        member_fee: member_fee.map(usd),
        pools: pools.iter().map(|&pool| pool.to_owned()).collect(),
    }
}

/// A hall and a workshop. Tickets: `free` and `paid` (100.00, members 80.00) for the hall, `both` for both,
/// `workshop` for the workshop alone.
pub(super) fn open_with(hall: u32, workshop: u32, policy: RosterPolicy) -> OpenRegistration {
    let pool = |name: &str, size| CapacityPool { name: name.into(), size: Some(size) };
    OpenRegistration {
        pools: vec![pool("hall", hall), pool("workshop", workshop)],
        ticket_types: vec![
            ticket("free", 0, None, &["hall"]),
            ticket("paid", 10_000, Some(8_000), &["hall"]),
            ticket("both", 0, None, &["hall", "workshop"]),
            ticket("workshop", 0, None, &["workshop"]),
        ],
        policy,
        closes_at: None,
    }
}

pub(super) fn opened_as(command: OpenRegistration) -> RosterEvent {
    let OpenRegistration { pools, ticket_types, policy, closes_at } = command;
    RosterEvent::RegistrationOpened { pools, ticket_types, policy, closes_at }
}
pub(super) fn opened_by(hall: u32, policy: RosterPolicy) -> RosterEvent {
    opened_as(open_with(hall, 2, policy))
}
pub(super) fn opened(hall: u32) -> RosterEvent {
    opened_by(hall, RosterPolicy::default())
}
pub(super) fn closed() -> RosterEvent {
    RosterEvent::RegistrationClosed {}
}

/// Person `n` asks for one free place at minute `n`.
pub(super) fn ask(n: u128) -> RegisterForEvent {
    RegisterForEvent {
        registration_id: id(n),
        registrant: person(n),
        ticket_type: "free".into(),
        places: 1,
        member_price: false,
        priority: 0,
        now: at(i64::try_from(n).unwrap()),
    }
}
pub(super) fn wish(n: u128) -> Registration {
    let RegisterForEvent { registration_id, registrant, ticket_type, places, priority, .. } = ask(n);
    Registration { registration_id, registrant, ticket_type, places, fee: usd(0), priority }
}
pub(super) fn paid_wish(n: u128) -> Registration {
    Registration { ticket_type: "paid".into(), fee: usd(10_000), ..wish(n) }
}
pub(super) fn group(n: u128, places: u32) -> Registration {
    Registration { places, ..wish(n) }
}

pub(super) fn placed(n: u128) -> RosterEvent {
    RosterEvent::PlaceConfirmed { registration: wish(n) }
}
pub(super) fn held(n: u128) -> RosterEvent {
    RosterEvent::PlaceHeld { registration: paid_wish(n), until: at(i64::try_from(n).unwrap() + 30) }
}
pub(super) fn waits(registration: Registration) -> RosterEvent {
    let minute = i64::try_from(registration.registration_id.uuid().as_u128()).unwrap();
    RosterEvent::RegistrationWaitlisted { registration, at: at(minute) }
}
pub(super) fn waiting(n: u128) -> RosterEvent {
    waits(wish(n))
}
pub(super) fn offered(n: u128, reason: PromotionReason, now: i64) -> RosterEvent {
    RosterEvent::PlaceOffered { registration_id: id(n), reason, until: two_days_after(now) }
}
pub(super) fn passed(n: u128) -> RosterEvent {
    RosterEvent::WaitlistPassed { registration_id: id(n), reason: PromotionReason::GroupTooLarge }
}
pub(super) fn paid(n: u128, by: u128) -> RosterEvent {
    RosterEvent::RegistrationConfirmed { registration_id: id(n), payment_id: Some(payment(by)), paid: usd(10_000) }
}
pub(super) fn confirmed_free(n: u128) -> RosterEvent {
    RosterEvent::RegistrationConfirmed { registration_id: id(n), payment_id: None, paid: usd(0) }
}
pub(super) fn expired(n: u128) -> RosterEvent {
    RosterEvent::RegistrationExpired { registration_id: id(n) }
}
pub(super) fn declined(n: u128) -> RosterEvent {
    RosterEvent::RegistrationDeclined { registration_id: id(n), reason: None }
}
pub(super) fn cancelled(n: u128, refund: i64, from: Option<u128>) -> RosterEvent {
    RosterEvent::RegistrationCancelled {
        registration_id: id(n),
        refund: usd(refund),
        payment_id: from.map(payment),
        reason: None,
    }
}
pub(super) fn awaits_approval(registration: Registration) -> RosterEvent {
    RosterEvent::ApprovalRequested { registration }
}
pub(super) fn awaits_payment(n: u128) -> RosterEvent {
    RosterEvent::PaymentAwaited { registration_id: id(n), invoice_id: invoice(n), until: at(14 * 24 * 60) }
}
pub(super) fn checked_in(n: u128, nonce: &str) -> RosterEvent {
    RosterEvent::CheckedIn { registration_id: id(n), at: at(100), nonce: nonce.into() }
}
pub(super) fn missed(n: u128) -> RosterEvent {
    RosterEvent::NoShowRecorded { registration_id: id(n) }
}
pub(super) fn imported(registration: Registration, standing: ImportedStanding, over_capacity: bool) -> RosterEvent {
    let at = at(0);
    RosterEvent::RegistrationImported { registration, standing, at, over_capacity, source: row("1") }
}
pub(super) fn row(id: &str) -> SourceRef {
    SourceRef { system: "civicrm".into(), table: "participant".into(), id: id.into() }
}

/// Everything that can have happened to a free registration of person 1, by the standing it led to.
pub(super) fn histories() -> Vec<(Standing, Vec<RosterEvent>)> {
    let until = at(31);
    let awaiting = Standing::AwaitingPayment { invoice_id: Some(invoice(1)), until: Some(at(14 * 24 * 60)) };
    let offer = offered(1, PromotionReason::CapacityRaised, 0);
    vec![
        (Standing::Held { until }, vec![held(1)]),
        (Standing::AwaitingApproval, vec![awaits_approval(wish(1))]),
        (awaiting, vec![held(1), awaits_payment(1)]),
        (Standing::Confirmed, vec![placed(1)]),
        (Standing::CheckedIn, vec![placed(1), checked_in(1, "seen")]),
        (Standing::NoShow, vec![placed(1), missed(1)]),
        (Standing::Waitlisted { at: at(1), arrival: 0 }, vec![waiting(1)]),
        (Standing::Offered { until: two_days_after(0) }, vec![waiting(1), offer]),
        (Standing::Declined, vec![placed(1), declined(1)]),
        (Standing::Expired, vec![held(1), expired(1)]),
        (Standing::Cancelled, vec![placed(1), cancelled(1, 0, None)]),
    ]
}

/// What a command on registration 1 gives in each standing, by the name of the standing.
pub(super) fn outcomes(command: impl Into<RosterCommand>) -> Vec<(String, Result<Vec<RosterEvent>, RosterRefusal>)> {
    let command = command.into();
    let name = |standing: Standing| {
        let text = format!("{standing:?}");
        text.split(' ').next().unwrap_or_default().to_owned()
    };
    let decide = |(standing, history): (Standing, Vec<RosterEvent>)| {
        let mut roster = EventRoster::default();
        roster.apply(opened(10));
        for event in history {
            roster.apply(event);
        }
        assert_eq!(roster.standing(id(1)), Some(standing));
        (name(standing), roster.decide(command.clone()))
    };
    histories().into_iter().map(decide).collect()
}

/// The refusals among [`outcomes`], by standing.
pub(super) fn refusals(command: impl Into<RosterCommand>) -> Vec<(String, RosterRefusal)> {
    outcomes(command).into_iter().filter_map(|(name, outcome)| Some((name, outcome.err()?))).collect()
}

/// The standings in which a command gives no events.
pub(super) fn silent(command: impl Into<RosterCommand>) -> Vec<String> {
    let nothing =
        |(name, outcome): (String, Result<Vec<_>, _>)| outcome.is_ok_and(|events| events.is_empty()).then_some(name);
    outcomes(command).into_iter().filter_map(nothing).collect()
}

/// Checks refusals and silences of a command on registration 1, standing by standing.
pub(super) fn expect(command: impl Into<RosterCommand>, refused: &[(&str, RosterRefusal)], nothing_to_do: &[&str]) {
    let command = command.into();
    let refused: Vec<_> = refused.iter().map(|(name, refusal)| ((*name).to_owned(), refusal.clone())).collect();
    assert_eq!(refusals(command.clone()), refused);
    assert_eq!(silent(command), nothing_to_do);
}
