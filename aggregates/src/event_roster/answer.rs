//! Answers: of the organizers to who asks, and of who waits to an offer.

use super::{
    AcceptOffer, ApproveRegistration, DeclineOffer, DeclineRegistration, EventRoster, PromotionReason, RosterEvent,
    RosterRefusal, Standing, register::hold_until,
};
use crate::Money;

impl EventRoster {
    /// What costs nothing is confirmed by the approval; anything else is held until it is paid.
    pub(super) fn approve(&self, command: ApproveRegistration) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let ApproveRegistration { registration_id, now } = command;
        let policy = &self.opening()?.policy;
        let entry = self.entry(registration_id)?;
        match entry.standing {
            Standing::AwaitingApproval if entry.registration.fee.is_zero() => {
                Ok(vec![confirmed_free(&entry.registration)])
            }
            Standing::AwaitingApproval => {
                let registration = entry.registration.clone();
                Ok(vec![RosterEvent::PlaceHeld { registration, until: hold_until(policy, now) }])
            }
            Standing::Held { .. }
            | Standing::AwaitingPayment { .. }
            | Standing::Confirmed
            | Standing::CheckedIn
            | Standing::NoShow => Ok(vec![]),
            Standing::Waitlisted { .. } | Standing::Offered { .. } => Err(RosterRefusal::NotAwaitingApproval),
            Standing::Declined | Standing::Expired | Standing::Cancelled => Err(RosterRefusal::RegistrationEnded),
        }
    }

    pub(super) fn decline(&self, command: DeclineRegistration) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let DeclineRegistration { registration_id, reason, now } = command;
        let entry = self.entry(registration_id)?;
        match entry.standing {
            Standing::Held { .. }
            | Standing::AwaitingApproval
            | Standing::AwaitingPayment { .. }
            | Standing::Waitlisted { .. }
            | Standing::Offered { .. } => {
                let mut events = vec![RosterEvent::RegistrationDeclined { registration_id, reason }];
                events.extend(self.offers_without(entry, PromotionReason::PlaceGivenBack, now));
                Ok(events)
            }
            Standing::Declined => Ok(vec![]),
            Standing::Confirmed | Standing::NoShow => Err(RosterRefusal::AlreadyConfirmed),
            Standing::CheckedIn => Err(RosterRefusal::AlreadyCheckedIn),
            Standing::Expired | Standing::Cancelled => Err(RosterRefusal::RegistrationEnded),
        }
    }

    pub(super) fn accept_offer(&self, command: AcceptOffer) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let AcceptOffer { registration_id, now } = command;
        let policy = &self.opening()?.policy;
        let entry = self.entry(registration_id)?;
        match entry.standing {
            Standing::Offered { until } if until < now => Err(RosterRefusal::OfferLapsed),
            Standing::Offered { .. } if policy.approval_required => {
                Ok(vec![RosterEvent::ApprovalRequested { registration: entry.registration.clone() }])
            }
            Standing::Offered { .. } if entry.registration.fee.is_zero() => {
                Ok(vec![confirmed_free(&entry.registration)])
            }
            Standing::Offered { .. } => {
                Ok(vec![RosterEvent::OfferAccepted { registration_id, until: hold_until(policy, now) }])
            }
            Standing::Held { .. }
            | Standing::AwaitingApproval
            | Standing::AwaitingPayment { .. }
            | Standing::Confirmed
            | Standing::CheckedIn
            | Standing::NoShow => Ok(vec![]),
            Standing::Waitlisted { .. } => Err(RosterRefusal::NotOffered),
            Standing::Declined | Standing::Expired | Standing::Cancelled => Err(RosterRefusal::RegistrationEnded),
        }
    }

    pub(super) fn decline_offer(&self, command: DeclineOffer) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let DeclineOffer { registration_id, now } = command;
        let entry = self.entry(registration_id)?;
        match entry.standing {
            Standing::Offered { .. } => {
                let mut events = vec![RosterEvent::OfferDeclined { registration_id }];
                events.extend(self.offers_without(entry, PromotionReason::PlaceGivenBack, now));
                Ok(events)
            }
            Standing::Declined => Ok(vec![]),
            Standing::Expired | Standing::Cancelled => Err(RosterRefusal::RegistrationEnded),
            Standing::Held { .. }
            | Standing::AwaitingApproval
            | Standing::AwaitingPayment { .. }
            | Standing::Confirmed
            | Standing::CheckedIn
            | Standing::NoShow
            | Standing::Waitlisted { .. } => Err(RosterRefusal::NotOffered),
        }
    }
}

fn confirmed_free(registration: &super::Registration) -> RosterEvent {
    let paid = Money::zero(registration.fee.currency);
    RosterEvent::RegistrationConfirmed { registration_id: registration.registration_id, payment_id: None, paid }
}
