//! What members attend: its title, its time, its place.
//! The boundary is one association event; places are decided in its roster.

mod commands;
mod events;
mod refusal;

pub use commands::*;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
pub use events::*;
pub use refusal::*;
use serde::{Deserialize, Serialize};

use crate::{Decide, StoredEvent, source::SourceRef};

/// An association event as it stands on the calendar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssociationEvent {
    entry: Option<CalendarEntry>,
    cancelled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CalendarEntry {
    details: EventDetails,
    schedule: Schedule,
    source: Option<SourceRef>,
}

impl AssociationEvent {
    /// When it takes place; none before it is scheduled. Its local start date is the date a member price
    /// is decided by.
    pub fn schedule(&self) -> Option<Schedule> {
        self.entry.as_ref().map(|entry| entry.schedule)
    }

    /// What people read about it.
    pub fn details(&self) -> Option<&EventDetails> {
        self.entry.as_ref().map(|entry| &entry.details)
    }

    /// Whether it was called off.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    fn entry(&self) -> Result<&CalendarEntry, AssociationEventRefusal> {
        self.entry.as_ref().ok_or(AssociationEventRefusal::EventUnknown)
    }

    fn standing_entry(&self) -> Result<&CalendarEntry, AssociationEventRefusal> {
        let entry = self.entry()?;
        if self.cancelled { Err(AssociationEventRefusal::EventIsCancelled) } else { Ok(entry) }
    }

    fn schedule_event(&self, command: ScheduleEvent) -> Result<Vec<AssociationEventRecord>, AssociationEventRefusal> {
        let ScheduleEvent { details, schedule, source } = command;
        let asked = CalendarEntry { details, schedule, source };
        if let Some(entry) = &self.entry {
            let imported_before = asked.source.is_some() && asked.source == entry.source;
            let same = imported_before || *entry == asked;
            return if same { Ok(vec![]) } else { Err(AssociationEventRefusal::EventAlreadyScheduled) };
        }
        let CalendarEntry { details, schedule, source } = asked;
        check_details(&details)?;
        check_schedule(schedule)?;
        Ok(vec![AssociationEventRecord::EventScheduled { details, schedule, source }])
    }

    fn reschedule(&self, command: RescheduleEvent) -> Result<Vec<AssociationEventRecord>, AssociationEventRefusal> {
        let RescheduleEvent { schedule } = command;
        if self.standing_entry()?.schedule == schedule {
            return Ok(vec![]);
        }
        check_schedule(schedule)?;
        Ok(vec![AssociationEventRecord::EventRescheduled { schedule }])
    }

    fn change_details(
        &self,
        command: ChangeEventDetails,
    ) -> Result<Vec<AssociationEventRecord>, AssociationEventRefusal> {
        let ChangeEventDetails { details } = command;
        if self.standing_entry()?.details == details {
            return Ok(vec![]);
        }
        check_details(&details)?;
        Ok(vec![AssociationEventRecord::EventDetailsChanged { details }])
    }

    fn cancel(&self, command: CancelEvent) -> Result<Vec<AssociationEventRecord>, AssociationEventRefusal> {
        let CancelEvent { reason } = command;
        self.entry()?;
        if self.cancelled {
            return Ok(vec![]);
        }
        if reason.trim().is_empty() {
            return Err(AssociationEventRefusal::ReasonMissing);
        }
        Ok(vec![AssociationEventRecord::EventCancelled { reason }])
    }
}

fn check_details(details: &EventDetails) -> Result<(), AssociationEventRefusal> {
    if details.title.trim().is_empty() { Err(AssociationEventRefusal::TitleMissing) } else { Ok(()) }
}

fn check_schedule(schedule: Schedule) -> Result<(), AssociationEventRefusal> {
    if schedule.ends < schedule.starts { Err(AssociationEventRefusal::EndsBeforeStart) } else { Ok(()) }
}

impl Decide for AssociationEvent {
    fn decide(&self, command: AssociationEventCommand) -> Result<Vec<AssociationEventRecord>, AssociationEventRefusal> {
        match command {
            AssociationEventCommand::ScheduleEvent(command) => self.schedule_event(command),
            AssociationEventCommand::RescheduleEvent(command) => self.reschedule(command),
            AssociationEventCommand::ChangeEventDetails(command) => self.change_details(command),
            AssociationEventCommand::CancelEvent(command) => self.cancel(command),
        }
    }
}

impl Aggregate for AssociationEvent {
    const TYPE: &'static str = AssociationEventRecord::CATEGORY;
    type Command = AssociationEventCommand;
    type Event = AssociationEventRecord;
    type Error = AssociationEventRefusal;
    type Services = ();

    async fn handle(
        &mut self,
        command: AssociationEventCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), AssociationEventRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, event: AssociationEventRecord) {
        match event {
            AssociationEventRecord::EventScheduled { details, schedule, source } => {
                self.entry = Some(CalendarEntry { details, schedule, source });
            }
            AssociationEventRecord::EventRescheduled { schedule } => {
                if let Some(entry) = &mut self.entry {
                    entry.schedule = schedule;
                }
            }
            AssociationEventRecord::EventDetailsChanged { details } => {
                if let Some(entry) = &mut self.entry {
                    entry.details = details;
                }
            }
            AssociationEventRecord::EventCancelled { reason: _ } => self.cancelled = true,
        }
    }
}

