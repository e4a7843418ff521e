//! One bill: lines, payments against it, credit notes.
//! The boundary is one invoice; once issued it never changes, corrections are credit notes.

mod commands;
mod events;

pub use commands::*;
pub use events::*;
