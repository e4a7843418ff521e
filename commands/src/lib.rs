//! The write side: requests become commands, aggregates decide them, and what they decide is recorded.
//!
//! * [`executor`] loads, decides and appends.
//! * [`endpoint`] is what one command's endpoint consists of. Each has a file, `<aggregate>/<command>.rs`, with
//!   the shape of its request and how that becomes a command. The folder's `mod.rs` lists them and maps the
//!   aggregate's refusals to problems.
//! * [`registry`] knows all commands by name; [`router`] serves them one by one, [`bulk`] by the stream.
//!
//! Whose data a command is about stands in the caller's token and nowhere else. This room does not know
//! Kafka, projections or the tables of history.

mod api;
mod association;
mod association_event;
pub mod bulk;
mod context;
pub mod endpoint;
mod event_roster;
pub mod executor;
mod invoice;
mod member;
mod membership;
mod membership_plan;
mod openapi;
mod payment;
mod problem;
mod receipt;
pub mod registry;
mod single;
pub mod wire;

pub use api::{CommandApi, CommandApiOptions, document, router};
pub use context::{Context, Ground, claim};
pub use endpoint::{Endpoint, Origin, Prepared, Refusal};
pub use executor::{ExecuteError, Executor, ExecutorOptions, Expected, Order};
pub use payment::payment_id;