impl DomainEvent for AssociationEventRecord {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for AssociationEventRecord {
    const CATEGORY: &'static str = "association_event";
    fn type_name(&self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, NaiveDateTime};
    use chrono_tz::Tz;

    use super::*;
    use crate::testing::given;

    fn at(hour: u32) -> NaiveDateTime {
        NaiveDate::from_ymd_opt(2026, 5, 8).unwrap().and_hms_opt(hour, 0, 0).unwrap()
    }
    fn schedule(from: u32, to: u32) -> Schedule {
        Schedule { starts: at(from), ends: at(to), time_zone: Tz::Europe__Vienna }
    }
    fn details(title: &str) -> EventDetails {
        EventDetails { title: title.into(), summary: None, venue: Some("Hall".into()) }
    }
    fn put_on() -> ScheduleEvent {
        ScheduleEvent { details: details("Congress"), schedule: schedule(9, 17), source: None }
    }
    fn scheduled() -> AssociationEventRecord {
        AssociationEventRecord::EventScheduled { details: details("Congress"), schedule: schedule(9, 17), source: None }
    }
    fn cancel(reason: &str) -> CancelEvent {
        CancelEvent { reason: reason.into() }
    }
    fn cancelled() -> AssociationEventRecord {
        AssociationEventRecord::EventCancelled { reason: "flood".into() }
    }

    #[test]
    fn an_event_is_put_on_the_calendar() {
        given::<AssociationEvent>([]).when(put_on()).then([scheduled()]);
    }

    #[test]
    fn scheduling_the_same_event_again_records_nothing() {
        given::<AssociationEvent>([scheduled()]).when(put_on()).then_nothing();
    }

    #[test]
    fn an_event_is_not_scheduled_twice_in_two_ways() {
        given::<AssociationEvent>([scheduled()])
            .when(ScheduleEvent { details: details("Ball"), ..put_on() })
            .then_refused(AssociationEventRefusal::EventAlreadyScheduled);
    }

    #[test]
    fn a_row_of_another_system_is_taken_over_once() {
        let row = || Some(SourceRef { system: "civicrm".into(), table: "event".into(), id: "1".into() });
        let imported = AssociationEventRecord::EventScheduled {
            details: details("Congress"),
            schedule: schedule(9, 17),
            source: row(),
        };
        given::<AssociationEvent>([imported, AssociationEventRecord::EventDetailsChanged { details: details("Ball") }])
            .when(ScheduleEvent { source: row(), ..put_on() })
            .then_nothing();
    }

    #[test]
    fn an_event_needs_a_title() {
        given::<AssociationEvent>([])
            .when(ScheduleEvent { details: details(""), ..put_on() })
            .then_refused(AssociationEventRefusal::TitleMissing);
        given::<AssociationEvent>([scheduled()])
            .when(ChangeEventDetails { details: details(" ") })
            .then_refused(AssociationEventRefusal::TitleMissing);
    }

    #[test]
    fn an_event_does_not_end_before_it_starts() {
        given::<AssociationEvent>([])
            .when(ScheduleEvent { schedule: schedule(9, 8), ..put_on() })
            .then_refused(AssociationEventRefusal::EndsBeforeStart);
        given::<AssociationEvent>([scheduled()])
            .when(RescheduleEvent { schedule: schedule(9, 8) })
            .then_refused(AssociationEventRefusal::EndsBeforeStart);
    }

    #[test]
    fn an_event_is_moved() {
        given::<AssociationEvent>([scheduled()])
            .when(RescheduleEvent { schedule: schedule(10, 18) })
            .then([AssociationEventRecord::EventRescheduled { schedule: schedule(10, 18) }]);
    }

    #[test]
    fn moving_an_event_to_where_it_is_records_nothing() {
        given::<AssociationEvent>([scheduled()]).when(RescheduleEvent { schedule: schedule(9, 17) }).then_nothing();
    }

    #[test]
    fn details_are_changed_when_they_differ() {
        given::<AssociationEvent>([scheduled()])
            .when(ChangeEventDetails { details: details("Ball") })
            .then([AssociationEventRecord::EventDetailsChanged { details: details("Ball") }]);
        given::<AssociationEvent>([scheduled()])
            .when(ChangeEventDetails { details: details("Congress") })
            .then_nothing();
    }

    #[test]
    fn an_event_is_cancelled_once_and_with_a_reason() {
        given::<AssociationEvent>([scheduled()]).when(cancel("flood")).then([cancelled()]);
        given::<AssociationEvent>([scheduled(), cancelled()]).when(cancel("flood")).then_nothing();
        given::<AssociationEvent>([scheduled()]).when(cancel("")).then_refused(AssociationEventRefusal::ReasonMissing);
    }

    #[test]
    fn a_cancelled_event_is_not_changed() {
        given::<AssociationEvent>([scheduled(), cancelled()])
            .when(RescheduleEvent { schedule: schedule(10, 18) })
            .then_refused(AssociationEventRefusal::EventIsCancelled);
        given::<AssociationEvent>([scheduled(), cancelled()])
            .when(ChangeEventDetails { details: details("Ball") })
            .then_refused(AssociationEventRefusal::EventIsCancelled);
    }

    #[test]
    fn what_was_not_scheduled_cannot_be_changed() {
        given::<AssociationEvent>([]).when(cancel("flood")).then_refused(AssociationEventRefusal::EventUnknown);
        given::<AssociationEvent>([])
            .when(RescheduleEvent { schedule: schedule(9, 17) })
            .then_refused(AssociationEventRefusal::EventUnknown);
    }
}
