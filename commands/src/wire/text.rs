//! Texts. One that exists is valid: not blank, not too long, nothing in it that no keyboard has.

use guildhall_aggregates::SourceRef;
use serde::{Deserialize, Deserializer, de::Error};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

const LINE_CHARS: usize = 255;
const PROSE_CHARS: usize = 10_000;
const EMAIL_CHARS: usize = 254;

/// A name, a code, a title: 1 to 255 characters on one line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line(String);

/// A text of several lines: 1 to 10,000 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prose(String);

/// Something that mail can be sent to: a name, an at sign and a domain. Whether anybody reads it is not
/// known here.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Line {
    /// The text.
    pub fn into_inner(self) -> String {
        self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prose {
    /// The text.
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl Email {
    /// The address as it was written.
    pub fn into_inner(self) -> String {
        self.0
    }

    /// The address as it is compared: two that differ in case alone reach the same person.
    pub fn comparable(&self) -> String {
        self.0.to_lowercase()
    }
}

impl From<Line> for String {
    fn from(line: Line) -> Self {
        line.0
    }
}

impl From<Prose> for String {
    fn from(prose: Prose) -> Self {
        prose.0
    }
}

/// Control characters have no place in a text, and Postgres cannot keep a NUL in one.
fn checked(text: String, most: usize, allowed: &[char]) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be blank".into());
    }
    if text.chars().nth(most).is_some() {
        return Err(format!("must have at most {most} characters"));
    }
    match text.chars().find(|c| c.is_control() && !allowed.contains(c)) {
        Some(c) => Err(format!("must not hold the control character U+{:04X}", u32::from(c))),
        None => Ok(text),
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(String::deserialize(deserializer)?, LINE_CHARS, &[]).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Prose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        checked(text, PROSE_CHARS, &['\n', '\r', '\t']).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = checked(String::deserialize(deserializer)?, EMAIL_CHARS, &[]).map_err(D::Error::custom)?;
        let parts = text.rsplit_once('@').filter(|(name, domain)| !name.is_empty() && !domain.is_empty());
        if parts.is_none() || text.contains(char::is_whitespace) {
            return Err(D::Error::custom("must be an e-mail address, such as ada@example.org"));
        }
        Ok(Self(text))
    }
}

fn string(most: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(most))
}

impl PartialSchema for Line {
    fn schema() -> RefOr<Schema> {
        string(LINE_CHARS)
            .pattern(Some(
                r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$",
            ))
            .description(Some("A text on one line; not blank."))
            .into()
    }
}
impl ToSchema for Line {}

impl PartialSchema for Prose {
    fn schema() -> RefOr<Schema> {
        string(PROSE_CHARS).description(Some("A text of one or more lines; not blank.")).into()
    }
}
impl ToSchema for Prose {}

impl PartialSchema for Email {
    fn schema() -> RefOr<Schema> {
        string(EMAIL_CHARS).description(Some("An e-mail address.")).pattern(Some("^[^\\s@]+@[^\\s@]+$")).into()
    }
}
impl ToSchema for Email {}

/// The record of another system that a fact is imported from.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The system, in lower case.
    #[schema(example = "civicrm")]
    pub system: Line,
    /// The table or collection there.
    #[schema(example = "membership")]
    pub table: Line,
    /// The row's own id there.
    #[schema(example = "17")]
    pub id: Line,
}

impl From<Source> for SourceRef {
    fn from(source: Source) -> Self {
        Self { system: source.system.into(), table: source.table.into(), id: source.id.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Line, serde_json::Error> {
        serde_json::from_value(text.into())
    }

    #[test]
    fn a_line_is_not_blank_and_not_endless() {
        assert!(line(" \u{a0} ").is_err());
        assert!(line(&"é".repeat(LINE_CHARS)).is_ok());
        assert!(line(&"é".repeat(LINE_CHARS + 1)).is_err());
    }

    #[test]
    fn a_line_holds_no_control_characters() {
        assert_eq!(line("a\u{0}b").unwrap_err().to_string(), "must not hold the control character U+0000");
        assert!(line("a\nb").is_err());
        assert!(serde_json::from_str::<Prose>(r#""a\nb""#).is_ok());
    }

    #[test]
    fn an_email_address_has_two_sides() {
        let email = |text: &str| serde_json::from_value::<Email>(text.into());
        assert_eq!(email("Ada@Example.org").unwrap().comparable(), "ada@example.org");
        for bad in ["ada", "@example.org", "ada@", "a da@example.org"] {
            assert!(email(bad).is_err(), "{bad}");
        }
    }
}
