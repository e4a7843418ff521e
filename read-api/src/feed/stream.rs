//! The feed as server-sent events.

use std::{
    collections::VecDeque,
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    http::{HeaderName, HeaderValue},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures::stream;
use guildhall_event_store::{CloudEvent, FeedFilter, FeedPage, StoreError};
use guildhall_web::{Problem, problem::kind};

use super::{beyond, crowded, places::Place};
use crate::{ReadState, answer::Asked, parameters::Count, problems::of_store};

/// How many events are read at once: they wait in memory until the client takes them.
const READ: usize = 100;
/// After which time a client that was cut off connects again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Opens a stream after `Last-Event-ID`, or after a position where that is not sent.
pub(super) async fn open(
    read: ReadState,
    asked: &Asked,
    filter: FeedFilter,
    after: Count,
) -> Result<Response, Problem> {
    let after = asked.header("last-event-id").map_or(Ok(after), last_event_id)?.0;
    let place = read.feed.streams.take(filter.tenant).ok_or_else(|| crowded("streams"))?;
    // The first page is read before the answer begins: what goes wrong now has a status.
    let first = read.store.feed_after(&filter, after, READ).await.map_err(of_store)?;
    if after > first.head {
        return Err(beyond(after, first.head));
    }
    let mut following = Following {
        ends: Instant::now() + read.feed.limits.stream_lifetime,
        token: asked.token().to_owned(),
        read,
        filter,
        seen: after,
        caught_up: false,
        ready: VecDeque::from([Event::default().retry(RECONNECT)]),
        _place: place,
    };
    following.take(&first);
    let events = stream::unfold(following, async |mut following| {
        let event = following.next().await?;
        Some((Ok::<_, Infallible>(event), following))
    });
    let mut response = Sse::new(Box::pin(events)).into_response();
    // Proxies that collect an answer before they pass it on would keep the events.
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(value: &HeaderValue) -> Result<Count, Problem> {
    let parsed = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let refused = || Problem::new(kind::INVALID_HEADER, "`Last-Event-ID` is the `id` of an event of this stream.");
    parsed.ok_or_else(refused)
}

/// Somebody who follows.
struct Following {
    read: ReadState,
    token: String,
    filter: FeedFilter,
    /// Everything for the filter up to here was said, or waits to be.
    seen: u64,
    caught_up: bool,
    ready: VecDeque<Event>,
    ends: Instant,
    _place: Place,
}

impl Following {
    /// The next event; none when the stream ends. What goes wrong ends it: the client connects again and is told then.
    async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            if self.caught_up {
                let feed = &self.read.feed;
                let left = self.ends.saturating_duration_since(Instant::now()).min(feed.limits.heartbeat);
                let waited = self.read.store.wait_for(self.filter.tenant, self.seen, left);
                feed.shutdown.run_until_cancelled(waited).await.transpose().map_err(given_up).ok()?;
            }
            let over = Instant::now() >= self.ends || self.read.feed.shutdown.is_cancelled();
            if over || self.read.keys.verify(&self.token).is_err() {
                return None;
            }
            let page = self.read.store.feed_after(&self.filter, self.seen, READ).await.map_err(given_up).ok()?;
            self.take(&page);
        }
        self.ready.pop_front()
    }

    /// Makes a page ready. Where it reaches further than its last event, an `id` alone says so: no event to the client, but
    /// the place at which it goes on, and a sign of life.
    fn take(&mut self, page: &FeedPage) {
        self.ready.extend(page.events.iter().map(sent));
        if page.events.last().is_none_or(|last| last.position < page.seen) {
            self.ready.push_back(Event::default().id(page.seen.to_string()));
        }
        (self.seen, self.caught_up) = (page.seen, !page.has_more());
    }
}

fn sent(event: &guildhall_event_store::RecordedEvent) -> Event {
    let text = serde_json::to_string(&CloudEvent::from(event)).expect("texts and JSON can be written as JSON");
    Event::default().id(event.position.to_string()).event(event.cloud_type()).data(text)
}

fn given_up(error: StoreError) {
    tracing::warn!(%error, "a stream of events ends");
}
