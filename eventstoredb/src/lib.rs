//! History for auditors who work with EventStoreDB's tools: a read-only endpoint that speaks its gRPC protocol.
//!
//! A client of EventStoreDB connects with a token of an auditor as its password and finds one association's history: a
//! stream is named `member-<uuid>`, its revisions count from 0, and `$all` holds the association's events in the
//! order of all history. Reads go forwards and backwards, subscriptions go on with what is recorded later.
//!
//! * [`Endpoint`] is the door: it listens, and serves until it is told to stop.
//! * `connections` lets so many clients in, and `calls` tells one call from another; what changes anything is refused.
//! * `access` is who calls: no call is answered without a token, and none goes on after the token has expired.
//! * `asked` turns a request into what can be read, or says what is wrong with it.
//! * `reading` answers what has an end, `following` what has none; `history` gets the pages for both.
//! * [`wire`] holds the messages.
//!
//! What it may not do: append, decide, or show anybody an event of another association. A stream of another
//! association is to this room what a stream is that never was.
//!
//! To answer one more method, describe its messages in `wire` and add it to `calls`.

mod access;
mod asked;
mod calls;
mod connections;
mod endpoint;
mod filter;
mod following;
mod history;
mod limits;
mod reading;
mod record;
pub mod wire;

pub use endpoint::{Endpoint, EndpointError, Options, Tls};
pub use limits::Limits;
