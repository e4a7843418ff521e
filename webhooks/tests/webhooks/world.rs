//! A history, nodes that deliver from it, and somebody who manages endpoints.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use chrono::{DateTime, TimeDelta, Utc};
use guildhall_aggregates::{StoredEvent, TenantId, member::MemberEvent, tenant_of_slug};
use guildhall_event_store::{
    Actor, Clock, DecidedCommand, EventStore, KeyEncryptionKey, Metadata, NewEvent, StoreOptions, StreamId, Unit,
    UnitOutcome,
};
use guildhall_sandbox::testing::TestDatabase;
use guildhall_web::{Limits, Role, TokenKeys, TokenRequest};
use guildhall_webhooks::{WebhookApi, WebhookOptions, Webhooks};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

use crate::partner::Partner;

/// Long enough for a loaded machine; nobody waits for it in vain.
pub(crate) const LONG: Duration = Duration::from_mins(2);

pub(crate) struct World {
    pub(crate) store: EventStore,
    pub(crate) clock: Clock,
    kek: KeyEncryptionKey,
    keys: TokenKeys,
    router: Router,
    // Dropped last: the database goes with it.
    pub(crate) database: TestDatabase,
}

pub(crate) fn nurses() -> TenantId {
    tenant_of_slug("nurses")
}
pub(crate) fn lawyers() -> TenantId {
    tenant_of_slug("lawyers")
}

/// What nodes run with here: they look often, and give up soon.
pub(crate) fn options() -> WebhookOptions {
    WebhookOptions {
        allow_insecure: true,
        poll: Duration::from_millis(20),
        timeout: Duration::from_secs(10),
        lease: Duration::from_secs(30),
        ..WebhookOptions::default()
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(options()).await
    }

    pub(crate) async fn with(options: WebhookOptions) -> Self {
        let database = TestDatabase::create().await;
        let clock = Clock::standing_at("2026-03-01T12:00:00Z".parse().unwrap());
        let kek = KeyEncryptionKey::generate();
        let store = open(&database, &kek, &clock).await;
        let keys = TokenKeys::parse("c2l4dGVlbiByYW5kb20gYnl0ZXMgYW5kIHNpeHRlZW4=").unwrap();
        let webhooks = Webhooks::new(store.clone(), options).unwrap();
        let (router, _) = guildhall_webhooks::router(WebhookApi { webhooks, keys: keys.clone() }).split_for_parts();
        let router = guildhall_web::serve(router, Limits::default());
        Self { store, clock, kek, keys, router, database }
    }

    /// Records credentials of a member: one command, one event each.
    pub(crate) async fn credentials(&self, tenant: TenantId, member: u128, credentials: &[&str]) {
        let added = |credential: &&str| MemberEvent::CredentialAdded { credential: (*credential).into() };
        self.record(tenant, member, &credentials.iter().map(added).collect::<Vec<_>>()).await;
    }

    pub(crate) async fn record<E: StoredEvent>(&self, tenant: TenantId, id: u128, events: &[E]) {
        let stream = StreamId::new(E::CATEGORY, Uuid::from_u128(id));
        let metadata = Metadata {
            command: "SetUpATest".into(),
            actor: Actor::Caller("front-desk".into()),
            correlation_id: Uuid::from_u128(0xC0),
            causation_id: None,
            traceparent: None,
        };
        let new = |event: &E| NewEvent {
            event_id: Uuid::now_v7(),
            type_name: event.type_name().into(),
            schema_version: event.schema_version(),
            payload: serde_json::to_vec(event).unwrap().into(),
        };
        let command = DecidedCommand {
            command_id: Uuid::now_v7(),
            request_hash: [0; 32],
            metadata: serde_json::to_vec(&metadata).unwrap().into(),
            events: events.iter().map(new).collect(),
            claims: Vec::new(),
        };
        let expected_version = self.store.read_stream(tenant, &stream, 0, 10_000).await.unwrap().len() as u64;
        let outcome = self.store.append(Unit { tenant, stream, expected_version, commands: vec![command] }).await;
        assert!(matches!(outcome, Ok(UnitOutcome::Appended(_))), "{outcome:?}");
    }

    /// The ids of an association's events of a category, in order.
    pub(crate) async fn ids(&self, tenant: TenantId, category: &str) -> Vec<String> {
        let events = self.store.read_tenant_after(tenant, 0, 10_000).await.unwrap();
        let wanted = events.iter().filter(|event| &*event.stream.category == category);
        wanted.map(|event| event.event_id.to_string()).collect()
    }

    /// Another node on the same history, which delivers until it is stopped or killed.
    pub(crate) async fn deliver(&self, options: WebhookOptions) -> Node {
        let store = open(&self.database, &self.kek, &self.clock).await;
        let (webhooks, stop) = (Webhooks::new(store.clone(), options).unwrap(), CancellationToken::new());
        let (mut tasks, stopped) = (JoinSet::new(), stop.clone());
        tasks.spawn(async move { webhooks.run(stopped).await });
        Node { store, stop, tasks }
    }

    fn token(&self, association: &str, roles: &[Role]) -> String {
        #[expect(clippy::disallowed_methods, reason = "the machine's clock decides whether a token has expired")]
        let now = Utc::now();
        let request = TokenRequest {
            association: association.into(),
            subject: "front-desk".into(),
            roles: roles.iter().copied().collect::<BTreeSet<_>>(),
            lifetime: TimeDelta::hours(1),
        };
        self.keys.issue(&request, now).unwrap()
    }

    /// A request by somebody of the nurses who may manage endpoints.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        self.call_as("nurses", &[Role::Api], method, path, body).await
    }

    pub(crate) async fn call_as(
        &self,
        association: &str,
        roles: &[Role],
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let token = self.token(association, roles);
        let request =
            Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
        };
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() })
    }

    /// Makes an endpoint of the nurses at a partner, which gives its path and its secret.
    pub(crate) async fn endpoint(&self, partner: &Partner, more: Value) -> (String, String) {
        let mut body = json!({ "url": partner.url, "from": "beginning" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, made) = self.call(Method::POST, "/v1/webhooks", body).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let id = made["webhook"]["webhook_id"].as_str().unwrap();
        (format!("/v1/webhooks/{id}"), made["secret"].as_str().unwrap().to_owned())
    }

    /// The endpoint, once it is as somebody wants it.
    pub(crate) async fn once(&self, path: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let (status, endpoint) = self.call(Method::GET, path, Value::Null).await;
            assert_eq!(status, StatusCode::OK);
            if wanted(&endpoint) {
                return endpoint;
            }
            assert!(started.elapsed() < LONG, "it never became so: {endpoint}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The log of an endpoint, the first attempt first.
    pub(crate) async fn log(&self, path: &str) -> Vec<Value> {
        let (status, page) = self.call(Method::GET, &format!("{path}/deliveries?limit=200"), Value::Null).await;
        assert_eq!(status, StatusCode::OK);
        page["data"].as_array().unwrap().iter().rev().cloned().collect()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

async fn open(database: &TestDatabase, kek: &KeyEncryptionKey, clock: &Clock) -> EventStore {
    EventStore::open(StoreOptions::new(database.url(), kek.clone()), clock.clone()).await.unwrap()
}

/// A node that delivers.
pub(crate) struct Node {
    store: EventStore,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Node {
    /// Ends it in order.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.store.shutdown().await;
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}
