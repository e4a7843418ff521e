//! The read side from the outside: history is appended, projected and read over HTTP, in process.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be made fails there and then")]

#[path = "read_api/audit.rs"]
mod audit;
#[path = "read_api/directory.rs"]
mod directory;
#[path = "read_api/feed.rs"]
mod feed;
#[path = "read_api/figures.rs"]
mod figures;
#[path = "read_api/freshness.rs"]
mod freshness;
#[path = "read_api/questions.rs"]
mod questions;
#[path = "read_api/story.rs"]
mod story;
#[path = "read_api/walls.rs"]
mod walls;
#[path = "read_api/world.rs"]
mod world;
