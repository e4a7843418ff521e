//! What can happen at a roster: who asks for a place, who gets one, who waits, who comes.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use crate::{
    Money,
    ids::{InvoiceId, MemberId, PaymentId, RegistrationId, SubjectId},
    personal::{EmailAddress, FreeText, PersonName, Personal},
    source::SourceRef,
};

/// A number of places that is filled once: the hall, a workshop, the dinner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityPool {
    /// Its name within the event: `hall`.
    pub name: String,
    /// How many places it has; none where there is no limit.
    pub size: Option<u32>,
}

/// What can be registered for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TicketType {
    /// Its code within the event: `standard`.
    pub code: String,
    /// What it costs.
    pub fee: Money,
    /// What it costs someone whose membership is current on the event's date; the fee where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_fee: Option<Money>,
    /// The pools one ticket draws one place from each; all must have room.
    pub pools: Vec<String>,
}

/// What is kept of the fee when a confirmed place is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CancellationFee {
    /// Nothing.
    None,
    /// A fixed amount.
    Fixed {
        /// The amount.
        amount: Money,
    },
    /// A share of what was paid.
    Percent {
        /// 0 to 100.
        percent: u8,
    },
}

/// How a roster treats those who ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "independent rules of an event, named as organizers see them")]
pub struct RosterPolicy {
    /// Minutes a place is held before there is an invoice: 1 to 120.
    pub hold_minutes: u32,
    /// Days an invoice may stay open.
    pub payment_term_days: u32,
    /// Hours an offer stands: at least 1.
    pub offer_hours: u32,
    /// Whether those who find no room may wait.
    pub waitlist: bool,
    /// Whether someone has to approve a registration.
    pub approval_required: bool,
    /// Whether one person may hold several live registrations.
    pub several_per_person: bool,
    /// Whether smaller parties may be offered a place past a group that is too large for it.
    pub pass_over_large_groups: bool,
    /// What is kept when a place is given back.
    pub cancellation_fee: CancellationFee,
    /// Until when giving back is free of other conditions; afterwards nothing is refunded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refundable_until: Option<DateTime<Utc>>,
}

impl Default for RosterPolicy {
    /// Hold 30 minutes, pay within 14 days, offers stand 48 hours, a waitlist, everything refunded.
    fn default() -> Self {
        Self {
            hold_minutes: 30,
            payment_term_days: 14,
            offer_hours: 48,
            waitlist: true,
            approval_required: false,
            several_per_person: false,
            pass_over_large_groups: false,
            cancellation_fee: CancellationFee::None,
            refundable_until: None,
        }
    }
}

/// Who has, or wants, a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Registrant {
    /// Somebody on the association's record.
    Member {
        /// Who.
        member_id: MemberId,
    },
    /// Somebody else.
    Guest {
        /// The person, as the vault knows them.
        subject: SubjectId,
        /// What they are called.
        name: Personal<PersonName>,
        /// Their e-mail address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<Personal<EmailAddress>>,
    },
}

impl Registrant {
    /// The person, whether member or guest: what "one registration per person" counts by.
    pub fn subject(&self) -> SubjectId {
        match self {
            Self::Member { member_id } => (*member_id).into(),
            Self::Guest { subject, .. } => *subject,
        }
    }
}

/// A wish for places, as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registration {
    /// Its identity.
    pub registration_id: RegistrationId,
    /// Who asked.
    pub registrant: Registrant,
    /// For what.
    pub ticket_type: String,
    /// How many places: 1, or the size of the group. All or none.
    pub places: u32,
    /// What is to be paid for all places.
    pub fee: Money,
    /// Higher goes first on the waitlist; 0 unless given.
    #[serde(default)]
    pub priority: i32,
}

/// Where an imported registration stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ImportedStanding {
    /// Has a place.
    Confirmed,
    /// Has a place once it is paid or approved.
    Pending,
    /// Came.
    CheckedIn,
    /// Waits.
    Waitlisted,
    /// Gave it back.
    Cancelled,
    /// Was turned down.
    Declined,
    /// Let it lapse.
    Expired,
    /// Did not come.
    NoShow,
}

/// Why a check-in was refused. It is recorded all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CheckInProblem {
    /// No such registration.
    Unknown,
    /// Not paid yet.
    Unpaid,
    /// Given back, declined or lapsed.
    Cancelled,
    /// Waiting, with no place.
    Waitlisted,
    /// In already.
    AlreadyCheckedIn,
}

/// Why a waitlisted registration was offered a place, or was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PromotionReason {
    /// A registration was cancelled.
    PlaceGivenBack,
    /// A hold, an unpaid registration or an offer lapsed.
    PlaceLapsed,
    /// There is more room than before.
    CapacityRaised,
    /// There was room that nobody ahead could use.
    RoomLeft,
    /// The group is larger than the room there is.
    GroupTooLarge,
}

