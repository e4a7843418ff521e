//! Who comes: transfers before the event, scans at the door, and who did not come.

use super::{
    CheckIn, CheckInProblem, EventRoster, RecordNoShow, RosterEvent, RosterRefusal, Standing, TransferRegistration,
};

/// The longest id of a scan.
const LONGEST_NONCE: usize = 100;

impl EventRoster {
    /// Keeps the place, also when the event is full: no other person comes between.
    pub(super) fn transfer(&self, command: TransferRegistration) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let TransferRegistration { registration_id, registrant } = command;
        let policy = &self.opening()?.policy;
        let entry = self.entry(registration_id)?;
        match entry.standing {
            Standing::Waitlisted { .. } => Err(RosterRefusal::StillWaiting),
            Standing::CheckedIn | Standing::NoShow => Err(RosterRefusal::AlreadyCheckedIn),
            Standing::Declined | Standing::Expired | Standing::Cancelled => Err(RosterRefusal::RegistrationEnded),
            Standing::Held { .. }
            | Standing::AwaitingApproval
            | Standing::AwaitingPayment { .. }
            | Standing::Confirmed
            | Standing::Offered { .. } => {
                if entry.registration.registrant.subject() == registrant.subject() {
                    Ok(vec![])
                } else if !policy.several_per_person && self.book.is_live(registrant.subject()) {
                    Err(RosterRefusal::AlreadyRegistered)
                } else {
                    Ok(vec![RosterEvent::RegistrationTransferred { registration_id, registrant }])
                }
            }
        }
    }

    /// A refused scan is a fact, too: scanners upload hours later, and somebody was at the door.
    pub(super) fn check_in(&self, command: CheckIn) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let CheckIn { registration_id, at, nonce } = command;
        self.opening()?;
        if nonce.is_empty() || nonce.len() > LONGEST_NONCE {
            return Err(RosterRefusal::NonceInvalid { most: LONGEST_NONCE });
        }
        if self.scans.contains(&nonce) {
            return Ok(vec![]);
        }
        let problem = match self.standing(registration_id) {
            // Who was missed and came after all is in.
            Some(Standing::Confirmed | Standing::NoShow) => {
                return Ok(vec![RosterEvent::CheckedIn { registration_id, at, nonce }]);
            }
            None => CheckInProblem::Unknown,
            Some(Standing::CheckedIn) => CheckInProblem::AlreadyCheckedIn,
            Some(Standing::Waitlisted { .. } | Standing::Offered { .. }) => CheckInProblem::Waitlisted,
            Some(Standing::Held { .. } | Standing::AwaitingApproval | Standing::AwaitingPayment { .. }) => {
                CheckInProblem::Unpaid
            }
            Some(Standing::Declined | Standing::Expired | Standing::Cancelled) => CheckInProblem::Cancelled,
        };
        Ok(vec![RosterEvent::CheckInRefused { registration_id, problem, at, nonce }])
    }

    pub(super) fn record_no_show(&self, command: RecordNoShow) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let RecordNoShow { registration_id } = command;
        match self.entry(registration_id)?.standing {
            Standing::Confirmed => Ok(vec![RosterEvent::NoShowRecorded { registration_id }]),
            Standing::NoShow => Ok(vec![]),
            Standing::CheckedIn => Err(RosterRefusal::AlreadyCheckedIn),
            Standing::Declined | Standing::Expired | Standing::Cancelled => Err(RosterRefusal::RegistrationEnded),
            Standing::Held { .. }
            | Standing::AwaitingApproval
            | Standing::AwaitingPayment { .. }
            | Standing::Waitlisted { .. }
            | Standing::Offered { .. } => Err(RosterRefusal::NotConfirmed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event_roster::{RegisterForEvent, Registration, RosterPolicy, testing::*},
        testing::given,
    };

    fn to(n: u128) -> TransferRegistration {
        TransferRegistration { registration_id: id(1), registrant: person(n) }
    }
    fn transferred(n: u128) -> RosterEvent {
        RosterEvent::RegistrationTransferred { registration_id: id(1), registrant: person(n) }
    }
    fn scan(n: u128, nonce: &str) -> CheckIn {
        CheckIn { registration_id: id(n), at: at(100), nonce: nonce.into() }
    }
    fn refused(n: u128, problem: CheckInProblem) -> RosterEvent {
        RosterEvent::CheckInRefused { registration_id: id(n), problem, at: at(100), nonce: "a".into() }
    }
    fn no_show() -> RecordNoShow {
        RecordNoShow { registration_id: id(1) }
    }

    #[test]
    fn a_place_goes_to_another_person_also_when_the_event_is_full() {
        given::<EventRoster>([opened(1), placed(1), waiting(3)]).when(to(2)).then([transferred(2)]);
    }

    #[test]
    fn transferring_to_who_has_the_place_records_nothing() {
        given::<EventRoster>([opened(1), placed(1), transferred(2)]).when(to(2)).then_nothing();
    }

    #[test]
    fn a_transfer_does_not_give_a_person_two_places() {
        given::<EventRoster>([opened(9), placed(1), placed(2)])
            .when(to(2))
            .then_refused(RosterRefusal::AlreadyRegistered);
        let policy = RosterPolicy { several_per_person: true, ..RosterPolicy::default() };
        given::<EventRoster>([opened_by(9, policy), placed(1), placed(2)]).when(to(2)).then([transferred(2)]);
    }

    #[test]
    fn who_gave_a_place_away_may_register_again() {
        let again = RegisterForEvent { registration_id: id(5), ..ask(1) };
        let registration = Registration { registration_id: id(5), ..wish(1) };
        given::<EventRoster>([opened(9), placed(1), transferred(2)])
            .when(again)
            .then([RosterEvent::PlaceConfirmed { registration }]);
    }

    #[test]
    fn only_a_place_is_transferred() {
        let refusals = [
            ("CheckedIn", RosterRefusal::AlreadyCheckedIn),
            ("NoShow", RosterRefusal::AlreadyCheckedIn),
            ("Waitlisted", RosterRefusal::StillWaiting),
            ("Declined", RosterRefusal::RegistrationEnded),
            ("Expired", RosterRefusal::RegistrationEnded),
            ("Cancelled", RosterRefusal::RegistrationEnded),
        ];
        expect(to(2), &refusals, &[]);
    }

    #[test]
    fn a_registrant_is_let_in() {
        given::<EventRoster>([opened(9), placed(1)]).when(scan(1, "a")).then([checked_in(1, "a")]);
        given::<EventRoster>([opened(9), placed(1), missed(1)]).when(scan(1, "a")).then([checked_in(1, "a")]);
    }

    #[test]
    fn a_refused_scan_is_recorded_with_its_reason() {
        let problem_in = |standing: &str| match standing {
            "CheckedIn" => Some(CheckInProblem::AlreadyCheckedIn),
            "Held" | "AwaitingApproval" | "AwaitingPayment" => Some(CheckInProblem::Unpaid),
            "Waitlisted" | "Offered" => Some(CheckInProblem::Waitlisted),
            "Declined" | "Expired" | "Cancelled" => Some(CheckInProblem::Cancelled),
            _ => None,
        };
        for (standing, outcome) in outcomes(scan(1, "a")) {
            let expected = problem_in(&standing).map_or(checked_in(1, "a"), |problem| refused(1, problem));
            assert_eq!(outcome, Ok(vec![expected]), "{standing}");
        }
        given::<EventRoster>([opened(9)]).when(scan(1, "a")).then([refused(1, CheckInProblem::Unknown)]);
    }

    #[test]
    fn the_same_scan_is_recorded_once() {
        given::<EventRoster>([opened(9), placed(1), checked_in(1, "a")]).when(scan(1, "a")).then_nothing();
        given::<EventRoster>([opened(9), refused(1, CheckInProblem::Unknown)]).when(scan(1, "a")).then_nothing();
    }

    #[test]
    fn a_scan_has_an_id() {
        for nonce in ["", &"n".repeat(LONGEST_NONCE + 1)] {
            given::<EventRoster>([opened(9), placed(1)])
                .when(scan(1, nonce))
                .then_refused(RosterRefusal::NonceInvalid { most: LONGEST_NONCE });
        }
    }

    #[test]
    fn nobody_is_let_in_where_there_is_no_event() {
        given::<EventRoster>([]).when(scan(1, "a")).then_refused(RosterRefusal::RegistrationNotOpen);
    }

    #[test]
    fn only_who_was_expected_is_missed() {
        given::<EventRoster>([opened(9), placed(1)]).when(no_show()).then([missed(1)]);
        let not_confirmed = |standing| (standing, RosterRefusal::NotConfirmed);
        let refusals = [
            not_confirmed("Held"),
            not_confirmed("AwaitingApproval"),
            not_confirmed("AwaitingPayment"),
            ("CheckedIn", RosterRefusal::AlreadyCheckedIn),
            not_confirmed("Waitlisted"),
            not_confirmed("Offered"),
            ("Declined", RosterRefusal::RegistrationEnded),
            ("Expired", RosterRefusal::RegistrationEnded),
            ("Cancelled", RosterRefusal::RegistrationEnded),
        ];
        expect(no_show(), &refusals, &["NoShow"]);
    }
}
