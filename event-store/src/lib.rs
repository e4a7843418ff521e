//! History: the only writer of events, and the only reader of them in order.
//!
//! Events are appended in units, each the work of one stream, many units to one transaction (group
//! commit). Positions are 1, 2, 3 … in commit order, versions in a stream are 1, 2, 3 …; a reader that has
//! seen position p never sees a new event at or below p. Personal data enters through the [`vault`] only.
//!
//! This room knows nothing about HTTP, Kafka or the rules of any aggregate.

pub mod clock;
pub mod record;
mod upcast;
pub mod unit;

pub use clock::Clock;
pub use record::{Actor, DecodeError, Metadata, RecordedEvent, StreamId};
pub use unit::{Claim, DecidedCommand, NewEvent, Receipt, ReceiptEvent, RecordedCommand, Unit, UnitOutcome};
