//! One bill: lines, payments against it, credit notes.
//! The boundary is one invoice; once issued it never changes, corrections are credit notes.

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
pub struct Invoice {}

impl Decide for Invoice {
    fn decide(&self, _command: InvoiceCommand) -> Result<Vec<InvoiceEvent>, InvoiceRefusal> {
        Ok(vec![])
    }
}

impl Aggregate for Invoice {
    const TYPE: &'static str = InvoiceEvent::CATEGORY;
    type Command = InvoiceCommand;
    type Event = InvoiceEvent;
    type Error = InvoiceRefusal;
    type Services = ();

    async fn handle(&mut self, command: InvoiceCommand, (): &(), sink: &EventSink<Self>) -> Result<(), InvoiceRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, _event: InvoiceEvent) {}
}

impl DomainEvent for InvoiceEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for InvoiceEvent {
    const CATEGORY: &'static str = "invoice";
    fn type_name(&self) -> &'static str {
        self.into()
    }
    fn schema_version(&self) -> u16 {
        1
    }
}
