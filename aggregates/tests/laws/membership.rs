//! Laws of memberships: no command counts twice, and the timeline says of every day what the status says.

use chrono::{Days, NaiveDate};
use guildhall_aggregates::{
    Money, SourceRef,
    ids::{MemberId, PlanId},
    membership::*,
    membership_plan::*,
    money::Currency,
};
use proptest::{
    option::{of, weighted},
    prelude::*,
    sample::select,
};
use uuid::Uuid;

use crate::{cases, date, few, run, sealed};

/// Some day of four years, mostly the first of a quarter, so that terms meet.
pub(crate) fn day() -> impl Strategy<Value = NaiveDate> + Clone {
    let first = date(2024, 1, 1);
    prop_oneof![
        (0_u64..1_460).prop_map(move |days| first + Days::new(days)),
        (0_i32..4, 0_u32..4).prop_map(|(year, quarter)| date(2024 + year, quarter * 3 + 1, 1)),
    ]
}

pub(crate) fn plan_terms() -> impl Strategy<Value = PlanTerms> {
    let on = |month, day| MonthDay { month, day };
    let duration = select(vec![
        (DurationUnit::Year, Period::Rolling),
        (DurationUnit::Year, Period::FixedYear { start: on(1, 1), rollover: on(11, 1) }),
        (DurationUnit::Year, Period::FixedYear { start: on(11, 1), rollover: on(1, 1) }),
        (DurationUnit::Month, Period::Rolling),
        (DurationUnit::Month, Period::FixedMonth { rollover_day: 15 }),
        (DurationUnit::Day, Period::Rolling),
        (DurationUnit::Lifetime, Period::Rolling),
    ]);
    let bands = Proration::ByBand { percent: [100, 100, 100, 75, 75, 75, 50, 50, 50, 0, 0, 0] };
    let proration = select(vec![Proration::None, Proration::ByMonth, Proration::ByDay, bands]);
    let grace = select(vec![GracePeriod::Months(1), GracePeriod::Days(0), GracePeriod::Days(10)]);
    let window = of(Just(RenewalWindow { days_before: 60, days_after: 60 }));
    let fee = select(vec![0_i64, 12_000, 12_000]);
    (duration, 1_u32..4, proration, grace, window, fee, any::<bool>()).prop_map(
        |((duration_unit, period), duration_interval, proration, grace, renewal_window, fee, approval_required)| {
            PlanTerms {
                name: "Plan".into(),
                fee: Money::new(fee, Currency::USD),
                duration_unit,
                duration_interval,
                period,
                grace,
                renewal_window,
                approval_required,
                proration,
                benefits: vec![],
                inherited_by_max: None,
            }
        },
    )
}

fn sold() -> impl Strategy<Value = SoldPlan> {
    (0_u128..2, 1_u32..3, plan_terms()).prop_map(|(plan, version, terms)| SoldPlan {
        plan_id: PlanId::new(Uuid::from_u128(plan)),
        version,
        terms,
    })
}

fn boundary() -> impl Strategy<Value = Option<Boundary>> + Clone {
    let anchor = select(vec![Anchor::Join, Anchor::Start, Anchor::End, Anchor::GraceEnd]);
    of((anchor, -4_i32..5, -20_i32..20).prop_map(|(anchor, months, days)| Boundary { anchor, months, days }))
}

fn status() -> impl Strategy<Value = MembershipStatus> + Clone {
    select(vec![MembershipStatus::New, MembershipStatus::Current, MembershipStatus::Grace, MembershipStatus::Expired])
}

fn rules() -> impl Strategy<Value = StatusRules> + Clone {
    let rule = (status(), boundary(), boundary()).prop_map(|(status, from, to)| StatusRule { status, from, to });
    prop_oneof![Just(StatusRules::default()), proptest::collection::vec(rule, 0..5).prop_map(StatusRules)]
}

fn import() -> impl Strategy<Value = MembershipCommand> {
    let set = (status(), of(day())).prop_map(|(status, until)| ImportedOverride { status, until });
    (sold(), day(), day(), of(day()), day(), of(set)).prop_map(|(plan, joined_on, start, end, as_of, overridden)| {
        ImportMembership {
            member_id: MemberId::new(Uuid::from_u128(1)),
            plan,
            joined_on,
            term: Term { number: 1, start, end },
            as_of,
            overridden,
            source: SourceRef { system: "elsewhere".into(), table: "row".into(), id: "1".into() },
        }
        .into()
    })
}

fn apply() -> impl Strategy<Value = MembershipCommand> {
    (few(), sold(), of(day()), 1_u32..3, day()).prop_map(|(member_id, plan, requested_start, terms, today)| {
        ApplyForMembership { member_id, plan, requested_start, terms, today }.into()
    })
}

