//! The calls this endpoint answers, and what it says to the others.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use futures::{Stream, stream};
use guildhall_event_store::{Clock, EventStore};
use guildhall_web::TokenKeys;
use http::{Uri, header, uri::Authority};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, body::Body, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn;
use uuid::Uuid;

use crate::{
    access::Access,
    asked::{Asked, Wanted},
    following::Following,
    history::History,
    limits::{Limits, Places},
    reading::Reading,
    record::ticks,
    wire::{
        self,
        features::{SupportedMethod, SupportedMethods},
        gossip::{ClusterInfo, EndPoint, LEADER, Member},
        read::{ReadRequest, ReadResponse},
    },
};

/// The server version whose behaviour clients find here: the first that says when a subscription has caught up.
const SERVER_VERSION: &str = "23.10.0";
/// No request of ours comes near it.
const REQUEST_BYTES: usize = 64 * 1024;

const READ: &str = "/event_store.client.streams.Streams/Read";
const FEATURES: &str = "/event_store.client.server_features.ServerFeatures/GetSupportedMethods";
const GOSSIP: &str = "/event_store.client.gossip.Gossip/Read";
const STREAMS: &str = "/event_store.client.streams.Streams/";

/// The messages of an answer, as they are ready.
type Messages = Pin<Box<dyn Stream<Item = Result<ReadResponse, Status>> + Send>>;

/// What answers calls. One for all connections.
pub(crate) struct Calls {
    history: Arc<History>,
    keys: TokenKeys,
    clock: Clock,
    limits: Limits,
    places: Arc<Places>,
    stop: CancellationToken,
    node: Uuid,
}

impl Calls {
    pub(crate) fn new(store: EventStore, keys: TokenKeys, limits: Limits, stop: CancellationToken) -> Arc<Self> {
        let clock = store.clock().clone();
        let history = Arc::new(History::new(store, limits));
        Arc::new(Self { history, keys, clock, limits, places: Places::new(limits), stop, node: Uuid::now_v7() })
    }

    /// Answers one call. Errors travel inside of the answer.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Infallible> {
        let patience = self.limits.call_timeout;
        let answered = tokio::time::timeout(patience, self.dispatch(request)).await;
        Ok(answered.unwrap_or_else(|_| Status::deadline_exceeded("the request did not arrive in time").into_http()))
    }

    async fn dispatch(self: Arc<Self>, request: http::Request<Body>) -> http::Response<Body> {
        match request.uri().path() {
            READ => {
                let read = service_fn(move |request: Request<ReadRequest>| {
                    let calls = Arc::clone(&self);
                    async move { counted("read", calls.read(request)) }
                });
                grpc::<ReadResponse, ReadRequest>().server_streaming(read, request).await
            }
            // Clients ask these two before they send a token. The answers say nothing about anybody.
            FEATURES => {
                let features = service_fn(async |_: Request<()>| counted("features", Ok(supported_methods())));
                grpc::<SupportedMethods, ()>().unary(features, request).await
            }
            GOSSIP => {
                let called = authority(&request).unwrap_or_default();
                let members = self.members(&called);
                let gossip = service_fn(move |_: Request<()>| {
                    let members = members.clone();
                    async move { counted("gossip", Ok(members)) }
                });
                grpc::<ClusterInfo, ()>().unary(gossip, request).await
            }
            other => refused(other).into_http(),
        }
    }

    fn read(&self, request: Request<ReadRequest>) -> Result<Messages, Status> {
        let access = Access::of(request.metadata(), &self.keys)?;
        let asked = Asked::parse(request.into_inner())?;
        let place = self.places.take(access.caller.tenant)?;
        if access.opens {
            let (caller, association) = (&access.caller.subject, &access.caller.association);
            tracing::info!(%caller, %association, what = ?asked.what, "personal data is opened for an auditor");
        }
        let (history, stop) = (Arc::clone(&self.history), self.stop.clone());
        if asked.amount == Wanted::Subscription {
            let following = Following::new(history, access, asked, place, self.clock.clone(), stop);
            return Ok(Box::pin(stream::try_unfold(following, async |mut following| {
                Ok(Some((following.next().await?, following)))
            })));
        }
        let reading = Reading::new(history, access, asked, place, stop);
        Ok(Box::pin(stream::try_unfold(reading, async |mut reading| {
            Ok(reading.next().await?.map(|message| (message, reading)))
        })))
    }

    /// One node, which leads, at the address by which the client called it.
    fn members(&self, called: &Uri) -> ClusterInfo {
        let end_point = EndPoint {
            host: called.host().unwrap_or_default().to_owned(),
            port: u32::from(called.port_u16().unwrap_or(2113)),
        };
        let member = Member {
            instance_id: Some(wire::Uuid::text(self.node)),
            time_stamp: ticks(self.clock.now()),
            state: LEADER,
            is_alive: true,
            end_point: Some(end_point),
        };
        ClusterInfo { members: vec![member] }
    }
}

fn grpc<Answer, Question>() -> Grpc<ProstCodec<Answer, Question>>
where
    Answer: prost::Message + Send + 'static,
    Question: prost::Message + Default + Send + 'static,
{
    Grpc::new(ProstCodec::default()).max_decoding_message_size(REQUEST_BYTES)
}

fn supported_methods() -> SupportedMethods {
    let methods = [READ, FEATURES, GOSSIP].iter().filter_map(|path| {
        let (service, method) = path.trim_start_matches('/').split_once('/')?;
        Some(SupportedMethod { method: method.to_lowercase(), service: service.to_lowercase() })
    });
    SupportedMethods { methods: methods.collect(), server_version: SERVER_VERSION.to_owned() }
}

/// What a call is told that is not answered. Clients take the one as "not for you" and the other as "not here".
fn refused(path: &str) -> Status {
    let status = if path.starts_with(STREAMS) {
        Status::permission_denied("history is read here and not changed; commands go to the HTTP API")
    } else {
        Status::unimplemented("this endpoint reads streams and `$all`; it answers no other call")
    };
    count("other", status.code());
    status
}

/// By what name and port the client called.
fn authority(request: &http::Request<Body>) -> Option<Uri> {
    let named = request.uri().authority().map(Authority::as_str);
    let named = named.or_else(|| request.headers().get(header::HOST)?.to_str().ok());
    named?.parse().ok()
}

fn counted<T>(call: &'static str, outcome: Result<T, Status>) -> Result<Response<T>, Status> {
    count(call, outcome.as_ref().map_or_else(Status::code, |_| Code::Ok));
    outcome.map(Response::new)
}

fn count(call: &'static str, code: Code) {
    metrics::counter!("eventstoredb_calls_total", "call" => call, "code" => format!("{code:?}")).increment(1);
}
