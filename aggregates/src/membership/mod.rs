//! One member's membership of one plan: application, terms, renewals, end.
//! The boundary is one membership; each term is a fact of its own.

mod commands;
mod events;
mod refusal;
mod status;

pub use commands::*;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
pub use events::*;
pub use refusal::*;
use serde::{Deserialize, Serialize};
pub use status::*;

use crate::{Decide, StoredEvent};

/// State.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {}

impl Decide for Membership {
    fn decide(&self, _command: MembershipCommand) -> Result<Vec<MembershipEvent>, MembershipRefusal> {
        Ok(vec![])
    }
}

impl Aggregate for Membership {
    const TYPE: &'static str = MembershipEvent::CATEGORY;
    type Command = MembershipCommand;
    type Event = MembershipEvent;
    type Error = MembershipRefusal;
    type Services = ();

    async fn handle(
        &mut self,
        command: MembershipCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), MembershipRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, _event: MembershipEvent) {}
}

impl DomainEvent for MembershipEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for MembershipEvent {
    const CATEGORY: &'static str = "membership";
    fn type_name(&self) -> &'static str {
        self.into()
    }
    fn schema_version(&self) -> u16 {
        1
    }
}
