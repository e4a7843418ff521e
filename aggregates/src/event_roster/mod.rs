//! Who has a place at one association event, and who waits for one.
//! The boundary is one event, because capacity is decided here.

mod commands;
mod events;

pub use commands::*;
pub use events::*;
