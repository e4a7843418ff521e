//! Days and times within the calendar that people and databases share: the years 1800 to 9999.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use guildhall_aggregates::association_event::Schedule;
use serde::{Deserialize, Deserializer, de::Error};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};

/// A day, local to the association: `2026-11-20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub NaiveDate);

/// An instant: `2026-11-20T18:00:00Z`, in any offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub DateTime<Utc>);

/// A local date and time without a zone: `2026-11-20T18:00:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalTime(pub NaiveDateTime);

fn in_calendar<E: Error, T>(year: i32, value: T) -> Result<T, E> {
    if (1800..=9999).contains(&year) { Ok(value) } else { Err(E::custom("the year must be 1800 to 9999")) }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let day = NaiveDate::deserialize(deserializer)?;
        in_calendar(day.year(), Self(day))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let instant = DateTime::<Utc>::deserialize(deserializer)?;
        in_calendar(instant.year(), Self(instant))
    }
}

impl<'de> Deserialize<'de> for LocalTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = NaiveDateTime::deserialize(deserializer)?;
        in_calendar(time.year(), Self(time))
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

impl PartialSchema for Day {
    fn schema() -> RefOr<Schema> {
        text()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
            .description(Some("A day, local to the association, in the years 1800 to 9999."))
            .examples([serde_json::json!("2026-11-20")])
            .into()
    }
}
impl ToSchema for Day {}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        text()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("An instant with its offset, in the years 1800 to 9999."))
            .examples([serde_json::json!("2026-11-20T18:00:00Z")])
            .into()
    }
}
impl ToSchema for Moment {}

impl PartialSchema for LocalTime {
    fn schema() -> RefOr<Schema> {
        text()
            .pattern(Some(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?$"))
            .description(Some("A local date and time without a zone, in the years 1800 to 9999."))
            .examples([serde_json::json!("2026-11-20T18:00:00")])
            .into()
    }
}
impl ToSchema for LocalTime {}

/// When an association event takes place: local time and zone.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Local start.
    pub starts: LocalTime,
    /// Local end; not before the start.
    pub ends: LocalTime,
    /// The IANA zone both are local to.
    #[schema(value_type = String, example = "America/New_York")]
    pub time_zone: Tz,
}

impl From<When> for Schedule {
    fn from(when: When) -> Self {
        Self { starts: when.starts.0, ends: when.ends.0, time_zone: when.time_zone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_within_the_calendar() {
        let day = |text: &str| serde_json::from_value::<Day>(text.into());
        assert!(day("2026-02-28").is_ok());
        assert!(day("2026-02-29").is_err());
        assert_eq!(day("1799-12-31").unwrap_err().to_string(), "the year must be 1800 to 9999");
        assert!(day("+12345-01-01").is_err());
    }
}
