//! Commands to an association event.

mod cancel_event;
mod change_event_details;
mod reschedule_event;
mod schedule_event;

use guildhall_aggregates::association_event::AssociationEventRefusal;
use guildhall_web::Kind;

use crate::{endpoint::Refusal, registry::CommandType};

pub(crate) fn all() -> Vec<CommandType> {
    vec![
        CommandType::of::<schedule_event::ScheduleEvent>(),
        CommandType::of::<reschedule_event::RescheduleEvent>(),
        CommandType::of::<change_event_details::ChangeEventDetails>(),
        CommandType::of::<cancel_event::CancelEvent>(),
    ]
}

impl Refusal for AssociationEventRefusal {
    fn kind(&self) -> Kind {
        let word = self.into();
        match self {
            Self::EventUnknown => Kind::absent(word),
            Self::EventAlreadyScheduled | Self::EventIsCancelled => Kind::refused(word),
            Self::TitleMissing | Self::EndsBeforeStart | Self::ReasonMissing => Kind::invalid(word),
        }
    }
}
