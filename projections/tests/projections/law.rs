//! The law of projectors: whatever the interleaving of streams and however it is cut into batches, the tables are the same.

use std::sync::Arc;

use guildhall_aggregates::{TenantId, association::AssociationRecord, member::MemberEvent, membership::*};
use guildhall_event_store::{RecordedEvent, StreamId};
use guildhall_projections::{Delivery, Directory, ErpJournal, Projector, Reporting};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::sync::Barrier;

use crate::{
    story::{self, activated, applied, plan_created, sold, term, usd},
    support::{World, day, id, tenant},
};

/// Events of two associations whose streams know of each other in every way there is.
async fn streams(world: &World) -> Vec<Vec<RecordedEvent>> {
    for tenant in [tenant(1), tenant(2)] {
        story::tell(world, tenant).await;
        let (ada, plan, other) = (id(1), id(10), id(11));
        world.record(tenant, other, &[plan_created("student")]).await;
        world.record(tenant, id(22), &[applied(ada, plan, "2025-01-01"), activated("2025-01-01", "2025-12-31")]).await;
        let changed = MembershipEvent::MembershipPlanChanged {
            plan: sold(other),
            term: term(2, "2025-05-01", "2026-04-30"),
            credit: usd(0),
            fee: usd(0),
            on: day("2025-05-01"),
        };
        world.record(tenant, id(22), &[changed]).await;
        let short = StatusRule {
            status: MembershipStatus::Current,
            from: Some(Boundary { anchor: Anchor::Start, months: 0, days: 0 }),
            to: Some(Boundary { anchor: Anchor::End, months: 0, days: -10 }),
        };
        let rules = AssociationRecord::StatusRulesChanged { rules: StatusRules(vec![short]) };
        world.record(tenant, id(90), &[rules]).await;
        world.record(tenant, ada, &[MemberEvent::DeathRecorded { on: Some(day("2026-01-05")) }]).await;
        world.record(tenant, id(2), &[MemberEvent::DeathRecorded { on: None }, MemberEvent::MemberForgotten {}]).await;
    }
    let mut streams: Vec<((TenantId, StreamId), Vec<RecordedEvent>)> = Vec::new();
    for event in world.store.read_after(0, 10_000).await.expect("history is readable") {
        let key = (event.tenant, event.stream.clone());
        match streams.iter_mut().find(|(known, _)| *known == key) {
            Some((_, events)) => events.push(event),
            None => streams.push((key, vec![event])),
        }
    }
    streams.into_iter().map(|(_, events)| events).collect()
}

/// The streams merged as the picks say: each picks the stream whose next event comes next.
fn interleaved(mut streams: Vec<Vec<RecordedEvent>>, picks: &[prop::sample::Index]) -> Vec<RecordedEvent> {
    let mut merged = Vec::new();
    let mut picks = picks.iter().cycle();
    for stream in &mut streams {
        stream.reverse();
    }
    while !streams.is_empty() {
        let at = picks.next().expect("a cycle does not end").index(streams.len());
        let mut event = streams[at].pop().expect("empty streams are taken out");
        event.position = merged.len() as u64 + 1;
        merged.push(event);
        if streams[at].is_empty() {
            streams.swap_remove(at);
        }
    }
    merged
}

async fn tables_after<P: Projector>(world: &World, events: &[RecordedEvent], batch: usize) -> Vec<String> {
    let client = world.client().await;
    let tables: Vec<_> = P::TABLES.iter().map(|table| format!("read.{table}")).collect();
    let reset = format!("TRUNCATE {}; DELETE FROM read.projection", tables.join(", "));
    client.batch_execute(&reset).await.expect("the tables can be emptied");
    let mut runner = world.runner::<P>();
    runner.claim("kafka:all:0").await.expect("nobody else projects");
    for part in events.chunks(batch) {
        let last = part.last().expect("chunks are not empty").position;
        let source = "kafka:all:0".to_owned();
        let next_offset = last.cast_signed();
        let delivery = Delivery { source, events: part.to_vec(), next_offset, reached: last };
        runner.deliver(vec![delivery]).await.expect("everything can be folded");
    }
    world.dump(P::TABLES).await
}

