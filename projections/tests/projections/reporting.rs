use guildhall_aggregates::{
    association::AssociationRecord,
    member::MemberEvent,
    membership::{Anchor, Boundary, MembershipEvent, MembershipStatus, StatusRule, StatusRules},
};
use guildhall_projections::{Reporting, reporting};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::{
    story::{self, activated, applied, paid, plan_created, renewed, sold, term, usd},
    support::{World, day, id, tenant},
};

/// Plan code, status and count of every line.
async fn memberships(world: &World, date: &str) -> Vec<(String, String, i64)> {
    let client = world.client().await;
    let report = reporting::memberships_as_of(&client, tenant(1), day(date)).await.expect("the report is readable");
    report.into_iter().map(|line| (line.plan_code.unwrap_or_default(), line.status, line.memberships)).collect()
}

fn counts(expected: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
    expected.iter().map(|(plan, status, count)| ((*plan).to_owned(), (*status).to_owned(), *count)).collect()
}

#[tokio::test]
async fn memberships_are_counted_by_plan_and_status_as_of_any_date() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    story::tell(&world, tenant(2)).await;
    world.project::<Reporting>().await;
    assert_eq!(memberships(&world, "2025-02-28").await, []);
    assert_eq!(memberships(&world, "2025-03-01").await, counts(&[("regular", "new", 1)]));
    assert_eq!(memberships(&world, "2025-07-01").await, counts(&[("regular", "current", 1), ("regular", "new", 1)]));
    assert_eq!(memberships(&world, "2026-06-10").await, counts(&[("regular", "current", 1), ("regular", "grace", 1)]));
    assert_eq!(memberships(&world, "2030-01-01").await, counts(&[("regular", "expired", 2)]));
}

#[tokio::test]
async fn a_change_of_plan_counts_from_its_day_and_a_change_of_rules_counts_for_all() {
    let world = World::open().await;
    let here = tenant(1);
    world.record(here, id(10), &[plan_created("regular")]).await;
    world.record(here, id(11), &[plan_created("student")]).await;
    world.record(here, id(20), &[applied(id(1), id(10), "2025-01-01"), activated("2025-01-01", "2025-12-31")]).await;
    let changed = MembershipEvent::MembershipPlanChanged {
        plan: sold(id(11)),
        term: term(2, "2025-07-01", "2026-06-30"),
        credit: usd(0),
        fee: usd(0),
        on: day("2025-07-01"),
    };
    world.record(here, id(20), &[changed]).await;
    world.project::<Reporting>().await;
    assert_eq!(memberships(&world, "2025-06-30").await, counts(&[("regular", "current", 1)]));
    assert_eq!(memberships(&world, "2025-07-01").await, counts(&[("student", "current", 1)]));
    let always_new = StatusRule {
        status: MembershipStatus::New,
        from: Some(Boundary { anchor: Anchor::Join, months: 0, days: 0 }),
        to: None,
    };
    let rules = AssociationRecord::StatusRulesChanged { rules: StatusRules(vec![always_new]) };
    world.record(here, id(90), &[rules]).await;
    world.project::<Reporting>().await;
    assert_eq!(memberships(&world, "2025-06-30").await, counts(&[("regular", "new", 1)]));
    world.record(here, id(1), &[MemberEvent::DeathRecorded { on: Some(day("2025-08-01")) }]).await;
    world.project::<Reporting>().await;
    assert_eq!(memberships(&world, "2025-07-31").await, counts(&[("student", "new", 1)]));
    assert_eq!(memberships(&world, "2025-08-01").await, counts(&[("student", "deceased", 1)]));
}

#[tokio::test]
async fn months_count_who_joined_renewed_lapsed_and_left() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    let cancelled = MembershipEvent::MembershipCancelled { on: day("2026-02-14"), reason: None };
    world
        .record(tenant(1), id(23), &[applied(id(3), id(10), "2025-03-05"), activated("2025-03-05", "2026-03-04")])
        .await;
    world.record(tenant(1), id(23), &[cancelled]).await;
    world.record(tenant(1), id(24), &[applied(id(4), id(10), "2025-03-05")]).await;
    world.project::<Reporting>().await;
    let client = world.client().await;
    let report = reporting::movements_per_month(&client, tenant(1), day("2025-03-15"), day("2026-12-31")).await;
    let lines: Vec<_> = report
        .unwrap()
        .iter()
        .map(|line| (line.month.to_string(), line.joined, line.renewed, line.lapsed, line.cancelled))
        .collect();
    assert_eq!(
        lines,
        [
            ("2025-03-01".to_owned(), 2, 0, 0, 0), // the unpaid application is no joiner
            ("2025-06-01".to_owned(), 1, 0, 0, 0),
            ("2026-02-01".to_owned(), 0, 1, 0, 1),
            ("2026-07-01".to_owned(), 0, 0, 1, 0),
        ]
    );
}

