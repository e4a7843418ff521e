//! Reads that have no end.

use chrono::TimeDelta;
use guildhall_eventstoredb::{
    Limits,
    wire::read::{Content, Expression, FilterOn, FilterOptions, Place, Revision, Window},
};
use guildhall_web::Role;
use tonic::Code;

use crate::world::{LAWYERS, NURSES, World, at, event, filtered, following, member, now, of_all, of_stream, told};

#[tokio::test]
async fn a_subscription_catches_up_and_goes_on_with_what_comes() {
    let world = World::new().await;
    world.record(NURSES, &member(1), &["A", "B", "C", "D"]).await;
    let client = world.auditor(NURSES).await;
    let mut all = client.open(following(of_all(Place::Start(())))).await.unwrap();
    let mut one = client.open(following(of_stream(&member(1), Revision::Start(())))).await.unwrap();
    assert_eq!(told(&all.until_caught_up().await), ["(confirmed)", "A", "B", "C", "D", "(caught up)"]);
    assert_eq!(told(&one.until_caught_up().await), ["(confirmed)", "A", "B", "C", "D", "(caught up)"]);
    world.record(NURSES, &member(2), &["E"]).await;
    world.record(LAWYERS, &member(1), &["X"]).await;
    world.record(NURSES, &member(1), &["F"]).await;
    assert_eq!(told(&[all.content().await, all.content().await]), ["E", "F"]);
    assert_eq!(event(one.content().await).unwrap().revision, 4);
}

#[tokio::test]
async fn a_subscription_begins_after_the_place_where_the_client_was() {
    let world = World::new().await;
    world.record(NURSES, &member(1), &["A", "B", "C"]).await;
    let client = world.auditor(NURSES).await;
    let from = async |options| told(&client.open(following(options)).await.unwrap().until_caught_up().await);
    assert_eq!(from(of_all(at(2))).await, ["(confirmed)", "C", "(caught up)"]);
    assert_eq!(from(of_stream(&member(1), Revision::At(0))).await, ["(confirmed)", "B", "C", "(caught up)"]);
    assert_eq!(from(of_all(Place::End(()))).await, ["(confirmed)", "(caught up)"]);

    let mut end = client.open(following(of_stream(&member(1), Revision::End(())))).await.unwrap();
    let caught_up = end.until_caught_up().await;
    assert_eq!(told(&caught_up), ["(confirmed)", "(caught up)"]);
    let Some(Content::CaughtUp(reached)) = caught_up.last() else { panic!("not caught up") };
    assert_eq!(reached.revision, Some(2));
    world.record(NURSES, &member(1), &["D"]).await;
    assert_eq!(told(&[end.content().await]), ["D"]);
}

#[tokio::test]
async fn a_stream_that_begins_later_is_followed_from_its_beginning() {
    let world = World::new().await;
    let client = world.auditor(NURSES).await;
    let mut soon = client.open(following(of_stream(&member(1), Revision::Start(())))).await.unwrap();
    assert_eq!(told(&soon.until_caught_up().await), ["(confirmed)", "(caught up)"]);
    world.record(NURSES, &member(1), &["A"]).await;
    assert_eq!(told(&[soon.content().await]), ["A"]);
}

#[tokio::test]
async fn a_filter_says_how_far_it_has_looked() {
    let world = World::with(Limits::default(), None).await;
    world.record(LAWYERS, &member(1), &["B"]).await;
    world.record(NURSES, &member(1), &["A", "A", "B", "A", "A"]).await;
    let only_b = FilterOptions {
        checkpoint_interval_multiplier: 2,
        on: Some(FilterOn::EventType(Expression { regex: String::new(), prefixes: vec!["B".into()] })),
        window: Some(Window::Max(2)),
    };
    let client = world.auditor(NURSES).await;
    let mut found = client.open(following(filtered(only_b, of_all(Place::Start(()))))).await.unwrap();
    let expected = ["(confirmed)", "B", "(checkpoint 5)", "(checkpoint 6)", "(caught up)"];
    assert_eq!(told(&found.until_caught_up().await), expected);
    for _ in 0..4 {
        world.record(NURSES, &member(1), &["A"]).await;
        world.record(LAWYERS, &member(1), &["B"]).await;
    }
    assert_eq!(told(&[found.content().await]), ["(checkpoint 13)"], "every fourth event of the association");
}

#[tokio::test]
async fn a_subscription_says_when_it_falls_behind() {
    let world = World::new().await;
    let client = world.auditor(NURSES).await;
    let mut all = client.open(following(of_all(Place::Start(())))).await.unwrap();
    all.until_caught_up().await;
    // More than a page at once.
    world.record(NURSES, &member(1), &["A", "B", "C", "D"]).await;
    assert_eq!(told(&all.until_caught_up().await), ["(fell behind)", "A", "B", "C", "D", "(caught up)"]);
}

#[tokio::test]
async fn a_subscription_ends_with_its_token() {
    let world = World::new().await;
    // Tokens hold for 5 seconds longer than they say, so this one holds for two.
    let token = world.token_until(NURSES, Role::Auditor, now() - TimeDelta::seconds(3));
    let client = world.client(Some(format!("Bearer {token}"))).await;
    let mut all = client.open(following(of_all(Place::Start(())))).await.unwrap();
    all.until_caught_up().await;
    let status = all.end().await;
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().contains("expired"), "{status}");
    assert_eq!(client.refusal(of_all(Place::Start(()))).await, Code::Unauthenticated);
}

#[tokio::test]
async fn a_subscription_is_told_when_the_server_stops() {
    let mut world = World::new().await;
    let client = world.auditor(NURSES).await;
    let mut all = client.open(following(of_all(Place::Start(())))).await.unwrap();
    all.until_caught_up().await;
    world.stop.cancel();
    assert_eq!(all.end().await.code(), Code::Unavailable);
    world.serving.join_next().await.unwrap().unwrap().unwrap();
}
