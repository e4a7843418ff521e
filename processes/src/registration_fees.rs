//! A place that costs something is billed; what was paid for a place given back is paid back.

use chrono::{Days, NaiveDate};
use guildhall_aggregates::{
    Money,
    association_event::{AssociationEvent, AssociationEventRecord},
    event_roster::{AwaitPayment, CancelRegistration, CloseRegistration, EventRoster, Registration, RosterEvent},
    ids::{AssociationEventId, CreditNoteId, InvoiceId, PaymentId, RefundId, RegistrationId, derived},
    invoice::{CreditInvoice, DraftInvoice, Invoice, InvoiceLine, InvoicePurpose, RevenueKind, ServicePeriod},
    payment::{Payment, RefundPayment},
    personal::{Clear, FreeText},
};
use guildhall_event_store::RecordedEvent;

use crate::hands::{Hands, ProcessError, Reaction};

const PROCESS: &str = "registration_fees";

/// The invoice of a registration: one, however often it is held.
fn invoice_of(cause: &RecordedEvent, registration_id: RegistrationId) -> InvoiceId {
    InvoiceId::new(derived(cause.stream.id, &["invoice", &registration_id.to_string()]))
}

pub(crate) async fn on_roster(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    match cause.decode()? {
        RosterEvent::PlaceHeld { registration, .. } => bill(hands, cause, &registration).await,
        RosterEvent::OfferAccepted { registration_id, .. } => match registered(hands, cause, registration_id).await? {
            Some(registration) => bill(hands, cause, &registration).await,
            None => Ok(()),
        },
        RosterEvent::RegistrationCancelled { registration_id, refund, payment_id, .. } => {
            credit(hands, cause, registration_id, refund, "The registration was cancelled.").await?;
            match payment_id {
                Some(payment_id) => pay_back(hands, cause, payment_id, refund, "The registration was cancelled.").await,
                None => Ok(()),
            }
        }
        RosterEvent::PaymentUnplaced { registration_id, payment_id, amount } => {
            credit(hands, cause, registration_id, amount, "The payment came too late, and there is no room.").await?;
            pay_back(hands, cause, payment_id, amount, "The payment came too late, and there is no room.").await
        }
        RosterEvent::RegistrationDeclined { registration_id, .. } => {
            let Some(registration) = registered(hands, cause, registration_id).await? else { return Ok(()) };
            let nothing = Money::zero(registration.fee.currency);
            credit(hands, cause, registration_id, nothing, "The registration was declined.").await
        }
        // A registration that lapsed keeps its invoice open: a late payment may still find room.
        RosterEvent::RegistrationExpired { .. }
        | RosterEvent::RegistrationOpened { .. }
        | RosterEvent::RegistrationClosed { .. }
        | RosterEvent::CapacityChanged { .. }
        | RosterEvent::ApprovalRequested { .. }
        | RosterEvent::PaymentAwaited { .. }
        | RosterEvent::PlaceConfirmed { .. }
        | RosterEvent::RegistrationConfirmed { .. }
        | RosterEvent::RegistrationWaitlisted { .. }
        | RosterEvent::PlaceOffered { .. }
        | RosterEvent::WaitlistPassed { .. }
        | RosterEvent::OfferDeclined { .. }
        | RosterEvent::RegistrationTransferred { .. }
        | RosterEvent::CheckedIn { .. }
        | RosterEvent::CheckInRefused { .. }
        | RosterEvent::NoShowRecorded { .. }
        | RosterEvent::RegistrationImported { .. } => Ok(()),
    }
}

/// A cancelled event takes no more registrations, and gives everyone back what they paid.
pub(crate) async fn on_association_event(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    let AssociationEventRecord::EventCancelled { .. } = cause.decode()? else { return Ok(()) };
    let id = cause.stream.id;
    let command = CloseRegistration {};
    hands.send::<EventRoster>(Reaction { process: PROCESS, name: "CloseRegistration", cause, id, command }).await?;
    let everyone = hands
        .look(cause, id, |roster: &EventRoster| {
            roster.live().map(|(registration, paid)| (registration.clone(), paid)).collect::<Vec<_>>()
        })
        .await?;
    for (registration, paid) in everyone {
        let subject = registration.registrant.subject();
        let reason = Clear(FreeText("The event was cancelled.".to_owned()));
        let step = derived(cause.event_id, &["reason", &registration.registration_id.to_string()]);
        let command = CancelRegistration {
            registration_id: registration.registration_id,
            refund_override: Some(paid),
            reason: Some(hands.store().vault().seal(cause.tenant, subject, step, &reason).await?),
            now: hands.store().clock().now(),
        };
        let metadata = hands.metadata(PROCESS, "CancelRegistration", cause)?;
        hands.send_order::<EventRoster>(cause.tenant, id, command.into(), step, metadata).await?;
    }
    Ok(())
}

