//! Pages of history, and waiting for more of it.

use std::time::Duration;

use guildhall_event_store::{Batch, EventStore, RecordedEvent, StoreError, VaultError};
use tokio::{
    sync::{Mutex, Semaphore, watch},
    time::timeout,
};
use tonic::Status;

use crate::{
    access::Access,
    asked::{From, What},
    limits::Limits,
};

/// The store, as far as auditors may have it.
pub(crate) struct History {
    store: EventStore,
    limits: Limits,
    queries: Semaphore,
    /// How far history reaches, as far as anybody here knows.
    head: watch::Sender<u64>,
    /// Whoever holds this looks for all who wait: a hundred subscriptions cost one query, not a hundred.
    looking: Mutex<()>,
}

/// Beyond every position and version there will ever be.
const END: u64 = i64::MAX.unsigned_abs();

/// How far a reader has come, as the store counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// What comes after this version or position is next.
    After(u64),
    /// What comes before it is next.
    Before(u64),
}

impl Cursor {
    /// Where a read forwards begins. A revision is a version less one; the place that is named is included.
    pub(crate) fn forwards(what: &What, from: From) -> Self {
        let after = match (what, from) {
            (_, From::Start) => 0,
            (_, From::End) => END,
            (What::Stream { .. }, From::At(revision)) => revision,
            (What::All, From::At(position)) => position.saturating_sub(1),
        };
        Self::After(after.min(END))
    }

    /// Where a read backwards begins. The revision that is named is included. A position is not: in the order of all
    /// events, a place is where an event begins.
    pub(crate) fn backwards(what: &What, from: From) -> Self {
        let before = match (what, from) {
            (_, From::End) => END,
            (What::Stream { .. }, From::Start) => 2,
            (What::Stream { .. }, From::At(revision)) => revision.saturating_add(2),
            (What::All, From::Start) => 0,
            (What::All, From::At(position)) => position,
        };
        Self::Before(before.min(END))
    }

    /// Where a subscription begins: after the place that is named, for there the client was when it left. For one that
    /// begins at the end, that is the last event there is.
    pub(crate) fn subscription(what: &What, from: From, last: Option<&RecordedEvent>) -> Self {
        let after = match (what, from) {
            (_, From::Start) => 0,
            (_, From::End) => last.map_or(0, |last| place_in(what, last)),
            (What::Stream { .. }, From::At(revision)) => revision.saturating_add(1),
            (What::All, From::At(position)) => position,
        };
        Self::After(after.min(END))
    }

    /// The place where one who has seen this event goes on.
    pub(crate) fn passed(self, what: &What, event: &RecordedEvent) -> Self {
        match self {
            Self::After(_) => Self::After(place_in(what, event)),
            Self::Before(_) => Self::Before(place_in(what, event)),
        }
    }
}

/// An event's place, as the store counts it.
fn place_in(what: &What, event: &RecordedEvent) -> u64 {
    match what {
        What::Stream { .. } => event.version,
        What::All => event.position,
    }
}

impl History {
    pub(crate) fn new(store: EventStore, limits: Limits) -> Self {
        Self {
            store,
            limits,
            queries: Semaphore::new(limits.queries),
            head: watch::Sender::new(0),
            looking: Mutex::new(()),
        }
    }

