//! What is too much.

use bytes::Bytes;
use guildhall_eventstoredb::{Limits, wire::read::Place};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::time::timeout;
use tonic::Code;

use crate::world::{LAWYERS, NURSES, PATIENCE, World, following, member, of_all, small_pages, told};

#[tokio::test]
async fn an_association_opens_so_many_reads_and_no_more() {
    let world = World::with(Limits { reads_per_association: 2, ..small_pages() }, None).await;
    let client = world.auditor(NURSES).await;
    let subscription = following(of_all(Place::Start(())));
    let mut first = client.open(subscription.clone()).await.unwrap();
    let mut second = client.open(subscription.clone()).await.unwrap();
    first.until_caught_up().await;
    second.until_caught_up().await;
    assert_eq!(client.refusal(subscription.clone()).await, Code::ResourceExhausted);
    let others = world.auditor(LAWYERS).await;
    assert_eq!(told(&others.read(of_all(Place::Start(()))).await), [""; 0]);

    drop(first);
    // The server hears of it when it next has something to say or to hear.
    let third = timeout(PATIENCE, async {
        loop {
            match client.open(subscription.clone()).await {
                Ok(third) => return third,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    third.await.expect("a place is free again").until_caught_up().await;
}

#[tokio::test]
async fn a_connection_too_many_waits_until_another_ends() {
    let world = World::with(Limits { connections: 1, ..small_pages() }, None).await;
    let first = world.auditor(NURSES).await;
    assert_eq!(told(&first.read(of_all(Place::Start(()))).await), [""; 0]);
    let second = world.auditor(LAWYERS).await;
    let mut waiting = Box::pin(second.read(of_all(Place::Start(()))));
    // The first connection is served meanwhile, so there was time enough.
    for _ in 0..20 {
        assert!(futures::poll!(&mut waiting).is_pending());
        first.read(of_all(Place::Start(()))).await;
    }
    drop(first);
    assert_eq!(told(&waiting.await), [""; 0]);
}

/// Everything runs on this thread, so this thread's recorder counts it.
#[tokio::test]
async fn a_client_that_takes_nothing_is_sent_little() {
    const EVENTS: u64 = 120;
    let recorder = PrometheusBuilder::new().build_recorder();
    let rendered = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let fetched = || -> u64 {
        let text = rendered.render();
        let line = text.lines().find(|line| line.starts_with("eventstoredb_events_total "));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };

    let world = World::new().await;
    let large: Bytes = format!(r#""{}""#, "x".repeat(100_000)).into();
    for _ in 0..EVENTS / 4 {
        let events = (0..4).map(|_| ("Large", large.clone())).collect();
        world.append(NURSES, &member(1), events).await;
    }
    let mut slow = world.auditor(NURSES).await.open(following(of_all(Place::Start(())))).await.unwrap();
    assert_eq!(told(&[slow.content().await]), ["(confirmed)"]);
    // Another client takes everything meanwhile, so there was time enough.
    let quick = world.auditor(NURSES).await.events(of_all(Place::Start(()))).await;
    assert_eq!(quick.len() as u64, EVENTS);
    let of_slow = fetched() - EVENTS;
    assert!(of_slow < EVENTS / 2, "{of_slow} of {EVENTS} events were fetched for one that takes none");
    assert_eq!(slow.until_caught_up().await.len() as u64, EVENTS + 1, "and it gets all of them when it does");
}
