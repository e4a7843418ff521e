//! Money received: what it counts against, what was given back.
//! The boundary is one payment of one provider.

mod commands;
mod events;
mod refusal;

use std::collections::BTreeMap;

pub use commands::*;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
pub use events::*;
pub use refusal::*;
use serde::{Deserialize, Serialize};

use crate::{
    Decide, Money, StoredEvent,
    ids::{InvoiceId, RefundId},
    source::SourceRef,
};

/// A payment, and where its money went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    receipt: Option<Receipt>,
    allocations: BTreeMap<InvoiceId, Money>,
    refunds: BTreeMap<RefundId, Money>,
    charged_back: Option<Money>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Receipt {
    origin: Origin,
    amount: Money,
    invoice_id: Option<InvoiceId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Origin {
    Provider { provider: String, reference: String },
    Imported { source: SourceRef, standing: ContributionStanding },
}

impl Payment {
    /// How much came; none before any did.
    pub fn amount(&self) -> Option<Money> {
        self.receipt.as_ref().map(|receipt| receipt.amount)
    }

    /// The invoice it was meant for.
    pub fn invoice_id(&self) -> Option<InvoiceId> {
        self.receipt.as_ref().and_then(|receipt| receipt.invoice_id)
    }

    /// What can still be refunded: received, and neither refunded nor charged back. Of an imported
    /// contribution only one that was completed has any money.
    pub fn refundable(&self) -> Option<Money> {
        let receipt = self.receipt.as_ref()?;
        Some(Money::new(self.left_minor(receipt), receipt.amount.currency))
    }

    /// What can still be allocated: neither allocated nor given back.
    pub fn unallocated(&self) -> Option<Money> {
        let receipt = self.receipt.as_ref()?;
        let allocated: i64 = self.allocations.values().map(|part| part.minor).sum();
        let minor = (self.left_minor(receipt) - allocated).max(0);
        Some(Money::new(minor, receipt.amount.currency))
    }

    // No sum here can overflow: each part was checked against what was left before it was recorded.
    fn left_minor(&self, receipt: &Receipt) -> i64 {
        let received = match &receipt.origin {
            Origin::Provider { .. } | Origin::Imported { standing: ContributionStanding::Completed, .. } => {
                receipt.amount.minor
            }
            Origin::Imported { .. } => 0,
        };
        let refunded: i64 = self.refunds.values().map(|part| part.minor).sum();
        received - refunded - self.charged_back.map_or(0, |part| part.minor)
    }

    fn record(&self, command: RecordPayment) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let RecordPayment { provider, reference, payer, amount, invoice_id, today } = command;
        if let Some(receipt) = &self.receipt {
            let origin = Origin::Provider { provider, reference };
            let same = receipt.origin == origin && receipt.amount == amount;
            return if same { Ok(vec![]) } else { Err(PaymentRefusal::PaymentDiffers) };
        }
        if provider.trim().is_empty() || reference.trim().is_empty() {
            return Err(PaymentRefusal::ReferenceMissing);
        }
        check_positive(amount)?;
        Ok(vec![PaymentEvent::PaymentReceived { provider, reference, payer, amount, invoice_id, on: today }])
    }

    fn allocate(&self, command: AllocatePayment) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let AllocatePayment { invoice_id, amount, today } = command;
        let available = self.unallocated().ok_or(PaymentRefusal::PaymentUnknown)?;
        if let Some(allocated) = self.allocations.get(&invoice_id) {
            return if *allocated == amount { Ok(vec![]) } else { Err(PaymentRefusal::AllocationDiffers) };
        }
        check_positive(amount)?;
        if available.minus(amount)?.minor < 0 {
            return Err(PaymentRefusal::AllocationTooLarge { available });
        }
        Ok(vec![PaymentEvent::PaymentAllocated { invoice_id, amount, on: today }])
    }

    fn refund(&self, command: RefundPayment) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let RefundPayment { refund_id, amount, reason, today } = command;
        let available = self.refundable().ok_or(PaymentRefusal::PaymentUnknown)?;
        if let Some(refunded) = self.refunds.get(&refund_id) {
            return if *refunded == amount { Ok(vec![]) } else { Err(PaymentRefusal::RefundDiffers) };
        }
        check_positive(amount)?;
        if reason.trim().is_empty() {
            return Err(PaymentRefusal::ReasonMissing);
        }
        if available.minus(amount)?.minor < 0 {
            return Err(PaymentRefusal::RefundTooLarge { available });
        }
        Ok(vec![PaymentEvent::PaymentRefunded { refund_id, amount, reason, on: today }])
    }

    fn charge_back(&self, command: RecordChargeback) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let RecordChargeback { today } = command;
        let amount = self.refundable().ok_or(PaymentRefusal::PaymentUnknown)?;
        if self.charged_back.is_some() {
            return Ok(vec![]);
        }
        if amount.minor <= 0 {
            return Err(PaymentRefusal::NothingLeft);
        }
        Ok(vec![PaymentEvent::PaymentChargedBack { amount, on: today }])
    }

    fn import(&self, command: ImportContribution) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        let ImportContribution { payer, amount, kind, standing, on, source } = command;
        match &self.receipt {
            None => Ok(vec![PaymentEvent::ContributionImported { payer, amount, kind, standing, on, source }]),
            Some(Receipt { origin: Origin::Imported { source: taken, .. }, .. }) if *taken == source => Ok(vec![]),
            Some(_) => Err(PaymentRefusal::PaymentDiffers),
        }
    }
}

fn check_positive(amount: Money) -> Result<(), PaymentRefusal> {
    if amount.minor > 0 { Ok(()) } else { Err(PaymentRefusal::AmountNotPositive) }
}

impl Decide for Payment {
    fn decide(&self, command: PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentRefusal> {
        match command {
            PaymentCommand::RecordPayment(command) => self.record(command),
            PaymentCommand::AllocatePayment(command) => self.allocate(command),
            PaymentCommand::RefundPayment(command) => self.refund(command),
            PaymentCommand::RecordChargeback(command) => self.charge_back(command),
            PaymentCommand::ImportContribution(command) => self.import(command),
        }
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

    fn apply(&mut self, event: PaymentEvent) {
        match event {
            PaymentEvent::PaymentReceived { provider, reference, amount, invoice_id, payer: _, on: _ } => {
                let origin = Origin::Provider { provider, reference };
                self.receipt = Some(Receipt { origin, amount, invoice_id });
            }
            PaymentEvent::PaymentAllocated { invoice_id, amount, on: _ } => {
                self.allocations.insert(invoice_id, amount);
            }
            PaymentEvent::PaymentRefunded { refund_id, amount, reason: _, on: _ } => {
                self.refunds.insert(refund_id, amount);
            }
            PaymentEvent::PaymentChargedBack { amount, on: _ } => self.charged_back = Some(amount),
            PaymentEvent::ContributionImported { amount, standing, source, payer: _, kind: _, on: _ } => {
                let origin = Origin::Imported { source, standing };
                self.receipt = Some(Receipt { origin, amount, invoice_id: None });
            }
        }
    }
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
}

#[cfg(test)]
mod tests;
