//! What a roster can be asked. "Now" is always given by the caller.

use chrono::{DateTime, Utc};

use super::{CapacityPool, ImportedStanding, Registrant, Registration, RosterPolicy, TicketType};
use crate::{
    Money,
    decide::command_enum,
    ids::{InvoiceId, PaymentId, RegistrationId},
    personal::{FreeText, Personal},
    source::SourceRef,
};

/// Let people ask for places.
#[derive(Debug, Clone)]
pub struct OpenRegistration {
    /// The pools; at least one, names unique.
    pub pools: Vec<CapacityPool>,
    /// What can be registered for; at least one, codes unique.
    pub ticket_types: Vec<TicketType>,
    /// How those who ask are treated.
    pub policy: RosterPolicy,
    /// When it closes by itself.
    pub closes_at: Option<DateTime<Utc>>,
}

/// Take no more registrations and make no more offers.
#[derive(Debug, Clone)]
pub struct CloseRegistration {}

/// Give a pool another size.
#[derive(Debug, Clone)]
pub struct ChangeCapacity {
    /// Which pool.
    pub pool: String,
    /// How many places it has from now on; `None` for no limit.
    pub size: Option<u32>,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Ask for places. Where there is no room the registration is put on the waitlist: an outcome, not a refusal.
#[derive(Debug, Clone)]
pub struct RegisterForEvent {
    /// The new registration's identity.
    pub registration_id: RegistrationId,
    /// Who asks.
    pub registrant: Registrant,
    /// For what.
    pub ticket_type: String,
    /// How many places; at least 1.
    pub places: u32,
    /// Whether the registrant's membership is current on the event's date.
    pub member_price: bool,
    /// Higher goes first on the waitlist.
    pub priority: i32,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Tell the roster that there is an invoice for a held place.
#[derive(Debug, Clone)]
pub struct AwaitPayment {
    /// Which registration.
    pub registration_id: RegistrationId,
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Confirm a registration because it was paid. One that has lapsed is confirmed if there is room;
/// otherwise the payment is marked to be paid back.
#[derive(Debug, Clone)]
pub struct ConfirmRegistration {
    /// Which registration.
    pub registration_id: RegistrationId,
    /// The payment.
    pub payment_id: PaymentId,
    /// How much was paid in all.
    pub paid: Money,
}

/// Agree to a registration that needs approval.
#[derive(Debug, Clone)]
pub struct ApproveRegistration {
    /// Which registration.
    pub registration_id: RegistrationId,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Turn a registration down.
#[derive(Debug, Clone)]
pub struct DeclineRegistration {
    /// Which registration.
    pub registration_id: RegistrationId,
    /// Why.
    pub reason: Option<Personal<FreeText>>,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Take up an offer.
#[derive(Debug, Clone)]
pub struct AcceptOffer {
    /// Which registration.
    pub registration_id: RegistrationId,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Turn an offer down.
#[derive(Debug, Clone)]
pub struct DeclineOffer {
    /// Which registration.
    pub registration_id: RegistrationId,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Give a registration back.
#[derive(Debug, Clone)]
pub struct CancelRegistration {
    /// Which registration.
    pub registration_id: RegistrationId,
    /// Pay back this much instead of what the policy says; needs a reason.
    pub refund_override: Option<Money>,
    /// Why.
    pub reason: Option<Personal<FreeText>>,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Give the place to another person.
#[derive(Debug, Clone)]
pub struct TransferRegistration {
    /// Which registration.
    pub registration_id: RegistrationId,
    /// Who has it from now on.
    pub registrant: Registrant,
}

/// Let lapse what is due, and offer what became free.
///
/// One command lets at most 150 registrations lapse and makes at most 150 offers. Whoever sends it sends it
/// again, as another command, until nothing is recorded; it is the only command of which that is true.
#[derive(Debug, Clone)]
pub struct ExpireDue {
    /// Now.
    pub now: DateTime<Utc>,
}

/// Let a registrant in. A refused scan is recorded, too.
#[derive(Debug, Clone)]
pub struct CheckIn {
    /// Which registration.
    pub registration_id: RegistrationId,
    /// When, by the scanner's clock.
    pub at: DateTime<Utc>,
    /// The scan's own id.
    pub nonce: String,
}

/// Record that a registrant did not come.
#[derive(Debug, Clone)]
pub struct RecordNoShow {
    /// Which registration.
    pub registration_id: RegistrationId,
}

/// Take over a registration another system kept.
#[derive(Debug, Clone)]
pub struct ImportRegistration {
    /// The registration.
    pub registration: Registration,
    /// Where it stands.
    pub standing: ImportedStanding,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// Which row it is.
    pub source: SourceRef,
}

command_enum! {
    /// Everything a roster can be asked.
    RosterCommand {
        OpenRegistration, CloseRegistration, ChangeCapacity, RegisterForEvent, AwaitPayment, ConfirmRegistration, ApproveRegistration, DeclineRegistration, AcceptOffer, DeclineOffer, CancelRegistration, TransferRegistration, ExpireDue, CheckIn, RecordNoShow, ImportRegistration
    }
}
