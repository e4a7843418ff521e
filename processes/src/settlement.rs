//! Money finds its invoice, and a settled invoice sets in motion what it was for.

use guildhall_aggregates::{
    association::Association,
    event_roster::{ConfirmRegistration, EventRoster},
    ids::PaymentId,
    invoice::{ApplyPayment, Invoice, InvoiceEvent, InvoicePurpose, ReversePayment},
    membership::{ActivateMembership, CompleteRenewal, Membership},
    payment::{AllocatePayment, Payment, PaymentEvent},
};
use guildhall_event_store::RecordedEvent;

use crate::{
    account::{Account, is_taken_back_by},
    hands::{Hands, ProcessError, Reaction},
};

const PROCESS: &str = "settlement";

pub(crate) async fn on_payment(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    let payment_id = PaymentId::new(cause.stream.id);
    match cause.decode()? {
        PaymentEvent::PaymentReceived { invoice_id: Some(invoice_id), amount, on, .. } => {
            let command = ApplyPayment { payment_id, amount, today: on };
            let id = invoice_id.uuid();
            hands.send::<Invoice>(Reaction { process: PROCESS, name: "ApplyPayment", cause, id, command }).await
        }
        PaymentEvent::PaymentChargedBack { on, .. } => {
            let invoice_id = hands.look(cause, cause.stream.id, Payment::invoice_id).await?;
            let Some(invoice_id) = invoice_id else { return Ok(()) };
            let command = ReversePayment { payment_id, today: on };
            let id = invoice_id.uuid();
            hands.send::<Invoice>(Reaction { process: PROCESS, name: "ReversePayment", cause, id, command }).await
        }
        PaymentEvent::PaymentReceived { .. }
        | PaymentEvent::PaymentAllocated { .. }
        | PaymentEvent::PaymentRefunded { .. }
        | PaymentEvent::ContributionImported { .. } => Ok(()),
    }
}

pub(crate) async fn on_invoice(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    match cause.decode()? {
        InvoiceEvent::PaymentApplied { payment_id, amount, on, .. } if !amount.is_zero() => {
            let command = AllocatePayment { invoice_id: cause.stream.id.into(), amount, today: on };
            let id = payment_id.uuid();
            hands.send::<Payment>(Reaction { process: PROCESS, name: "AllocatePayment", cause, id, command }).await
        }
        InvoiceEvent::InvoiceSettled { payment_id, .. } if !is_taken_back_by(cause)? => {
            settled(hands, cause, payment_id).await
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

/// What the invoice was for begins. Where a credit note settled the rest of it, the payment that came before did.
async fn settled(hands: &Hands, cause: &RecordedEvent, payment_id: Option<PaymentId>) -> Result<(), ProcessError> {
    let Some(account) = Account::read(hands, cause, cause.stream.id.into()).await? else { return Ok(()) };
    let Some(payment_id) = payment_id.or(account.latest_payment()) else { return Ok(()) };
    let today = hands.today(cause).await?;
    match account.purpose {
        InvoicePurpose::MembershipDues { membership_id } => {
            let command = ActivateMembership { payment_id, today };
            let id = membership_id.uuid();
            hands
                .send::<Membership>(Reaction { process: PROCESS, name: "ActivateMembership", cause, id, command })
                .await
        }
        InvoicePurpose::RenewalDues { membership_id, term_number } => {
            let id = membership_id.uuid();
            let membership = hands.store().load::<Membership>(cause.tenant, id).await?.state;
            if membership.requested_renewal().is_none_or(|request| request.term_number != term_number) {
                // An old invoice, charged back and paid anew: its term has run, and the next one has its own.
                return Ok(());
            }
            let rules = |association: &Association| association.status_rules().clone();
            let rules = hands.look(cause, cause.tenant.uuid(), rules).await?;
            let command = CompleteRenewal { payment_id, rules, today };
            hands.send::<Membership>(Reaction { process: PROCESS, name: "CompleteRenewal", cause, id, command }).await
        }
        InvoicePurpose::EventFee { event_id, registration_id } => {
            let command = ConfirmRegistration { registration_id, payment_id, paid: account.paid() };
            let id = event_id.uuid();
            hands
                .send::<EventRoster>(Reaction { process: PROCESS, name: "ConfirmRegistration", cause, id, command })
                .await
        }
        InvoicePurpose::Other => Ok(()),
    }
}
