//! Associations are walls: tried on every route, with two associations that use the same ids.

use axum::http::{Method, StatusCode};
use guildhall_web::Role;

use crate::{
    story,
    world::{World, lawyers, nurses},
};

/// The words that stand in every text of each.
const NURSES: &str = "Nightingale";
const LAWYERS: &str = "Portia";

/// Every route of the read API as a path somebody could ask for. A parameter nobody knows here is a new endpoint
/// that has to be tried, too.
fn every_path(world_has: &Ids) -> Vec<String> {
    let streams = [
        format!("association-{}", world_has.association),
        format!("member-{}", story::ada()),
        format!("membership_plan-{}", story::plan()),
        format!("membership-{}", story::membership()),
        format!("association_event-{}", story::congress()),
        format!("event_roster-{}", story::congress()),
        format!("invoice-{}", story::invoice()),
        format!("invoice_series-{}", story::series()),
        format!("payment-{}", story::payment()),
    ];
    let mut paths = Vec::new();
    for template in guildhall_read_api::document().paths.paths.keys() {
        let filled = template
            .replace("{member_id}", &story::ada().to_string())
            .replace("{event_id}", &story::congress().to_string())
            .replace("{invoice_id}", &story::invoice().to_string())
            .replace("{command_id}", &world_has.command.to_string());
        match template.as_str() {
            "/v1/streams/{stream}" => {
                paths.extend(streams.iter().map(|stream| filled.replace("{stream}", stream) + "?open=true"));
            }
            "/v1/streams/{stream}/state" => {
                paths.extend(streams.iter().map(|stream| filled.replace("{stream}", stream) + "?open=true"));
            }
            "/v1/feed" => paths.push(filled + "?limit=1000"),
            "/v1/records" => paths.push(filled + "?open=true&limit=200"),
            "/v1/reports/membership-changes" | "/v1/reports/revenue" => {
                paths.push(filled + "?from=2025-01-01&to=2026-12-31");
            }
            _ => paths.push(filled),
        }
    }
    assert!(paths.iter().all(|path| !path.contains('{')), "a parameter nobody knows here: {paths:?}");
    paths
}

struct Ids {
    association: guildhall_aggregates::TenantId,
    command: uuid::Uuid,
}

async fn two_associations() -> World {
    let world = World::new().await;
    story::tell(&world, nurses(), "nurses", NURSES).await;
    story::tell(&world, lawyers(), "lawyers", LAWYERS).await;
    world.project().await;
    world
}

/// The first command of the nurses, and the first of the lawyers.
fn ids() -> [Ids; 2] {
    let command = |number: u128| uuid::Uuid::from_u128(0xC000_0000 + number);
    [Ids { association: nurses(), command: command(1) }, Ids { association: lawyers(), command: command(11) }]
}

#[tokio::test]
async fn no_route_shows_anything_of_another_association() {
    let world = two_associations().await;
    let [of_nurses, of_lawyers] = ids();
    for (association, own, theirs, ids) in
        [("nurses", NURSES, LAWYERS, &of_nurses), ("lawyers", LAWYERS, NURSES, &of_lawyers)]
    {
        let token = world.token(association, &Role::ALL);
        let mut shown = 0;
        for path in every_path(ids) {
            let reply = world.get_as(&token, &path, &[]).await;
            assert_eq!(reply.status, StatusCode::OK, "{association} {path}: {}", reply.body);
            assert!(!reply.body.contains(theirs), "{association} {path}: {}", reply.body);
            shown += usize::from(reply.body.contains(own));
        }
        // If the word stood nowhere, that the other one stands nowhere would prove nothing.
        assert!(shown > 15, "only {shown} answers hold a text of {association}");
    }
}

#[tokio::test]
async fn what_only_another_association_has_is_not_there() {
    let world = World::new().await;
    story::tell(&world, nurses(), "nurses", NURSES).await;
    world.project().await;
    let token = world.token("lawyers", &Role::ALL);
    let [of_nurses, _] = ids();
    for path in every_path(&of_nurses) {
        let reply = world.get_as(&token, &path, &[]).await;
        assert!(!reply.body.contains(NURSES), "{path}: {}", reply.body);
        let names_one = path.matches('/').count() > 2 && !path.starts_with("/v1/reports/");
        if names_one {
            assert_eq!((reply.status, reply.problem()), (StatusCode::NOT_FOUND, "not-found".into()), "{path}");
        } else {
            assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
        }
    }
}

#[tokio::test]
async fn no_route_answers_without_a_token_or_to_one_that_allows_nothing() {
    let world = World::new().await;
    story::tell(&world, nurses(), "nurses", NURSES).await;
    world.project().await;
    let [of_nurses, _] = ids();
    for path in every_path(&of_nurses) {
        let forged = world.get_as("not-a-token", &path, &[]).await;
        assert_eq!((forged.status, forged.problem()), (StatusCode::UNAUTHORIZED, "unauthenticated".into()), "{path}");
        let nobody = world.get_as(&world.token("nurses", &[]), &path, &[]).await;
        if path != "/v1/status" {
            assert_eq!((nobody.status, nobody.problem()), (StatusCode::FORBIDDEN, "forbidden".into()), "{path}");
        }
    }
}

#[tokio::test]
async fn reading_is_all_that_can_be_done_here() {
    let world = two_associations().await;
    let [of_nurses, _] = ids();
    for path in every_path(&of_nurses) {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let reply = world.send(method.clone(), &path).await;
            assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(reply.problem(), "method-not-allowed");
        }
    }
}
