//! What an association decides: commands, events, state and refusals.
//!
//! Each folder is one aggregate and one stream category. Decisions are pure: they get the state and a
//! command and give events or a refusal. There is no I/O here, no clock and no randomness; time, new ids
//! and prices arrive as fields of the command.
//!
//! To add a command: a struct in the aggregate's `commands.rs`, a variant in its command enum, a decision
//! with tests beside it, a golden sample under `tests/stored/` for each new event, and an endpoint in
//! `commands/src/<aggregate>/`.

pub mod association;
pub mod association_event;
mod decide;
pub mod event_roster;
pub mod ids;
pub mod invoice;
pub mod invoice_series;
pub mod member;
pub mod membership;
pub mod membership_plan;
pub mod money;
pub mod payment;
pub mod personal;
pub mod schema;
pub mod source;
#[cfg(test)]
mod testing;

pub use decide::{CATEGORIES, Decide, Impossible, StoredEvent};
pub use ids::*;
pub use money::Money;
pub use personal::{Clear, Personal, PersonalData};
pub use source::SourceRef;
