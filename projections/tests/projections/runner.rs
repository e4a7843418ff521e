use guildhall_aggregates::{MemberId, member::MemberEvent};
use guildhall_event_store::{RecordedEvent, StreamId};
use guildhall_projections::{Delivery, Directory, Projector, Reporting, RunError, STORE, parked, reached};
use tokio_util::sync::CancellationToken;

use crate::{
    story::{self, activated, applied, plan_created},
    support::{World, compare, delivery, id, raw, repair, tenant, until},
};

async fn history(world: &World) -> Vec<RecordedEvent> {
    world.store.read_after(0, 10_000).await.expect("history is readable")
}

#[tokio::test]
async fn the_checkpoint_moves_with_the_rows() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    let events = history(&world).await;
    let mut runner = world.runner::<Reporting>();
    assert_eq!(runner.claim(STORE).await.unwrap().last_position, 0);
    let client = world.client().await;
    let mut seen = 0;
    for part in events.chunks(5) {
        runner.deliver(delivery(part.to_vec())).await.unwrap();
        let last = part.last().unwrap().position;
        assert_eq!(reached(&client, Reporting::NAME).await.unwrap(), last);
        let plans = world.count("SELECT count(*) FROM read.reporting_plan").await;
        let plans_told = events.iter().filter(|e| e.position <= last && &*e.type_name == "PlanCreated").count();
        assert_eq!(usize::try_from(plans).unwrap(), plans_told);
        seen += part.len();
    }
    assert_eq!(seen, events.len());
}

#[tokio::test]
async fn what_is_delivered_again_changes_nothing() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    let events = history(&world).await;
    let mut runner = world.runner::<Reporting>();
    runner.claim(STORE).await.unwrap();
    assert_eq!(runner.deliver(delivery(events.clone())).await.unwrap(), events.len());
    let before = world.dump(Reporting::TABLES).await;
    assert_eq!(runner.deliver(delivery(events.clone())).await.unwrap(), 0);
    let mut another = world.runner::<Reporting>();
    another.claim(STORE).await.unwrap();
    assert_eq!(another.deliver(delivery(events)).await.unwrap(), 0);
    assert_eq!(world.dump(Reporting::TABLES).await, before);
}

#[tokio::test]
async fn a_zombie_is_fenced_and_writes_nothing() {
    let world = World::open().await;
    world.record(tenant(1), id(10), &[plan_created("regular")]).await;
    let events = history(&world).await;
    let mut zombie = world.runner::<Reporting>();
    zombie.claim(STORE).await.unwrap();
    let mut owner = world.runner::<Reporting>();
    owner.claim(STORE).await.unwrap();
    let refused = zombie.deliver(delivery(events.clone())).await;
    assert!(matches!(refused, Err(RunError::Fenced { .. })), "{refused:?}");
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_plan").await, 0);
    assert_eq!(owner.deliver(delivery(events)).await.unwrap(), 1);
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_plan").await, 1);
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_folded_again() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    let events = history(&world).await;
    let mut runner = world.runner::<Reporting>();
    runner.claim(STORE).await.unwrap();
    runner.deliver(delivery(events[..3].to_vec())).await.unwrap();
    // The checkpoint is where the commit put it, and the runner does not know.
    let client = world.client().await;
    client.batch_execute("UPDATE read.checkpoint SET last_position = last_position + 2").await.unwrap();
    let refused = runner.deliver(delivery(events.clone())).await;
    assert!(matches!(refused, Err(RunError::Fenced { .. })), "{refused:?}");
    assert_eq!(runner.claim(STORE).await.unwrap().last_position, 5);
    assert_eq!(runner.deliver(delivery(events.clone())).await.unwrap(), events.len() - 5);
}

#[tokio::test]
async fn a_source_that_was_never_claimed_is_refused() {
    let world = World::open().await;
    let refused = world.runner::<Reporting>().deliver(delivery(vec![])).await;
    assert!(matches!(refused, Err(RunError::NotClaimed { .. })), "{refused:?}");
}

#[tokio::test]
async fn another_transport_under_the_same_tables_is_refused() {
    let world = World::open().await;
    world.runner::<Reporting>().claim(STORE).await.unwrap();
    let refused = world.runner::<Reporting>().claim("kafka:guildhall.members:0").await.unwrap_err();
    assert!(refused.to_string().contains("guildhall rebuild reporting --repair"), "{refused}");
}

#[tokio::test]
async fn another_generation_of_topics_under_the_same_tables_is_refused() {
    let world = World::open().await;
    let mut runner = world.runner::<Reporting>();
    runner.declare(&["kafka:guildhall.members:0", "kafka:guildhall.billing:0"]).await.unwrap();
    for source in ["kafka:guildhall2.members:0", "kafka:guild.members:0"] {
        let refused = world.runner::<Reporting>().declare(&[source]).await.unwrap_err();
        assert!(refused.to_string().contains("guildhall rebuild reporting --repair"), "{refused}");
    }
    world.rebuild::<Reporting>(repair()).await.unwrap();
    world.runner::<Reporting>().declare(&["kafka:guildhall2.members:0"]).await.unwrap();
}

