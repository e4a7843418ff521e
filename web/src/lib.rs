//! What both HTTP sides share: who calls, what a request is called, what an error looks like, how much is
//! too much.
//!
//! * [`Problem`] is the only shape an error has (RFC 9457). Its `type` is a stable word.
//! * [`Caller`] is who sent a request, taken from a signed bearer token. It holds the association: no path,
//!   query or body says whose data is meant, so there is nothing to get wrong.
//! * [`serve`] puts the layers around a router that every answer passes: request ids, limits, metrics,
//!   and problems for what no route answers.
//!
//! This room knows no business and no other room but the ids of `aggregates`.

pub mod etag;
pub mod identity;
pub mod json;
pub mod limits;
mod path;
pub mod position;
pub mod problem;
pub mod query;
pub mod request;
mod serve;

pub use identity::{Caller, Role, TokenKeys, TokenRequest};
pub use json::{body_bytes, from_json};
pub use limits::Limits;
pub use path::Named;
pub use position::Position;
pub use problem::{FieldError, Kind, Problem};
pub use query::Query;
pub use request::Request;
pub use serve::serve;
