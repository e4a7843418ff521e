//! The read side from the outside: history is appended, projected and read over HTTP, in process.

#[path = "read_api/audit.rs"]
mod audit;
#[path = "read_api/world.rs"]
mod world;
