//! A history, an endpoint that shows it, and a client.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use guildhall_aggregates::{TenantId, tenant_of_slug};
use guildhall_event_store::{
    Actor, Clock, DecidedCommand, EventStore, KeyEncryptionKey, Metadata, NewEvent, StoreOptions, StreamId, Unit,
    UnitOutcome,
};
use guildhall_eventstoredb::{
    Endpoint, EndpointError, Limits, Options, Tls,
    wire::{
        StreamName,
        read::{
            self, Amount, Choice, Content, Event, FilterOptions, FromAll, FromStream, Place, ReadRequest, ReadResponse,
            Revision, Source,
        },
    },
};
use guildhall_sandbox::testing::TestDatabase;
use guildhall_web::{Role, TokenKeys, TokenRequest};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status, Streaming, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;
use uuid::Uuid;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const READ: &str = "/event_store.client.streams.Streams/Read";

pub(crate) struct World {
    pub(crate) store: EventStore,
    pub(crate) keys: TokenKeys,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinSet<Result<(), EndpointError>>,
    // Dropped last: the database goes with it.
    _database: TestDatabase,
}

/// The associations of these tests.
pub(crate) const NURSES: &str = "nurses";
pub(crate) const LAWYERS: &str = "lawyers";

/// Pages of three, so that a few events are many pages.
pub(crate) fn small_pages() -> Limits {
    Limits { page_events: 3, look_again: Duration::from_millis(50), ..Limits::default() }
}

pub(crate) fn member(number: u128) -> StreamId {
    StreamId::new("member", Uuid::from_u128(number))
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(small_pages(), None).await
    }

    pub(crate) async fn with(limits: Limits, tls: Option<Tls>) -> Self {
        let database = TestDatabase::create().await;
        let clock = Clock::standing_at("2026-03-01T12:00:00Z".parse().unwrap());
        let options = StoreOptions::new(database.url(), KeyEncryptionKey::generate());
        let store = EventStore::open(options, clock).await.unwrap();
        let keys = TokenKeys::parse("c2l4dGVlbiByYW5kb20gYnl0ZXMgYW5kIHNpeHRlZW4=").unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoint = Endpoint::bind(Options { listen, tls, limits }, store.clone(), keys.clone()).await.unwrap();
        let (address, stop) = (endpoint.address(), CancellationToken::new());
        let mut serving = JoinSet::new();
        serving.spawn(endpoint.serve(stop.clone()));
        Self { store, keys, address, stop, serving, _database: database }
    }

    /// Appends events of these types to a stream, each with its type in the payload.
    pub(crate) async fn record(&self, association: &str, stream: &StreamId, types: &[&'static str]) -> u64 {
        let payloads = types.iter().map(|&type_name| (type_name, format!(r#"{{"type":"{type_name}"}}"#).into()));
        self.append(association, stream, payloads.collect()).await
    }

    /// Appends events as one command; says at which position the last one stands.
    pub(crate) async fn append(&self, association: &str, stream: &StreamId, events: Vec<(&'static str, Bytes)>) -> u64 {
        let tenant = tenant_of_slug(association);
        let metadata = Metadata {
            command: "SetUpATest".into(),
            actor: Actor::Caller("front-desk".into()),
            correlation_id: Uuid::from_u128(0xC0),
            causation_id: None,
            traceparent: None,
        };
        let new = |(type_name, payload): (&'static str, Bytes)| NewEvent {
            event_id: Uuid::now_v7(),
            type_name: type_name.into(),
            schema_version: 1,
            payload,
        };
        let command = DecidedCommand {
            command_id: Uuid::now_v7(),
            request_hash: [0; 32],
            metadata: serde_json::to_vec(&metadata).unwrap().into(),
            events: events.into_iter().map(new).collect(),
            claims: Vec::new(),
        };
        let expected_version = self.version(tenant, stream).await;
        let unit = Unit { tenant, stream: stream.clone(), expected_version, commands: vec![command] };
        match self.store.append(unit).await.unwrap() {
            UnitOutcome::Appended(receipts) => receipts[0].position,
            other => panic!("{other:?}"),
        }
    }

    async fn version(&self, tenant: TenantId, stream: &StreamId) -> u64 {
        self.store.read_stream_before(tenant, stream, u64::MAX, 1).await.unwrap().pop().map_or(0, |last| last.version)
    }

    pub(crate) fn token(&self, association: &str, role: Role) -> String {
        self.token_until(association, role, now() + TimeDelta::hours(1))
    }

    /// A token that stops holding at an instant, give or take the leeway that tokens have.
    pub(crate) fn token_until(&self, association: &str, role: Role, until: DateTime<Utc>) -> String {
        let request = TokenRequest {
            association: association.into(),
            subject: "auditor-1".into(),
            roles: [role].into(),
            lifetime: TimeDelta::hours(1),
        };
        self.keys.issue(&request, until - TimeDelta::hours(1)).unwrap()
    }

    /// An auditor's client.
    pub(crate) async fn auditor(&self, association: &str) -> Client {
        self.client(Some(format!("Bearer {}", self.token(association, Role::Auditor)))).await
    }

    pub(crate) async fn client(&self, authorization: Option<String>) -> Client {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap();
        Client { channel, authorization }
    }
}

#[expect(clippy::disallowed_methods, reason = "the machine's clock decides whether a token has expired")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A connection, and what it says of itself.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) channel: Channel,
    pub(crate) authorization: Option<String>,
}

/// An answer, message by message.
pub(crate) struct Answer(Streaming<ReadResponse>);

impl Client {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.parse().unwrap());
        }
        request
    }

    async fn grpc(&self) -> Grpc<Channel> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        grpc
    }

    pub(crate) async fn open(&self, options: read::Options) -> Result<Answer, Status> {
        let request = self.request(ReadRequest { options: Some(options) });
        let codec = ProstCodec::<ReadRequest, ReadResponse>::default();
        let answer = self.grpc().await.server_streaming(request, READ.parse().unwrap(), codec).await?;
        Ok(Answer(answer.into_inner()))
    }

    /// Everything that is answered.
    pub(crate) async fn read(&self, options: read::Options) -> Vec<Content> {
        let mut answer = self.open(options).await.unwrap();
        let mut all = Vec::new();
        while let Some(content) = answer.next().await.unwrap() {
            all.push(content);
        }
        all
    }

    /// The events that are answered.
    pub(crate) async fn events(&self, options: read::Options) -> Vec<Event> {
        self.read(options).await.into_iter().filter_map(event).collect()
    }

    /// A call with an empty question.
    pub(crate) async fn ask<T: prost::Message + Default + Send + Sync + 'static>(
        &self,
        path: &'static str,
    ) -> Result<T, Status> {
        let codec = ProstCodec::<(), T>::default();
        Ok(self.grpc().await.unary(self.request(()), path.parse().unwrap(), codec).await?.into_inner())
    }

    /// Why a read is refused.
    pub(crate) async fn refusal(&self, options: read::Options) -> Code {
        match self.open(options).await {
            Ok(_) => panic!("it was let in"),
            Err(status) => status.code(),
        }
    }
}

