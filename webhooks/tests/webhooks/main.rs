//! Webhooks from the outside: history is appended, a real server plays the partner, and time is moved by hand.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be made fails there and then")]

mod delivering;
mod failing;
mod managing;
mod nodes;
mod partner;
mod world;
