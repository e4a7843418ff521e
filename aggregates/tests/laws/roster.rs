//! Laws of rosters: no decision exceeds a pool, nobody overtakes, and no place stands empty while somebody
//! waits for it.

use chrono::{DateTime, TimeDelta, Utc};
use guildhall_aggregates::{
    Money, SourceRef,
    event_roster::*,
    ids::{RegistrationId, SubjectId},
    money::Currency,
};
use proptest::{option::of, prelude::*, sample::select};
use uuid::Uuid;

use crate::{cases, few, run, sealed};

const POOLS: [&str; 2] = ["hall", "workshop"];

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

fn now() -> impl Strategy<Value = DateTime<Utc>> + Clone {
    (0_i64..6_000).prop_map(|minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes))
}

/// One of more registrations than there are places.
fn registration_id() -> impl Strategy<Value = RegistrationId> + Clone {
    (0_u128..14).prop_map(|n| RegistrationId::new(Uuid::from_u128(n)))
}

fn person() -> impl Strategy<Value = Registrant> + Clone {
    prop_oneof![
        (0_u128..14).prop_map(|n| Registrant::Member { member_id: Uuid::from_u128(n).into() }),
        (sealed(), 20_u128..23).prop_map(|(name, n)| Registrant::Guest {
            subject: SubjectId::new(Uuid::from_u128(n)),
            name,
            email: None,
        }),
    ]
}

fn ticket_type() -> impl Strategy<Value = String> + Clone {
    select(vec!["free", "free", "paid", "both", "workshop", "unknown"]).prop_map(str::to_owned)
}

fn policy() -> impl Strategy<Value = RosterPolicy> {
    any::<[bool; 4]>().prop_map(|[waitlist, approval_required, several_per_person, pass_over_large_groups]| {
        RosterPolicy {
            waitlist,
            approval_required,
            several_per_person,
            pass_over_large_groups,
            cancellation_fee: CancellationFee::Percent { percent: 20 },
            ..RosterPolicy::default()
        }
    })
}

fn open() -> impl Strategy<Value = RosterCommand> {
    let ticket = |code: &str, fee, pools: &[&str]| TicketType {
        code: code.into(),
        fee: usd(fee),
        member_fee: None,
        pools: pools.iter().map(|&pool| pool.to_owned()).collect(),
    };
    (policy(), 0_u32..6, of(0_u32..4)).prop_map(move |(policy, hall, workshop)| {
        let pool = |name: &str, size| CapacityPool { name: name.into(), size };
        OpenRegistration {
            pools: vec![pool("hall", Some(hall)), pool("workshop", workshop)],
            ticket_types: vec![
                ticket("free", 0, &["hall"]),
                ticket("paid", 10_000, &["hall"]),
                ticket("both", 0, &["hall", "workshop"]),
                ticket("workshop", 500, &["workshop"]),
            ],
            policy,
            closes_at: None,
        }
        .into()
    })
}

fn register() -> impl Strategy<Value = RosterCommand> {
    let ask = (registration_id(), person(), ticket_type(), 1_u32..4, 0_i32..2, now());
    ask.prop_map(|(registration_id, registrant, ticket_type, places, priority, now)| {
        let member_price = false;
        RegisterForEvent { registration_id, registrant, ticket_type, places, member_price, priority, now }.into()
    })
}

fn import() -> impl Strategy<Value = RosterCommand> {
    let standing = select(vec![
        ImportedStanding::Confirmed,
        ImportedStanding::Pending,
        ImportedStanding::Waitlisted,
        ImportedStanding::Cancelled,
    ]);
    let row = (registration_id(), person(), ticket_type(), 1_u32..4, standing, now());
    row.prop_map(|(registration_id, registrant, ticket_type, places, standing, at)| {
        let registration = Registration { registration_id, registrant, ticket_type, places, fee: usd(0), priority: 0 };
        let source = SourceRef { system: "elsewhere".into(), table: "row".into(), id: registration_id.to_string() };
        ImportRegistration { registration, standing, at, source }.into()
    })
}

/// Everything that can be asked of a roster whose registration stays open.
fn command() -> impl Strategy<Value = RosterCommand> {
    let id = registration_id;
    let size = select(vec![Some(0), Some(1), Some(3), Some(8), None]);
    prop_oneof![
        10 => register(),
        1 => (select(POOLS.to_vec()), size, now())
            .prop_map(|(pool, size, now)| ChangeCapacity { pool: pool.into(), size, now }.into()),
        3 => (id(), few(), now()).prop_map(|(registration_id, invoice_id, now)| {
            AwaitPayment { registration_id, invoice_id, now }.into()
        }),
        4 => (id(), few()).prop_map(|(registration_id, payment_id)| {
            ConfirmRegistration { registration_id, payment_id, paid: usd(10_000) }.into()
        }),
        2 => (id(), now()).prop_map(|(registration_id, now)| ApproveRegistration { registration_id, now }.into()),
        1 => (id(), now()).prop_map(|(registration_id, now)| {
            DeclineRegistration { registration_id, reason: None, now }.into()
        }),
        3 => (id(), now()).prop_map(|(registration_id, now)| AcceptOffer { registration_id, now }.into()),
        2 => (id(), now()).prop_map(|(registration_id, now)| DeclineOffer { registration_id, now }.into()),
        4 => (id(), now()).prop_map(|(registration_id, now)| {
            CancelRegistration { registration_id, refund_override: None, reason: None, now }.into()
        }),
        2 => (id(), person()).prop_map(|(registration_id, registrant)| {
            TransferRegistration { registration_id, registrant }.into()
        }),
        2 => now().prop_map(|now| ExpireDue { now }.into()),
        2 => (id(), now(), 0_u8..5).prop_map(|(registration_id, at, nonce)| {
            CheckIn { registration_id, at, nonce: nonce.to_string() }.into()
        }),
        1 => id().prop_map(|registration_id| RecordNoShow { registration_id }.into()),
    ]
}

