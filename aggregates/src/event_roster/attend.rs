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
