//! What members attend: its title, its time, its place.
//! The boundary is one association event; places are decided in its roster.

mod commands;
mod events;

pub use commands::*;
pub use events::*;
