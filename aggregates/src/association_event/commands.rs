//! What an association event can be asked.

use super::{EventDetails, Schedule};
use crate::{decide::command_enum, source::SourceRef};

/// Put an association event on the calendar.
#[derive(Debug, Clone)]
pub struct ScheduleEvent {
    /// What people read about it.
    pub details: EventDetails,
    /// When.
    pub schedule: Schedule,
    /// Where it is imported from.
    pub source: Option<SourceRef>,
}

/// Move it.
#[derive(Debug, Clone)]
pub struct RescheduleEvent {
    /// When.
    pub schedule: Schedule,
}

/// Change what people read about it.
#[derive(Debug, Clone)]
pub struct ChangeEventDetails {
    /// All of it.
    pub details: EventDetails,
}

/// Call it off.
#[derive(Debug, Clone)]
pub struct CancelEvent {
    /// Why, as the public reads it.
    pub reason: String,
}

command_enum! {
    /// Everything an association event can be asked.
    AssociationEventCommand {
        ScheduleEvent, RescheduleEvent, ChangeEventDetails, CancelEvent
    }
}
