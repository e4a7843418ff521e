//! The shapes of requests that several commands share, and the values they are made of.
//!
//! They look like the types of `aggregates` they turn into, and are types of their own: here an unknown
//! field is refused and every text has a length, there a shape once stored is kept for ever.

mod billing;
mod calendar;
mod membership;
mod person;
mod plan;
mod registration;
mod roster;
mod text;

pub use billing::*;
pub use calendar::*;
pub use membership::*;
pub use person::*;
pub use plan::*;
pub use registration::*;
pub use roster::*;
pub use text::*;

use serde::{Deserialize, Deserializer, de::Error};

/// Reads a list of at most `MOST` things.
pub(crate) fn at_most<'de, const MOST: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    if list.len() > MOST { Err(D::Error::custom(format!("must have at most {MOST} items"))) } else { Ok(list) }
}