impl Answer {
    /// The next message; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Content>, Status> {
        let message = timeout(PATIENCE, self.0.message()).await.expect("an answer in time")?;
        Ok(message.map(|message| message.content.expect("a message says something")))
    }

    /// The next message, of a subscription that goes on.
    pub(crate) async fn content(&mut self) -> Content {
        self.next().await.unwrap().expect("a subscription has no end")
    }

    /// The next messages up to the one that says that all is sent.
    pub(crate) async fn until_caught_up(&mut self) -> Vec<Content> {
        let mut all = Vec::new();
        loop {
            let content = self.content().await;
            let caught_up = matches!(content, Content::CaughtUp(_));
            all.push(content);
            if caught_up {
                return all;
            }
        }
    }

    /// Why it ends.
    pub(crate) async fn end(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a reason"),
                Err(status) => return status,
            }
        }
    }
}

pub(crate) fn event(content: Content) -> Option<Event> {
    match content {
        Content::Event(read) => read.event,
        _ => None,
    }
}

/// What messages are, in a word each; of events, their type.
pub(crate) fn told(contents: &[Content]) -> Vec<String> {
    let word = |content: &Content| match content {
        Content::Event(read) => read.event.as_ref().unwrap().metadata["type"].clone(),
        Content::Confirmation(_) => "(confirmed)".into(),
        Content::Checkpoint(checkpoint) => format!("(checkpoint {})", checkpoint.commit_position),
        Content::StreamNotFound(_) => "(not found)".into(),
        Content::LastStreamPosition(revision) => format!("(ends at {revision})"),
        Content::CaughtUp(_) => "(caught up)".into(),
        Content::FellBehind(_) => "(fell behind)".into(),
    };
    contents.iter().map(word).collect()
}

pub(crate) fn name(stream: &StreamId) -> StreamName {
    StreamName { name: stream.to_string().into() }
}

/// A question about one stream, by its name.
pub(crate) fn of_name(name: StreamName, from: Revision) -> read::Options {
    let source = Source::Stream(FromStream { stream: Some(name), from: Some(from) });
    read::Options { source: Some(source), ..of_all(Place::Start(())) }
}

pub(crate) fn of_stream(stream: &StreamId, from: Revision) -> read::Options {
    of_name(name(stream), from)
}

pub(crate) fn of_all(from: Place) -> read::Options {
    read::Options {
        source: Some(Source::All(FromAll { from: Some(from) })),
        amount: Some(Amount::Count(u64::MAX)),
        choice: Some(Choice::NoFilter(())),
        ..read::Options::default()
    }
}

pub(crate) fn at(position: u64) -> Place {
    Place::At(read::Position { commit: position, prepare: position })
}

pub(crate) fn backwards(options: read::Options) -> read::Options {
    read::Options { direction: 1, ..options }
}

pub(crate) fn at_most(count: u64, options: read::Options) -> read::Options {
    read::Options { amount: Some(Amount::Count(count)), ..options }
}

pub(crate) fn following(options: read::Options) -> read::Options {
    read::Options { amount: Some(Amount::Subscription(())), ..options }
}

pub(crate) fn filtered(filter: FilterOptions, options: read::Options) -> read::Options {
    read::Options { choice: Some(Choice::Filter(filter)), ..options }
}
