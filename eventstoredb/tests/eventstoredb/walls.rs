//! No association sees another.

use guildhall_eventstoredb::wire::{
    StreamName,
    read::{self, Content, Expression, FilterOn, FilterOptions, Place, Revision, StreamNotFound},
};

use crate::world::{LAWYERS, NURSES, World, at, backwards, filtered, following, member, name, of_all, of_name, told};

/// What a client is told about a stream, with its name left out.
async fn about(
    client: &crate::world::Client,
    options: impl Fn(StreamName) -> read::Options,
    of: StreamName,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for content in client.read(options(of)).await {
        let content = match content {
            Content::StreamNotFound(_) => Content::StreamNotFound(StreamNotFound { stream: None }),
            other => other,
        };
        content.encode(&mut bytes);
    }
    assert!(!bytes.is_empty(), "something is said");
    bytes
}

#[tokio::test]
async fn a_stream_of_another_association_is_like_one_that_never_was() {
    let world = World::new().await;
    world.record(LAWYERS, &member(1), &["A", "B"]).await;
    world.record(NURSES, &member(2), &["X"]).await;
    let client = world.auditor(NURSES).await;
    let questions: [fn(StreamName) -> read::Options; 5] = [
        |name| of_name(name, Revision::Start(())),
        |name| of_name(name, Revision::At(1)),
        |name| backwards(of_name(name, Revision::End(()))),
        |name| backwards(of_name(name, Revision::At(0))),
        |name| read::Options {
            control: Some(read::Control { compatibility: 1 }),
            ..of_name(name, Revision::Start(()))
        },
    ];
    for question in questions {
        let theirs = about(&client, question, name(&member(1))).await;
        assert_eq!(theirs, about(&client, question, name(&member(77))).await);
        assert_eq!(theirs, about(&client, question, StreamName { name: "$ce-member".into() }).await);
        assert_eq!(theirs, about(&client, question, StreamName { name: vec![0xff].into() }).await);
    }
    let told_of = told(&client.read(of_name(name(&member(1)), Revision::Start(()))).await);
    assert_eq!(told_of, ["(not found)"]);
}

#[tokio::test]
async fn nothing_of_another_association_comes_through_a_subscription() {
    let world = World::new().await;
    world.record(LAWYERS, &member(1), &["Theirs"]).await;
    let client = world.auditor(NURSES).await;
    let from_start = Revision::Start(());
    let mut theirs = client.open(following(of_name(name(&member(1)), from_start))).await.unwrap();
    let mut nobodys = client.open(following(of_name(name(&member(77)), from_start))).await.unwrap();
    let mut all = client.open(following(of_all(Place::Start(())))).await.unwrap();
    for subscription in [&mut theirs, &mut nobodys, &mut all] {
        assert_eq!(told(&subscription.until_caught_up().await), ["(confirmed)", "(caught up)"]);
    }
    world.record(LAWYERS, &member(1), &["Theirs"]).await;
    world.record(NURSES, &member(1), &["Ours"]).await;
    assert_eq!(told(&[all.content().await]), ["Ours"]);
    assert_eq!(told(&[theirs.content().await]), ["Ours"], "the same name is another stream in another association");
}

#[tokio::test]
async fn no_position_and_no_filter_reaches_over_the_wall() {
    let world = World::new().await;
    let theirs = world.record(LAWYERS, &member(1), &["Theirs", "Theirs"]).await;
    world.record(NURSES, &member(1), &["Ours"]).await;
    let client = world.auditor(NURSES).await;
    for options in [of_all(at(theirs)), of_all(at(0)), backwards(of_all(at(u64::MAX))), of_all(Place::Start(()))] {
        assert_eq!(told(&client.read(options).await), ["Ours"]);
    }
    assert!(client.read(backwards(of_all(at(theirs)))).await.is_empty());
    let anything = FilterOptions {
        checkpoint_interval_multiplier: 1,
        on: Some(FilterOn::EventType(Expression { regex: "Theirs".into(), prefixes: vec![] })),
        window: None,
    };
    assert!(client.read(filtered(anything, of_all(Place::Start(())))).await.is_empty());
}
