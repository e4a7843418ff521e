//! What can be bought as a membership.
//! The boundary is one plan; a price or rule change is a new version, and running terms keep theirs.

mod commands;
mod events;

pub use commands::*;
pub use events::*;
