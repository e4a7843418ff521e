//! A history to read: a real database, a clock that stands, and the router as it is served.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, Response, StatusCode, header},
};
use chrono::{DateTime, TimeDelta, Utc};
use guildhall_aggregates::{Clear, Personal, PersonalData, StoredEvent, SubjectId, TenantId, tenant_of_slug};
use guildhall_event_store::{
    Actor, Clock, DecidedCommand, EventStore, KeyEncryptionKey, Metadata, NewEvent, Receipt, StoreOptions, StreamId,
    Unit, UnitOutcome,
};
use guildhall_projections::{
    Delivery, Projector, Runner, STORE, directory::Directory, erp_journal::ErpJournal, reporting::Reporting,
};
use guildhall_read_api::{Arrived, Feed, FeedLimits, ReadLimits, ReadState};
use guildhall_sandbox::testing::TestDatabase;
use guildhall_web::{Limits, Role, TokenKeys, TokenRequest};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

/// Everybody's correlation in these tests, unless a test names another.
pub(crate) const CORRELATION: Uuid = Uuid::from_u128(0xC0);

pub(crate) struct World {
    pub(crate) store: EventStore,
    pub(crate) clock: Clock,
    pub(crate) router: Router,
    /// What tells the node's feeds to end.
    pub(crate) stop: CancellationToken,
    keys: TokenKeys,
    commands: AtomicU64,
    // Dropped last: the database goes with it.
    _database: TestDatabase,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// One header as text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The word of a problem.
    pub(crate) fn problem(&self) -> String {
        let urn = self.json()["type"].as_str().unwrap_or_default().to_owned();
        urn.strip_prefix("urn:guildhall:problem:").unwrap_or(&urn).to_owned()
    }
}

/// The associations of these tests.
pub(crate) fn nurses() -> TenantId {
    tenant_of_slug("nurses")
}
pub(crate) fn lawyers() -> TenantId {
    tenant_of_slug("lawyers")
}

/// When the clock of these tests stands at first: noon of 1 March 2026.
pub(crate) fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

impl World {
    /// A world whose reads wait as long as they have to.
    pub(crate) async fn new() -> Self {
        Self::with_patience(Duration::from_mins(1)).await
    }

    /// A world whose feeds have these limits.
    pub(crate) async fn with_feed(limits: FeedLimits) -> Self {
        Self::with(Duration::from_mins(1), limits, Limits::default()).await
    }

    /// A world whose requests may take so long.
    pub(crate) async fn with_request_timeout(request_timeout: Duration) -> Self {
        let limits = Limits { request_timeout, ..Limits::default() };
        Self::with(Duration::from_mins(1), FeedLimits::within(limits), limits).await
    }

    /// A world whose reads wait at most so long.
    pub(crate) async fn with_patience(max_wait: Duration) -> Self {
        Self::with(max_wait, FeedLimits::default(), Limits::default()).await
    }

    async fn with(max_wait: Duration, feed: FeedLimits, serving: Limits) -> Self {
        let database = TestDatabase::create().await;
        let clock = Clock::standing_at(noon());
        let options = StoreOptions::new(database.url(), KeyEncryptionKey::generate());
        let store = EventStore::open(options, clock.clone()).await.unwrap();
        let keys = TokenKeys::parse("c2l4dGVlbiByYW5kb20gYnl0ZXMgYW5kIHNpeHRlZW4=").unwrap();
        let limits = ReadLimits { max_wait };
        let stop = CancellationToken::new();
        let feed = Feed::new(feed, stop.clone());
        let (pool, arrived) = (store.pool().clone(), Arrived::default());
        let state = ReadState { store: store.clone(), pool, arrived, keys: keys.clone(), limits, feed };
        let (router, _) = guildhall_read_api::router(state).split_for_parts();
        let router = guildhall_web::serve(router, serving);
        Self { store, clock, router, stop, keys, commands: AtomicU64::new(0), _database: database }
    }

    /// Appends events to a stream, as one command of somebody at the front desk.
    pub(crate) async fn record<E: StoredEvent>(&self, tenant: TenantId, id: impl Into<Uuid>, events: &[E]) -> Receipt {
        self.record_for(CORRELATION, tenant, id, events).await
    }

