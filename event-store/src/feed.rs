//! What somebody who follows one association is given: its events in order, some categories of them or all.

use std::collections::BTreeSet;

use guildhall_aggregates::{CATEGORIES, TenantId};
use tokio_postgres::Client;

use crate::{RecordedEvent, StoreError, read};

/// How many events one statement reads: at least, and at most.
const READ: [usize; 2] = [100, 500];
/// How many statements make one page at most.
const MOST_READS: usize = 20;
/// From how many bytes of payloads on a page takes nothing more.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Which events somebody follows. Those of other applications' aggregates are not among them: what these hold of persons
/// cannot be forgotten, and so leaves the house by no feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedFilter {
    /// Whose events.
    pub tenant: TenantId,
    /// Of which categories.
    categories: BTreeSet<&'static str>,
}

/// A word that is no category.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no category; there are {}", CATEGORIES.join(", "))]
pub struct NotACategory {
    /// The word.
    pub word: String,
}

/// A run of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// The events, in order of position.
    pub events: Vec<RecordedEvent>,
    /// Nothing else that the filter lets through stands up to here: the position to go on after.
    pub seen: u64,
    /// How far history reached when the page was begun.
    pub head: u64,
}

impl FeedPage {
    /// Whether there may be more right now.
    pub fn has_more(&self) -> bool {
        self.seen < self.head
    }
}

impl FeedFilter {
    /// All events of an association.
    pub fn all(tenant: TenantId) -> Self {
        Self { tenant, categories: CATEGORIES.into() }
    }

    /// Events of some categories; of all where none is named.
    ///
    /// # Errors
    /// One of the words is no category.
    pub fn parse<'w>(tenant: TenantId, words: impl IntoIterator<Item = &'w str>) -> Result<Self, NotACategory> {
        let known = |word: &str| {
            let found = CATEGORIES.into_iter().find(|category| *category == word);
            found.ok_or_else(|| NotACategory { word: word.chars().take(64).collect() })
        };
        let categories: BTreeSet<_> = words.into_iter().map(known).collect::<Result<_, _>>()?;
        Ok(if categories.is_empty() { Self::all(tenant) } else { Self { tenant, categories } })
    }

    fn wants(&self, event: &RecordedEvent) -> bool {
        self.categories.contains(&*event.stream.category)
    }
}

/// The next page after a position. Everything up to `head` must be visible to statements that begin now.
pub(crate) async fn page(
    client: &Client,
    head: u64,
    filter: &FeedFilter,
    position: u64,
    limit: usize,
) -> Result<FeedPage, StoreError> {
    let [least, most] = READ;
    let window = limit.clamp(least, most);
    let mut page = FeedPage { events: Vec::new(), seen: position, head };
    let mut bytes = 0;
    for _ in 0..MOST_READS {
        let read = read::tenant_after(client, filter.tenant, page.seen, window).await?;
        let at_the_end = read.len() < window;
        for event in read {
            if filter.wants(&event) {
                if page.events.len() >= limit || bytes >= MOST_BYTES {
                    return Ok(page);
                }
                bytes += event.payload.len();
                page.seen = event.position;
                page.events.push(event);
            } else {
                page.seen = event.position;
            }
        }
        if at_the_end {
            page.seen = page.seen.max(head);
            return Ok(page);
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_filter_names_categories_of_ours_only() {
        let tenant = TenantId::new(Uuid::from_u128(1));
        let filter = FeedFilter::parse(tenant, ["member", "invoice", "member"]);
        assert_eq!(filter, Ok(FeedFilter { tenant, categories: ["member", "invoice"].into() }));
        assert_eq!(FeedFilter::parse(tenant, []), Ok(FeedFilter::all(tenant)));
        for word in ["", "members", "app_account", "Member", "member "] {
            assert_eq!(FeedFilter::parse(tenant, ["member", word]), Err(NotACategory { word: word.to_owned() }));
        }
    }
}
