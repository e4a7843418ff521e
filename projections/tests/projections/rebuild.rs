use std::{
    num::NonZeroU32,
    sync::{Mutex, atomic::AtomicU64, atomic::Ordering},
};

use guildhall_event_store::{StoreError, StreamId};
use guildhall_projections::{
    Directory, ErpJournal, Projector, RebuildError, RebuildOptions, Reporting, RunError, STORE, parked, reached,
    rebuild,
};
use tokio_util::sync::CancellationToken;

use crate::{
    story::{self, activated, applied, plan_created},
    support::{World, compare, id, raw, repair, tenant, until},
};

async fn world() -> World {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    story::tell(&world, tenant(2)).await;
    world
}

async fn rebuilt_equals_live<P: Projector>(world: &World) {
    world.project::<P>().await;
    let report = world.rebuild::<P>(compare()).await.expect("history can be folded");
    assert!(report.equal(), "{report:?}");
    assert_eq!(report.position, world.store.head().await.expect("history is readable"));
    let rows: i64 = report.tables.iter().map(|table| table.rebuilt).sum();
    assert!(rows > 4, "{report:?}");
}

#[tokio::test]
async fn every_rebuilt_projection_equals_the_live_one() {
    let world = world().await;
    rebuilt_equals_live::<Directory>(&world).await;
    rebuilt_equals_live::<Reporting>(&world).await;
    rebuilt_equals_live::<ErpJournal>(&world).await;
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'rebuild%'";
    assert_eq!(world.count(left).await, 0);
}

#[tokio::test]
async fn a_tampered_row_is_named_and_repaired() {
    let world = world().await;
    world.project::<ErpJournal>().await;
    let before = world.dump(ErpJournal::TABLES).await;
    let client = world.client().await;
    client
        .batch_execute(
            "UPDATE read.erp_journal_line SET debit_minor = debit_minor + 1 WHERE ctid =
                 (SELECT ctid FROM read.erp_journal_line WHERE debit_minor > 0 LIMIT 1);
             DELETE FROM read.erp_journal_payment WHERE ctid = (SELECT max(ctid) FROM read.erp_journal_payment);
             UPDATE read.erp_journal_payment SET payment_id = gen_random_uuid()",
        )
        .await
        .unwrap();
    let report = world.rebuild::<ErpJournal>(compare()).await.unwrap();
    assert!(!report.equal());
    let table = |name| report.tables.iter().find(|table| table.table == name).unwrap();
    let lines = table("erp_journal_line");
    assert_eq!((lines.only_live, lines.only_rebuilt, lines.live), (1, 1, lines.rebuilt));
    assert_eq!(lines.first[0].columns, ["debit_minor"]);
    assert!(lines.first[0].key.contains("entry_id"), "{:?}", lines.first);
    let payments = table("erp_journal_payment");
    assert_eq!((payments.only_live, payments.only_rebuilt, payments.live, payments.rebuilt), (1, 2, 1, 2));
    assert_eq!(payments.first.len(), 3, "a row on one side, a row on the other, and a row that is gone");
    assert!(payments.first.iter().all(|row| row.columns.is_empty()), "{:?}", payments.first);

    let at_a_pace = RebuildOptions { pace: NonZeroU32::new(100_000), ..repair() };
    let report = world.rebuild::<ErpJournal>(at_a_pace).await.unwrap();
    assert!(report.repaired);
    assert_eq!(world.dump(ErpJournal::TABLES).await, before);
    let report = world.rebuild::<ErpJournal>(compare()).await;
    assert!(matches!(report, Err(RebuildError::NotAtRest { .. })), "nobody projects since the repair: {report:?}");
    world.project::<ErpJournal>().await;
    assert!(world.rebuild::<ErpJournal>(compare()).await.unwrap().equal());
}

