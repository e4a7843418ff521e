//! An invoice as its own history tells it, and how it is taken back.
//!
//! What is no longer owed is credited. Money that counts against an invoice which we credited, and money that comes
//! for one which charges nothing any more, is paid back. Both follow from the invoice's stream, where payments and
//! credit notes have one order; so a payment that crosses with a credit note is paid back all the same, and once.

use chrono::NaiveDate;
use guildhall_aggregates::{
    Money, StoredEvent,
    ids::{CreditNoteId, InvoiceId, PaymentId, RefundId, derived},
    invoice::{CreditInvoice, Invoice, InvoiceEvent, InvoicePurpose},
    payment::{Payment, RefundPayment},
};
use guildhall_event_store::{Actor, MAX_PAGE, RecordedEvent, StreamId};

use crate::{
    hands::{Hands, ProcessError, Reaction},
    numbering,
};

const PROCESS: &str = "refunds";

/// An invoice that was written, as it stood when something happened to it or elsewhere.
pub(crate) struct Account {
    invoice_id: InvoiceId,
    pub(crate) purpose: InvoicePurpose,
    dated: NaiveDate,
    issued: bool,
    /// What was charged and neither credited nor given up.
    charged: Money,
    /// The payments that were told of, and what counts of each; nothing of one that was charged back.
    payments: Vec<(PaymentId, Money)>,
}

