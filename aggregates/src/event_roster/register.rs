//! Asking for places.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    EventRoster, PromotionReason, RegisterForEvent, Registration, RosterEvent, RosterPolicy, RosterRefusal, TicketType,
    waitlist::{Room, after},
};

/// The largest group.
pub(super) const MOST_PLACES: u32 = 1_000;
/// Longer waitlists give nobody hope, and each freed place may have to look through them.
pub(super) const MOST_WAITING: usize = 10_000;
/// What one stream is meant to hold.
pub(super) const MOST_REGISTRATIONS: usize = 100_000;

impl EventRoster {
    /// Reserve first, charge second: who finds room has the places from this decision on.
    pub(super) fn register(&self, command: RegisterForEvent) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let RegisterForEvent { registration_id, registrant, ticket_type, places, member_price, priority, now } =
            command;
        let opening = self.opening()?;
        if let Some(entry) = self.book.entries.get(&registration_id) {
            let known = &entry.registration;
            let same = known.registrant.subject() == registrant.subject()
                && known.ticket_type == ticket_type
                && known.places == places;
            return if same { Ok(vec![]) } else { Err(RosterRefusal::RegistrationDiffers) };
        }
        if !self.is_open(now) {
            return Err(RosterRefusal::RegistrationNotOpen);
        }
        let ticket = self.ticket(&ticket_type)?;
        self.check_places(ticket, places)?;
        if !opening.policy.several_per_person && self.book.is_live(registrant.subject()) {
            return Err(RosterRefusal::AlreadyRegistered);
        }
        let fee_each = if member_price { ticket.member_fee.unwrap_or(ticket.fee) } else { ticket.fee };
        let fee = fee_each.times(places)?;
        let registration = Registration { registration_id, registrant, ticket_type, places, fee, priority };
        let room = Room::of(&self.book);
        if self.can_place(&room, &registration.ticket_type, places) {
            return Ok(vec![placed(registration, &opening.policy, now)]);
        }
        self.wait(registration, room, &opening.policy, now)
    }

    /// Nobody overtakes: where there is room that those who wait cannot use, the newcomer is offered it in
    /// their turn.
    fn wait(
        &self,
        registration: Registration,
        room: Room<'_>,
        policy: &RosterPolicy,
        now: DateTime<Utc>,
    ) -> Result<Vec<RosterEvent>, RosterRefusal> {
        if !policy.waitlist {
            return Err(RosterRefusal::NoRoom);
        }
        if self.book.waitlist.len() >= MOST_WAITING {
            return Err(RosterRefusal::WaitlistFull { most: MOST_WAITING });
        }
        let offers = if room.fits(self.book.pools_of(&registration.ticket_type), registration.places) {
            self.offers(self.queue_with(&registration, now), room, PromotionReason::RoomLeft, now)
        } else {
            vec![]
        };
        let mut events = vec![RosterEvent::RegistrationWaitlisted { registration, at: now }];
        events.extend(offers);
        Ok(events)
    }

    pub(super) fn ticket(&self, code: &str) -> Result<&TicketType, RosterRefusal> {
        self.ticket_type(code).ok_or_else(|| RosterRefusal::TicketTypeUnknown { code: code.to_owned() })
    }

    fn check_places(&self, ticket: &TicketType, places: u32) -> Result<(), RosterRefusal> {
        check_count(places)?;
        if self.book.entries.len() >= MOST_REGISTRATIONS {
            return Err(RosterRefusal::RosterFull { most: MOST_REGISTRATIONS });
        }
        let sizes = ticket.pools.iter().filter_map(|pool| self.size(pool).flatten());
        match sizes.min() {
            // A full pool of no places is a matter of waiting; a group larger than the event is not.
            Some(size) if places > size.max(1) => Err(RosterRefusal::GroupLargerThanPool { size }),
            Some(_) | None => Ok(()),
        }
    }
}

pub(super) fn check_count(places: u32) -> Result<(), RosterRefusal> {
    if (1..=MOST_PLACES).contains(&places) {
        Ok(())
    } else {
        Err(RosterRefusal::PlacesOutOfRange { most: MOST_PLACES })
    }
}

/// What a registration that has room becomes.
fn placed(registration: Registration, policy: &RosterPolicy, now: DateTime<Utc>) -> RosterEvent {
    if policy.approval_required {
        RosterEvent::ApprovalRequested { registration }
    } else if registration.fee.is_zero() {
        RosterEvent::PlaceConfirmed { registration }
    } else {
        RosterEvent::PlaceHeld { registration, until: hold_until(policy, now) }
    }
}

/// When a hold that begins now lapses.
pub(super) fn hold_until(policy: &RosterPolicy, now: DateTime<Utc>) -> DateTime<Utc> {
    after(now, TimeDelta::minutes(i64::from(policy.hold_minutes)))
}
