//! The feed: an association's events in order and without a hole, for partners who follow without Kafka.
//!
//! One path, three ways to ask: a page, a page that waits until there is something for it, and a stream of server-sent
//! events. All three say up to where the caller has seen everything that was asked for, also where nothing was: so who
//! follows a few categories moves on past the others.

mod body;
mod page;
mod places;
mod stream;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use guildhall_aggregates::TenantId;
use guildhall_event_store::FeedFilter;
use guildhall_web::{Limits, Problem, Query, Role, problem::kind};
use serde::{Deserialize, Deserializer};
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ReadState,
    answer::{Asked, Early},
    format::Format,
    parameters::{Count, Limit, plain_digits},
    problems::AnyRead,
};
use body::FeedBody;
use places::Places;

pub(crate) const TAG: &str = "feed";

pub(crate) fn routes() -> OpenApiRouter<ReadState> {
    OpenApiRouter::new().routes(routes!(feed))
}

/// What a page that has waited needs to be read and written.
const TO_ANSWER: Duration = Duration::from_secs(2);

/// How many may wait for events at a time, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedLimits {
    /// How long a page waits at most. Less than a request may take in all.
    pub longest_wait: Duration,
    /// How many pages wait at a time: on this node, and of one association.
    pub waiting: [usize; 2],
    /// How many streams there are at a time: on this node, and of one association.
    pub streams: [usize; 2],
    /// How long a stream says nothing at most.
    pub heartbeat: Duration,
    /// How long a stream lasts at most; then the client connects again.
    pub stream_lifetime: Duration,
}

impl Default for FeedLimits {
    /// 28 seconds; 1,024 waiting, 64 of one association; 256 streams, 16 of one association, 15 minutes each, with a sign
    /// of life every 10 seconds.
    fn default() -> Self {
        Self {
            longest_wait: Duration::from_secs(28),
            waiting: [1_024, 64],
            streams: [256, 16],
            heartbeat: Duration::from_secs(10),
            stream_lifetime: Duration::from_mins(15),
        }
    }
}

impl FeedLimits {
    /// The usual limits on a server with these: a page that waits is answered before its request is given up, and those
    /// who wait leave most places to those who do not.
    pub fn within(server: Limits) -> Self {
        let longest_wait = Duration::from_secs(30).min(server.request_timeout.saturating_sub(TO_ANSWER));
        let waiting = Self::default().waiting.map(|most| most.min(server.concurrent_requests.div_ceil(4)));
        Self { longest_wait, waiting, ..Self::default() }
    }
}

/// Who waits for events on this node. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    limits: FeedLimits,
    waiting: Arc<Places>,
    streams: Arc<Places>,
    shutdown: CancellationToken,
}

impl Feed {
    /// Nobody waits yet. Whoever will is sent home when `shutdown` says so.
    pub fn new(limits: FeedLimits, shutdown: CancellationToken) -> Self {
        let [waiting, streams] = [limits.waiting, limits.streams].map(|most| Arc::new(Places::new(most)));
        Self { limits, waiting, streams, shutdown }
    }
}

/// No place is left.
fn crowded(what: &str) -> Problem {
    let detail = format!("As many {what} are open as may be; come back shortly, or ask without waiting.");
    Problem::new(kind::OVERLOADED, detail).retry_after(Duration::from_secs(5))
}

/// What a caller who names a place beyond the end of history is told: it was never given out by this one.
fn beyond(after: u64, head: u64) -> Problem {
    let detail = format!(
        "You ask for what comes after {after}, and history ends at {head}. No answer of this history gave that place: \
         was the server restored from an older backup?"
    );
    Problem::new(kind::INVALID_QUERY, detail)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedQuery {
    /// Only events after this position: the `next` of the answer before. A stream takes `Last-Event-ID` instead, where
    /// that is sent.
    #[serde(default)]
    #[param(value_type = Option<u64>, minimum = 0)]
    after: Count,
    /// Only events of these categories, separated by commas. All where not given.
    #[serde(default)]
    #[param(value_type = Option<String>, pattern = "^[a-z_]+(,[a-z_]+)*$", example = "member,membership")]
    category: Categories,
    /// How many events at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1_000, default = 50)]
    limit: Limit<1_000>,
    /// How many seconds to wait at most where there is nothing yet. A second or two less than a request may take in all.
    #[serde(default)]
    #[param(value_type = Option<u8>, minimum = 0, maximum = 30, default = 0)]
    wait: Seconds,
}

impl FeedQuery {
    fn filter(&self, tenant: TenantId) -> Result<FeedFilter, Problem> {
        FeedFilter::parse(tenant, self.category.0.iter().map(String::as_str))
            .map_err(|error| Problem::new(kind::INVALID_QUERY, format!("The parameter `category`: {error}.")))
    }
}

/// Words between commas.
#[derive(Debug, Default)]
struct Categories(BTreeSet<String>);

impl<'de> Deserialize<'de> for Categories {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(text.split(',').map(str::to_owned).collect()))
    }
}

/// A time to wait: 0 to 30 seconds.
#[derive(Debug, Default, Clone, Copy)]
struct Seconds(Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let seconds = plain_digits(&text).and_then(|text| text.parse().ok()).filter(|seconds| *seconds <= 30);
        let refused = || serde::de::Error::custom("`wait` is a whole number of seconds from 0 to 30");
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or_else(refused)
    }
}

/// The events of the association, to be followed
///
/// Every event after a position, in order and without a hole, in the JSON format of `CloudEvents` 1.0. Go on with `next`,
/// also after an empty page: everything you asked for up to there, you have. With `wait` an answer comes as soon as there
/// is something for it. With `Accept: text/event-stream` the answer is a stream of server-sent events: `id` is the
/// position, `event` the type, `data` the event; an `id` alone says that nothing else stands up to there. A stream ends
/// after a quarter of an hour or with its token; connect again with `Last-Event-ID`. Personal data is sealed. Needs the
/// scope `api` or `auditor`.
#[utoipa::path(
    get,
    path = "/v1/feed",
    tag = TAG,
    params(
        FeedQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "Where a stream goes on: the `id` that came last", pattern = "^[0-9]{1,19}$")
    ),
    responses((status = OK, content((FeedBody<'_> = "application/json"), (String = "text/event-stream"))), AnyRead),
)]
pub(crate) async fn feed(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<FeedQuery>,
) -> Result<Response, Early> {
    asked.caller.require(&[Role::Api, Role::Auditor])?;
    let filter = query.filter(asked.caller.tenant)?;
    match asked.shape(None, &[Format::Json, Format::EventStream])? {
        Format::EventStream => Ok(stream::open(read, &asked, filter, query.after).await?),
        _ => page::answer(&read, &asked, &filter, &query).await,
    }
}
