//! An invoice as its own history tells it, and how it is taken back.
//!
//! What an invoice is owed is credited, what was paid of it is paid back: each payment at most once, however many
//! events ask for it.

use chrono::NaiveDate;
use guildhall_aggregates::{
    Money, StoredEvent,
    ids::{CreditNoteId, InvoiceId, PaymentId, RefundId, derived},
    invoice::{CreditInvoice, Invoice, InvoiceEvent, InvoicePurpose},
    payment::{AllocatePayment, Payment, RefundPayment},
};
use guildhall_event_store::{MAX_PAGE, RecordedEvent, StreamId};

use crate::{
    hands::{Hands, ProcessError, Reaction},
    numbering,
};

const PROCESS: &str = "refunds";

/// An invoice that was written. Read from history itself, because a payment of a moment ago must be seen; for an event
/// of the invoice's own, as it stood then.
pub(crate) struct Account {
    invoice_id: InvoiceId,
    pub(crate) purpose: InvoicePurpose,
    dated: NaiveDate,
    issued: bool,
    /// What was charged and neither credited nor given up.
    charged: Money,
    /// The payments that were told of, and what counts of each; nothing of one that was charged back.
    payments: Vec<(PaymentId, Money)>,
    /// Whether payments, and not a credit note, settled it.
    settled_by_payment: bool,
}

impl Account {
    /// The account of an invoice; none for an invoice that was never written.
    pub(crate) async fn read(
        hands: &Hands,
        cause: &RecordedEvent,
        invoice_id: InvoiceId,
    ) -> Result<Option<Self>, ProcessError> {
        let stream = StreamId::new(InvoiceEvent::CATEGORY, invoice_id.uuid());
        let until = if cause.stream == stream { cause.version } else { u64::MAX };
        let mut account: Option<Self> = None;
        for event in hands.store().read_stream(cause.tenant, &stream, 0, MAX_PAGE).await? {
            if event.version > until {
                break;
            }
            match (event.decode()?, &mut account) {
                (InvoiceEvent::InvoiceDrafted { purpose, total: charged, dated, .. }, account) => {
                    let (issued, payments, settled_by_payment) = (false, vec![], false);
                    *account = Some(Self { invoice_id, purpose, dated, issued, charged, payments, settled_by_payment });
                }
                (event, Some(account)) => account.fold(&event),
                (_, None) => {}
            }
        }
        Ok(account)
    }

    // No sum here can overflow: every part was checked against the total before it was recorded.
    fn fold(&mut self, event: &InvoiceEvent) {
        match *event {
            InvoiceEvent::InvoiceDrafted { .. } => {}
            InvoiceEvent::InvoiceIssued { .. } => self.issued = true,
            InvoiceEvent::PaymentApplied { payment_id, amount, .. } => self.payments.push((payment_id, amount)),
            InvoiceEvent::InvoiceSettled { payment_id, .. } => self.settled_by_payment = payment_id.is_some(),
            InvoiceEvent::PaymentReversed { payment_id, .. } => {
                self.settled_by_payment = false;
                let reversed = self.payments.iter_mut().filter(|(known, _)| *known == payment_id);
                reversed.for_each(|(_, counts)| counts.minor = 0);
            }
            InvoiceEvent::InvoiceCredited { amount, .. } | InvoiceEvent::InvoiceWrittenOff { amount, .. } => {
                self.charged.minor -= amount.minor;
            }
        }
    }

    /// What counts of all payments.
    pub(crate) fn paid(&self) -> Money {
        let minor = self.payments.iter().map(|(_, counts)| counts.minor).sum();
        Money::new(minor, self.charged.currency)
    }

    fn open_minor(&self) -> i64 {
        (self.charged.minor - self.paid().minor).max(0)
    }

    /// Whether nothing is charged any more: it was taken back whole, and whatever is paid is paid for nothing.
    pub(crate) fn charges_nothing(&self) -> bool {
        self.charged.is_zero()
    }

    /// Whether payments settled it, so that whoever it was for is told and decides about the money.
    pub(crate) fn is_settled_by_payment(&self) -> bool {
        self.settled_by_payment
    }