/// What happened. Stored for ever: add variants and versions, never change one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(tag = "type")]
pub enum RosterEvent {
    /// Places can be asked for.
    RegistrationOpened {
        /// The pools.
        pools: Vec<CapacityPool>,
        /// What can be registered for.
        ticket_types: Vec<TicketType>,
        /// How those who ask are treated.
        policy: RosterPolicy,
        /// When it closes by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closes_at: Option<DateTime<Utc>>,
    },
    /// No more places can be asked for, and none are offered.
    RegistrationClosed {},
    /// A pool has another size.
    CapacityChanged {
        /// Which pool.
        pool: String,
        /// How many places it has now; none where there is no limit.
        size: Option<u32>,
    },
    /// Places are reserved until they are paid for.
    PlaceHeld {
        /// The registration.
        registration: Registration,
        /// When the hold lapses.
        until: DateTime<Utc>,
    },
    /// The registration waits for somebody's approval; it has its places meanwhile.
    ApprovalRequested {
        /// The registration.
        registration: Registration,
    },
    /// There is an invoice for a held place.
    PaymentAwaited {
        /// Which registration.
        registration_id: RegistrationId,
        /// The invoice.
        invoice_id: InvoiceId,
        /// When the registration lapses if it is not paid.
        until: DateTime<Utc>,
    },
    /// A registration that cost nothing was confirmed at once.
    PlaceConfirmed {
        /// The registration.
        registration: Registration,
    },
    /// A held, pending, approved or offered registration is confirmed.
    RegistrationConfirmed {
        /// Which registration.
        registration_id: RegistrationId,
        /// The payment it was confirmed by; none when nothing was to be paid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payment_id: Option<PaymentId>,
        /// What was paid in all.
        paid: Money,
    },
    /// There was no room; the registration waits.
    RegistrationWaitlisted {
        /// The registration.
        registration: Registration,
        /// When it was asked for: the order of waiting, after priority.
        at: DateTime<Utc>,
    },
    /// A waitlisted registration can have places now, and has them reserved.
    PlaceOffered {
        /// Which registration.
        registration_id: RegistrationId,
        /// Why there is room.
        reason: PromotionReason,
        /// When the offer lapses.
        until: DateTime<Utc>,
    },
    /// A waitlisted registration was passed over, as the policy allows.
    WaitlistPassed {
        /// Which registration.
        registration_id: RegistrationId,
        /// Why.
        reason: PromotionReason,
    },
    /// An offer was taken up for a fee: the place is held until it is paid.
    OfferAccepted {
        /// Which registration.
        registration_id: RegistrationId,
        /// When the hold lapses.
        until: DateTime<Utc>,
    },
    /// An offer was turned down.
    OfferDeclined {
        /// Which registration.
        registration_id: RegistrationId,
    },
    /// A hold, an unpaid registration or an offer lapsed.
    RegistrationExpired {
        /// Which registration.
        registration_id: RegistrationId,
    },
    /// Somebody turned the registration down.
    RegistrationDeclined {
        /// Which registration.
        registration_id: RegistrationId,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Personal<FreeText>>,
    },
    /// A registration was given back, in whatever standing.
    RegistrationCancelled {
        /// Which registration.
        registration_id: RegistrationId,
        /// What is to be paid back.
        refund: Money,
        /// The payment it is paid back from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payment_id: Option<PaymentId>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Personal<FreeText>>,
    },
    /// A payment came for a registration that has lapsed, and there is no room: it is to be paid back.
    PaymentUnplaced {
        /// Which registration.
        registration_id: RegistrationId,
        /// The payment.
        payment_id: PaymentId,
        /// How much.
        amount: Money,
    },
    /// The place is another person's now.
    RegistrationTransferred {
        /// Which registration.
        registration_id: RegistrationId,
        /// Who has the place.
        registrant: Registrant,
    },
    /// The registrant is in.
    CheckedIn {
        /// Which registration.
        registration_id: RegistrationId,
        /// When, by the scanner's clock.
        at: DateTime<Utc>,
        /// The scan's own id: the same scan is recorded once.
        nonce: String,
    },
    /// Somebody was not let in.
    CheckInRefused {
        /// Which registration was claimed.
        registration_id: RegistrationId,
        /// Why.
        problem: CheckInProblem,
        /// When, by the scanner's clock.
        at: DateTime<Utc>,
        /// The scan's own id.
        nonce: String,
    },
    /// The registrant did not come.
    NoShowRecorded {
        /// Which registration.
        registration_id: RegistrationId,
    },
    /// A registration another system kept, as it stood there. Not decided here, so it may exceed capacity.
    RegistrationImported {
        /// The registration.
        registration: Registration,
        /// Where it stood.
        standing: ImportedStanding,
        /// When it was made.
        at: DateTime<Utc>,
        /// Whether it has a place beyond a pool's size.
        over_capacity: bool,
        /// Which row it was.
        source: SourceRef,
    },
}
