//! What may be asked, and what a question nobody can answer gets.

use axum::http::{StatusCode, header};
use guildhall_web::Role;

use crate::{
    story,
    world::{World, nurses},
};

#[tokio::test]
async fn a_question_that_cannot_be_read_is_a_problem_that_says_why() {
    let world = World::new().await;
    for (path, word) in [
        ("/v1/directory?limit=0", "invalid-query"),
        ("/v1/directory?limit=201", "invalid-query"),
        ("/v1/directory?limit=%2B5", "invalid-query"),
        ("/v1/directory?searchh=ada", "invalid-query"),
        ("/v1/directory?search=", "invalid-query"),
        ("/v1/directory?search=a%00b", "invalid-query"),
        ("/v1/directory?city=%00", "invalid-query"),
        ("/v1/directory?status=alive", "invalid-query"),
        ("/v1/directory?organization=acme", "invalid-query"),
        ("/v1/directory?after=00000000-0000-0000-0000-00000000dead", "invalid-query"),
        ("/v1/directory?at_least=7", "invalid-query"),
        ("/v1/directory?at_least=p-99999999999999999999", "invalid-query"),
        ("/v1/directory?format=hledger", "invalid-query"),
        ("/v1/directory?format=xml", "invalid-query"),
        ("/v1/directory?seen_by=me", "invalid-query"),
        ("/v1/directory?limit=1&limit=2", "invalid-query"),
        ("/v1/reports/memberships?on=2026-02-30", "invalid-query"),
        ("/v1/reports/memberships?on=-0001-01-01", "invalid-query"),
        ("/v1/reports/memberships?on=%2B99999-01-01", "invalid-query"),
        ("/v1/reports/revenue?from=2026-01-01", "invalid-query"),
        ("/v1/reports/revenue?from=2026-02-01&to=2026-01-01", "invalid-query"),
        ("/v1/journal?after=bm8", "invalid-query"),
        // A cursor that nobody gave out: ["+99999-01-01", …].
        (
            "/v1/journal?after=WyIrOTk5OTktMDEtMDEiLCIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDAiXQ",
            "invalid-query",
        ),
        ("/v1/records?after=-1", "invalid-query"),
        ("/v1/records?after=9223372036854775808", "invalid-query"),
        ("/v1/records?correlation_id=7", "invalid-query"),
        ("/v1/feed?limit=0", "invalid-query"),
        ("/v1/feed?limit=1001", "invalid-query"),
        ("/v1/feed?wait=31", "invalid-query"),
        ("/v1/feed?wait=%2B1", "invalid-query"),
        ("/v1/feed?category=", "invalid-query"),
        ("/v1/feed?category=members", "invalid-query"),
        ("/v1/feed?category=member,app_account", "invalid-query"),
        ("/v1/feed?after=p-1", "invalid-query"),
        // Beyond the end: no answer ever gave that place.
        ("/v1/feed?after=1&wait=30", "invalid-query"),
        ("/v1/members/ada", "invalid-path"),
        ("/v1/members/%00", "invalid-path"),
        ("/v1/members/%FF", "invalid-path"),
        ("/v1/streams/member", "invalid-path"),
        ("/v1/streams/Member-0198c0de-0000-7000-8000-000000000001", "invalid-path"),
        ("/v1/commands/1", "invalid-path"),
    ] {
        let reply = world.get(path).await;
        assert_eq!((reply.status, reply.problem()), (StatusCode::BAD_REQUEST, word.into()), "{path}: {}", reply.body);
        assert_eq!(reply.header("content-type"), "application/problem+json", "{path}");
    }
}

#[tokio::test]
async fn odd_questions_are_answered_all_the_same() {
    let world = World::new().await;
    story::tell(&world, nurses(), "nurses", "Nightingale").await;
    world.project().await;
    for path in [
        "/v1/directory?search=%25",
        "/v1/directory?search=%FF%FE",
        "/v1/directory?search=%27%3B+DROP+TABLE+x%3B--",
        "/v1/directory?search=%5C",
        "/v1/directory?search=%F0%9F%A6%80%E2%80%8F%CC%81",
        "/v1/directory?city=%EF%BF%BF",
        "/v1/directory?plan=%22",
        "/v1/reports/memberships?on=0001-01-01",
        "/v1/reports/memberships?on=9999-12-31",
        "/v1/reports/invoice-ageing?on=9999-12-31",
        "/v1/reports/revenue?from=0001-01-01&to=9999-12-31",
        "/v1/journal?from=9999-12-31&to=0001-01-01",
        "/v1/records?after=9223372036854775807",
        &format!("/v1/streams/member-{}?after=9223372036854775807", story::ada()),
        &format!("/v1/events/{}/roster?after=9223372036854775807", story::congress()),
    ] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
    }
}

#[tokio::test]
async fn an_answer_in_no_acceptable_shape_is_a_problem() {
    let world = World::new().await;
    let token = world.token("nurses", &Role::ALL);
    let reply = world.get_as(&token, "/v1/directory", &[(header::ACCEPT, "text/html")]).await;
    assert_eq!((reply.status, reply.problem()), (StatusCode::NOT_ACCEPTABLE, "not-acceptable".into()));
    let reply = world.get_as(&token, "/v1/directory", &[(header::ACCEPT, "text/csv")]).await;
    assert!(reply.header("content-type").starts_with("text/csv"));
}

#[tokio::test]
async fn every_operation_documents_what_it_may_answer() {
    let document = guildhall_read_api::document();
    for (path, item) in &document.paths.paths {
        let operation = item.get.as_ref().unwrap_or_else(|| panic!("{path} is no read"));
        for status in ["200", "304", "400", "401", "403", "405", "406", "500", "503", "504"] {
            assert!(operation.responses.responses.contains_key(status), "{path} does not document {status}");
        }
        let names_one = path.contains('{');
        assert_eq!(operation.responses.responses.contains_key("404"), names_one, "{path} and 404");
        assert!(operation.summary.is_some() && operation.security.is_some(), "{path}");
    }
    serde_json::to_string(&document).unwrap();
}
