//! A place that costs something is billed; what was paid for a place given back is paid back.

use chrono::{Days, NaiveDate};
use guildhall_aggregates::{
    Money,
    association_event::AssociationEvent,
    event_roster::{AwaitPayment, EventRoster, RosterEvent, Standing},
    ids::{AssociationEventId, InvoiceId, PaymentId, RegistrationId, derived},
    invoice::{DraftInvoice, Invoice, InvoiceLine, InvoicePurpose, RevenueKind, ServicePeriod},
};
use guildhall_event_store::RecordedEvent;

use crate::{
    account::{Account, pay_back},
    hands::{Hands, ProcessError, Reaction},
};

const PROCESS: &str = "registration_fees";

/// The invoice of a registration: one, however often it is held.
fn invoice_of(cause: &RecordedEvent, registration_id: RegistrationId) -> InvoiceId {
    InvoiceId::new(derived(cause.stream.id, &["invoice", &registration_id.to_string()]))
}

pub(crate) async fn on_roster(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    match cause.decode()? {
        RosterEvent::PlaceHeld { registration, .. } => bill(hands, cause, registration.registration_id).await,
        RosterEvent::OfferAccepted { registration_id, .. } => bill(hands, cause, registration_id).await,
        RosterEvent::RegistrationCancelled { registration_id, refund, payment_id, .. } => {
            let paid_back = payment_id.map(|payment_id| (payment_id, refund));
            take_back(hands, cause, registration_id, paid_back, "The registration was cancelled.").await
        }
        RosterEvent::PaymentUnplaced { registration_id, payment_id, amount } => {
            let reason = "There was no place any more when the payment came.";
            take_back(hands, cause, registration_id, Some((payment_id, amount)), reason).await
        }
        RosterEvent::RegistrationDeclined { registration_id, .. } => {
            take_back(hands, cause, registration_id, None, "The registration was declined.").await
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

/// Bills a place that is held. Whoever left again, or paid at the desk, before this came to it is not billed.
async fn bill(hands: &Hands, cause: &RecordedEvent, registration_id: RegistrationId) -> Result<(), ProcessError> {
    let held = hands
        .look(cause, cause.stream.id, |roster: &EventRoster| {
            let held = matches!(roster.standing(registration_id), Some(Standing::Held { .. }));
            let registration = roster.registration(registration_id).filter(|_| held).cloned();
            registration.zip(roster.policy().map(|policy| policy.payment_term_days))
        })
        .await?;
    let Some((registration, term)) = held else { return Ok(()) };
    let schedule = hands.look(cause, cause.stream.id, AssociationEvent::schedule).await?;
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

/// Takes a registration's invoice back: what is open, and of what was paid what the roster says, or all of it where no
/// payment had confirmed the registration.
async fn take_back(
    hands: &Hands,
    cause: &RecordedEvent,
    registration_id: RegistrationId,
    paid_back: Option<(PaymentId, Money)>,
    reason: &str,
) -> Result<(), ProcessError> {
    let invoice_id = invoice_of(cause, registration_id);
    let account = Account::read(hands, cause, invoice_id).await?;
    let by_invoice = |payment_id| account.as_ref().is_some_and(|account| account.knows(payment_id));
    let from_invoice = paid_back.filter(|(payment_id, _)| by_invoice(*payment_id));
    if let (Some((payment_id, amount)), None) = (paid_back, from_invoice) {
        // Money that was taken at the desk counts against no invoice.
        pay_back(hands, cause, invoice_id, payment_id, amount.minor, reason).await?;
    }
    let Some(account) = account else { return Ok(()) };
    let amount = from_invoice.map_or(account.paid(), |(_, amount)| amount);
    account.take_back(hands, cause, amount, reason).await
}
