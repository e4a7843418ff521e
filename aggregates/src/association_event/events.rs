//! What can happen to an association event as such; places are decided in its roster.

use chrono::NaiveDateTime;
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use crate::source::SourceRef;

/// When an association event takes place: local time and zone, so that a change of the zone's rules moves
/// the instant and not the meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// Local start.
    #[schemars(schema_with = "crate::schema::local_time")]
    pub starts: NaiveDateTime,
    /// Local end; not before the start.
    #[schemars(schema_with = "crate::schema::local_time")]
    pub ends: NaiveDateTime,
    /// The zone both are local to.
    #[schemars(schema_with = "crate::schema::time_zone")]
    pub time_zone: Tz,
}

/// What people read about an association event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventDetails {
    /// Its title.
    pub title: String,
    /// A paragraph about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue: Option<String>,
}

/// What happened. Stored for ever: add variants and versions, never change one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(tag = "type")]
pub enum AssociationEventRecord {
    /// It will take place.
    EventScheduled {
        /// What people read about it.
        details: EventDetails,
        /// When.
        schedule: Schedule,
        /// Where it was imported from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<SourceRef>,
    },
    /// It takes place at another time.
    EventRescheduled {
        /// When.
        schedule: Schedule,
    },
    /// People read something else about it.
    EventDetailsChanged {
        /// All of it, as it is now.
        details: EventDetails,
    },
    /// It will not take place.
    EventCancelled {
        /// Why, as the public reads it.
        reason: String,
    },
}
