//! The numbers of an association's invoices: 1, 2, 3 … without a gap.
//! The boundary is one series of one association, because the next number is decided here.

mod commands;
mod events;

use std::collections::BTreeMap;

pub use commands::*;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
pub use events::*;
use serde::{Deserialize, Serialize};

use crate::{Decide, Impossible, StoredEvent, ids::InvoiceId};

/// The numbers given so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceSeries {
    numbers: BTreeMap<InvoiceId, u32>,
}

/// Everything a series can be asked.
#[derive(Debug, Clone)]
pub enum SeriesCommand {
    /// See [`AssignNumber`].
    AssignNumber(AssignNumber),
}

impl From<AssignNumber> for SeriesCommand {
    fn from(command: AssignNumber) -> Self {
        Self::AssignNumber(command)
    }
}

impl InvoiceSeries {
    /// The number an invoice has.
    pub fn number_of(&self, invoice_id: InvoiceId) -> Option<u32> {
        self.numbers.get(&invoice_id).copied()
    }

    fn assign(&self, command: AssignNumber) -> Vec<SeriesEvent> {
        let AssignNumber { series, invoice_id } = command;
        if self.numbers.contains_key(&invoice_id) {
            return vec![];
        }
        let assigned = u32::try_from(self.numbers.len()).expect("a series has fewer than 2^32 numbers");
        vec![SeriesEvent::NumberAssigned { series, invoice_id, number: assigned + 1 }]
    }
}

impl Decide for InvoiceSeries {
    fn decide(&self, command: SeriesCommand) -> Result<Vec<SeriesEvent>, Impossible> {
        match command {
            SeriesCommand::AssignNumber(command) => Ok(self.assign(command)),
        }
    }
}

impl Aggregate for InvoiceSeries {
    const TYPE: &'static str = SeriesEvent::CATEGORY;
    type Command = SeriesCommand;
    type Event = SeriesEvent;
    type Error = Impossible;
    type Services = ();

    async fn handle(&mut self, command: SeriesCommand, (): &(), sink: &EventSink<Self>) -> Result<(), Impossible> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, event: SeriesEvent) {
        match event {
            SeriesEvent::NumberAssigned { invoice_id, number, .. } => {
                self.numbers.insert(invoice_id, number);
            }
        }
    }
}

impl DomainEvent for SeriesEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for SeriesEvent {
    const CATEGORY: &'static str = "invoice_series";
    fn type_name(&self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::testing::given;

    fn invoice(n: u128) -> InvoiceId {
        InvoiceId::new(Uuid::from_u128(n))
    }
    fn assigned(n: u128, number: u32) -> SeriesEvent {
        SeriesEvent::NumberAssigned { series: "2026".into(), invoice_id: invoice(n), number }
    }
    fn assign(n: u128) -> AssignNumber {
        AssignNumber { series: "2026".into(), invoice_id: invoice(n) }
    }

    #[test]
    fn the_first_invoice_has_number_one() {
        given::<InvoiceSeries>([]).when(assign(7)).then([assigned(7, 1)]);
    }

    #[test]
    fn the_next_invoice_has_the_next_number() {
        given::<InvoiceSeries>([assigned(7, 1), assigned(8, 2)]).when(assign(9)).then([assigned(9, 3)]);
    }

    #[test]
    fn an_invoice_that_has_a_number_keeps_it() {
        given::<InvoiceSeries>([assigned(7, 1)]).when(assign(7)).then_nothing();
    }
}
