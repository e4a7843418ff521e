//! Where the next page of a list begins. Opaque to clients, and checked when it comes back.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::Error};
use serde_json::Value;

/// A longer cursor is none of ours.
const MAX_CHARS: usize = 2_048;

/// The last row of a page, as the next request sends it back. `K` is the list's key: what its rows are
/// ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor<K> {
    key: K,
}

/// A text that is no cursor of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list: pass on `next` as the last page gave it")]
pub(crate) struct NotACursor;

impl<K> Cursor<K> {
    /// The key of the last row that was given.
    pub(crate) fn into_key(self) -> K {
        self.key
    }
}

/// The cursor that stands behind a row with this key.
pub(crate) fn behind<K: Serialize>(key: &K) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).expect("a key is made of texts, numbers and dates"))
}

fn parse<K: DeserializeOwned>(text: &str) -> Result<K, NotACursor> {
    if text.len() > MAX_CHARS {
        return Err(NotACursor);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotACursor)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| NotACursor)?;
    if holds_nul(&value) {
        return Err(NotACursor);
    }
    serde_json::from_value(value).map_err(|_| NotACursor)
}

/// No row ever holds the character NUL, and Postgres does not take it as text.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(fields) => fields.values().any(holds_nul),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Cursor<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Ok(Self { key: parse(&text).map_err(D::Error::custom)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Key = (String, u32);

    #[test]
    fn a_cursor_comes_back_as_the_key_it_was_made_of() {
        let key: Key = ("Lovelace, Ada".into(), 7);
        assert_eq!(parse(&behind(&key)), Ok(key));
    }

    #[test]
    fn what_was_not_given_out_is_refused() {
        let of = |json: &str| URL_SAFE_NO_PAD.encode(json);
        for bad in ["", "%", "e30", &of("[\"a\"]"), &of("[\"a\", -1]"), &of("[\"\\u0000\", 1]"), &"A".repeat(4_096)] {
            assert_eq!(parse::<Key>(bad), Err(NotACursor), "{bad:?}");
        }
    }
}
