//! One member's membership of one plan: application, terms, renewals, end.
//! The boundary is one membership; each term is a fact of its own.

mod commands;
mod events;
mod status;

pub use commands::*;
pub use events::*;
pub use status::*;