fn command() -> impl Strategy<Value = MembershipCommand> {
    prop_oneof![
        1 => apply(),
        1 => import(),
        2 => day().prop_map(|today| ApproveMembership { today }.into()),
        1 => (of(sealed()), day()).prop_map(|(reason, today)| DeclineMembership { reason, today }.into()),
        3 => (few(), day()).prop_map(|(payment_id, today)| ActivateMembership { payment_id, today }.into()),
        6 => (sold(), 1_u32..3, of(few()), rules(), day()).prop_map(|(plan, terms, payment_id, rules, today)| {
            RenewMembership { plan, terms, payment_id, rules, today }.into()
        }),
        3 => (few(), rules(), day()).prop_map(|(payment_id, rules, today)| {
            CompleteRenewal { payment_id, rules, today }.into()
        }),
        2 => (sold(), day()).prop_map(|(plan, today)| ChangeMembershipPlan { plan, today }.into()),
        1 => (of(sealed()), day()).prop_map(|(reason, today)| CancelMembership { reason, today }.into()),
        2 => (status(), of(day()), day()).prop_map(|(status, until, today)| {
            OverrideStatus { status, until, today }.into()
        }),
        1 => day().prop_map(|today| ClearStatusOverride { today }.into()),
        2 => (rules(), day()).prop_map(|(rules, today)| RecordStatus { rules, today }.into()),
    ]
}

fn history() -> impl Strategy<Value = Vec<MembershipCommand>> {
    let first = prop_oneof![apply(), import()];
    (first, proptest::collection::vec(command(), 0..25))
        .prop_map(|(first, then)| std::iter::once(first).chain(then).collect())
}

fn agree(facts: &MembershipFacts, rules: &StatusRules, days: &[NaiveDate]) -> Result<(), TestCaseError> {
    let timeline = facts.timeline(rules);
    let covering = |date| timeline.iter().find(|span| span.from <= date && span.to.is_none_or(|to| date <= to));
    for &date in days {
        let span = covering(date).map(|span| span.status);
        prop_assert_eq!(span, facts.status_on(rules, date), "on {} in {:?}", date, timeline);
    }
    for pair in timeline.windows(2) {
        prop_assert_eq!(pair[0].to.and_then(|to| to.succ_opt()), Some(pair[1].from), "no gap, no overlap");
        prop_assert!(pair[0].status != pair[1].status, "a span is as long as it can be");
    }
    Ok(())
}

/// Any facts at all, also such as no history gives.
fn facts() -> impl Strategy<Value = MembershipFacts> {
    let grace = || select(vec![GracePeriod::Months(1), GracePeriod::Days(0), GracePeriod::Days(45)]);
    let spell = (day(), of(day()), grace()).prop_map(|(start, end, grace)| Spell { start, end, grace });
    let set = (status(), day(), of(day())).prop_map(|(status, from, until)| StatusOverride { status, from, until });
    // Few are cancelled or dead, or the rules would hardly ever be asked.
    let dates = (day(), weighted(0.9, day()), weighted(0.1, day()), weighted(0.1, day()), of(day()));
    let (spells, overrides) = (proptest::collection::vec(spell, 0..4), proptest::collection::vec(set, 0..3));
    (dates, spells, overrides, grace()).prop_map(|(dates, spells, overrides, grace)| {
        let (joined_on, activated_on, cancelled_on, deceased_on, taken_as_of) = dates;
        MembershipFacts { joined_on, activated_on, cancelled_on, deceased_on, taken_as_of, spells, overrides, grace }
    })
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_membership_takes_each_command_once(commands in history(), rules in rules(), days in [day(), day(), day()]) {
        let membership = run::<Membership>(commands, |_, _, _, _| Ok(()))?;
        if let Some(facts) = membership.facts() {
            agree(facts, &rules, &days)?;
        }
    }

    #[test]
    fn the_timeline_says_of_every_day_what_the_status_says(
        facts in facts(),
        rules in rules(),
        days in proptest::collection::vec(day(), 20),
    ) {
        agree(&facts, &rules, &days)?;
        let around: Vec<_> = facts.timeline(&rules).iter().flat_map(|span| [span.from.pred_opt(), Some(span.from), span.to]).flatten().collect();
        agree(&facts, &rules, &around)?;
    }

    #[test]
    fn no_payment_extends_twice(commands in history()) {
        let mut used = vec![];
        run::<Membership>(commands, |_, _, events, _| {
            for event in events {
                let payment = match event {
                    MembershipEvent::MembershipActivated { payment_id, .. }
                    | MembershipEvent::MembershipRenewed { payment_id, .. } => *payment_id,
                    _ => None,
                };
                prop_assert!(payment.is_none_or(|payment| !used.contains(&payment)));
                used.extend(payment);
            }
            Ok(())
        })?;
    }

    #[test]
    fn part_of_a_term_never_costs_more_than_the_whole(plan in plan_terms(), join in day(), terms in 1_u32..4) {
        let first = first_term(&plan, join, None, terms).unwrap();
        let value = value_from(&plan, terms, join, first.end).unwrap();
        let whole = plan.fee.times(terms).unwrap();
        prop_assert!((0..=whole.minor).contains(&value.minor));
        prop_assert!(first.end.is_none_or(|end| join <= end), "who joins is a member on that day");
    }
}