#[tokio::test]
async fn at_a_pace_a_table_is_compared_to_its_last_page() {
    let world = world().await;
    // Four of these rows fill a page.
    for n in 0..100 {
        world.record(tenant(1), id(1_000 + n), &[story::plan_created(&"long ".repeat(380))]).await;
        world.project::<Directory>().await;
    }
    assert!(
        world.count("SELECT pg_relation_size('read.directory_plan') / 8192").await > 16,
        "more than is read at once"
    );
    // Both write a row at a time: but for what differs, each page holds the same on both sides.
    let at_a_pace = RebuildOptions { pace: NonZeroU32::new(100_000), shares: 1, range: 1, ..compare() };
    assert!(world.rebuild::<Directory>(at_a_pace).await.unwrap().equal());
    let last =
        "UPDATE read.directory_plan SET retired = NOT retired WHERE ctid = (SELECT max(ctid) FROM read.directory_plan)";
    world.client().await.batch_execute(last).await.unwrap();
    let report = world.rebuild::<Directory>(at_a_pace).await.unwrap();
    let plans = report.tables.iter().find(|table| table.table == "directory_plan").unwrap();
    assert_eq!((plans.only_live, plans.only_rebuilt, plans.live), (1, 1, plans.rebuilt));
}

#[tokio::test]
async fn after_a_repair_another_transport_may_go_on_from_where_the_rebuild_stood() {
    let world = world().await;
    world.project::<Reporting>().await;
    let report = world.rebuild::<Reporting>(repair()).await.unwrap();
    let claim = world.runner::<Reporting>().claim("kafka:guildhall.members:0").await.unwrap();
    assert_eq!((claim.last_position, claim.next_offset), (report.position, 0));
    let refused = world.runner::<Reporting>().claim(STORE).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_repair_builds_a_read_model_that_never_ran() {
    let world = world().await;
    let mut told = Vec::new();
    let progress = Mutex::new(&mut told);
    let note = |at, of| progress.lock().unwrap().push((at, of));
    let report =
        rebuild::<Directory>(&world.pool(), &world.store, repair(), &CancellationToken::new(), note).await.unwrap();
    assert!(report.repaired);
    assert_eq!(told.last().copied(), Some((report.position, report.position)));
    let repaired = world.dump(Directory::TABLES).await;
    assert!(repaired.iter().any(|row| row.contains("Ada Lovelace")));
    world.project::<Directory>().await;
    assert_eq!(world.dump(Directory::TABLES).await, repaired);
}

#[tokio::test]
async fn a_running_projection_goes_on_after_a_repair_took_its_tables_over() {
    let world = world().await;
    let stop = CancellationToken::new();
    let (mut runner, token) = (world.runner::<Reporting>(), stop.clone());
    let mut running = tokio::task::JoinSet::new();
    running.spawn(async move { runner.run_from_store(token).await });
    let client = world.client().await;
    let head = world.store.head().await.unwrap();
    let is_at = async |position| reached(&client, Reporting::NAME).await.unwrap() >= position;
    until("all is folded", || is_at(head)).await;
    let report = world.rebuild::<Reporting>(repair()).await.unwrap();
    assert!(report.equal() && report.repaired, "{report:?}");
    world.record(tenant(1), id(12), &[story::plan_created("another")]).await;
    until("the next event is folded", || is_at(head + 1)).await;
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_plan WHERE code = 'another'").await, 1);
    let report = world.rebuild::<Reporting>(compare()).await.unwrap();
    assert!(report.equal(), "compared with one that runs: {report:?}");
    stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}

/// A rebuild of one position after another that is told to stop when it has begun.
async fn stopped_on_its_way<P: Projector>(world: &World) -> u64 {
    let (stop, seen) = (CancellationToken::new(), AtomicU64::new(0));
    let slowly = RebuildOptions { range: 1, pace: NonZeroU32::new(20), ..repair() };
    let note = |position, of| {
        if position > 0 && position < of {
            seen.store(position, Ordering::Relaxed);
            stop.cancel();
        }
    };
    let stopped = rebuild::<P>(&world.pool(), &world.store, slowly, &stop, note).await;
    let Err(RebuildError::Stopped { position, .. }) = stopped else {
        panic!("it should have been stopped: {stopped:?}")
    };
    assert!(
        position >= seen.load(Ordering::Relaxed) && position < world.store.head().await.expect("history is readable")
    );
    position
}

#[tokio::test]
async fn a_rebuild_that_was_stopped_goes_on_where_it_was() {
    let world = world().await;
    world.project::<Reporting>().await;
    let live = world.dump(Reporting::TABLES).await;
    let stopped_at = stopped_on_its_way::<Reporting>(&world).await;
    assert_eq!(world.dump(Reporting::TABLES).await, live, "nothing of it is seen yet");
    world.record(tenant(1), id(12), &[plan_created("another")]).await;
    let told = Mutex::new(Vec::new());
    let note = |position, _| told.lock().unwrap().push(position);
    let report =
        rebuild::<Reporting>(&world.pool(), &world.store, repair(), &CancellationToken::new(), note).await.unwrap();
    let plans = report.tables.iter().find(|table| table.table == "reporting_plan").unwrap();
    assert_eq!((plans.only_live, plans.only_rebuilt), (0, 1), "the plan recorded since: {report:?}");
    assert_eq!(report.tables.iter().filter(|table| !table.equal()).count(), 1, "{report:?}");
    assert!(told.lock().unwrap().iter().all(|position| *position >= stopped_at), "it began again: {told:?}");
}

#[tokio::test]
async fn a_rebuild_begins_again_when_it_is_told_to() {
    let world = world().await;
    world.project::<ErpJournal>().await;
    stopped_on_its_way::<ErpJournal>(&world).await;
    // What is there is wrong; going on from it would carry the error into the live tables.
    world.client().await.batch_execute("UPDATE rebuild_erp_journal.plan SET together = 1").await.unwrap();
    let report = world.rebuild::<ErpJournal>(RebuildOptions { afresh: true, ..repair() }).await.unwrap();
    assert!(report.equal(), "{report:?}");
}

#[tokio::test]
async fn any_number_of_shares_builds_the_same_tables() {
    let world = world().await;
    world.project::<Directory>().await;
    world.project::<Reporting>().await;
    for (shares, range) in [(1, 1), (3, 7), (16, 2)] {
        let options = RebuildOptions { shares, range, ..compare() };
        assert!(world.rebuild::<Directory>(options).await.unwrap().equal());
        assert!(world.rebuild::<Reporting>(options).await.unwrap().equal());
    }
}

#[tokio::test]
async fn a_rebuild_parks_what_the_live_projection_parks() {
    let world = world().await;
    let poison = vec![raw("MembershipActivated", "{\"type\":\"MembershipActivated\"}")];
    world.record(tenant(1), id(23), &[applied(id(1), id(10), "2025-03-01")]).await;
    world.record_raw(tenant(1), StreamId::new("membership", id(23)), poison).await;
    world.record(tenant(1), id(23), &[activated("2025-03-01", "2026-02-28")]).await;
    world.project::<Directory>().await;
    let client = world.client().await;
    let live = parked::list(&client, Directory::NAME).await.unwrap();
    let report = world.rebuild::<Directory>(repair()).await.unwrap();
    assert!(report.equal() && report.parked == 1, "{report:?}");
    assert_eq!(parked::list(&client, Directory::NAME).await.unwrap(), live);
}

#[tokio::test]
async fn a_position_that_is_missing_from_history_ends_a_rebuild() {
    let world = world().await;
    let client = world.client().await;
    let gone = "ALTER TABLE es.event_0 DISABLE TRIGGER ALL; DELETE FROM es.event_0 WHERE position = 3";
    client.batch_execute(gone).await.unwrap();
    let ended = world.rebuild::<ErpJournal>(repair()).await.expect_err("history has a hole");
    assert!(matches!(ended, RebuildError::Run(RunError::Store(StoreError::Hole { .. }))), "{ended}");
}
