//! History as `cqrs-es` wants an event store to be: any of its aggregates runs here, unchanged.
//!
//! [`CqrsStore`] is a handle on one association's history. It is a [`cqrs_es::EventStore`], for
//! `CqrsFramework::new`, and a [`cqrs_es::persist::PersistedEventRepository`], for a `PersistedEventStore` or a
//! `QueryReplay`. What such an aggregate records stands in the same history as everything else: in one order, hashed,
//! and visible to auditors. How the words of `cqrs-es` become ours:
//!
//! | theirs | ours |
//! |---|---|
//! | `Aggregate::TYPE` | the stream's category, by the rule of [`Categories`]; it always begins with `app_` |
//! | aggregate id, any text | the stream's id: the id itself if it is a UUID in its usual spelling, else a UUID that follows from it; the text is kept, and compared when read |
//! | sequence, from 1 | version, from 1 |
//! | `event_version`, any text | schema version: the number it begins with if that is 1 to 32,767, else 1; the text is kept |
//! | metadata | kept whole, under `cqrs_es` in the command's metadata |
//! | one commit | one unit, all or nothing: at most 512 events and 1 MiB |
//!
//! Some keys of a command's metadata mean something here, too. `command_id` (or, where there is none, `idempotency_key`)
//! names the command: one that was recorded under the same name before is not recorded again. `correlation_id`, a UUID,
//! says what it belongs to.
//!
//! Personal data is stored as the aggregate wrote it: only what goes through the [`vault`](crate::vault) can be forgotten.
//!
//! ```no_run
//! # use cqrs_es::{CqrsFramework, doc::{MyAggregate, MyCommands, MyService}};
//! use guildhall_aggregates::tenant_of_slug;
//! use guildhall_event_store::{EventStore, cqrs::CqrsStore};
//!
//! # async fn run(store: EventStore, command: MyCommands) -> Result<(), Box<dyn std::error::Error>> {
//! let framework = CqrsFramework::<MyAggregate, _>::new(
//!     CqrsStore::new(store, tenant_of_slug("nurses")),
//!     vec![],
//!     MyService,
//! );
//! framework.execute("account-7", command).await?;
//! # Ok(())
//! # }
//! ```

mod category;
mod commit;
mod foreign;
mod replay;
mod repository;
mod store;

use std::{fmt, sync::Arc};

use cqrs_es::persist::{EventUpcaster, PersistenceError};
use guildhall_aggregates::TenantId;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use self::{
    category::{Categories, CategoryError, is_foreign},
    commit::request_hashes,
    foreign::{ForeignAggregate, ForeignEvent},
    store::Context,
};
use crate::{Actor, DecodeError, EventStore, StoreError, StreamId};

/// One association's history, for aggregates of `cqrs-es`. Cheap to clone.
#[derive(Clone)]
pub struct CqrsStore {
    store: EventStore,
    tenant: TenantId,
    actor: Actor,
    categories: Categories,
    upcasters: Arc<[Box<dyn EventUpcaster>]>,
    replays: TaskTracker,
}

impl fmt::Debug for CqrsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CqrsStore").field("tenant", &self.tenant).field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl CqrsStore {
    /// The history of an association. What is recorded says that the process `cqrs-es` did it.
    pub fn new(store: EventStore, tenant: TenantId) -> Self {
        let actor = Actor::Process("cqrs-es".to_owned());
        let (categories, upcasters) = (Categories::default(), Arc::from([]));
        Self { store, tenant, actor, categories, upcasters, replays: TaskTracker::new() }
    }

    /// The same, with another name for who records.
    #[must_use]
    pub fn acting_as(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// The same, with categories named by hand for some aggregates.
    #[must_use]
    pub fn with_categories(self, categories: Categories) -> Self {
        Self { categories, ..self }
    }

    /// The same, reading old events of one aggregate as today's: upcasters in the order they apply. A
    /// `PersistedEventStore` has upcasters of its own; one with snapshots needs them here, too, because the snapshots are
    /// made here.
    #[must_use]
    pub fn with_upcasters(self, upcasters: Vec<Box<dyn EventUpcaster>>) -> Self {
        Self { upcasters: upcasters.into(), ..self }
    }

    fn aggregate(&self, aggregate_type: &str, aggregate_id: &str) -> Result<ForeignAggregate, CategoryError> {
        ForeignAggregate::new(self.tenant, &self.categories, aggregate_type, aggregate_id)
    }
}

/// Why an aggregate of `cqrs-es` could not be read or recorded. Its users see it inside the errors of `cqrs-es`.
#[derive(Debug, thiserror::Error)]
pub enum CqrsError {
    /// The aggregate's type is no name for a category.
    #[error(transparent)]
    Category(#[from] CategoryError),
    /// History could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream is at another version than the one decided on.
    #[error("the stream is at version {actual} by now")]
    Conflict {
        /// The version it is at.
        actual: u64,
    },
    /// A command of this name was recorded before, and has had its effect.
    #[error("command {command_id} was recorded before, for {stream}; nothing was recorded now")]
    AlreadyRecorded {
        /// The command.
        command_id: Uuid,
        /// The stream it was recorded for.
        stream: StreamId,
    },
    /// Two texts name one stream.
    #[error(
        "{stream} is the stream of {found:?}, not of {asked:?}; an aggregate is read by the id it was recorded under"
    )]
    OtherAggregate {
        /// The stream.
        stream: StreamId,
        /// The id that was given now.
        asked: String,
        /// The id that the stream was recorded under.
        found: String,
    },
    /// Events that were handed over do not follow one another.
    #[error("the events of one commit are not numbered one after another")]
    OutOfSequence,
    /// A stored event is none of `cqrs-es`, or not of this aggregate.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// An event, a state or metadata is no JSON of the expected shape.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl From<CqrsError> for PersistenceError {
    fn from(error: CqrsError) -> Self {
        match error {
            CqrsError::Conflict { .. } => Self::OptimisticLockError,
            CqrsError::Store(ref store) if store.is_passing() => Self::ConnectionError(Box::new(error)),
            CqrsError::Unreadable(_) | CqrsError::Json(_) => Self::DeserializationError(Box::new(error)),
            _ => Self::UnknownError(Box::new(error)),
        }
    }
}

/// A version as `cqrs-es` counts.
fn sequence(version: u64) -> usize {
    usize::try_from(version).unwrap_or(usize::MAX)
}