async fn registered(
    hands: &Hands,
    cause: &RecordedEvent,
    registration_id: RegistrationId,
) -> Result<Option<Registration>, ProcessError> {
    hands.look(cause, cause.stream.id, |roster: &EventRoster| roster.registration(registration_id).cloned()).await
}

async fn bill(hands: &Hands, cause: &RecordedEvent, registration: &Registration) -> Result<(), ProcessError> {
    let registration_id = registration.registration_id;
    let schedule = hands.look(cause, cause.stream.id, AssociationEvent::schedule).await?;
    let term = hands
        .look(cause, cause.stream.id, |roster: &EventRoster| {
            roster.policy().map_or(0, |policy| policy.payment_term_days)
        })
        .await?;
    let today = hands.today(cause).await?;
    let line = InvoiceLine {
        description: format!("Registration: {}", registration.ticket_type),
        kind: RevenueKind::EventFee,
        quantity: 1,
        unit_minor: registration.fee.minor,
        discount_minor: 0,
        tax_rate_bp: 0,
        service: schedule.map(|schedule| on_the_day(schedule.starts.date())),
    };
    let command = DraftInvoice {
        bill_to: registration.registrant.subject(),
        purpose: InvoicePurpose::EventFee { event_id: AssociationEventId::new(cause.stream.id), registration_id },
        lines: vec![line],
        currency: registration.fee.currency,
        today,
        due_on: today.checked_add_days(Days::new(u64::from(term))).unwrap_or(today),
    };
    let invoice_id = invoice_of(cause, registration_id);
    let id = invoice_id.uuid();
    hands.send::<Invoice>(Reaction { process: PROCESS, name: "DraftInvoice", cause, id, command }).await?;
    let command = AwaitPayment { registration_id, invoice_id, now: hands.store().clock().now() };
    let id = cause.stream.id;
    hands.send::<EventRoster>(Reaction { process: PROCESS, name: "AwaitPayment", cause, id, command }).await
}

/// Event fees are earned on the event's date.
fn on_the_day(day: NaiveDate) -> ServicePeriod {
    ServicePeriod { from: day, to: Some(day) }
}

/// Takes back what is open of a registration's invoice, and what is paid back of it.
async fn credit(
    hands: &Hands,
    cause: &RecordedEvent,
    registration_id: RegistrationId,
    paid_back: Money,
    reason: &str,
) -> Result<(), ProcessError> {
    let invoice_id = invoice_of(cause, registration_id);
    // From history itself: a payment of a moment ago must be seen.
    let invoice = hands.store().load::<Invoice>(cause.tenant, invoice_id.uuid()).await?.state;
    let Some(Ok(amount)) = invoice.open().map(|open| open.plus(paid_back)) else { return Ok(()) };
    if amount.is_zero() {
        return Ok(());
    }
    let command = CreditInvoice {
        credit_note_id: CreditNoteId::new(derived(cause.event_id, &["credit_note"])),
        amount,
        reason: reason.to_owned(),
        today: hands.today(cause).await?,
    };
    let id = invoice_id.uuid();
    hands.send::<Invoice>(Reaction { process: PROCESS, name: "CreditInvoice", cause, id, command }).await
}

async fn pay_back(
    hands: &Hands,
    cause: &RecordedEvent,
    payment_id: PaymentId,
    amount: Money,
    reason: &str,
) -> Result<(), ProcessError> {
    if amount.is_zero() {
        return Ok(());
    }
    let command = RefundPayment {
        refund_id: RefundId::new(derived(cause.event_id, &["refund"])),
        amount,
        reason: reason.to_owned(),
        today: hands.today(cause).await?,
    };
    let id = payment_id.uuid();
    hands.send::<Payment>(Reaction { process: PROCESS, name: "RefundPayment", cause, id, command }).await
}
