//! Answers: of the organizers to who asks, and of who waits to an offer.

use super::{
    AcceptOffer, ApproveRegistration, DeclineOffer, DeclineRegistration, EventRoster, PromotionReason, Registration,
    RosterEvent, RosterRefusal, Standing, register::hold_until,
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
                Ok(vec![confirmed_at_no_cost(&entry.registration)])
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
                Ok(vec![confirmed_at_no_cost(&entry.registration)])
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

fn confirmed_at_no_cost(registration: &Registration) -> RosterEvent {
    let paid = Money::zero(registration.fee.currency);
    RosterEvent::RegistrationConfirmed { registration_id: registration.registration_id, payment_id: None, paid }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event_roster::{RosterPolicy, testing::*},
        testing::given,
    };

    fn by_approval() -> RosterPolicy {
        RosterPolicy { approval_required: true, ..RosterPolicy::default() }
    }
    fn approve() -> ApproveRegistration {
        ApproveRegistration { registration_id: id(1), now: at(1) }
    }
    fn decline() -> DeclineRegistration {
        DeclineRegistration { registration_id: id(1), reason: None, now: at(5) }
    }
    fn accept(now: i64) -> AcceptOffer {
        AcceptOffer { registration_id: id(1), now: at(now) }
    }
    fn turn_down() -> DeclineOffer {
        DeclineOffer { registration_id: id(1), now: at(5) }
    }
    fn turned_down() -> RosterEvent {
        RosterEvent::OfferDeclined { registration_id: id(1) }
    }
    fn offer() -> RosterEvent {
        offered(1, PromotionReason::CapacityRaised, 0)
    }

    #[test]
    fn approval_confirms_what_costs_nothing() {
        given::<EventRoster>([opened_by(9, by_approval()), awaits_approval(wish(1))])
            .when(approve())
            .then([confirmed_free(1)]);
    }

    #[test]
    fn approval_holds_what_is_to_be_paid() {
        given::<EventRoster>([opened_by(9, by_approval()), awaits_approval(paid_wish(1))])
            .when(approve())
            .then([held(1)]);
    }

    #[test]
    fn only_what_waits_for_approval_is_approved() {
        let refused = [
            ("Waitlisted", RosterRefusal::NotAwaitingApproval),
            ("Offered", RosterRefusal::NotAwaitingApproval),
            ("Declined", RosterRefusal::RegistrationEnded),
            ("Expired", RosterRefusal::RegistrationEnded),
            ("Cancelled", RosterRefusal::RegistrationEnded),
        ];
        expect(approve(), &refused, &["Held", "AwaitingPayment", "Confirmed", "CheckedIn", "NoShow"]);
    }

    #[test]
    fn a_declined_place_is_offered_at_once() {
        given::<EventRoster>([opened_by(1, by_approval()), awaits_approval(wish(1)), waiting(2)])
            .when(decline())
            .then([declined(1), offered(2, PromotionReason::PlaceGivenBack, 5)]);
    }

    #[test]
    fn declining_the_first_in_the_queue_lets_the_next_in() {
        let head = waits(Registration { registration_id: id(1), ..group(7, 3) });
        given::<EventRoster>([opened(3), placed(2), head, waiting(3)])
            .when(decline())
            .then([declined(1), offered(3, PromotionReason::PlaceGivenBack, 5)]);
    }

    #[test]
    fn a_confirmed_registration_is_cancelled_and_not_declined() {
        let refused = [
            ("Confirmed", RosterRefusal::AlreadyConfirmed),
            ("CheckedIn", RosterRefusal::AlreadyCheckedIn),
            ("NoShow", RosterRefusal::AlreadyConfirmed),
            ("Expired", RosterRefusal::RegistrationEnded),
            ("Cancelled", RosterRefusal::RegistrationEnded),
        ];
        expect(decline(), &refused, &["Declined"]);
    }

    #[test]
    fn an_offer_is_taken_up_for_a_fee() {
        let accepted = RosterEvent::OfferAccepted { registration_id: id(1), until: at(40) };
        given::<EventRoster>([opened(9), waits(paid_wish(1)), offer()]).when(accept(10)).then([accepted]);
    }

    #[test]
    fn an_offer_that_costs_nothing_is_confirmed_at_once() {
        given::<EventRoster>([opened(9), waiting(1), offer()]).when(accept(10)).then([confirmed_free(1)]);
    }

    #[test]
    fn an_offer_may_still_need_approval() {
        given::<EventRoster>([opened_by(9, by_approval()), waiting(1), offer()])
            .when(accept(10))
            .then([awaits_approval(wish(1))]);
    }

    #[test]
    fn an_offer_stands_until_its_last_moment() {
        let last = 48 * 60;
        given::<EventRoster>([opened(9), waiting(1), offer()]).when(accept(last)).then([confirmed_free(1)]);
        given::<EventRoster>([opened(9), waiting(1), offer()])
            .when(accept(last + 1))
            .then_refused(RosterRefusal::OfferLapsed);
    }

    #[test]
    fn only_an_offer_is_taken_up() {
        let refused = [
            ("Waitlisted", RosterRefusal::NotOffered),
            ("Declined", RosterRefusal::RegistrationEnded),
            ("Expired", RosterRefusal::RegistrationEnded),
            ("Cancelled", RosterRefusal::RegistrationEnded),
        ];
        let has_a_place = ["Held", "AwaitingApproval", "AwaitingPayment", "Confirmed", "CheckedIn", "NoShow"];
        expect(accept(10), &refused, &has_a_place);
    }

    #[test]
    fn an_offer_turned_down_goes_to_the_next() {
        given::<EventRoster>([opened(1), waiting(1), waiting(2), offer()])
            .when(turn_down())
            .then([turned_down(), offered(2, PromotionReason::PlaceGivenBack, 5)]);
    }

    #[test]
    fn only_an_offer_is_turned_down() {
        let not_offered = |standing| (standing, RosterRefusal::NotOffered);
        let refused = [
            not_offered("Held"),
            not_offered("AwaitingApproval"),
            not_offered("AwaitingPayment"),
            not_offered("Confirmed"),
            not_offered("CheckedIn"),
            not_offered("NoShow"),
            not_offered("Waitlisted"),
            ("Expired", RosterRefusal::RegistrationEnded),
            ("Cancelled", RosterRefusal::RegistrationEnded),
        ];
        expect(turn_down(), &refused, &["Declined"]);
    }

    #[test]
    fn only_a_registration_on_the_roster_is_answered() {
        let unknown = || RosterRefusal::RegistrationUnknown;
        given::<EventRoster>([opened(9)]).when(approve()).then_refused(unknown());
        given::<EventRoster>([opened(9)]).when(decline()).then_refused(unknown());
        given::<EventRoster>([opened(9)]).when(accept(1)).then_refused(unknown());
        given::<EventRoster>([opened(9)]).when(turn_down()).then_refused(unknown());
    }
}
