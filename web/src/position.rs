//! The consistency token: how far history had come.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// A place in history, as clients pass it from a receipt to a read. They treat it as a word without
/// meaning; it is written `p-` and the position.
///
/// ```
/// use guildhall_web::Position;
/// let token: Position = "p-1042".parse().unwrap();
/// assert_eq!(token, Position(1042));
/// assert_eq!(token.to_string(), "p-1042");
/// assert!("1042".parse::<Position>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// A text that is no consistency token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a consistency token: pass on the `token` of a receipt, such as `p-1042`")]
pub struct NotAPosition;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p-{}", self.0)
    }
}

impl FromStr for Position {
    type Err = NotAPosition;
    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let digits = text.strip_prefix("p-").ok_or(NotAPosition)?;
        // `u64::from_str` also takes a plus sign; there is one way to write a token.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAPosition);
        }
        let position: u64 = digits.parse().map_err(|_| NotAPosition)?;
        // Positions are kept in signed 64 bits; a larger number is not one that was ever given out.
        if position > i64::MAX.unsigned_abs() { Err(NotAPosition) } else { Ok(Self(position)) }
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl PartialSchema for Position {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^p-[0-9]{1,19}$"))
            .description(Some("How far history had come: pass it to a read as `at_least` to see what you wrote."))
            .examples([serde_json::json!("p-1042")])
            .into()
    }
}

impl ToSchema for Position {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_out_is_a_token() {
        for bad in ["", "p-", "p-+1", "p--1", "P-1", "p-1 ", "p-9223372036854775808", "p-99999999999999999999"] {
            assert_eq!(bad.parse::<Position>(), Err(NotAPosition), "{bad:?}");
        }
    }
}
