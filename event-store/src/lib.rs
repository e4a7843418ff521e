//! History: the only writer of events, and the only reader of them in order.
//!
//! Events are appended in units, each the work of one stream, many units to one transaction (group
//! commit). Positions are 1, 2, 3 … in commit order, versions in a stream are 1, 2, 3 …; a reader that has
//! seen position p never sees a new event at or below p. Personal data enters through the [`vault`] only.
//!
//! This room knows nothing about HTTP, Kafka or the rules of any aggregate.
//!
//! The door is [`EventStore`]; everything else is what it takes and gives. The order of history is made in one place, the
//! function `es.append` in `migrations/es/`, and nothing else inserts an event.
//!
//! ```no_run
//! use guildhall_aggregates::tenant_of_slug;
//! use guildhall_event_store::{Clock, EventStore, KeyEncryptionKey, StoreOptions};
//!
//! # async fn read_all() -> Result<(), Box<dyn std::error::Error>> {
//! let key = KeyEncryptionKey::parse(&std::env::var("KEY_ENCRYPTION_KEY")?)?;
//! let store = EventStore::open(StoreOptions::new("postgresql:///guildhall", key), Clock::system()).await?;
//! let nurses = tenant_of_slug("nurses");
//! let mut position = 0;
//! while let page = store.read_tenant_after(nurses, position, 1_000).await?
//!     && let Some(last) = page.last()
//! {
//!     position = last.position;
//!     page.iter().for_each(|event| println!("{} {} {}", event.position, event.stream, event.type_name));
//! }
//! store.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod archive;
mod arrivals;
mod batch;
pub mod clock;
mod cloud_event;
pub mod cqrs;
mod error;
mod eviction;
mod feed;
mod head;
mod integrity;
mod line;
mod load;
mod options;
pub mod partitions;
mod read;
mod read_backwards;
pub mod record;
mod reveal;
mod selection;
mod snapshot;
mod store;
pub mod unit;
mod upcast;
pub mod vault;
pub mod verify;
mod writer;

pub use batch::Batch;
pub use clock::Clock;
pub use cloud_event::CloudEvent;
pub use error::{LoadError, StoreError};
pub use feed::{FeedFilter, FeedPage, NotACategory};
pub use load::Loaded;
pub use options::{MAX_EVENT_BYTES, MAX_METADATA_BYTES, MAX_PAGE, StoreOptions};
pub use record::{Actor, DecodeError, Metadata, RecordedEvent, StreamId};
pub use selection::{MAX_RANGE, Selection, Share};
pub use store::EventStore;
pub use unit::{Claim, DecidedCommand, NewEvent, Receipt, ReceiptEvent, RecordedCommand, Unit, UnitOutcome};
pub use vault::{KeyEncryptionKey, Vault, VaultError};
pub use verify::{VerifyOptions, VerifyReport};