    /// The same for another correlation.
    pub(crate) async fn record_for<E: StoredEvent>(
        &self,
        correlation_id: Uuid,
        tenant: TenantId,
        id: impl Into<Uuid>,
        events: &[E],
    ) -> Receipt {
        let stored = |event: &E| (event.type_name(), event.schema_version(), serde_json::to_vec(event).unwrap());
        let stream = StreamId::new(E::CATEGORY, id.into());
        self.append(correlation_id, tenant, stream, events.iter().map(stored).collect()).await
    }

    /// Appends what may be no event at all: types, schema versions and payloads.
    pub(crate) async fn append(
        &self,
        correlation_id: Uuid,
        tenant: TenantId,
        stream: StreamId,
        events: Vec<(&'static str, u16, Vec<u8>)>,
    ) -> Receipt {
        let nth = self.commands.fetch_add(1, Ordering::SeqCst) + 1;
        let metadata = Metadata {
            command: "SetUpATest".into(),
            actor: Actor::Caller("front-desk".into()),
            correlation_id,
            causation_id: None,
            traceparent: None,
        };
        let new = |(at, (type_name, schema_version, payload)): (usize, (&'static str, u16, Vec<u8>))| NewEvent {
            event_id: Uuid::from_u128(0xE000_0000 + u128::from(nth) * 0x100 + at as u128),
            type_name: type_name.into(),
            schema_version,
            payload: payload.into(),
        };
        let command = DecidedCommand {
            command_id: Uuid::from_u128(0xC000_0000 + u128::from(nth)),
            request_hash: [0; 32],
            metadata: serde_json::to_vec(&metadata).unwrap().into(),
            events: events.into_iter().enumerate().map(new).collect(),
            claims: Vec::new(),
        };
        let expected_version = self.store.read_stream(tenant, &stream, 0, 10_000).await.unwrap().len() as u64;
        let unit = Unit { tenant, stream, expected_version, commands: vec![command] };
        match self.store.append(unit).await.unwrap() {
            UnitOutcome::Appended(receipts) => receipts.into_iter().next().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Personal data, sealed.
    pub(crate) async fn seal<T: PersonalData>(
        &self,
        tenant: TenantId,
        subject: impl Into<SubjectId>,
        clear: T,
    ) -> Personal<T> {
        self.store.vault().seal(tenant, subject.into(), Uuid::from_u128(0x5EA1), &Clear(clear)).await.unwrap()
    }

    /// Brings every projection to the end of history.
    pub(crate) async fn project(&self) {
        self.project_one::<Directory>().await;
        self.project_one::<Reporting>().await;
        self.project_one::<ErpJournal>().await;
    }

    pub(crate) async fn project_one<P: Projector>(&self) {
        let mut runner = Runner::<P>::open(self.store.pool().clone(), self.store.clone());
        let mut at = runner.claim(STORE).await.unwrap().last_position;
        loop {
            let events = self.store.read_after(at, 1_000).await.unwrap();
            let Some(last) = events.last() else { return };
            at = last.position;
            let delivery = Delivery { source: STORE.into(), events, next_offset: 0, reached: at };
            runner.deliver(vec![delivery]).await.unwrap();
        }
    }

    /// A token of somebody of an association.
    pub(crate) fn token(&self, association: &str, roles: &[Role]) -> String {
        self.token_for(TimeDelta::hours(1), association, roles)
    }

    /// A token that holds so long.
    pub(crate) fn token_for(&self, lifetime: TimeDelta, association: &str, roles: &[Role]) -> String {
        #[expect(clippy::disallowed_methods, reason = "the machine's clock decides whether a token has expired")]
        let now = Utc::now();
        let roles: BTreeSet<_> = roles.iter().copied().collect();
        let request = TokenRequest { association: association.into(), subject: "front-desk".into(), roles, lifetime };
        self.keys.issue(&request, now).unwrap()
    }

    /// A read by somebody of the nurses who may do everything.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.get_as(&self.token("nurses", &Role::ALL), path, &[]).await
    }

    /// A read with a token and more headers.
    pub(crate) async fn get_as(&self, token: &str, path: &str, headers: &[(header::HeaderName, &str)]) -> Reply {
        let mut request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.answer(request.body(Body::empty()).unwrap()).await
    }

    /// Another method, by somebody of the nurses who may do everything.
    pub(crate) async fn send(&self, method: Method, path: &str) -> Reply {
        let token = self.token("nurses", &Role::ALL);
        let request =
            Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.answer(request.body(Body::empty()).unwrap()).await
    }

    /// What is answered to a request, with a body that may not have come yet.
    pub(crate) async fn respond(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn answer(&self, request: Request<Body>) -> Reply {
        let response = self.respond(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }
}
