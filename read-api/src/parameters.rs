//! What query parameters are made of: checked values, so that a handler never sees a bad one.

use std::{borrow::Cow, str::FromStr};

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// How many rows a page has: 1 to 200, where a path does not allow more; 50 unless asked otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit<const LARGEST: u16 = 200>(u16);

impl<const LARGEST: u16> Limit<LARGEST> {
    /// As the number of rows to ask for.
    pub(crate) fn rows(self) -> usize {
        usize::from(self.0)
    }

    /// One more: whether there is another page shows in the row that is too many.
    pub(crate) fn and_one(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl<const LARGEST: u16> Default for Limit<LARGEST> {
    fn default() -> Self {
        Self(50)
    }
}

impl<const LARGEST: u16> FromStr for Limit<LARGEST> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match plain_digits(text).and_then(|text| text.parse().ok()) {
            Some(rows) if (1..=LARGEST).contains(&rows) => Ok(Self(rows)),
            _ => Err(format!("`limit` is a whole number from 1 to {LARGEST}")),
        }
    }
}

/// A day of the calendar, `2026-01-31`; years 0 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(pub(crate) NaiveDate);

impl Day {
    /// The first day there is.
    pub(crate) const FIRST: Self = Self(NaiveDate::from_ymd_opt(0, 1, 1).expect("1 January 0 is a day"));
    /// The last one.
    pub(crate) const LAST: Self = Self(NaiveDate::from_ymd_opt(9999, 12, 31).expect("31 December 9999 is a day"));
}

impl FromStr for Day {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10
            && bytes
                .iter()
                .enumerate()
                .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() });
        let day = shaped.then(|| text.parse().ok()).flatten();
        day.map(Self).ok_or_else(|| "a day of the calendar is written like 2026-01-31".to_owned())
    }
}

/// Words to look for: 1 to 200 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words(String);

impl Words {
    const LONGEST: usize = 200;

    /// The words.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Words {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=Self::LONGEST).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("a text to look for has 1 to {} characters and no control characters", Self::LONGEST))
    }
}

/// A number that is written with digits alone: `u64::from_str` takes a plus sign as well.
pub(crate) fn plain_digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// A whole number from 0 on that fits what positions and versions are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count(pub(crate) u64);

impl FromStr for Count {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        plain_digits(text)
            .and_then(|text| text.parse::<i64>().ok())
            .map(|number| Self(number.unsigned_abs()))
            .ok_or_else(|| "a version or position is a whole number from 0 on".to_owned())
    }
}

pub(crate) fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(deserializer: D) -> Result<T, D::Error> {
    <Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

impl<'de, const LARGEST: u16> Deserialize<'de> for Limit<LARGEST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}
impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}
impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}
impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// A day stands in cursors, too.
impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_one_to_two_hundred_rows() {
        assert_eq!("200".parse::<Limit>(), Ok(Limit(200)));
        for bad in ["0", "201", "-1", "+1", "1.0", "", "many"] {
            assert!(bad.parse::<Limit>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_day_is_written_in_one_way() {
        assert_eq!("2026-02-28".parse(), Ok(Day(NaiveDate::from_ymd_opt(2026, 2, 28).unwrap())));
        for bad in ["2026-02-29", "2026-2-28", "+2026-2-28", "26-02-28", "2026-02-28T00:00", "today", "０026-02-28"] {
            assert!(bad.parse::<Day>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn words_to_look_for_hold_no_control_characters() {
        assert_eq!("Ada".parse(), Ok(Words("Ada".into())));
        for bad in ["", "A\0da", "A\u{7f}", &"a".repeat(201)] {
            assert!(bad.parse::<Words>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_position_fits_what_positions_are_kept_in() {
        assert_eq!("9223372036854775807".parse(), Ok(Count(i64::MAX.unsigned_abs())));
        for bad in ["9223372036854775808", "-1", "+1", ""] {
            assert!(bad.parse::<Count>().is_err(), "{bad:?}");
        }
    }
}