fn history() -> impl Strategy<Value = Vec<RosterCommand>> {
    (open(), proptest::collection::vec(command(), 1..60))
        .prop_map(|(open, then)| std::iter::once(open).chain(then).collect())
}

/// The same, with registration closing and opening again and with imported history.
fn eventful_history() -> impl Strategy<Value = Vec<RosterCommand>> {
    let any = prop_oneof![6 => command(), 1 => import(), 1 => Just(CloseRegistration {}.into()), 1 => open()];
    (open(), proptest::collection::vec(any, 1..60)).prop_map(|(open, then)| std::iter::once(open).chain(then).collect())
}

fn every_registration(roster: &EventRoster) -> Vec<(&Registration, Standing)> {
    let ids = (0_u128..14).map(|n| RegistrationId::new(Uuid::from_u128(n)));
    ids.filter_map(|id| roster.registration(id).zip(roster.standing(id))).collect()
}

fn draws_on(roster: &EventRoster, registration: &Registration, pool: &str) -> bool {
    roster.ticket_type(&registration.ticket_type).is_some_and(|ticket| ticket.pools.iter().any(|name| name == pool))
}

/// The counts kept beside the registrations are those one gets by counting.
fn counts_are_right(roster: &EventRoster) -> Result<(), TestCaseError> {
    let all = every_registration(roster);
    for pool in POOLS {
        let placed =
            all.iter().filter(|(registration, standing)| standing.has_place() && draws_on(roster, registration, pool));
        let taken: u64 = placed.map(|(registration, _)| u64::from(registration.places)).sum();
        prop_assert_eq!(roster.taken(pool), Some(taken), "{}", pool);
    }
    let mut waiting: Vec<_> = all
        .iter()
        .filter_map(|(registration, standing)| match standing {
            Standing::Waitlisted { at, arrival } => {
                Some((std::cmp::Reverse(registration.priority), *at, *arrival, registration.registration_id))
            }
            _ => None,
        })
        .collect();
    waiting.sort_unstable();
    let order: Vec<_> = waiting.into_iter().map(|(.., id)| id).collect();
    prop_assert_eq!(roster.waitlist().collect::<Vec<_>>(), order);
    prop_assert_eq!(roster.next_due(), all.iter().filter_map(|(_, standing)| standing.due()).min());
    Ok(())
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn no_decision_exceeds_a_pool(commands in eventful_history()) {
        run::<EventRoster>(commands, |before, command, _, after| {
            let decided = !matches!(command, RosterCommand::ImportRegistration(_));
            for pool in POOLS.into_iter().filter(|_| decided) {
                let taken = after.taken(pool).unwrap_or(0);
                let size = after.size(pool).flatten().map_or(u64::MAX, u64::from);
                prop_assert!(taken <= size.max(before.taken(pool).unwrap_or(0)), "{}", pool);
            }
            counts_are_right(after)
        })?;
    }

    #[test]
    fn no_place_stands_empty_while_the_first_in_the_queue_waits_for_it(commands in history()) {
        run::<EventRoster>(commands, |_, _, _, after| {
            let Some(first) = after.waitlist().next().and_then(|id| after.registration(id)) else { return Ok(()) };
            let has_room = |pool: &&str| {
                let free = after.size(pool).flatten().map_or(u64::MAX, |size| {
                    u64::from(size).saturating_sub(after.taken(pool).unwrap_or(0))
                });
                free >= u64::from(first.places)
            };
            let mut pools = POOLS.iter().filter(|pool| draws_on(after, first, pool));
            prop_assert!(!pools.all(has_room), "{:?} could be placed", first);
            Ok(())
        })?;
    }

    #[test]
    fn a_person_has_one_place_where_the_event_allows_one(commands in history()) {
        run::<EventRoster>(commands, |_, _, _, after| {
            if after.policy().is_some_and(|policy| policy.several_per_person) {
                return Ok(());
            }
            let live = every_registration(after).into_iter().filter(|(_, standing)| standing.is_live());
            let mut people: Vec<_> = live.map(|(registration, _)| registration.registrant.subject()).collect();
            let all = people.len();
            people.sort_unstable();
            people.dedup();
            prop_assert_eq!(people.len(), all);
            Ok(())
        })?;
    }

    #[test]
    fn a_payment_is_never_both_placed_and_paid_back(commands in eventful_history()) {
        let (mut placed, mut paid_back) = (vec![], vec![]);
        run::<EventRoster>(commands, |_, _, events, _| {
            for event in events {
                match event {
                    RosterEvent::RegistrationConfirmed { registration_id, payment_id: Some(payment), .. } => {
                        placed.push((*registration_id, *payment));
                    }
                    RosterEvent::PaymentUnplaced { registration_id, payment_id, .. } => {
                        paid_back.push((*registration_id, *payment_id));
                    }
                    _ => {}
                }
            }
            prop_assert!(!paid_back.iter().any(|payment| placed.contains(payment)));
            Ok(())
        })?;
    }
}
