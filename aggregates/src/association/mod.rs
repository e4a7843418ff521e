//! What an association says of itself: its name, its zone, its currency, its rules.
//! The boundary is one association, which is also the tenant.

mod commands;
mod events;

pub use commands::*;
pub use events::*;
