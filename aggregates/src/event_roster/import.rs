//! Taking over registrations another system kept. History is not argued with: neither capacity nor "one
//! registration each" is asked for, and what exceeds a pool is flagged.

use super::{
    EventRoster, ImportRegistration, RosterEvent, RosterRefusal, Standing,
    register::{MOST_REGISTRATIONS, check_count},
    waitlist::Room,
};

impl EventRoster {
    pub(super) fn import(&self, command: ImportRegistration) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let ImportRegistration { registration, standing, at, source } = command;
        self.opening()?;
        if let Some(entry) = self.book.entries.get(&registration.registration_id) {
            let same = entry.source.as_ref() == Some(&source);
            return if same { Ok(vec![]) } else { Err(RosterRefusal::RegistrationDiffers) };
        }
        if self.book.entries.len() >= MOST_REGISTRATIONS {
            return Err(RosterRefusal::RosterFull { most: MOST_REGISTRATIONS });
        }
        let ticket = self.ticket(&registration.ticket_type)?;
        check_count(registration.places)?;
        let takes_places = standing.standing().is_some_and(Standing::has_place);
        let over_capacity = takes_places && !Room::of(&self.book).fits(&ticket.pools, registration.places);
        Ok(vec![RosterEvent::RegistrationImported { registration, standing, at, over_capacity, source }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event_roster::{
            CancelRegistration, ChangeCapacity, ImportedStanding, PromotionReason, Registration, register::MOST_PLACES,
            testing::*,
        },
        testing::given,
    };

    fn import(registration: Registration, standing: ImportedStanding) -> ImportRegistration {
        ImportRegistration { registration, standing, at: at(0), source: row("1") }
    }

    #[test]
    fn a_registration_is_taken_over_as_it_stood() {
        for standing in [ImportedStanding::Confirmed, ImportedStanding::Cancelled, ImportedStanding::NoShow] {
            given::<EventRoster>([opened(9), closed()]).when(import(wish(1), standing)).then([imported(
                wish(1),
                standing,
                false,
            )]);
        }
    }

    #[test]
    fn history_over_capacity_is_accepted_and_flagged() {
        given::<EventRoster>([opened(1), placed(1)])
            .when(import(wish(2), ImportedStanding::Confirmed))
            .then([imported(wish(2), ImportedStanding::Confirmed, true)]);
        given::<EventRoster>([opened(1), placed(1)])
            .when(import(wish(2), ImportedStanding::Waitlisted))
            .then([imported(wish(2), ImportedStanding::Waitlisted, false)]);
    }

    #[test]
    fn over_capacity_nobody_new_gets_a_place_until_there_is_room() {
        let over = imported(wish(2), ImportedStanding::Confirmed, true);
        let cancel =
            |n| CancelRegistration { registration_id: id(n), refund_override: None, reason: None, now: at(60) };
        given::<EventRoster>([opened(1), placed(1), over.clone()]).when(ask(3)).then([waiting(3)]);
        given::<EventRoster>([opened(1), placed(1), over.clone(), waiting(3)])
            .when(cancel(1))
            .then([cancelled(1, 0, None)]);
        given::<EventRoster>([opened(1), placed(1), over, waiting(3), cancelled(1, 0, None)])
            .when(cancel(2))
            .then([cancelled(2, 0, None), offered(3, PromotionReason::PlaceGivenBack, 60)]);
    }

    #[test]
    fn an_imported_wait_counts_from_when_it_was_asked_for() {
        let history = [opened(1), placed(9), waiting(1), imported(wish(2), ImportedStanding::Waitlisted, false)];
        let resize = ChangeCapacity { pool: "hall".into(), size: Some(2), now: at(60) };
        let resized = RosterEvent::CapacityChanged { pool: "hall".into(), size: Some(2) };
        given::<EventRoster>(history).when(resize).then([resized, offered(2, PromotionReason::CapacityRaised, 60)]);
    }

    #[test]
    fn one_person_registered_several_times_elsewhere_is_taken_over() {
        let again = Registration { registration_id: id(2), ..wish(1) };
        given::<EventRoster>([opened(9), placed(1)])
            .when(import(again.clone(), ImportedStanding::Confirmed))
            .then([imported(again, ImportedStanding::Confirmed, false)]);
    }

    #[test]
    fn a_row_of_another_system_is_taken_over_once() {
        let history = || [opened(9), imported(wish(1), ImportedStanding::Confirmed, false)];
        given::<EventRoster>(history()).when(import(wish(1), ImportedStanding::NoShow)).then_nothing();
        given::<EventRoster>(history())
            .when(ImportRegistration { source: row("2"), ..import(wish(1), ImportedStanding::Confirmed) })
            .then_refused(RosterRefusal::RegistrationDiffers);
        given::<EventRoster>([opened(9), placed(1)])
            .when(import(wish(1), ImportedStanding::Confirmed))
            .then_refused(RosterRefusal::RegistrationDiffers);
    }

    #[test]
    fn what_the_event_does_not_know_is_not_taken_over() {
        let vip = Registration { ticket_type: "vip".into(), ..wish(1) };
        given::<EventRoster>([opened(9)])
            .when(import(vip, ImportedStanding::Confirmed))
            .then_refused(RosterRefusal::TicketTypeUnknown { code: "vip".into() });
        given::<EventRoster>([opened(9)])
            .when(import(group(1, 0), ImportedStanding::Confirmed))
            .then_refused(RosterRefusal::PlacesOutOfRange { most: MOST_PLACES });
        given::<EventRoster>([])
            .when(import(wish(1), ImportedStanding::Confirmed))
            .then_refused(RosterRefusal::RegistrationNotOpen);
    }
}
