//! Who has a place at one association event, and who waits for one.
//! The boundary is one event, because capacity is decided here.

mod commands;
mod events;
mod refusal;

pub use commands::*;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
pub use events::*;
pub use refusal::*;
use serde::{Deserialize, Serialize};

use crate::{Decide, StoredEvent};

/// State.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRoster {}

impl Decide for EventRoster {
    fn decide(&self, _command: RosterCommand) -> Result<Vec<RosterEvent>, RosterRefusal> {
        Ok(vec![])
    }
}

impl Aggregate for EventRoster {
    const TYPE: &'static str = RosterEvent::CATEGORY;
    type Command = RosterCommand;
    type Event = RosterEvent;
    type Error = RosterRefusal;
    type Services = ();

    async fn handle(&mut self, command: RosterCommand, (): &(), sink: &EventSink<Self>) -> Result<(), RosterRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, _event: RosterEvent) {}
}

impl DomainEvent for RosterEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for RosterEvent {
    const CATEGORY: &'static str = "event_roster";
    fn type_name(&self) -> &'static str {
        self.into()
    }
    fn schema_version(&self) -> u16 {
        1
    }
}
