//! One person, organization or household an association knows.
//! The boundary is one member: what they are called, how they are reached, what others may see.

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
pub struct Member {}

impl Decide for Member {
    fn decide(&self, _command: MemberCommand) -> Result<Vec<MemberEvent>, MemberRefusal> {
        Ok(vec![])
    }
}

impl Aggregate for Member {
    const TYPE: &'static str = MemberEvent::CATEGORY;
    type Command = MemberCommand;
    type Event = MemberEvent;
    type Error = MemberRefusal;
    type Services = ();

    async fn handle(&mut self, command: MemberCommand, (): &(), sink: &EventSink<Self>) -> Result<(), MemberRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, _event: MemberEvent) {}
}

impl DomainEvent for MemberEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for MemberEvent {
    const CATEGORY: &'static str = "member";
    fn type_name(&self) -> &'static str {
        self.into()
    }
    fn schema_version(&self) -> u16 {
        1
    }
}
