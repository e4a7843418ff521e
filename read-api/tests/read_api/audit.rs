//! History as auditors see it.

use axum::http::StatusCode;
use chrono::TimeDelta;
use chrono_tz::Tz;
use guildhall_aggregates::{
    MemberId, TenantId,
    association::AssociationRecord,
    member::{ContactDetails, MemberEvent, MemberKind},
    money::Currency,
    personal::{EmailAddress, FreeText, PersonName},
};
use guildhall_event_store::StreamId;
use guildhall_web::Role;
use insta::assert_json_snapshot;
use serde_json::json;
use uuid::Uuid;

use crate::world::{CORRELATION, Reply, World, lawyers, noon, nurses};

fn founded(slug: &str) -> AssociationRecord {
    AssociationRecord::AssociationFounded {
        name: format!("The {slug}"),
        slug: slug.into(),
        time_zone: Tz::Europe__Vienna,
        currency: Currency::EUR,
    }
}

fn renamed(name: &str) -> AssociationRecord {
    AssociationRecord::AssociationRenamed { name: name.into() }
}

fn ada() -> MemberId {
    MemberId::new(Uuid::from_u128(0xADA))
}

fn name(display: &str) -> PersonName {
    PersonName { display: display.into(), first: None, middle: None, last: None }
}

async fn register(world: &World, tenant: TenantId, member: MemberId) {
    let contact = ContactDetails {
        email: Some(world.seal(tenant, member, EmailAddress("ada@example.org".into())).await),
        ..ContactDetails::default()
    };
    let registered = MemberEvent::MemberRegistered {
        kind: MemberKind::Person,
        name: world.seal(tenant, member, name("Ada Lovelace")).await,
        contact,
        birth_date: None,
        member_number: Some("7".into()),
        source: None,
    };
    let text = world.seal(tenant, member, FreeText("gp1. is how she begins letters".into())).await;
    world.record(tenant, member.uuid(), &[registered, MemberEvent::NoteAdded { text }]).await;
}

fn association() -> String {
    format!("/v1/streams/association-{}", nurses())
}