    /// The next events of the caller's association, at most a page.
    pub(crate) async fn page(
        &self,
        access: &Access,
        what: &What,
        cursor: Cursor,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Status> {
        let tenant = access.caller.tenant;
        let _turn = self.queries.acquire().await;
        let found = match (what, cursor) {
            (What::All, Cursor::After(position)) => self.store.read_tenant_after(tenant, position, limit).await,
            (What::All, Cursor::Before(position)) => self.store.read_tenant_before(tenant, position, limit).await,
            (What::Stream { stream: Some(stream), .. }, Cursor::After(version)) => {
                self.store.read_stream(tenant, stream, version, limit).await
            }
            (What::Stream { stream: Some(stream), .. }, Cursor::Before(version)) => {
                self.store.read_stream_before(tenant, stream, version, limit).await
            }
            (What::Stream { stream: None, .. }, _) => Ok(Vec::new()),
        };
        found.map_err(|error| of_store(&error))
    }

    /// The last event of what is read, if there is one.
    pub(crate) async fn last(&self, access: &Access, what: &What) -> Result<Option<RecordedEvent>, Status> {
        Ok(self.page(access, what, Cursor::Before(END), 1).await?.pop())
    }

    /// Events together with the keys of the people in them.
    pub(crate) async fn with_keys(&self, events: Vec<RecordedEvent>) -> Result<Batch, Status> {
        let _turn = self.queries.acquire().await;
        self.store.batch_of(events).await.map_err(|error| of_store(&error))
    }

    /// How many events a reader gets at a time.
    pub(crate) fn page_events(&self) -> usize {
        self.limits.page_events
    }

    /// Waits until something is recorded after `position`, by anybody, and says how far history reaches then. Comes back
    /// after a while also where nothing is, so that the waiting one can see whether it should go on.
    pub(crate) async fn wait_past(&self, position: u64) -> Result<u64, Status> {
        let mut head = self.head.subscribe();
        let waiting = async {
            loop {
                let known = *head.borrow_and_update();
                if known > position {
                    return Ok(known);
                }
                tokio::select! {
                    // The sender is part of `self`, so a change is all that can come.
                    _ = head.changed() => {}
                    _looking = self.looking.lock() => self.look(known).await?,
                }
            }
        };
        timeout(self.limits.look_again, waiting).await.unwrap_or(Ok(position))
    }

    async fn look(&self, known: u64) -> Result<(), Status> {
        let reached = self.store.wait_past(known, self.limits.look_again).await.map_err(|error| of_store(&error))?;
        self.head.send_if_modified(|head| {
            let further = reached > *head;
            *head = reached.max(*head);
            further
        });
        Ok(())
    }
}

/// How long a subscription lets new events gather before it fetches them.
pub(crate) const GATHER: Duration = Duration::from_millis(20);

/// What a client is told of trouble with the store. The rest is logged, once, here.
pub(crate) fn of_store(error: &StoreError) -> Status {
    tracing::warn!(%error, "history could not be read for an auditor");
    match error {
        StoreError::Unavailable { .. } | StoreError::Overloaded { .. } => {
            Status::unavailable("history is not available right now; try again")
        }
        StoreError::Archived { first, last } => Status::failed_precondition(format!(
            "positions {first} to {last} are archived; whoever runs this system can bring them back"
        )),
        _ => Status::internal("history could not be read; the server's log says why"),
    }
}

/// What a client is told of trouble with personal data.
pub(crate) fn of_vault(error: &VaultError) -> Status {
    tracing::warn!(%error, "personal data could not be opened for an auditor");
    match error {
        VaultError::Unavailable(_) => Status::unavailable("personal data is not available right now; try again"),
        _ => Status::internal("personal data could not be opened; the server's log says why"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> What {
        What::Stream { name: "".into(), stream: None }
    }

    #[test]
    fn revisions_count_from_0_and_versions_from_1() {
        assert_eq!(Cursor::forwards(&stream(), From::At(0)), Cursor::After(0));
        assert_eq!(Cursor::forwards(&stream(), From::At(4)), Cursor::After(4));
        assert_eq!(Cursor::backwards(&stream(), From::At(4)), Cursor::Before(6));
        assert_eq!(Cursor::backwards(&stream(), From::Start), Cursor::Before(2));
        assert_eq!(Cursor::backwards(&stream(), From::At(u64::MAX)), Cursor::Before(END));
        assert_eq!(Cursor::forwards(&stream(), From::At(u64::MAX)), Cursor::After(END));
    }

    #[test]
    fn a_position_is_included_forwards_and_not_backwards() {
        assert_eq!(Cursor::forwards(&What::All, From::At(7)), Cursor::After(6));
        assert_eq!(Cursor::forwards(&What::All, From::At(0)), Cursor::After(0));
        assert_eq!(Cursor::backwards(&What::All, From::At(7)), Cursor::Before(7));
        assert_eq!(Cursor::backwards(&What::All, From::Start), Cursor::Before(0));
        assert_eq!(Cursor::subscription(&What::All, From::At(7), None), Cursor::After(7));
    }
}
