//! Asking for places.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    EventRoster, PromotionReason, RegisterForEvent, Registration, RosterEvent, RosterPolicy, RosterRefusal, TicketType,
    waitlist::{Queue, Room, after},
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
            return Ok(vec![with_place(registration, &opening.policy, now)]);
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
            self.offers(Queue::With(&registration), room, PromotionReason::RoomLeft, now)
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
fn with_place(registration: Registration, policy: &RosterPolicy, now: DateTime<Utc>) -> RosterEvent {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event_roster::{OpenRegistration, testing::*},
        money::MoneyError,
        testing::given,
    };

    fn refuses(command: RegisterForEvent, refusal: RosterRefusal) {
        given::<EventRoster>([opened(10)]).when(command).then_refused(refusal);
    }

    #[test]
    fn what_costs_nothing_is_confirmed_at_once() {
        given::<EventRoster>([opened(10)]).when(ask(1)).then([placed(1)]);
    }

    #[test]
    fn what_costs_something_is_held_until_it_is_paid() {
        let command = RegisterForEvent { ticket_type: "paid".into(), ..ask(1) };
        given::<EventRoster>([opened(10)]).when(command).then([held(1)]);
    }

    #[test]
    fn members_pay_the_member_price_for_each_place() {
        let command = RegisterForEvent { ticket_type: "paid".into(), member_price: true, places: 3, ..ask(1) };
        let registration = Registration { fee: usd(24_000), places: 3, ..paid_wish(1) };
        given::<EventRoster>([opened(10)]).when(command).then([RosterEvent::PlaceHeld { registration, until: at(31) }]);
    }

    #[test]
    fn what_needs_approval_has_its_places_meanwhile() {
        let policy = RosterPolicy { approval_required: true, ..RosterPolicy::default() };
        given::<EventRoster>([opened_by(1, policy.clone())]).when(ask(1)).then([awaits_approval(wish(1))]);
        given::<EventRoster>([opened_by(1, policy), awaits_approval(wish(1))]).when(ask(2)).then([waiting(2)]);
    }

    #[test]
    fn a_full_event_puts_the_registrant_on_the_waitlist() {
        given::<EventRoster>([opened(1), placed(1)]).when(ask(2)).then([waiting(2)]);
    }

    #[test]
    fn a_held_place_is_taken() {
        given::<EventRoster>([opened(1), held(1)]).when(ask(2)).then([waiting(2)]);
    }

    #[test]
    fn an_offered_place_is_taken() {
        let offer = offered(2, PromotionReason::PlaceGivenBack, 5);
        given::<EventRoster>([opened(1), placed(1), waiting(2), cancelled(1, 0, None), offer])
            .when(ask(3))
            .then([waiting(3)]);
    }

    #[test]
    fn a_group_takes_all_its_places_or_none() {
        given::<EventRoster>([opened(3), placed(1)])
            .when(RegisterForEvent { places: 3, ..ask(2) })
            .then([waits(group(2, 3))]);
    }

    #[test]
    fn all_pools_of_a_ticket_must_have_room() {
        let both = |n| Registration { ticket_type: "both".into(), ..wish(n) };
        let confirmed = |n| RosterEvent::PlaceConfirmed { registration: both(n) };
        given::<EventRoster>([opened(10), confirmed(1), confirmed(2)])
            .when(RegisterForEvent { ticket_type: "both".into(), ..ask(3) })
            .then([waits(both(3))]);
    }

    #[test]
    fn who_waits_for_one_pool_does_not_keep_others_out_of_another() {
        let both = |n| Registration { ticket_type: "both".into(), ..wish(n) };
        let confirmed = |n| RosterEvent::PlaceConfirmed { registration: both(n) };
        given::<EventRoster>([opened(10), confirmed(1), confirmed(2), waits(both(3))]).when(ask(4)).then([placed(4)]);
    }

    #[test]
    fn nobody_overtakes_a_group_that_waits() {
        given::<EventRoster>([opened(3), placed(1), waits(group(2, 3))]).when(ask(3)).then([waiting(3)]);
    }

    #[test]
    fn a_large_group_is_passed_over_when_the_event_says_so() {
        let policy = RosterPolicy { pass_over_large_groups: true, ..RosterPolicy::default() };
        given::<EventRoster>([opened_by(3, policy), placed(1), waits(group(2, 3))]).when(ask(3)).then([
            waiting(3),
            passed(2),
            offered(3, PromotionReason::RoomLeft, 3),
        ]);
    }

    #[test]
    fn who_is_first_by_priority_is_offered_room_that_others_cannot_use() {
        let urgent = RegisterForEvent { priority: 1, ..ask(3) };
        let registration = Registration { priority: 1, ..wish(3) };
        given::<EventRoster>([opened(3), placed(1), waits(group(2, 3))])
            .when(urgent)
            .then([waits(registration), offered(3, PromotionReason::RoomLeft, 3)]);
    }

    #[test]
    fn nobody_overtakes_who_waited_while_registration_was_closed() {
        let history = [opened(1), placed(1), waiting(2), closed(), cancelled(1, 0, None), opened(1)];
        given::<EventRoster>(history).when(ask(3)).then([waiting(3), offered(2, PromotionReason::RoomLeft, 3)]);
    }

    #[test]
    fn an_urgent_newcomer_comes_first_and_the_rest_of_the_room_goes_to_who_waited() {
        let history = [opened(2), placed(1), placed(4), waiting(2), closed(), cancelled(1, 0, None)];
        let reopened = [cancelled(4, 0, None), opened(2)];
        let urgent = RegisterForEvent { priority: 1, ..ask(3) };
        let left = |n| offered(n, PromotionReason::RoomLeft, 3);
        given::<EventRoster>(history.into_iter().chain(reopened)).when(urgent).then([
            waits(Registration { priority: 1, ..wish(3) }),
            left(3),
            left(2),
        ]);
    }

    #[test]
    fn asking_for_the_same_again_records_nothing() {
        given::<EventRoster>([opened(1), placed(1)]).when(ask(1)).then_nothing();
        given::<EventRoster>([opened(1), placed(1), waiting(2), closed()]).when(ask(2)).then_nothing();
    }

    #[test]
    fn one_identity_does_not_stand_for_two_wishes() {
        for other in [
            RegisterForEvent { registrant: person(2), ..ask(1) },
            RegisterForEvent { places: 2, ..ask(1) },
            RegisterForEvent { ticket_type: "paid".into(), ..ask(1) },
        ] {
            given::<EventRoster>([opened(9), placed(1)]).when(other).then_refused(RosterRefusal::RegistrationDiffers);
        }
    }

    #[test]
    fn a_person_has_one_live_registration_unless_the_event_allows_more() {
        let again = RegisterForEvent { registration_id: id(2), ..ask(1) };
        let second = RosterEvent::PlaceConfirmed { registration: Registration { registration_id: id(2), ..wish(1) } };
        for live in [placed(1), waiting(1)] {
            given::<EventRoster>([opened(9), live]).when(again.clone()).then_refused(RosterRefusal::AlreadyRegistered);
        }
        given::<EventRoster>([opened(9), placed(1), cancelled(1, 0, None)]).when(again.clone()).then([second.clone()]);
        let policy = RosterPolicy { several_per_person: true, ..RosterPolicy::default() };
        given::<EventRoster>([opened_by(9, policy), placed(1)]).when(again).then([second]);
    }

    #[test]
    fn places_are_asked_for_while_registration_is_open() {
        given::<EventRoster>([]).when(ask(1)).then_refused(RosterRefusal::RegistrationNotOpen);
        given::<EventRoster>([opened(9), closed()]).when(ask(1)).then_refused(RosterRefusal::RegistrationNotOpen);
        let closing =
            opened_as(OpenRegistration { closes_at: Some(at(2)), ..open_with(9, 2, RosterPolicy::default()) });
        given::<EventRoster>([closing.clone()]).when(ask(1)).then([placed(1)]);
        given::<EventRoster>([closing]).when(ask(2)).then_refused(RosterRefusal::RegistrationNotOpen);
    }

    #[test]
    fn what_is_not_sold_is_not_registered_for() {
        refuses(
            RegisterForEvent { ticket_type: "vip".into(), ..ask(1) },
            RosterRefusal::TicketTypeUnknown { code: "vip".into() },
        );
    }

    #[test]
    fn a_group_has_a_size_that_can_be_placed() {
        let places = |places| RegisterForEvent { places, ..ask(1) };
        refuses(places(0), RosterRefusal::PlacesOutOfRange { most: MOST_PLACES });
        refuses(places(MOST_PLACES + 1), RosterRefusal::PlacesOutOfRange { most: MOST_PLACES });
        refuses(places(11), RosterRefusal::GroupLargerThanPool { size: 10 });
    }

    #[test]
    fn without_a_waitlist_a_full_event_refuses() {
        let policy = RosterPolicy { waitlist: false, ..RosterPolicy::default() };
        given::<EventRoster>([opened_by(1, policy), placed(1)]).when(ask(2)).then_refused(RosterRefusal::NoRoom);
    }

    #[test]
    fn a_waitlist_has_an_end() {
        let all = (2..).take(MOST_WAITING).map(waiting);
        given::<EventRoster>([opened(1), placed(1)].into_iter().chain(all))
            .when(ask(1_000_000))
            .then_refused(RosterRefusal::WaitlistFull { most: MOST_WAITING });
    }

    #[test]
    fn a_fee_beyond_counting_is_refused() {
        let mut priceless = open_with(10, 2, RosterPolicy::default());
        priceless.ticket_types[1].fee = usd(i64::MAX);
        given::<EventRoster>([opened_as(priceless)])
            .when(RegisterForEvent { ticket_type: "paid".into(), places: 2, ..ask(1) })
            .then_refused(RosterRefusal::Money(MoneyError::TooLarge));
    }
}
