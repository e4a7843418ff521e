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
