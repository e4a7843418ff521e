//! From a held place to a paid one.

use chrono::TimeDelta;

use super::{
    AwaitPayment, ConfirmRegistration, EventRoster, RosterEvent, RosterRefusal, Standing,
    book::Entry,
    waitlist::{Room, after},
};

impl EventRoster {
    pub(super) fn await_payment(&self, command: AwaitPayment) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let AwaitPayment { registration_id, invoice_id, now } = command;
        let days = i64::from(self.opening()?.policy.payment_term_days);
        let until = after(now, TimeDelta::days(days));
        match self.entry(registration_id)?.standing {
            Standing::Held { .. } | Standing::AwaitingPayment { invoice_id: None, .. } => {
                Ok(vec![RosterEvent::PaymentAwaited { registration_id, invoice_id, until }])
            }
            Standing::AwaitingPayment { invoice_id: Some(open), .. } if open == invoice_id => Ok(vec![]),
            Standing::AwaitingPayment { .. } => Err(RosterRefusal::InvoiceDiffers),
            Standing::AwaitingApproval => Err(RosterRefusal::ApprovalOutstanding),
            Standing::Waitlisted { .. } | Standing::Offered { .. } => Err(RosterRefusal::StillWaiting),
            Standing::Confirmed | Standing::CheckedIn | Standing::NoShow => Err(RosterRefusal::AlreadyConfirmed),
            Standing::Declined | Standing::Expired | Standing::Cancelled => Err(RosterRefusal::RegistrationEnded),
        }
    }

    /// A payment is either placed or paid back, never both: a late one is placed if there is room that
    /// nobody waits for. Source: "Registration" of the domain rules.
    pub(super) fn confirm(&self, command: ConfirmRegistration) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let ConfirmRegistration { registration_id, payment_id, paid } = command;
        let entry = self.entry(registration_id)?;
        let counted = entry.payment.is_some_and(|made| made.payment_id == payment_id);
        if counted || entry.unplaced.contains(&payment_id) {
            return Ok(vec![]);
        }
        let confirmed = RosterEvent::RegistrationConfirmed { registration_id, payment_id: Some(payment_id), paid };
        let unplaced = RosterEvent::PaymentUnplaced { registration_id, payment_id, amount: paid };
        match entry.standing {
            // A confirmed registration is paid again when the first payment was charged back.
            Standing::Held { .. }
            | Standing::AwaitingPayment { .. }
            | Standing::Offered { .. }
            | Standing::Confirmed => Ok(vec![confirmed]),
            Standing::CheckedIn | Standing::NoShow => Ok(vec![]),
            Standing::AwaitingApproval => Err(RosterRefusal::ApprovalOutstanding),
            Standing::Expired if self.can_return(entry) => Ok(vec![confirmed]),
            Standing::Waitlisted { .. } | Standing::Expired | Standing::Declined | Standing::Cancelled => {
                Ok(vec![unplaced])
            }
        }
    }

    /// Whether a lapsed registration can have its places back.
    fn can_return(&self, entry: &Entry) -> bool {
        let registration = &entry.registration;
        let one_each = self.policy().is_some_and(|policy| !policy.several_per_person);
        let has_another = one_each && self.book.is_live(registration.registrant.subject());
        !has_another && self.can_place(&Room::of(&self.book), &registration.ticket_type, registration.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event_roster::{ImportedStanding, PromotionReason, Registration, RosterPolicy, testing::*},
        testing::given,
    };

    fn bill(n: u128) -> AwaitPayment {
        AwaitPayment { registration_id: id(1), invoice_id: invoice(n), now: at(0) }
    }
    fn pay(n: u128, by: u128) -> ConfirmRegistration {
        ConfirmRegistration { registration_id: id(n), payment_id: payment(by), paid: usd(10_000) }
    }
    fn unplaced(n: u128, by: u128) -> RosterEvent {
        RosterEvent::PaymentUnplaced { registration_id: id(n), payment_id: payment(by), amount: usd(10_000) }
    }

    #[test]
    fn a_held_place_waits_for_its_invoice_to_be_paid() {
        given::<EventRoster>([opened(9), held(1)]).when(bill(1)).then([awaits_payment(1)]);
    }

    #[test]
    fn an_imported_pending_registration_gets_its_invoice_later() {
        given::<EventRoster>([opened(9), imported(paid_wish(1), ImportedStanding::Pending, false)])
            .when(bill(1))
            .then([awaits_payment(1)]);
    }

    #[test]
    fn only_a_held_place_waits_for_a_payment() {
        let refused = [
            ("AwaitingApproval", RosterRefusal::ApprovalOutstanding),
            ("Confirmed", RosterRefusal::AlreadyConfirmed),
            ("CheckedIn", RosterRefusal::AlreadyConfirmed),
            ("NoShow", RosterRefusal::AlreadyConfirmed),
            ("Waitlisted", RosterRefusal::StillWaiting),
            ("Offered", RosterRefusal::StillWaiting),
            ("Declined", RosterRefusal::RegistrationEnded),
            ("Expired", RosterRefusal::RegistrationEnded),
            ("Cancelled", RosterRefusal::RegistrationEnded),
        ];
        expect(bill(1), &refused, &["AwaitingPayment"]);
        given::<EventRoster>([opened(9), held(1), awaits_payment(1)])
            .when(bill(2))
            .then_refused(RosterRefusal::InvoiceDiffers);
    }

    #[test]
    fn a_payment_confirms_a_place_that_is_reserved() {
        let offer = offered(1, PromotionReason::CapacityRaised, 0);
        for reserved in [vec![held(1)], vec![held(1), awaits_payment(1)], vec![waits(paid_wish(1)), offer]] {
            given::<EventRoster>([opened(9)].into_iter().chain(reserved)).when(pay(1, 1)).then([paid(1, 1)]);
        }
    }

    #[test]
    fn the_same_payment_confirms_once() {
        given::<EventRoster>([opened(9), held(1), paid(1, 1)]).when(pay(1, 1)).then_nothing();
    }

    #[test]
    fn a_registration_paid_anew_is_confirmed_by_the_new_payment() {
        given::<EventRoster>([opened(9), held(1), paid(1, 1)]).when(pay(1, 2)).then([paid(1, 2)]);
        given::<EventRoster>([opened(9), held(1), paid(1, 1), checked_in(1, "a")]).when(pay(1, 2)).then_nothing();
    }

    #[test]
    fn a_late_payment_is_placed_if_there_is_room() {
        given::<EventRoster>([opened(1), held(1), expired(1)]).when(pay(1, 1)).then([paid(1, 1)]);
    }

    #[test]
    fn a_late_payment_is_paid_back_if_there_is_none() {
        given::<EventRoster>([opened(1), held(1), expired(1), placed(2)]).when(pay(1, 1)).then([unplaced(1, 1)]);
    }

    #[test]
    fn a_late_payment_does_not_overtake_who_waits() {
        given::<EventRoster>([opened(3), held(1), expired(1), placed(2), waits(group(3, 3))])
            .when(pay(1, 1))
            .then([unplaced(1, 1)]);
    }

    #[test]
    fn a_late_payment_does_not_give_a_person_two_places() {
        let again = RosterEvent::PlaceHeld {
            registration: Registration { registration_id: id(2), ..paid_wish(1) },
            until: at(90),
        };
        given::<EventRoster>([opened(9), held(1), expired(1), again.clone()]).when(pay(1, 1)).then([unplaced(1, 1)]);
        let policy = RosterPolicy { several_per_person: true, ..RosterPolicy::default() };
        given::<EventRoster>([opened_by(9, policy), held(1), expired(1), again]).when(pay(1, 1)).then([paid(1, 1)]);
    }

    #[test]
    fn a_payment_is_placed_or_paid_back_but_never_both() {
        let paid_back = [opened(1), held(1), expired(1), placed(2), unplaced(1, 1), cancelled(2, 0, None)];
        given::<EventRoster>(paid_back).when(pay(1, 1)).then_nothing();
    }

    #[test]
    fn a_payment_for_what_has_ended_or_waits_is_paid_back() {
        for ended in [cancelled(1, 0, None), declined(1)] {
            given::<EventRoster>([opened(9), held(1), ended]).when(pay(1, 1)).then([unplaced(1, 1)]);
        }
        given::<EventRoster>([opened(1), placed(2), waits(paid_wish(1))]).when(pay(1, 1)).then([unplaced(1, 1)]);
    }

    #[test]
    fn a_payment_does_not_replace_approval() {
        let refused = [("AwaitingApproval", RosterRefusal::ApprovalOutstanding)];
        expect(pay(1, 1), &refused, &["CheckedIn", "NoShow"]);
    }

    #[test]
    fn only_a_registration_on_the_roster_is_paid() {
        given::<EventRoster>([opened(9)]).when(pay(1, 1)).then_refused(RosterRefusal::RegistrationUnknown);
        given::<EventRoster>([opened(9)]).when(bill(1)).then_refused(RosterRefusal::RegistrationUnknown);
    }
}
