//! Members, as those who look may see them.

use axum::http::StatusCode;
use guildhall_aggregates::member::{MemberEvent, PrivacySwitches};
use guildhall_aggregates::personal::PersonName;
use guildhall_web::Role;
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::{
    story::{self, ada, grace},
    world::{Reply, World, nurses},
};

async fn told() -> World {
    let world = World::new().await;
    story::tell(&world, nurses(), "nurses", "Nightingale").await;
    world.project().await;
    world
}

fn names(reply: &Reply) -> Vec<String> {
    let members = reply.json()["data"].as_array().unwrap().clone();
    members.iter().map(|member| member["first_name"].as_str().unwrap_or("?").to_owned()).collect()
}

#[tokio::test]
async fn staff_sees_everything_of_a_member() {
    let world = told().await;
    let reply = world.get(&format!("/v1/members/{}", ada())).await;
    assert_json_snapshot!(reply.json()["data"], @r#"
    {
      "accepts_messages": true,
      "biography": null,
      "city": "Málaga",
      "completeness": 60,
      "country": "ES",
      "credentials": [
        "RN"
      ],
      "deceased": false,
      "display_name": "Ada Nightingale",
      "email": "ada@nightingale.example.org",
      "first_name": "Ada",
      "forgotten": false,
      "job_title": null,
      "kind": "person",
      "last_name": "Nightingale",
      "member_id": "00000000-0000-0000-0000-000000000ada",
      "member_number": "Nightingale-1",
      "memberships": [
        {
          "membership_id": "00000000-0000-0000-0000-0000000003e3",
          "plan": "STD",
          "status": "current"
        }
      ],
      "organizations": [],
      "phone": "+34 1",
      "picture_url": null,
      "region": null,
      "social_links": []
    }
    "#);
}

#[tokio::test]
async fn others_see_what_the_member_shows_them() {
    let world = told().await;
    let analyst = world.token("nurses", &[Role::Analyst]);
    let seen = async |path: &str| {
        let reply = world.get_as(&analyst, path, &[]).await;
        let data = reply.json()["data"].clone();
        (reply.status, [data["email"].clone(), data["phone"].clone(), data["member_number"].clone()])
    };
    // Ada shows her telephone number; Grace is not listed.
    let of_ada = (StatusCode::OK, [Value::Null, json!("+34 1"), Value::Null]);
    assert_eq!(seen(&format!("/v1/members/{}", ada())).await, of_ada);
    assert_eq!(seen(&format!("/v1/members/{}", grace())).await.0, StatusCode::NOT_FOUND);
    assert_eq!(names(&world.get_as(&analyst, "/v1/directory", &[]).await), ["Ada"]);
    assert_eq!(names(&world.get("/v1/directory").await), ["Ada", "Grace"]);
}

#[tokio::test]
async fn a_portal_shows_the_directory_as_its_visitor_may_see_it() {
    let world = told().await;
    assert_eq!(names(&world.get("/v1/directory?seen_by=public").await), Vec::<String>::new());
    assert_eq!(names(&world.get(&format!("/v1/directory?seen_by={}", grace())).await), ["Ada", "Grace"]);
    let herself = world.get(&format!("/v1/members/{}?seen_by={}", grace(), grace())).await;
    assert_eq!(herself.json()["data"]["email"], "grace@nightingale.example.org");
    let by_ada = world.get(&format!("/v1/members/{}?seen_by={}", grace(), ada())).await;
    assert_eq!(by_ada.status, StatusCode::NOT_FOUND);

    let public = PrivacySwitches { public_profile: true, ..PrivacySwitches::default() };
    world.record(nurses(), ada().uuid(), &[MemberEvent::PrivacyChanged { privacy: public }]).await;
    world.project().await;
    let visited = world.get("/v1/directory?seen_by=public").await;
    assert_eq!(names(&visited), ["Ada"]);
    assert_eq!(
        (&visited.json()["data"][0]["phone"], &visited.json()["data"][0]["memberships"]),
        (&Value::Null, &json!([]))
    );
    // To look as somebody else is for those who see everything anyway.
    let analyst = world.token("nurses", &[Role::Analyst]);
    let refused = world.get_as(&analyst, &format!("/v1/directory?seen_by={}", grace()), &[]).await;
    assert_eq!((refused.status, refused.problem()), (StatusCode::FORBIDDEN, "forbidden".into()));
}

#[tokio::test]
async fn members_are_found_by_what_is_known_of_them() {
    let world = told().await;
    for (question, found) in [
        ("search=ada", vec!["Ada"]),
        ("search=nightin", vec!["Ada", "Grace"]),
        // Grace is meant; Ada's name is alike.
        ("search=NIGHTING%C3%81LE+GR", vec!["Grace", "Ada"]),
        ("search=nightingle", vec!["Ada", "Grace"]),
        ("search=nobody", vec![]),
        ("city=malaga", vec!["Ada", "Grace"]),
        ("credential=RN", vec!["Ada", "Grace"]),
        ("credential=PE", vec![]),
        ("plan=STD", vec!["Ada"]),
        ("status=current", vec!["Ada"]),
        ("status=expired", vec![]),
        ("plan=STD&status=current&city=M%C3%A1laga&search=a", vec!["Ada"]),
    ] {
        assert_eq!(names(&world.get(&format!("/v1/directory?{question}")).await), found, "{question}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let world = told().await;
    let first = world.get("/v1/directory?limit=1").await;
    assert_eq!(names(&first), ["Ada"]);
    let next = first.json()["next"].as_str().unwrap().to_owned();
    assert_eq!(first.header("link"), format!("</v1/directory?limit=1&after={next}>; rel=\"next\""));
    let last = world.get(&format!("/v1/directory?limit=1&after={next}")).await;
    assert_eq!((names(&last), last.json()["next"].clone()), (vec!["Grace".to_owned()], Value::Null));
    assert_eq!(last.header("link"), "");
}

#[tokio::test]
async fn a_table_of_members_runs_no_formula() {
    let world = told().await;
    let name = PersonName { display: "=1+1".into(), first: None, middle: None, last: Some("=1+1".into()) };
    let name = world.seal(nurses(), ada(), name).await;
    world.record(nurses(), ada().uuid(), &[MemberEvent::NameChanged { name }]).await;
    world.project().await;
    let reply = world.get("/v1/directory?format=csv").await;
    let lines: Vec<_> = reply.body.lines().collect();
    assert!(lines[0].starts_with("member_id,kind,member_number,display_name,"), "{}", lines[0]);
    assert_eq!(
        lines[1],
        "00000000-0000-0000-0000-000000000ada,person,Nightingale-1,'=1+1,,'=1+1,ada@nightingale.example.org,'+34 1,\
         Málaga,,ES,,RN,STD (current),50,"
    );
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn a_forgotten_member_has_left_the_directory() {
    let world = told().await;
    world.record(nurses(), ada().uuid(), &[MemberEvent::MemberForgotten {}]).await;
    world.store.vault().forget(nurses(), ada().into()).await.unwrap();
    world.project().await;
    assert_eq!(names(&world.get("/v1/directory").await), ["Grace"]);
    let roster = world.get(&format!("/v1/events/{}/roster", story::congress())).await;
    assert_eq!(roster.json()["data"][0]["name"], Value::Null);
    assert!(!roster.body.contains("Ada"), "{}", roster.body);
}
