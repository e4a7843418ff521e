//! Money received: what it counts against, what was given back.
//! The boundary is one payment of one provider.

mod commands;
mod events;

pub use commands::*;
pub use events::*;