    /// Whether it was told of a payment.
    pub(crate) fn knows(&self, payment_id: PaymentId) -> bool {
        self.payments.iter().any(|(known, _)| *known == payment_id)
    }

    /// So much of what counts, the latest payments first.
    fn latest(&self, amount: Money) -> Vec<(PaymentId, Money)> {
        let mut left = amount.minor;
        let mut parts = vec![];
        for (payment_id, counts) in self.payments.iter().rev() {
            let part = left.min(counts.minor);
            left -= part;
            parts.push((*payment_id, Money::new(part, counts.currency)));
        }
        parts.retain(|(_, part)| part.minor > 0);
        parts
    }

    /// Takes the invoice back: pays back so much of what counts, and credits that and what is open.
    ///
    /// What somebody has credited or refunded by hand in the meantime is not credited or refunded again.
    pub(crate) async fn take_back(
        &self,
        hands: &Hands,
        cause: &RecordedEvent,
        paid_back: Money,
        reason: &str,
    ) -> Result<(), ProcessError> {
        let mut refunds = self.latest(paid_back);
        for (payment_id, part) in &mut refunds {
            let payment = hands.store().load::<Payment>(cause.tenant, payment_id.uuid()).await?.state;
            part.minor = payment.refundable().map_or(0, |left| left.minor.min(part.minor));
        }
        let refunded: i64 = refunds.iter().map(|(_, part)| part.minor).sum();
        // First the credit: what is refundable then says the same when this is done again after a crash.
        let credit = (self.open_minor() + refunded).min(self.charged.minor);
        self.credit(hands, cause, Money::new(credit, self.charged.currency), reason).await?;
        for (payment_id, part) in refunds {
            self.allocate(hands, cause, payment_id).await?;
            refund(hands, cause, self.invoice_id, payment_id, part, reason).await?;
        }
        Ok(())
    }

    async fn credit(
        &self,
        hands: &Hands,
        cause: &RecordedEvent,
        amount: Money,
        reason: &str,
    ) -> Result<(), ProcessError> {
        if amount.minor <= 0 {
            return Ok(());
        }
        if !self.issued {
            // A credit note needs the number of what it corrects, and numbering may not have come to it yet.
            numbering::issue(hands, cause, self.invoice_id, self.dated).await?;
        }
        let command = CreditInvoice {
            credit_note_id: CreditNoteId::new(derived(cause.event_id, &["credit_note"])),
            amount,
            reason: reason.to_owned(),
            today: hands.today(cause).await?,
        };
        let id = self.invoice_id.uuid();
        hands.send::<Invoice>(Reaction { process: PROCESS, name: "CreditInvoice", cause, id, command }).await
    }

    /// Sees that a payment knows what it counts for before it is paid back: the books need both, in this order.
    async fn allocate(&self, hands: &Hands, cause: &RecordedEvent, payment_id: PaymentId) -> Result<(), ProcessError> {
        let counts = self.payments.iter().find(|(known, _)| *known == payment_id);
        let Some((_, amount)) = counts.copied() else { return Ok(()) };
        let command = AllocatePayment { invoice_id: self.invoice_id, amount, today: hands.today(cause).await? };
        let id = payment_id.uuid();
        hands.send::<Payment>(Reaction { process: PROCESS, name: "AllocatePayment", cause, id, command }).await
    }
}

/// Pays back a part of a payment. The refund's id follows from invoice and payment: there is one.
pub(crate) async fn refund(
    hands: &Hands,
    cause: &RecordedEvent,
    invoice_id: InvoiceId,
    payment_id: PaymentId,
    amount: Money,
    reason: &str,
) -> Result<(), ProcessError> {
    if amount.minor <= 0 {
        return Ok(());
    }
    let command = RefundPayment {
        refund_id: RefundId::new(derived(invoice_id.uuid(), &["refund", &payment_id.to_string()])),
        amount,
        reason: reason.to_owned(),
        today: hands.today(cause).await?,
    };
    let id = payment_id.uuid();
    hands.send::<Payment>(Reaction { process: PROCESS, name: "RefundPayment", cause, id, command }).await
}
