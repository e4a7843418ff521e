//! The endpoint from the outside: a real store, a real port, and a gRPC client that knows nothing but the messages.
//!
//! That the numbers in the messages are those of the protocol is for EventStoreDB's own clients to say; they are run
//! against a demo by `make eventstoredb-clients`.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be made fails there and then")]

mod access;
mod limits;
mod reads;
mod subscriptions;
mod walls;
mod world;
