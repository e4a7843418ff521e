//! Reads that have an end.

use guildhall_aggregates::{Clear, SubjectId, personal::PersonName, tenant_of_slug};
use guildhall_eventstoredb::wire::{
    UuidShape,
    read::{Control, Expression, FilterOn, FilterOptions, IdShape, IdsWanted, Place, Revision, Window},
};
use guildhall_web::Role;
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::world::{LAWYERS, NURSES, World, at, at_most, backwards, filtered, member, of_all, of_stream, told};

const SEVEN: [&str; 7] = ["A", "B", "C", "D", "E", "F", "G"];

#[tokio::test]
async fn a_stream_is_read_forwards_from_any_revision() {
    let world = World::new().await;
    world.record(NURSES, &member(1), &SEVEN).await;
    let client = world.auditor(NURSES).await;
    let from = async |from| told(&client.read(of_stream(&member(1), from)).await).concat();
    assert_eq!(from(Revision::Start(())).await, "ABCDEFG");
    assert_eq!(from(Revision::At(4)).await, "EFG");
    assert_eq!(from(Revision::At(7)).await, "");
    assert_eq!(from(Revision::End(())).await, "");
    let two = client.events(at_most(2, of_stream(&member(1), Revision::At(1)))).await;
    assert_eq!(two.iter().map(|event| event.revision).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_stream_is_read_backwards_from_any_revision() {
    let world = World::new().await;
    world.record(NURSES, &member(1), &SEVEN).await;
    let client = world.auditor(NURSES).await;
    let from = async |from| told(&client.read(backwards(of_stream(&member(1), from))).await).concat();
    assert_eq!(from(Revision::End(())).await, "GFEDCBA");
    assert_eq!(from(Revision::At(2)).await, "CBA");
    assert_eq!(from(Revision::At(99)).await, "GFEDCBA");
    assert_eq!(from(Revision::Start(())).await, "A");
    let last = at_most(1, backwards(of_stream(&member(1), Revision::End(()))));
    assert_eq!(client.events(last).await[0].revision, 6);
}

#[tokio::test]
async fn a_client_that_asks_learns_where_a_stream_ends() {
    let world = World::new().await;
    world.record(NURSES, &member(1), &SEVEN).await;
    let client = world.auditor(NURSES).await;
    let mut options = of_stream(&member(1), Revision::At(5));
    options.control = Some(Control { compatibility: 1 });
    assert_eq!(told(&client.read(options.clone()).await), ["F", "G", "(ends at 6)"]);
    assert_eq!(told(&client.read(at_most(1, options)).await), ["F"]);
}

#[tokio::test]
async fn all_is_the_associations_history_in_order() {
    let world = World::new().await;
    for round in 0..4 {
        world.record(NURSES, &member(round), &["A", "B"]).await;
        world.record(LAWYERS, &member(round), &["X"]).await;
    }
    let client = world.auditor(NURSES).await;
    let positions =
        async |options| client.events(options).await.iter().map(|event| event.commit_position).collect::<Vec<_>>();
    assert_eq!(positions(of_all(Place::Start(()))).await, [1, 2, 4, 5, 7, 8, 10, 11]);
    assert_eq!(positions(of_all(at(7))).await, [7, 8, 10, 11]);
    assert_eq!(positions(of_all(at(6))).await, [7, 8, 10, 11]);
    assert_eq!(positions(of_all(Place::End(()))).await, [0; 0]);
    assert_eq!(positions(backwards(of_all(Place::End(())))).await, [11, 10, 8, 7, 5, 4, 2, 1]);
    assert_eq!(positions(backwards(of_all(at(7)))).await, [5, 4, 2, 1], "a position is where its event begins");
    assert_eq!(positions(at_most(2, backwards(of_all(Place::End(()))))).await, [11, 10]);
    assert_eq!(positions(at_most(0, of_all(Place::Start(())))).await, [0; 0]);
}

#[tokio::test]
async fn an_event_is_shown_as_it_is_stored() {
    let world = World::new().await;
    world.record(NURSES, &member(1), &["A"]).await;
    let stored = world.store.read_after(0, 1).await.unwrap().remove(0);
    let client = world.auditor(NURSES).await;
    let shown = client.events(of_all(Place::Start(()))).await.remove(0);
    assert_eq!(shown.data, stored.payload);
    assert_eq!(shown.stream.unwrap().name, member(1).to_string());
    assert_eq!(shown.id.unwrap().value, Some(UuidShape::Text(stored.event_id.to_string())));
    assert_eq!(shown.metadata["created"], "17723664000000000");
    let metadata: Value = serde_json::from_slice(&shown.custom_metadata).unwrap();
    assert_eq!(metadata["command"], "SetUpATest");
    assert_eq!(metadata["$correlationId"], Uuid::from_u128(0xC0).to_string());
    assert_eq!(metadata["$causationId"], stored.command_id.to_string());

    let mut options = of_all(Place::Start(()));
    options.ids = Some(IdsWanted { shape: Some(IdShape::Structured(())) });
    let shown = client.events(options).await.remove(0);
    let Some(UuidShape::Structured(bits)) = shown.id.unwrap().value else { panic!("not structured") };
    let pair = (bits.most_significant.cast_unsigned(), bits.least_significant.cast_unsigned());
    assert_eq!(pair, stored.event_id.as_u64_pair());
}

#[tokio::test]
async fn a_filter_chooses_and_the_count_counts_what_it_lets_pass() {
    let world = World::new().await;
    for number in 0..5 {
        world.record(NURSES, &member(number), &["MemberRegistered", "NameChanged"]).await;
    }
    let client = world.auditor(NURSES).await;
    let types = |regex: &str| FilterOptions {
        checkpoint_interval_multiplier: 1,
        on: Some(FilterOn::EventType(Expression { regex: regex.into(), prefixes: vec![] })),
        window: Some(Window::Max(2)),
    };
    let found = client.events(at_most(4, filtered(types("^Name"), of_all(Place::Start(()))))).await;
    assert_eq!(found.iter().map(|event| event.commit_position).collect::<Vec<_>>(), [2, 4, 6, 8]);
    let found = client.events(backwards(filtered(types("^Member"), of_all(Place::End(()))))).await;
    assert_eq!(found.iter().map(|event| event.commit_position).collect::<Vec<_>>(), [9, 7, 5, 3, 1]);
    assert_eq!(client.events(filtered(types("^Nothing$"), of_all(Place::Start(())))).await, []);
    assert_eq!(client.refusal(filtered(types("("), of_all(Place::Start(())))).await, Code::InvalidArgument);
}

#[tokio::test]
async fn personal_data_stays_sealed_unless_it_is_asked_for() {
    let world = World::new().await;
    let nurses = tenant_of_slug(NURSES);
    let (ada, grace) = (SubjectId::new(Uuid::from_u128(1)), SubjectId::new(Uuid::from_u128(2)));
    for (person, display) in [(ada, "Ada"), (grace, "Grace")] {
        let name = Clear(PersonName { display: display.into(), first: None, middle: None, last: None });
        let sealed = world.store.vault().seal(nurses, person, Uuid::now_v7(), &name).await.unwrap();
        let payload = json!({ "type": "NameChanged", "name": sealed.token(), "note": "gp1. is no token" });
        world.append(NURSES, &member(person.uuid().as_u128()), vec![("NameChanged", payload.to_string().into())]).await;
    }
    world.store.vault().forget(nurses, grace).await.unwrap();

    let data = async |client: &crate::world::Client| {
        let events = client.events(of_all(Place::Start(()))).await;
        events.iter().map(|event| serde_json::from_slice(&event.data).unwrap()).collect::<Vec<Value>>()
    };
    let sealed = data(&world.auditor(NURSES).await).await;
    assert!(sealed.iter().all(|event| event["name"].as_str().unwrap().starts_with("gp1.")));

    let password = |user: &str| {
        use base64::Engine;
        let pair = format!("{user}:{}", world.token(NURSES, Role::Auditor));
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
    };
    assert_eq!(data(&world.client(password("auditor")).await).await, sealed);
    let opened = data(&world.client(password("open")).await).await;
    assert_eq!(opened[0]["name"], json!({ "display": "Ada" }));
    assert_eq!(opened[1]["name"], json!({ "forgotten": true }));
    assert_eq!(opened[1]["note"], "gp1. is no token");
}
