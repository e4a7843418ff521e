//! One write side on a fresh database, and words to talk to it.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use chrono::{DateTime, TimeDelta, Utc};
use guildhall_aggregates::{TenantId, tenant_of_slug};
use guildhall_commands::{CommandApi, CommandApiOptions, Executor, ExecutorOptions, router};
use guildhall_event_store::{Clock, EventStore, KeyEncryptionKey, StoreOptions};
use guildhall_sandbox::testing::TestDatabase;
use guildhall_web::{Limits, Role, TokenKeys, TokenRequest, serve};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

const SECRET: &str = "c2l4dGVlbiByYW5kb20gYnl0ZXMgYW5kIHNpeHRlZW4=";

pub(crate) struct WriteSide {
    database: TestDatabase,
    kek: KeyEncryptionKey,
    keys: TokenKeys,
    pub(crate) clock: Clock,
    pub(crate) store: EventStore,
    pub(crate) executor: Executor,
    pub(crate) router: Router,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// The problem's word.
    pub(crate) fn word(&self) -> &str {
        let urn = self.body["type"].as_str().unwrap_or_else(|| panic!("a problem was expected: {self:?}"));
        urn.strip_prefix("urn:guildhall:problem:").expect("problems are URNs")
    }

    /// The body without what differs from run to run.
    pub(crate) fn shown(&self) -> String {
        let mut body = self.body.clone();
        hide(&mut body);
        format!("{}\n{}", self.status, serde_json::to_string_pretty(&body).expect("JSON can be written"))
    }