impl Account {
    /// The account as of the cause, so that it is the same whenever history is read; none for an invoice that was never
    /// written. One that was written while the cause was on its way counts as written before.
    pub(crate) async fn read(
        hands: &Hands,
        cause: &RecordedEvent,
        invoice_id: InvoiceId,
    ) -> Result<Option<Self>, ProcessError> {
        let stream = StreamId::new(InvoiceEvent::CATEGORY, invoice_id.uuid());
        let events = hands.store().read_stream(cause.tenant, &stream, 0, MAX_PAGE).await?;
        let mut account: Option<Self> = None;
        for event in events.iter().filter(|event| event.version == 1 || event.position <= cause.position) {
            match (event.decode()?, &mut account) {
                (InvoiceEvent::InvoiceDrafted { purpose, total: charged, dated, .. }, account) => {
                    *account = Some(Self { invoice_id, purpose, dated, issued: false, charged, payments: vec![] });
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
            InvoiceEvent::InvoiceIssued { .. } => self.issued = true,
            InvoiceEvent::PaymentApplied { payment_id, amount, .. } => self.payments.push((payment_id, amount)),
            InvoiceEvent::PaymentReversed { payment_id, .. } => {
                let reversed = self.payments.iter_mut().filter(|(known, _)| *known == payment_id);
                reversed.for_each(|(_, counts)| counts.minor = 0);
            }
            InvoiceEvent::InvoiceCredited { amount, .. } | InvoiceEvent::InvoiceWrittenOff { amount, .. } => {
                self.charged.minor -= amount.minor;
            }
            InvoiceEvent::InvoiceDrafted { .. } | InvoiceEvent::InvoiceSettled { .. } => {}
        }
    }

    /// What counts of all payments.
    pub(crate) fn paid(&self) -> Money {
        let minor = self.payments.iter().map(|(_, counts)| counts.minor).sum();
        Money::new(minor, self.charged.currency)
    }

    /// The latest payment that counts.
    pub(crate) fn latest_payment(&self) -> Option<PaymentId> {
        self.payments.iter().rev().find(|(_, counts)| counts.minor > 0).map(|(payment_id, _)| *payment_id)
    }

    /// Whether it was told of a payment.
    pub(crate) fn knows(&self, payment_id: PaymentId) -> bool {
        self.payments.iter().any(|(known, _)| *known == payment_id)
    }

    /// What of each payment was paid too much, the latest first.
    fn overpaid(&self) -> Vec<(PaymentId, i64)> {
        let mut left = self.paid().minor - self.charged.minor;
        let mut parts = vec![];
        for (payment_id, counts) in self.payments.iter().rev() {
            let part = counts.minor.min(left);
            if part > 0 {
                left -= part;
                parts.push((*payment_id, part));
            }
        }
        parts
    }

    /// Takes the invoice back: credits what is open, and `paid_back` of what was paid.
    pub(crate) async fn take_back(
        &self,
        hands: &Hands,
        cause: &RecordedEvent,
        paid_back: Money,
        reason: &str,
    ) -> Result<(), ProcessError> {
        let paid = self.paid().minor;
        let open = (self.charged.minor - paid).max(0);
        let credit = (open + paid_back.minor.min(paid)).min(self.charged.minor);
        if credit <= 0 {
            return Ok(());
        }
        if !self.issued {
            // A credit note needs the number of what it corrects, and numbering may not have come to it yet.
            numbering::issue(hands, cause, self.invoice_id, self.dated).await?;
        }
        let command = CreditInvoice {
            credit_note_id: CreditNoteId::new(derived(cause.event_id, &["credit_note"])),
            amount: Money::new(credit, self.charged.currency),
            reason: reason.to_owned(),
            today: hands.today(cause).await?,
        };
        let id = self.invoice_id.uuid();
        hands.send::<Invoice>(Reaction { process: PROCESS, name: "CreditInvoice", cause, id, command }).await
    }
}

pub(crate) async fn on_invoice(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    let invoice_id = InvoiceId::new(cause.stream.id);
    match cause.decode()? {
        // Only after our own credit notes: whoever writes one by hand says what becomes of the money.
        InvoiceEvent::InvoiceCredited { reason, .. } if is_taken_back_by(cause)? => {
            let Some(account) = Account::read(hands, cause, invoice_id).await? else { return Ok(()) };
            for (payment_id, part) in account.overpaid() {
                pay_back(hands, cause, invoice_id, payment_id, part, &reason).await?;
            }
            Ok(())
        }
        InvoiceEvent::PaymentApplied { payment_id, amount, excess, .. } if amount.is_zero() => {
            match Account::read(hands, cause, invoice_id).await? {
                Some(account) if account.charged.is_zero() => {
                    let reason = "The invoice was taken back before it was paid.";
                    pay_back(hands, cause, invoice_id, payment_id, excess.minor, reason).await
                }
                // An invoice paid twice: it is the payer's to say what becomes of the money.
                Some(_) | None => Ok(()),
            }
        }
        InvoiceEvent::InvoiceDrafted { .. }
        | InvoiceEvent::InvoiceIssued { .. }
        | InvoiceEvent::PaymentApplied { .. }
        | InvoiceEvent::InvoiceSettled { .. }
        | InvoiceEvent::PaymentReversed { .. }
        | InvoiceEvent::InvoiceCredited { .. }
        | InvoiceEvent::InvoiceWrittenOff { .. } => Ok(()),
    }
}

/// Whether an event of an invoice comes of its being taken back.
pub(crate) fn is_taken_back_by(cause: &RecordedEvent) -> Result<bool, ProcessError> {
    Ok(cause.parsed_metadata()?.actor == Actor::Process(PROCESS.to_owned()))
}

/// Pays back a part of a payment, as far as neither somebody by hand nor the payer's bank has done so. The refund's
/// id follows from invoice and payment: there is one.
pub(crate) async fn pay_back(
    hands: &Hands,
    cause: &RecordedEvent,
    invoice_id: InvoiceId,
    payment_id: PaymentId,
    part_minor: i64,
    reason: &str,
) -> Result<(), ProcessError> {
    let id = payment_id.uuid();
    let refundable = hands.store().load::<Payment>(cause.tenant, id).await?.state.refundable();
    let Some(mut amount) = refundable else { return Ok(()) };
    amount.minor = amount.minor.min(part_minor);
    if amount.minor <= 0 {
        return Ok(());
    }
    let command = RefundPayment {
        refund_id: RefundId::new(derived(invoice_id.uuid(), &["refund", &payment_id.to_string()])),
        amount,
        reason: reason.to_owned(),
        today: hands.today(cause).await?,
    };
    let reaction = Reaction { process: PROCESS, name: "RefundPayment", cause, id, command };
    hands.send::<Payment>(reaction).await
}