/// A source that says how far it is and has nothing else.
fn told(source: &str, reached: u64) -> Delivery {
    Delivery { source: source.to_owned(), events: vec![], next_offset: 9, reached }
}

#[tokio::test]
async fn a_source_that_is_read_no_more_is_not_waited_for() {
    let world = World::open().await;
    let mut runner = world.runner::<Reporting>();
    let sources = ["kafka:guildhall.members:0", "kafka:guildhall.billing:0"];
    runner.declare(&sources).await.unwrap();
    runner.claim(sources[0]).await.unwrap();
    runner.deliver(vec![told(sources[0], 70)]).await.unwrap();
    let client = world.client().await;
    assert_eq!(reached(&client, Reporting::NAME).await.unwrap(), 0);
    world.runner::<Reporting>().declare(&sources[..1]).await.unwrap();
    assert_eq!(reached(&client, Reporting::NAME).await.unwrap(), 70);
}

#[tokio::test]
async fn what_several_sources_deliver_is_folded_together_or_not_at_all() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    let of = |events: &[RecordedEvent], wanted: fn(&str) -> bool| -> Vec<_> {
        events.iter().filter(|event| wanted(&event.stream.category)).cloned().collect()
    };
    let events = history(&world).await;
    let (members, others) =
        (of(&events, |category| category == "member"), of(&events, |category| category != "member"));
    let sources = ["kafka:g.members:0", "kafka:g.others:0"];
    let deliveries = || -> Vec<_> {
        let both = sources.iter().zip([&members, &others]);
        both.map(|(source, events)| Delivery { events: events.clone(), ..told(source, 1_000) }).collect()
    };
    let (mut runner, mut another) = (world.runner::<Reporting>(), world.runner::<Reporting>());
    for source in sources {
        runner.claim(source).await.unwrap();
    }
    another.claim(sources[1]).await.unwrap();
    let refused = runner.deliver(deliveries()).await;
    assert!(matches!(&refused, Err(RunError::Fenced { source_name, .. }) if source_name == sources[1]), "{refused:?}");
    assert_eq!(world.dump(Reporting::TABLES).await, [""; 0]);
    for source in sources {
        runner.claim(source).await.unwrap();
    }
    assert_eq!(runner.deliver(deliveries()).await.unwrap(), events.len());
    let folded = world.dump(Reporting::TABLES).await;
    world
        .client()
        .await
        .batch_execute("DELETE FROM read.checkpoint; UPDATE read.projection SET transport = NULL")
        .await
        .unwrap();
    let rebuilt = world.rebuild::<Reporting>(repair()).await.unwrap();
    assert!(rebuilt.equal() && !folded.is_empty(), "{rebuilt:?}");
}

#[tokio::test]
async fn history_that_lost_what_was_folded_is_noticed() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    let mut runner = world.runner::<Reporting>();
    runner.check_history().await.unwrap();
    runner.claim("kafka:g1.members:0").await.unwrap();
    let events = history(&world).await;
    let (next_offset, reached) = (9, events.last().unwrap().position);
    let source = "kafka:g1.members:0".to_owned();
    runner.deliver(vec![Delivery { source, events, next_offset, reached }]).await.unwrap();
    runner.check_history().await.unwrap();
    let client = world.client().await;
    client.batch_execute("UPDATE read.checkpoint SET last_position = 0, last_hash = NULL").await.unwrap();
    runner.check_history().await.unwrap();
    client
        .batch_execute(
            "SET session_replication_role = replica; ALTER TABLE es.event DISABLE TRIGGER USER;
             UPDATE es.event SET leaf_hash = sha256('another event')",
        )
        .await
        .unwrap();
    let differs = runner.check_history().await.unwrap_err();
    assert!(matches!(differs, RunError::HistoryDiffers { position, .. } if position == reached), "{differs:?}");
}

#[tokio::test]
async fn a_position_is_reached_when_every_declared_source_has_reached_it() {
    let world = World::open().await;
    let client = world.client().await;
    let mut runner = world.runner::<Reporting>();
    let sources = ["kafka:guildhall.members:0", "kafka:guildhall.members:1"];
    runner.declare(&sources).await.unwrap();
    runner.claim(sources[0]).await.unwrap();
    runner.deliver(vec![told(sources[0], 70)]).await.unwrap();
    assert_eq!(reached(&client, Reporting::NAME).await.unwrap(), 0);
    runner.claim(sources[1]).await.unwrap();
    runner.deliver(vec![told(sources[1], 40)]).await.unwrap();
    assert_eq!(reached(&client, Reporting::NAME).await.unwrap(), 40);
    assert_eq!(runner.claim(sources[0]).await.unwrap().next_offset, 9);
}