fn versions(reply: &Reply) -> Vec<u64> {
    reply.json()["data"].as_array().unwrap().iter().map(|record| record["version"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_record_says_what_happened_when_by_whom_and_why() {
    let world = World::new().await;
    world.record(nurses(), nurses().uuid(), &[founded("nurses")]).await;
    let reply = world.get(&association()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("guildhall-position"), "p-1");
    let stored = serde_json::to_string(&founded("nurses")).unwrap();
    assert!(reply.body.contains(&format!("\"payload\":{stored}")), "not byte for byte: {}", reply.body);
    let mut json = reply.json();
    let hash = json["data"][0]["leaf_hash"].take();
    assert_eq!(hash.as_str().map(str::len), Some(64));
    assert_json_snapshot!(json, @r#"
    {
      "data": [
        {
          "command_id": "00000000-0000-0000-0000-0000c0000001",
          "event_id": "00000000-0000-0000-0000-0000e0000100",
          "leaf_hash": null,
          "metadata": {
            "actor": {
              "kind": "caller",
              "name": "front-desk"
            },
            "command": "SetUpATest",
            "correlation_id": "00000000-0000-0000-0000-0000000000c0"
          },
          "payload": {
            "currency": "EUR",
            "name": "The nurses",
            "slug": "nurses",
            "time_zone": "Europe/Vienna",
            "type": "AssociationFounded"
          },
          "position": 1,
          "recorded_at": "2026-03-01T12:00:00Z",
          "schema_version": 1,
          "stream": "association-5ccf59f9-9057-5931-9ea3-d9577884991d",
          "type": "AssociationFounded",
          "version": 1
        }
      ],
      "next": null,
      "position": "p-1"
    }
    "#);
}

#[tokio::test]
async fn a_long_stream_is_read_page_by_page() {
    let world = World::new().await;
    let names: Vec<_> = (1..5).map(|nth| renamed(&format!("Name {nth}"))).collect();
    world.record(nurses(), nurses().uuid(), &[founded("nurses")]).await;
    world.record(nurses(), nurses().uuid(), &names).await;
    let first = world.get(&format!("{}?limit=2", association())).await;
    assert_eq!(versions(&first), [1, 2]);
    assert_eq!(first.json()["next"], "2");
    assert_eq!(first.header("link"), format!("<{}?limit=2&after=2>; rel=\"next\"", association()));
    let last = world.get(&format!("{}?limit=3&after=2", association())).await;
    assert_eq!(versions(&last), [3, 4, 5]);
    assert_eq!(last.json()["next"], json!(null));
    let beyond = world.get(&format!("{}?after=5", association())).await;
    assert_eq!((beyond.status, versions(&beyond)), (StatusCode::OK, vec![]));
}

#[tokio::test]
async fn personal_data_is_sealed_until_it_is_asked_for_and_gone_once_it_is_forgotten() {
    let world = World::new().await;
    register(&world, nurses(), ada()).await;
    let path = format!("/v1/streams/member-{}", ada());

    let sealed = world.get(&path).await;
    assert!(!sealed.body.contains("Lovelace") && !sealed.body.contains("ada@example.org"), "{}", sealed.body);
    assert_ne!(sealed.header("etag"), "");

    let open = world.get(&format!("{path}?open=true")).await;
    assert_eq!(open.header("cache-control"), "no-store");
    assert_eq!(open.header("etag"), "");
    let payloads = |reply: &Reply| {
        let records = reply.json()["data"].clone();
        (records[0]["payload"].clone(), records[1]["payload"].clone())
    };
    assert_json_snapshot!(payloads(&open), @r#"
    [
      {
        "contact": {
          "email": "ada@example.org"
        },
        "kind": "person",
        "member_number": "7",
        "name": {
          "display": "Ada Lovelace"
        },
        "type": "MemberRegistered"
      },
      {
        "text": "gp1. is how she begins letters",
        "type": "NoteAdded"
      }
    ]
    "#);

    world.store.vault().forget(nurses(), ada().into()).await.unwrap();
    let forgotten = world.get(&format!("{path}?open=true")).await;
    assert_json_snapshot!(payloads(&forgotten), @r#"
    [
      {
        "contact": {
          "email": {
            "forgotten": true
          }
        },
        "kind": "person",
        "member_number": "7",
        "name": {
          "forgotten": true
        },
        "type": "MemberRegistered"
      },
      {
        "text": {
          "forgotten": true
        },
        "type": "NoteAdded"
      }
    ]
    "#);
}

#[tokio::test]
async fn a_state_is_what_it_was_at_a_version_or_a_time() {
    let world = World::new().await;
    world.record(nurses(), nurses().uuid(), &[founded("nurses")]).await;
    world.clock.advance(TimeDelta::hours(1));
    world.record(nurses(), nurses().uuid(), &[renamed("Nurses United")]).await;
    let named = async |query: &str| {
        let reply = world.get(&format!("{}/state{query}", association())).await;
        let json = reply.json();
        (json["data"]["version"].clone(), json["data"]["state"]["charter"]["name"].clone())
    };
    assert_eq!(named("").await, (json!(2), json!("Nurses United")));
    assert_eq!(named("?version=1").await, (json!(1), json!("The nurses")));
    assert_eq!(named("?at=2026-03-01T12:59:59Z").await, (json!(1), json!("The nurses")));
    assert_eq!(named("?at=2026-03-01T13:00:00Z").await, (json!(2), json!("Nurses United")));

    for nothing in ["?version=0", "?version=3", "?at=2026-03-01T11:59:59Z"] {
        let reply = world.get(&format!("{}/state{nothing}", association())).await;
        assert_eq!((reply.status, reply.problem()), (StatusCode::NOT_FOUND, "not-found".into()), "{nothing}");
    }
    let both = world.get(&format!("{}/state?version=1&at=2026-03-01T13:00:00Z", association())).await;
    assert_eq!((both.status, both.problem()), (StatusCode::BAD_REQUEST, "invalid-query".into()));
}

#[tokio::test]
async fn a_state_shows_people_only_when_asked() {
    let world = World::new().await;
    register(&world, nurses(), ada()).await;
    let path = format!("/v1/streams/member-{}/state", ada());
    assert!(!world.get(&path).await.body.contains("Lovelace"));
    let open = world.get(&format!("{path}?open=true")).await;
    assert!(open.body.contains("Ada Lovelace"), "{}", open.body);
}

#[tokio::test]
async fn the_history_of_an_association_holds_no_record_of_another() {
    let world = World::new().await;
    world.record(nurses(), nurses().uuid(), &[founded("nurses")]).await;
    world.record(lawyers(), lawyers().uuid(), &[founded("lawyers")]).await;
    world.record(nurses(), nurses().uuid(), &[renamed("Nurses United")]).await;
    let reply = world.get("/v1/records").await;
    let positions: Vec<_> =
        reply.json()["data"].as_array().unwrap().iter().map(|record| record["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, [1, 3]);
}

#[tokio::test]
async fn what_one_request_set_in_motion_is_found_by_its_correlation() {
    let world = World::new().await;
    let another = Uuid::from_u128(0xC1);
    world.record(nurses(), nurses().uuid(), &[founded("nurses")]).await;
    world.record_for(another, nurses(), nurses().uuid(), &[renamed("A"), renamed("B"), renamed("C")]).await;
    world.record(nurses(), nurses().uuid(), &[renamed("D")]).await;
    let path = format!("/v1/records?correlation_id={another}&limit=2");
    let first = world.get(&path).await;
    assert_eq!(versions(&first), [2, 3]);
    let next = first.json()["next"].as_str().unwrap().to_owned();
    let last = world.get(&format!("{path}&after={next}")).await;
    assert_eq!((versions(&last), last.json()["next"].clone()), (vec![4], json!(null)));
}

#[tokio::test]
async fn a_command_is_found_with_what_it_recorded() {
    let world = World::new().await;
    world.record(nurses(), nurses().uuid(), &[founded("nurses")]).await;
    let receipt = world.record(nurses(), nurses().uuid(), &[renamed("A"), renamed("B")]).await;
    let reply = world.get(&format!("/v1/commands/{}", receipt.command_id)).await;
    let data = reply.json()["data"].clone();
    assert_eq!((&data["stream"], &data["version"]), (&json!(receipt.stream.to_string()), &json!(3)));
    let versions: Vec<_> = data["records"].as_array().unwrap().iter().map(|record| record["version"].clone()).collect();
    assert_eq!(versions, [2, 3]);
}

#[tokio::test]
async fn history_is_for_auditors_alone() {
    let world = World::new().await;
    world.record(nurses(), nurses().uuid(), &[founded("nurses")]).await;
    let token = world.token("nurses", &[Role::Api, Role::Analyst]);
    for path in [association(), format!("{}/state", association()), "/v1/records".into()] {
        let reply = world.get_as(&token, &path, &[]).await;
        assert_eq!((reply.status, reply.problem()), (StatusCode::FORBIDDEN, "forbidden".into()), "{path}");
    }
}

#[tokio::test]
async fn a_table_of_records_has_a_line_for_each() {
    let world = World::new().await;
    world.record(nurses(), nurses().uuid(), &[founded("nurses")]).await;
    let reply = world.get("/v1/records?format=csv").await;
    assert!(reply.header("content-type").starts_with("text/csv"));
    let lines: Vec<_> = reply.body.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("position,stream,version,"), "{}", lines[0]);
    assert!(lines[1].contains(&noon().to_rfc3339_opts(chrono::SecondsFormat::Micros, true)), "{}", lines[1]);
}

#[tokio::test]
async fn a_record_that_is_no_json_is_shown_byte_for_byte() {
    let world = World::new().await;
    let stream = StreamId::new("member", ada().uuid());
    world.append(CORRELATION, nurses(), stream.clone(), vec![("MemberRegistered", 1, b"\x00\xFF".to_vec())]).await;
    for open in [false, true] {
        let reply = world.get(&format!("/v1/streams/{stream}?open={open}")).await;
        assert_eq!((reply.status, &reply.json()["data"][0]["payload"]["base64"]), (StatusCode::OK, &"AP8=".into()));
    }
}

#[tokio::test]
async fn a_state_ends_before_a_record_that_cannot_be_read() {
    let world = World::new().await;
    world.record(nurses(), nurses().uuid(), &[founded("nurses")]).await;
    let stream = StreamId::new("association", nurses().uuid());
    world.append(CORRELATION, nurses(), stream, vec![("AssociationRenamed", 1, b"{}".to_vec())]).await;
    let latest = world.get(&format!("{}/state", association())).await;
    assert_eq!((latest.status, latest.problem()), (StatusCode::CONFLICT, "unreadable-record".into()));
    let before = world.get(&format!("{}/state?version=1", association())).await;
    assert_eq!((before.status, &before.json()["data"]["version"]), (StatusCode::OK, &1.into()));
}