/// The first row that stands on one side only, for a message that fits a screen.
fn first_difference(tables: &[String], expected: &[String]) -> Option<String> {
    let extra = tables.iter().find(|row| !expected.contains(row)).map(|row| format!("unexpected: {row}"));
    extra.or_else(|| expected.iter().find(|row| !tables.contains(row)).map(|row| format!("missing: {row}")))
}

fn any_interleaving_gives_the_same_tables<P: Projector>() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (world, streams) = runtime.block_on(async {
        let world = World::open().await;
        let streams = streams(&world).await;
        (world, streams)
    });
    let in_order = streams.concat();
    let in_order: Vec<_> = in_order.into_iter().zip(1..).map(|(e, position)| RecordedEvent { position, ..e }).collect();
    let expected = runtime.block_on(tables_after::<P>(&world, &in_order, 10_000));
    assert!(expected.len() > 10, "{expected:?}");
    let mut cases =
        TestRunner::new(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() });
    let picks = prop::collection::vec(any::<prop::sample::Index>(), 40..120);
    cases
        .run(&(picks, 1_usize..40), |(picks, batch)| {
            let merged = interleaved(streams.clone(), &picks);
            let tables = runtime.block_on(tables_after::<P>(&world, &merged, batch));
            prop_assert_eq!(first_difference(&tables, &expected), None);
            Ok(())
        })
        .expect("every interleaving gives these tables");
    runtime.block_on(async move { drop(world) });
}

/// Two processes, each with a partition of its own, that do not see each other's rows until they commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_and_a_membership_folded_at_the_same_moment_come_together() {
    const MEMBERS: u128 = 60;
    let world = World::open().await;
    let here = tenant(1);
    for member in 0..MEMBERS {
        let year = [applied(id(member), id(10), "2025-01-01"), activated("2025-01-01", "2025-12-31")];
        world.record(here, id(1_000 + member), &year).await;
        world.record(here, id(member), &[MemberEvent::DeathRecorded { on: Some(day("2025-06-01")) }]).await;
    }
    let history = world.store.read_after(0, 10_000).await.expect("history is readable");
    let mut processes = tokio::task::JoinSet::new();
    let same_moment = Arc::new(Barrier::new(2));
    for (category, source, at_once) in [("membership", "kafka:memberships:0", 2), ("member", "kafka:members:0", 1)] {
        let events: Vec<_> = history.iter().filter(|event| &*event.stream.category == category).cloned().collect();
        let mut runner = world.runner::<Reporting>();
        runner.claim(source).await.expect("nobody else projects");
        let same_moment = Arc::clone(&same_moment);
        processes.spawn(async move {
            for part in events.chunks(at_once) {
                same_moment.wait().await;
                let reached = part.last().expect("chunks are not empty").position;
                let source = source.to_owned();
                let delivery = Delivery { source, events: part.to_vec(), next_offset: 0, reached };
                runner.deliver(vec![delivery]).await.expect("everything can be folded");
            }
        });
    }
    processes.join_all().await;
    let deceased =
        "SELECT count(*) FROM read.reporting_status_span WHERE status = 'deceased' AND from_on = '2025-06-01'";
    assert_eq!(world.count(deceased).await, i64::try_from(MEMBERS).expect("few members"));
}

#[test]
fn the_directory_is_the_same_under_every_interleaving() {
    any_interleaving_gives_the_same_tables::<Directory>();
}

#[test]
fn the_reports_are_the_same_under_every_interleaving() {
    any_interleaving_gives_the_same_tables::<Reporting>();
}

#[test]
fn the_journal_is_the_same_under_every_interleaving() {
    any_interleaving_gives_the_same_tables::<ErpJournal>();
}
