//! A page of the feed, at once or as soon as there is something for it.

use std::time::Instant;

use axum::response::Response;
use guildhall_event_store::{FeedFilter, FeedPage};
use guildhall_web::{Position, Problem};

use super::{FeedBody, FeedQuery, beyond, crowded};
use crate::{
    ReadState,
    answer::{Asked, Early, Mark},
    format::Format,
    problems::of_store,
};

/// Answers with a page. What is in it may have to be forgotten, so nobody keeps it.
pub(super) async fn answer(
    read: &ReadState,
    asked: &Asked,
    filter: &FeedFilter,
    query: &FeedQuery,
) -> Result<Response, Early> {
    let page = next(read, filter, query).await?;
    let mark = Mark::of_history(Position(page.seen));
    asked.passing_answer(Format::Json, mark).json(&FeedBody::from(&page))
}

/// The next page. Whoever waits for it holds no connection.
async fn next(read: &ReadState, filter: &FeedFilter, query: &FeedQuery) -> Result<FeedPage, Problem> {
    let after = async |position| read.store.feed_after(filter, position, query.limit.rows()).await.map_err(of_store);
    let mut page = after(query.after.0).await?;
    if query.after.0 > page.head {
        return Err(beyond(query.after.0, page.head));
    }
    if !page.events.is_empty() || query.wait.0.is_zero() {
        return Ok(page);
    }
    let feed = &read.feed;
    let _place = feed.waiting.take(filter.tenant).ok_or_else(|| crowded("waiting requests"))?;
    let deadline = Instant::now() + query.wait.0.min(feed.limits.longest_wait);
    while page.events.is_empty() && Instant::now() < deadline && !feed.shutdown.is_cancelled() {
        if !page.has_more() {
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = read.store.wait_for(filter.tenant, page.seen, left);
            feed.shutdown.run_until_cancelled(waited).await.transpose().map_err(of_store)?;
        }
        page = after(page.seen).await?;
    }
    Ok(page)
}
