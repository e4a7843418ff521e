//! Sent twice is sent once, for the aggregates that keep records about people, plans and dates.

use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;
use guildhall_aggregates::{
    SourceRef, association::*, association_event::*, invoice_series::*, member::*, membership::StatusRules,
    membership_plan::*, money::Currency,
};
use proptest::{prelude::*, sample::select};

use crate::{cases, date, few, run, sealed};

pub(crate) fn source() -> impl Strategy<Value = Option<SourceRef>> + Clone {
    proptest::option::of((0_u8..2).prop_map(|n| SourceRef {
        system: "elsewhere".into(),
        table: "row".into(),
        id: n.to_string(),
    }))
}

fn word() -> impl Strategy<Value = String> + Clone {
    select(vec!["", "one", "two"]).prop_map(str::to_owned)
}

fn association() -> impl Strategy<Value = AssociationCommand> {
    let zone = select(vec![Tz::UTC, Tz::Europe__Vienna]);
    let currency = select(vec![Currency::EUR, Currency::USD]);
    prop_oneof![
        (word(), word(), zone, currency).prop_map(|(name, slug, time_zone, currency)| {
            FoundAssociation { name, slug, time_zone, currency }.into()
        }),
        word().prop_map(|name| RenameAssociation { name }.into()),
        (0_usize..4).prop_map(|count| {
            let mut rules = StatusRules::default();
            rules.0.truncate(count);
            ChangeStatusRules { rules }.into()
        }),
    ]
}

fn member() -> impl Strategy<Value = MemberCommand> {
    let contact =
        proptest::option::of(sealed()).prop_map(|email| ContactDetails { email, ..ContactDetails::default() });
    let kind = select(vec![MemberKind::Person, MemberKind::Organization]);
    let death = proptest::option::of((1_u32..3).prop_map(|day| date(2026, 1, day)));
    prop_oneof![
        3 => (kind, sealed(), contact.clone(), source()).prop_map(|(kind, name, contact, source)| {
            RegisterMember { kind, name, contact, birth_date: None, member_number: None, source }.into()
        }),
        1 => sealed().prop_map(|name| ChangeName { name }.into()),
        1 => contact.prop_map(|contact| ChangeContactDetails { contact }.into()),
        1 => sealed().prop_map(|profile| ChangeProfile { profile }.into()),
        1 => word().prop_map(|credential| AddCredential { credential }.into()),
        1 => word().prop_map(|credential| RemoveCredential { credential }.into()),
        1 => any::<bool>().prop_map(|show_email| {
            ChangePrivacy { privacy: PrivacySwitches { show_email, ..PrivacySwitches::default() } }.into()
        }),
        1 => proptest::collection::btree_set(few(), 0..3)
            .prop_map(|organizations| ChangeAffiliations { organizations }.into()),
        1 => death.prop_map(|on| RecordDeath { on }.into()),
        1 => sealed().prop_map(|text| AddNote { text }.into()),
        1 => Just(ForgetMember {}.into()),
    ]
}

fn plan() -> impl Strategy<Value = PlanCommand> {
    let terms = || crate::membership::plan_terms();
    prop_oneof![
        (word(), terms(), source()).prop_map(|(code, terms, source)| CreatePlan { code, terms, source }.into()),
        terms().prop_map(|terms| RevisePlan { terms }.into()),
        Just(RetirePlan {}.into()),
    ]
}

fn association_event() -> impl Strategy<Value = AssociationEventCommand> {
    let details = || word().prop_map(|title| EventDetails { title, summary: None, venue: None });
    let schedule = || {
        (0_i64..3, 0_i64..3).prop_map(|(from, to)| {
            let at = |hour| date(2026, 5, 8).and_time(NaiveTime::MIN) + TimeDelta::hours(hour);
            Schedule { starts: at(from), ends: at(to), time_zone: Tz::UTC }
        })
    };
    prop_oneof![
        (details(), schedule(), source())
            .prop_map(|(details, schedule, source)| { ScheduleEvent { details, schedule, source }.into() }),
        schedule().prop_map(|schedule| RescheduleEvent { schedule }.into()),
        details().prop_map(|details| ChangeEventDetails { details }.into()),
        word().prop_map(|reason| CancelEvent { reason }.into()),
    ]
}

fn series() -> impl Strategy<Value = SeriesCommand> {
    few().prop_map(|invoice_id| AssignNumber { series: "2026".into(), invoice_id }.into())
}

fn history<C: std::fmt::Debug>(command: impl Strategy<Value = C>) -> impl Strategy<Value = Vec<C>> {
    proptest::collection::vec(command, 1..40)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn an_association_takes_each_command_once(commands in history(association())) {
        run::<Association>(commands, |_, _, _, _| Ok(()))?;
    }

    #[test]
    fn a_member_takes_each_command_once(commands in history(member())) {
        run::<Member>(commands, |_, _, _, _| Ok(()))?;
    }

    #[test]
    fn a_plan_takes_each_command_once(commands in history(plan())) {
        run::<MembershipPlan>(commands, |_, _, _, _| Ok(()))?;
    }

    #[test]
    fn an_association_event_takes_each_command_once(commands in history(association_event())) {
        run::<AssociationEvent>(commands, |_, _, _, _| Ok(()))?;
    }

    #[test]
    fn a_series_has_no_gaps(commands in history(series())) {
        let mut given = vec![];
        run::<InvoiceSeries>(commands, |_, _, events, _| {
            given.extend(events.iter().map(|SeriesEvent::NumberAssigned { number, .. }| *number));
            Ok(())
        })?;
        let expected: Vec<_> = (1..).take(given.len()).collect();
        prop_assert_eq!(given, expected);
    }
}
