//! Why a roster says no.

use strum::IntoStaticStr;

use crate::{Money, money::MoneyError};

/// Why a command to a roster is refused. The name in kebab case is stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum RosterRefusal {
    /// Places cannot be asked for: not yet, or not any more.
    #[error("registration for this event is not open")]
    RegistrationNotOpen,
    /// Registration is open on other conditions.
    #[error("registration is open on other conditions: close it first")]
    AlreadyOpen,
    /// There is nothing to fill, or nothing to register for.
    #[error("give at least one pool and one ticket type, and at most {most} of each")]
    PoolsOrTicketTypesMissing {
        /// How many of each there may be.
        most: usize,
    },
    /// A pool has no name, or its name is given twice.
    #[error("pool {pool:?}: every pool needs a name of its own")]
    PoolNameRepeated {
        /// The name.
        pool: String,
    },
    /// A ticket type has no code, or its code is given twice.
    #[error("ticket type {code:?}: every ticket type needs a code of its own")]
    TicketCodeRepeated {
        /// The code.
        code: String,
    },
    /// A ticket type draws on no pool, on an unknown one, or twice on the same.
    #[error("ticket type {code:?}: it must draw on one or more of the event's pools, once on each")]
    TicketPoolsInvalid {
        /// The code.
        code: String,
    },
    /// A ticket type pays the registrant, or has fees in two currencies.
    #[error("ticket type {code:?}: fees must not be negative and must be in one currency for the whole event")]
    TicketFeeInvalid {
        /// The code.
        code: String,
    },
    /// A setting of the policy is out of range.
    #[error("{setting} must be between {least} and {most}")]
    PolicyOutOfRange {
        /// Which setting.
        setting: &'static str,
        /// Its smallest value.
        least: u32,
        /// Its largest value.
        most: u32,
    },
    /// The cancellation fee is negative or in another currency than the tickets.
    #[error("the cancellation fee must not be negative and must be in the currency of the tickets")]
    CancellationFeeInvalid,
    /// Registration cannot be opened again without a pool that places were taken from.
    #[error("pool {pool:?} must stay: registrations may have places in it")]
    PoolDropped {
        /// Its name.
        pool: String,
    },
    /// Registration cannot be opened again with a ticket type that draws on other pools, or without it.
    #[error("ticket type {code:?} must stay and draw on the same pools: registrations may be for it")]
    TicketTypeChanged {
        /// Its code.
        code: String,
    },
    /// There is no such pool.
    #[error("there is no pool {pool:?}")]
    PoolUnknown {
        /// The name asked for.
        pool: String,
    },
    /// There is no such ticket type.
    #[error("there is no ticket type {code:?}")]
    TicketTypeUnknown {
        /// The code asked for.
        code: String,
    },
    /// Places are asked for one by one or for a group.
    #[error("ask for 1 to {most} places")]
    PlacesOutOfRange {
        /// The largest group.
        most: u32,
    },
    /// The group is larger than the event, so waiting would be in vain.
    #[error("the group is larger than the event: a pool has {size} places in all")]
    GroupLargerThanPool {
        /// The size of the pool.
        size: u32,
    },
    /// There is no room, and the event has no waitlist.
    #[error("there is no room, and the event has no waitlist")]
    NoRoom,
    /// Too many wait already.
    #[error("the waitlist is full: {most} are waiting")]
    WaitlistFull {
        /// How many may wait.
        most: usize,
    },
    /// More registrations than one roster keeps.
    #[error("the roster is full: it keeps {most} registrations")]
    RosterFull {
        /// How many it keeps.
        most: usize,
    },
    /// The person has a live registration, and the event allows one.
    #[error("the person is registered already, and the event allows one registration each")]
    AlreadyRegistered,
    /// The registration's identity is taken by another wish.
    #[error("the registration exists, for another person, ticket type or number of places")]
    RegistrationDiffers,
    /// There is no such registration.
    #[error("there is no such registration")]
    RegistrationUnknown,
    /// The registration was given back, turned down, or has lapsed.
    #[error("the registration has ended")]
    RegistrationEnded,
    /// The registration waits for a place.
    #[error("the registration is on the waitlist")]
    StillWaiting,
    /// Somebody has to agree first.
    #[error("the registration is not approved yet")]
    ApprovalOutstanding,
    /// Nobody asked for approval.
    #[error("the registration does not wait for approval")]
    NotAwaitingApproval,
    /// There is no offer to answer.
    #[error("the registration has no open offer")]
    NotOffered,
    /// The offer was not taken up in time.
    #[error("the offer has lapsed")]
    OfferLapsed,
    /// Another invoice is open for the registration.
    #[error("another invoice is open for the registration")]
    InvoiceDiffers,
    /// The registration is confirmed and can only be cancelled.
    #[error("the registration is confirmed: cancel it instead")]
    AlreadyConfirmed,
    /// The registrant is in.
    #[error("the registrant has checked in")]
    AlreadyCheckedIn,
    /// Only a confirmed registrant can be missed.
    #[error("the registration is not confirmed")]
    NotConfirmed,
    /// An override of the policy needs a reason.
    #[error("say why another amount is refunded than the policy says")]
    ReasonMissing,
    /// More would be paid back than was paid.
    #[error("at most the {paid} that were paid can be refunded")]
    RefundTooLarge {
        /// What was paid.
        paid: Money,
    },
    /// A scan has an id of its own.
    #[error("a scan needs an id of 1 to {most} characters")]
    NonceInvalid {
        /// The longest id.
        most: usize,
    },
    /// The amounts cannot be computed with.
    #[error(transparent)]
    Money(#[from] MoneyError),
}
