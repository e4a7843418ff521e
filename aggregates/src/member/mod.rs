//! One person, organization or household an association knows.
//! The boundary is one member: what they are called, how they are reached, what others may see.

mod commands;
mod events;

pub use commands::*;
pub use events::*;
