//! Money received: what it counts against, what was given back.
//! The boundary is one payment of one provider.

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
pub struct Payment {}

impl Decide for Payment {
    fn decide(&self, _command: PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        Ok(vec![])
    }
}

impl Aggregate for Payment {
    const TYPE: &'static str = PaymentEvent::CATEGORY;
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type Error = PaymentRefusal;
    type Services = ();

    async fn handle(&mut self, command: PaymentCommand, (): &(), sink: &EventSink<Self>) -> Result<(), PaymentRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, _event: PaymentEvent) {}
}

impl DomainEvent for PaymentEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for PaymentEvent {
    const CATEGORY: &'static str = "payment";
    fn type_name(&self) -> &'static str {
        self.into()
    }
    fn schema_version(&self) -> u16 {
        1
    }
}