#[tokio::test]
async fn a_poison_event_parks_its_stream_and_no_other() {
    let world = World::open().await;
    let tenant = tenant(1);
    world.record(tenant, id(10), &[plan_created("regular")]).await;
    world.record(tenant, id(20), &[applied(id(1), id(10), "2025-03-01")]).await;
    let poison = vec![raw("MembershipActivated", "{\"type\":\"MembershipActivated\"}")];
    world.record_raw(tenant, StreamId::new("membership", id(20)), poison).await;
    world.record(tenant, id(20), &[activated("2025-03-01", "2026-02-28")]).await;
    world.record(tenant, id(21), &[applied(id(2), id(10), "2025-03-01"), activated("2025-03-01", "2026-02-28")]).await;
    world.project::<Reporting>().await;
    let active = "SELECT count(*) FROM read.reporting_membership WHERE active";
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_membership").await, 2);
    assert_eq!(world.count(active).await, 1);
    let client = world.client().await;
    let waiting = parked::list(&client, Reporting::NAME).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].first_version, waiting[0].events), (1, 2, 2));
    assert_eq!(waiting[0].stream.id, id(20));
    // Later events of the stream wait behind it; the checkpoint goes on.
    world.record(tenant, id(20), &[activated("2025-03-01", "2026-02-28")]).await;
    world.project::<Reporting>().await;
    assert_eq!(parked::list(&client, Reporting::NAME).await.unwrap()[0].events, 3);
    assert_eq!(world.count(active).await, 1);
    assert_eq!(reached(&client, Reporting::NAME).await.unwrap(), world.store.head().await.unwrap());
}

#[tokio::test]
async fn rows_that_postgres_refuses_park_only_the_stream_they_come_from() {
    let world = World::open().await;
    let tenant = tenant(1);
    for number in 0..6 {
        // A zero byte is fine in JSON and not in a text column.
        let code = if number == 3 { "zero \0 byte".to_owned() } else { format!("plan {number}") };
        world.record(tenant, id(number), &[plan_created(&code)]).await;
    }
    world.project::<Reporting>().await;
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_plan").await, 5);
    let waiting = parked::list(&*world.client().await, Reporting::NAME).await.unwrap();
    assert_eq!(waiting.iter().map(|parked| parked.stream.id).collect::<Vec<_>>(), [id(3)]);
}

#[tokio::test]
async fn a_projection_follows_the_store_and_a_second_one_takes_over() {
    let world = World::open().await;
    let client = world.client().await;
    let (first_stop, second_stop) = (CancellationToken::new(), CancellationToken::new());
    let mut running = tokio::task::JoinSet::new();
    for stop in [&first_stop, &second_stop] {
        let (mut runner, stop) = (world.runner::<Directory>(), stop.clone());
        running.spawn(async move { runner.run_from_store(stop).await });
    }
    let ada = MemberId::new(id(1)).uuid();
    world.record(tenant(1), ada, &[story::person(&world, tenant(1), ada, "Ada Lovelace", "London").await]).await;
    let is_at = async |position| reached(&client, Directory::NAME).await.unwrap() >= position;
    until("the first event is folded", || is_at(1)).await;
    first_stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
    world.record(tenant(1), ada, &[MemberEvent::CredentialAdded { credential: "RN".into() }]).await;
    until("the second event is folded", || is_at(2)).await;
    second_stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_projection_whose_connection_is_cut_again_and_again_loses_nothing_and_doubles_nothing() {
    let world = World::open().await;
    let client = world.client().await;
    let stop = CancellationToken::new();
    let mut running = tokio::task::JoinSet::new();
    let (mut runner, token) = (world.runner::<Reporting>(), stop.clone());
    running.spawn(async move { runner.run_from_store(token).await });
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
               AND (classid::bigint << 32 | objid::bigint) = hashtextextended('guildhall projection reporting', 0)";
    let all_folded = async || reached(&client, Reporting::NAME).await.unwrap() == world.store.head().await.unwrap();
    let (mut cuts, mut members) = (0, 0);
    until("the connection was cut five times", async || {
        members += 1;
        let year = [applied(id(members), id(10), "2025-01-01"), activated("2025-01-01", "2025-12-31")];
        world.record(tenant(1), id(1_000_000 + members), &year).await;
        let cut_now = client.query_one(cut, &[]).await.unwrap().get::<_, i64>(0);
        cuts += cut_now;
        if cut_now > 0 {
            // One that comes no further between two cuts pauses ever longer.
            until("all is folded", &all_folded).await;
        }
        cuts >= 5
    })
    .await;
    let report = world.rebuild::<Reporting>(compare()).await.unwrap();
    assert!(report.equal(), "{report:?}");
    let active = "SELECT count(*) FROM read.reporting_membership WHERE active";
    assert_eq!(world.count(active).await, i64::try_from(members).unwrap());
    stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}