    /// The events of a receipt, by name.
    pub(crate) fn recorded(&self) -> Vec<&str> {
        let events = self.body["events"].as_array().unwrap_or_else(|| panic!("a receipt was expected: {self:?}"));
        events.iter().filter_map(|event| event["type"].as_str()).collect()
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == "event_id" || name == "instance" {
                    *field = json!("…");
                }
                hide(field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

pub(crate) fn start_of_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("the instant exists")
}

impl WriteSide {
    /// A write side without any association.
    pub(crate) async fn empty() -> Self {
        let database = TestDatabase::create().await;
        let (kek, clock) = (KeyEncryptionKey::generate(), Clock::standing_at(start_of_time()));
        let keys = TokenKeys::parse(SECRET).expect("the secret is long enough");
        let store = open(StoreOptions::new(database.url(), kek.clone()), &clock).await;
        let executor = Executor::new(store.clone(), ExecutorOptions::default());
        let router = routes(&executor, &keys);
        Self { database, kek, keys, clock, store, executor, router }
    }

    /// A write side with the association `founders`.
    pub(crate) async fn start() -> Self {
        let side = Self::empty().await;
        side.found("founders").await;
        side
    }

    /// Another node over the same database.
    pub(crate) async fn another_node(&self) -> (EventStore, Executor, Router) {
        self.node_with(StoreOptions::new(self.database.url(), self.kek.clone())).await
    }

    /// Another node that lets only so many units wait.
    pub(crate) async fn small_node(&self, queue_units: usize) -> (EventStore, Executor, Router) {
        let options = StoreOptions::new(self.database.url(), self.kek.clone());
        self.node_with(StoreOptions { queue_units, ..options }).await
    }

    /// A connection of its own to the database.
    pub(crate) fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// What nodes of this database wrap keys with.
    pub(crate) fn key(&self) -> &KeyEncryptionKey {
        &self.kek
    }

    /// The routes over another executor.
    pub(crate) fn routes(&self, executor: &Executor) -> Router {
        routes(executor, &self.keys)
    }

    async fn node_with(&self, options: StoreOptions) -> (EventStore, Executor, Router) {
        let store = open(options, &self.clock).await;
        let executor = Executor::new(store.clone(), ExecutorOptions::default());
        let router = routes(&executor, &self.keys);
        (store, executor, router)
    }

    pub(crate) async fn found(&self, slug: &str) {
        let body =
            json!({"name": "Society of Bell Founders", "slug": slug, "time_zone": "Europe/Berlin", "currency": "EUR"});
        let reply = self.send_as(slug, "FoundAssociation", "found", body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    }

    pub(crate) fn token(&self, slug: &str, roles: &[Role]) -> String {
        let request = TokenRequest {
            association: slug.into(),
            subject: "front-desk".into(),
            roles: roles.iter().copied().collect(),
            lifetime: TimeDelta::hours(1),
        };
        self.keys.issue(&request, machine_now()).expect("the request is well formed")
    }

    /// Sends a command of the association `founders`.
    pub(crate) async fn send(&self, command: &str, key: &str, body: Value) -> Reply {
        self.send_as("founders", command, key, body).await
    }

    pub(crate) async fn send_as(&self, slug: &str, command: &str, key: &str, body: Value) -> Reply {
        let request = self.request(slug, command, key).body(Body::from(body.to_string()));
        answer(&self.router, request.expect("the request is well formed")).await
    }

    pub(crate) fn request(&self, slug: &str, command: &str, key: &str) -> axum::http::request::Builder {
        Request::post(format!("/v1/commands/{command}"))
            .header("authorization", format!("Bearer {}", self.token(slug, &[Role::Api])))
            .header("content-type", "application/json")
            .header("idempotency-key", key)
    }

    /// Sends lines in bulk and gives the outcomes.
    pub(crate) async fn bulk(&self, lines: &[String]) -> Vec<Value> {
        self.bulk_at(&self.router, lines).await
    }

    pub(crate) async fn bulk_at(&self, router: &Router, lines: &[String]) -> Vec<Value> {
        let request = Request::post("/v1/commands")
            .header("authorization", format!("Bearer {}", self.token("founders", &[Role::Api])))
            .header("content-type", "application/x-ndjson")
            .header("x-request-id", Uuid::from_u128(99).to_string())
            .body(Body::from(lines.join("\n")));
        let response = router.clone().oneshot(request.expect("the request is well formed")).await;
        let response = response.expect("a router always answers");
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.expect("the body is whole").to_bytes();
        let outcomes = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        outcomes.map(|line| serde_json::from_slice(line).expect("an outcome is JSON")).collect()
    }

    /// Registers a member and gives their id.
    pub(crate) async fn member(&self, n: u128) -> Uuid {
        let reply = self.send("RegisterMember", &format!("member-{n}"), member(n)).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        Uuid::from_u128(n)
    }

    /// Creates a plan that costs 100.00 a year, and gives its id.
    pub(crate) async fn plan(&self, n: u128) -> Uuid {
        let reply = self.send("CreatePlan", &format!("plan-{n}"), plan(n)).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        Uuid::from_u128(n)
    }

    /// Everything an association has on record, in the clear of its payloads.
    pub(crate) async fn history(&self, tenant: TenantId) -> Vec<guildhall_event_store::RecordedEvent> {
        self.store.read_tenant_after(tenant, 0, 10_000).await.expect("history can be read")
    }
}

pub(crate) fn founders() -> TenantId {
    tenant_of_slug("founders")
}

pub(crate) fn member(n: u128) -> Value {
    json!({"member_id": Uuid::from_u128(n), "kind": "person", "name": {"display": format!("Member {n}")}})
}

pub(crate) fn plan(n: u128) -> Value {
    json!({
        "plan_id": Uuid::from_u128(n),
        "code": format!("plan-{n}"),
        "terms": {"name": "Professional", "fee": {"minor": 10_000, "currency": "EUR"}, "duration_unit": "year"},
    })
}

pub(crate) async fn answer(router: &Router, request: Request<Body>) -> Reply {
    let response = router.clone().oneshot(request).await.expect("a router always answers");
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().collect().await.expect("the body is whole").to_bytes();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("every body is JSON") };
    Reply { status, headers, body }
}

async fn open(options: StoreOptions, clock: &Clock) -> EventStore {
    EventStore::open(options, clock.clone()).await.expect("the store opens on a migrated database")
}

fn routes(executor: &Executor, keys: &TokenKeys) -> Router {
    let (executor, keys) = (executor.clone(), keys.clone());
    let api = CommandApi { executor, keys, options: CommandApiOptions::default() };
    serve(router(api).split_for_parts().0, Limits::default())
}

#[expect(clippy::disallowed_methods, reason = "the machine's clock decides whether a token holds")]
fn machine_now() -> DateTime<Utc> {
    Utc::now()
}
