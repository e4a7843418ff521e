use guildhall_projections::{
    Directory, ErpJournal, Projector, RebuildError, RebuildOptions, Reporting, STORE, reached, rebuild,
};
use tokio_util::sync::CancellationToken;

use crate::{
    story,
    support::{World, id, tenant, until},
};

const COMPARE: RebuildOptions = RebuildOptions { repair: false };
const REPAIR: RebuildOptions = RebuildOptions { repair: true };

async fn world() -> World {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    story::tell(&world, tenant(2)).await;
    world
}

async fn rebuilt_equals_live<P: Projector>(world: &World) {
    world.project::<P>().await;
    let report = rebuild::<P>(&world.pool(), &world.store, COMPARE, |_, _| {}).await.expect("history can be folded");
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
             DELETE FROM read.erp_journal_payment",
        )
        .await
        .unwrap();
    let report = rebuild::<ErpJournal>(&world.pool(), &world.store, COMPARE, |_, _| {}).await.unwrap();
    assert!(!report.equal());
    let table = |name| report.tables.iter().find(|table| table.table == name).unwrap();
    let lines = table("erp_journal_line");
    assert_eq!((lines.only_live, lines.only_rebuilt, lines.live), (1, 1, lines.rebuilt));
    assert_eq!(lines.first[0].columns, ["debit_minor"]);
    assert!(lines.first[0].key.contains("entry_id"), "{:?}", lines.first);
    assert_eq!((table("erp_journal_payment").only_live, table("erp_journal_payment").only_rebuilt), (0, 2));

    let report = rebuild::<ErpJournal>(&world.pool(), &world.store, REPAIR, |_, _| {}).await.unwrap();
    assert!(report.repaired);
    assert_eq!(world.dump(ErpJournal::TABLES).await, before);
    let report = rebuild::<ErpJournal>(&world.pool(), &world.store, COMPARE, |_, _| {}).await;
    assert!(matches!(report, Err(RebuildError::NotAtRest { .. })), "nobody projects since the repair: {report:?}");
    world.project::<ErpJournal>().await;
    assert!(rebuild::<ErpJournal>(&world.pool(), &world.store, COMPARE, |_, _| {}).await.unwrap().equal());
}

#[tokio::test]
async fn after_a_repair_another_transport_may_go_on_from_where_the_rebuild_stood() {
    let world = world().await;
    world.project::<Reporting>().await;
    let report = rebuild::<Reporting>(&world.pool(), &world.store, REPAIR, |_, _| {}).await.unwrap();
    let claim = world.runner::<Reporting>().claim("kafka:guildhall.members:0").await.unwrap();
    assert_eq!((claim.last_position, claim.next_offset), (report.position, 0));
    let refused = world.runner::<Reporting>().claim(STORE).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_repair_builds_a_read_model_that_never_ran() {
    let world = world().await;
    let mut told = Vec::new();
    let progress = std::sync::Mutex::new(&mut told);
    let note = |at, of| progress.lock().unwrap().push((at, of));
    let report = rebuild::<Directory>(&world.pool(), &world.store, REPAIR, note).await.unwrap();
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
    let report = rebuild::<Reporting>(&world.pool(), &world.store, REPAIR, |_, _| {}).await.unwrap();
    assert!(report.equal() && report.repaired, "{report:?}");
    world.record(tenant(1), id(12), &[story::plan_created("another")]).await;
    until("the next event is folded", || is_at(head + 1)).await;
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_plan WHERE code = 'another'").await, 1);
    let report = rebuild::<Reporting>(&world.pool(), &world.store, COMPARE, |_, _| {}).await.unwrap();
    assert!(report.equal(), "compared with one that runs: {report:?}");
    stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}
