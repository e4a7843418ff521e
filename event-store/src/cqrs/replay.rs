//! Events one after another, for a `QueryReplay`: as many as are asked for, and never all of them in memory.

use cqrs_es::persist::{PersistenceError, ReplayFeed, ReplayStream};

use super::{
    CqrsError, CqrsStore, ForeignAggregate,
    foreign::{kept, kept_of, serialized},
    store::PAGE,
};

/// Events read ahead of whoever replays them.
const AHEAD: usize = 200;

impl CqrsStore {
    /// The events of one aggregate, in order.
    pub(super) fn replay_one(&self, aggregate: ForeignAggregate) -> ReplayStream {
        let (mut feed, stream) = ReplayStream::new(AHEAD);
        let store = self.clone();
        self.replays.spawn(async move {
            let outcome = store.feed_one(&aggregate, &mut feed).await;
            tell(outcome, feed).await;
        });
        stream
    }

    /// The events of all aggregates of a category up to now, in the order of history.
    pub(super) fn replay_all(&self, category: String) -> ReplayStream {
        let (mut feed, stream) = ReplayStream::new(AHEAD);
        let store = self.clone();
        self.replays.spawn(async move {
            let outcome = store.feed_all(&category, &mut feed).await;
            tell(outcome, feed).await;
        });
        stream
    }

    async fn feed_one(&self, aggregate: &ForeignAggregate, feed: &mut ReplayFeed) -> Result<(), CqrsError> {
        let mut version = 0;
        loop {
            let page = self.store.read_stream(self.tenant, &aggregate.stream, version, PAGE).await?;
            for event in &page {
                let next = serialized(event, &kept_of(event, &aggregate.aggregate_id)?)?;
                if feed.push(Ok(next)).await.is_err() {
                    return Ok(());
                }
                version = event.version;
            }
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Reads the association's whole history, for there is no index by category: replaying is rare.
    async fn feed_all(&self, category: &str, feed: &mut ReplayFeed) -> Result<(), CqrsError> {
        let end = self.store.head().await?;
        let mut position = 0;
        while position < end {
            let page = self.store.read_tenant_after(self.tenant, position, PAGE).await?;
            let Some(last) = page.last() else { break };
            position = last.position;
            for event in page.iter().filter(|event| &*event.stream.category == category && event.position <= end) {
                if feed.push(Ok(serialized(event, &kept(event)?)?)).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Ends a replay; one that failed says so at its end, so that nobody takes it for complete.
async fn tell(outcome: Result<(), CqrsError>, mut feed: ReplayFeed) {
    if let Err(error) = outcome {
        // Whoever has stopped listening does not need to know.
        let _ = feed.push(Err(PersistenceError::from(error))).await;
    }
}