#[tokio::test]
async fn a_pool_shows_its_places_by_standing_and_attendance_who_came() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    let unlimited = id(31);
    world.record(tenant(1), unlimited, &[story::scheduled("Picnic", "2026-10-01")]).await;
    world.record(tenant(1), unlimited, &[story::opened(None), story::held(story::wish(45, id(1), 4))]).await;
    world.project::<Reporting>().await;
    let client = world.client().await;
    let fill = reporting::event_fill(&client, tenant(1), None).await.unwrap();
    assert_eq!(
        (fill[0].title.as_deref(), fill[0].size, fill[0].held, fill[0].available),
        (Some("Picnic"), None, 4, None)
    );
    let hall = &reporting::event_fill(&client, tenant(1), Some(id(30))).await.unwrap()[0];
    assert_eq!((hall.confirmed, hall.held, hall.waitlisted, hall.available), (1, 1, 3, Some(0)));
    let came = &reporting::event_attendance(&client, tenant(1), Some(id(30))).await.unwrap()[0];
    assert_eq!((came.registrations, came.expected, came.attended, came.waitlisted), (3, 1, 1, 3));
    assert!(reporting::event_fill(&client, tenant(2), None).await.unwrap().is_empty());
}

#[tokio::test]
async fn revenue_is_net_of_tax_and_credit_notes_and_counts_completed_contributions() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    world.project::<Reporting>().await;
    let client = world.client().await;
    let report = reporting::revenue_by_month(&client, tenant(1), day("2025-01-01"), day("2026-12-31")).await.unwrap();
    let lines: Vec<_> =
        report.iter().map(|line| (line.month.to_string(), line.kind.as_str(), line.amount_minor)).collect();
    assert_eq!(
        lines,
        [
            ("2025-12-01".to_owned(), "donation", 2_500),
            ("2026-02-01".to_owned(), "dues", 12_000),
            ("2026-02-01".to_owned(), "event_fee", 5_000),
            ("2026-05-01".to_owned(), "dues", -706), // 1,100 of 18,700 is 1,000 net, by share of the lines
            ("2026-05-01".to_owned(), "event_fee", -294),
        ]
    );
    assert_eq!(world.count("SELECT count(*) FROM reporting.contributions WHERE standing = 'pending'").await, 1);
}

#[tokio::test]
async fn open_invoices_age_by_the_date_that_is_asked_for() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    let draft = story::drafted(
        vec![story::line(guildhall_aggregates::invoice::RevenueKind::Other, 100, None)],
        "2026-01-01",
        "2026-01-31",
    );
    world.record(tenant(1), id(51), &[draft]).await;
    world.project::<Reporting>().await;
    let client = world.client().await;
    let aged = async |date: &str| {
        let report = reporting::invoice_ageing(&client, tenant(1), day(date)).await.unwrap();
        report.iter().map(|line| (line.bucket.clone(), line.open_minor)).collect::<Vec<_>>()
    };
    assert_eq!(aged("2026-02-09").await, []);
    assert_eq!(aged("2026-02-10").await, [("current".to_owned(), 18_700)]);
    assert_eq!(aged("2026-03-10").await, [("current".to_owned(), 8_700)]);
    assert_eq!(aged("2026-03-11").await, [("1-30".to_owned(), 8_700)]);
    assert_eq!(aged("2026-04-10").await, [("31-60".to_owned(), 8_700)]);
    assert_eq!(aged("2026-05-09").await, [("31-60".to_owned(), 7_600)]);
    assert_eq!(aged("2026-06-08").await, [("61-90".to_owned(), 7_600)]);
    assert_eq!(aged("2026-06-09").await, [(">90".to_owned(), 7_600)]);
    world.record(tenant(1), id(50), &[paid(63, 7_600, "2026-06-01")]).await;
    world.project::<Reporting>().await;
    assert_eq!(aged("2026-06-09").await, []);
}

/// The spans in the table say of every day what the aggregates' rule says.
#[test]
fn the_status_of_any_day_is_the_one_the_rules_give() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::open());
    let events = [
        applied(id(1), id(10), "2025-01-31"),
        activated("2025-02-03", "2026-02-02"),
        renewed(2, id(10), "2026-02-03", "2027-02-02", "2025-02-03", "2026-01-10"),
        renewed(3, id(10), "2028-02-03", "2029-02-02", "2028-02-03", "2028-02-03"),
    ];
    runtime.block_on(async {
        world.record(tenant(1), id(20), &events).await;
        world.project::<Reporting>().await;
    });
    let mut facts = None;
    for event in &events {
        guildhall_aggregates::membership::MembershipFacts::fold(&mut facts, event);
    }
    let facts = facts.unwrap();
    let mut cases =
        TestRunner::new(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() });
    cases
        .run(&(0_i64..2_000), |days| {
            let date = day("2025-01-01") + chrono::TimeDelta::days(days);
            let expected = facts.status_on(&StatusRules::default(), date).map(<&str>::from);
            let counted = runtime.block_on(memberships(&world, &date.to_string()));
            prop_assert_eq!(counted.first().map(|(_, status, _)| status.as_str()), expected);
            Ok(())
        })
        .unwrap();
    runtime.block_on(async move { drop(world) });
}
