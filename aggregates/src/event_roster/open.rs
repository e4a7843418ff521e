//! Opening, closing and resizing.

use std::collections::BTreeSet;

use super::{
    CancellationFee, CapacityPool, ChangeCapacity, EventRoster, OpenRegistration, Opening, PromotionReason,
    RosterEvent, RosterPolicy, RosterRefusal, TicketType,
    waitlist::{Queue, Room},
};
use crate::money::Currency;

/// Pools and ticket types of one event.
const MOST_POOLS_OR_TICKETS: usize = 100;

impl EventRoster {
    /// Registration that was closed can be opened again, with another policy, other sizes and more to
    /// register for; what registrations may already draw on has to stay.
    pub(super) fn open(&self, command: OpenRegistration) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let OpenRegistration { pools, ticket_types, policy, closes_at } = command;
        let asked = Opening { pools, ticket_types, policy, closes_at };
        match &self.opening {
            Some(opening) if !self.closed && *opening == asked => return Ok(vec![]),
            Some(_) if !self.closed => return Err(RosterRefusal::AlreadyOpen),
            Some(_) => self.check_kept(&asked)?,
            None => {}
        }
        check_pools(&asked.pools)?;
        let currency = check_tickets(&asked.ticket_types, &asked.pools)?;
        check_policy(&asked.policy, currency)?;
        let Opening { pools, ticket_types, policy, closes_at } = asked;
        Ok(vec![RosterEvent::RegistrationOpened { pools, ticket_types, policy, closes_at }])
    }

    pub(super) fn close(&self) -> Result<Vec<RosterEvent>, RosterRefusal> {
        self.opening()?;
        Ok(if self.closed { vec![] } else { vec![RosterEvent::RegistrationClosed {}] })
    }

    /// A pool may be made smaller than what is taken of it: nobody loses a place, and none is given until
    /// there is room again.
    pub(super) fn change_capacity(&self, command: ChangeCapacity) -> Result<Vec<RosterEvent>, RosterRefusal> {
        let ChangeCapacity { pool, size, now } = command;
        let before = self.size(&pool).ok_or_else(|| RosterRefusal::PoolUnknown { pool: pool.clone() })?;
        if before == size {
            return Ok(vec![]);
        }
        let mut room = Room::of(&self.book);
        room.resize(&self.book, &pool, size);
        let mut events = vec![RosterEvent::CapacityChanged { pool, size }];
        events.extend(self.offers(Queue::Waitlist, room, PromotionReason::CapacityRaised, now));
        Ok(events)
    }

    fn check_kept(&self, asked: &Opening) -> Result<(), RosterRefusal> {
        let kept = |name: &&String| asked.pools.iter().any(|pool| pool.name == **name);
        if let Some(pool) = self.book.pools.keys().find(|name| !kept(name)) {
            return Err(RosterRefusal::PoolDropped { pool: pool.clone() });
        }
        let unchanged = |ticket: &&TicketType| {
            asked.ticket_types.iter().any(|asked| asked.code == ticket.code && asked.pools == ticket.pools)
        };
        match self.book.ticket_types.values().find(|ticket| !unchanged(ticket)) {
            Some(ticket) => Err(RosterRefusal::TicketTypeChanged { code: ticket.code.clone() }),
            None => Ok(()),
        }
    }
}

fn check_pools(pools: &[CapacityPool]) -> Result<(), RosterRefusal> {
    check_number(pools.len())?;
    let mut names = BTreeSet::new();
    match pools.iter().find(|pool| pool.name.trim().is_empty() || !names.insert(&pool.name)) {
        Some(pool) => Err(RosterRefusal::PoolNameRepeated { pool: pool.name.clone() }),
        None => Ok(()),
    }
}

fn check_tickets(tickets: &[TicketType], pools: &[CapacityPool]) -> Result<Currency, RosterRefusal> {
    check_number(tickets.len())?;
    let currency = tickets[0].fee.currency;
    let mut codes = BTreeSet::new();
    for ticket in tickets {
        let code = || ticket.code.clone();
        if ticket.code.trim().is_empty() || !codes.insert(&ticket.code) {
            return Err(RosterRefusal::TicketCodeRepeated { code: code() });
        }
        let distinct: BTreeSet<_> = ticket.pools.iter().collect();
        let known = distinct.iter().all(|name| pools.iter().any(|pool| pool.name == **name));
        if distinct.is_empty() || distinct.len() != ticket.pools.len() || !known {
            return Err(RosterRefusal::TicketPoolsInvalid { code: code() });
        }
        let mut fees = [Some(ticket.fee), ticket.member_fee].into_iter().flatten();
        if fees.any(|fee| fee.minor < 0 || fee.currency != currency) {
            return Err(RosterRefusal::TicketFeeInvalid { code: code() });
        }
    }
    Ok(currency)
}

fn check_number(count: usize) -> Result<(), RosterRefusal> {
    if (1..=MOST_POOLS_OR_TICKETS).contains(&count) {
        Ok(())
    } else {
        Err(RosterRefusal::PoolsOrTicketTypesMissing { most: MOST_POOLS_OR_TICKETS })
    }
}

/// The ranges are those of the domain rules where they name them.
fn check_policy(policy: &RosterPolicy, currency: Currency) -> Result<(), RosterRefusal> {
    let percent = if let CancellationFee::Percent { percent } = policy.cancellation_fee { percent } else { 0 };
    let ranges = [
        ("hold_minutes", policy.hold_minutes, 1, 120),
        ("payment_term_days", policy.payment_term_days, 1, 365),
        ("offer_hours", policy.offer_hours, 1, 720),
        ("cancellation_fee.percent", u32::from(percent), 0, 100),
    ];
    if let Some((setting, _, least, most)) =
        ranges.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value))
    {
        return Err(RosterRefusal::PolicyOutOfRange { setting, least, most });
    }
    match policy.cancellation_fee {
        CancellationFee::Fixed { amount } if amount.minor < 0 || amount.currency != currency => {
            Err(RosterRefusal::CancellationFeeInvalid)
        }
        CancellationFee::None | CancellationFee::Fixed { .. } | CancellationFee::Percent { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Money,
        event_roster::{CloseRegistration, testing::*},
        testing::given,
    };

    fn open() -> OpenRegistration {
        open_with(10, 2, RosterPolicy::default())
    }
    fn refuses(command: OpenRegistration, refusal: RosterRefusal) {
        given::<EventRoster>([]).when(command).then_refused(refusal);
    }
    fn resize(pool: &str, size: Option<u32>) -> ChangeCapacity {
        ChangeCapacity { pool: pool.into(), size, now: at(50) }
    }
    fn resized(size: Option<u32>) -> RosterEvent {
        RosterEvent::CapacityChanged { pool: "hall".into(), size }
    }

    #[test]
    fn registration_is_opened_once() {
        given::<EventRoster>([]).when(open()).then([opened(10)]);
        given::<EventRoster>([opened(10)]).when(open()).then_nothing();
        given::<EventRoster>([opened(10)])
            .when(open_with(11, 2, RosterPolicy::default()))
            .then_refused(RosterRefusal::AlreadyOpen);
    }

    #[test]
    fn registration_is_closed_once() {
        given::<EventRoster>([opened(10)]).when(CloseRegistration {}).then([closed()]);
        given::<EventRoster>([opened(10), closed()]).when(CloseRegistration {}).then_nothing();
        given::<EventRoster>([]).when(CloseRegistration {}).then_refused(RosterRefusal::RegistrationNotOpen);
    }

    #[test]
    fn closed_registration_opens_again_on_other_conditions() {
        let larger = open_with(20, 2, RosterPolicy { offer_hours: 1, ..RosterPolicy::default() });
        given::<EventRoster>([opened(10), placed(1), closed()]).when(larger.clone()).then([opened_as(larger)]);
    }

    #[test]
    fn what_registrations_draw_on_stays() {
        let mut without_workshop = open();
        without_workshop.pools.pop();
        without_workshop.ticket_types.truncate(2);
        given::<EventRoster>([opened(10), closed()])
            .when(without_workshop)
            .then_refused(RosterRefusal::PoolDropped { pool: "workshop".into() });
        let mut moved = open();
        moved.ticket_types[0].pools = vec!["workshop".into()];
        given::<EventRoster>([opened(10), closed()])
            .when(moved)
            .then_refused(RosterRefusal::TicketTypeChanged { code: "free".into() });
    }

    #[test]
    fn an_event_has_pools_and_ticket_types() {
        let missing = RosterRefusal::PoolsOrTicketTypesMissing { most: MOST_POOLS_OR_TICKETS };
        refuses(OpenRegistration { pools: vec![], ..open() }, missing.clone());
        refuses(OpenRegistration { ticket_types: vec![], ..open() }, missing);
    }

    #[test]
    fn pools_and_ticket_types_have_names_of_their_own() {
        let mut twice = open();
        twice.pools[1].name = "hall".into();
        refuses(twice, RosterRefusal::PoolNameRepeated { pool: "hall".into() });
        let mut twice = open();
        twice.ticket_types[1].code = "free".into();
        refuses(twice, RosterRefusal::TicketCodeRepeated { code: "free".into() });
    }

    #[test]
    fn a_ticket_draws_on_known_pools_once_each() {
        for pools in [vec![], vec!["cellar".to_owned()], vec!["hall".to_owned(), "hall".to_owned()]] {
            let mut wrong = open();
            wrong.ticket_types[0].pools = pools;
            refuses(wrong, RosterRefusal::TicketPoolsInvalid { code: "free".into() });
        }
    }

    #[test]
    fn fees_are_in_one_currency_and_not_negative() {
        for fee in [usd(-1), Money::new(1, Currency::EUR)] {
            let mut wrong = open();
            wrong.ticket_types[1].member_fee = Some(fee);
            refuses(wrong, RosterRefusal::TicketFeeInvalid { code: "paid".into() });
            let cancellation_fee = CancellationFee::Fixed { amount: fee };
            let policy = RosterPolicy { cancellation_fee, ..RosterPolicy::default() };
            refuses(open_with(10, 2, policy), RosterRefusal::CancellationFeeInvalid);
        }
    }

    #[test]
    fn settings_have_a_range() {
        let usual = RosterPolicy::default;
        let percent = CancellationFee::Percent { percent: 101 };
        let cases = [
            (RosterPolicy { hold_minutes: 0, ..usual() }, "hold_minutes", 1, 120),
            (RosterPolicy { hold_minutes: 121, ..usual() }, "hold_minutes", 1, 120),
            (RosterPolicy { payment_term_days: 0, ..usual() }, "payment_term_days", 1, 365),
            (RosterPolicy { offer_hours: 0, ..usual() }, "offer_hours", 1, 720),
            (RosterPolicy { cancellation_fee: percent, ..usual() }, "cancellation_fee.percent", 0, 100),
        ];
        for (policy, setting, least, most) in cases {
            refuses(open_with(10, 2, policy), RosterRefusal::PolicyOutOfRange { setting, least, most });
        }
    }

    #[test]
    fn more_room_is_offered_at_once() {
        let reason = PromotionReason::CapacityRaised;
        given::<EventRoster>([opened(1), placed(1), waiting(2), waiting(3), waiting(4)])
            .when(resize("hall", Some(3)))
            .then([resized(Some(3)), offered(2, reason, 50), offered(3, reason, 50)]);
        given::<EventRoster>([opened(1), placed(1), waiting(2)])
            .when(resize("hall", None))
            .then([resized(None), offered(2, reason, 50)]);
    }

    #[test]
    fn a_pool_may_be_smaller_than_what_is_taken_of_it() {
        given::<EventRoster>([opened(2), placed(1), placed(2)]).when(resize("hall", Some(1))).then([resized(Some(1))]);
        given::<EventRoster>([opened(2), placed(1), placed(2), resized(Some(1)), waiting(3)])
            .when(resize("hall", Some(2)))
            .then([resized(Some(2))]);
    }

    #[test]
    fn a_pool_of_that_size_is_left_alone() {
        given::<EventRoster>([opened(2)]).when(resize("hall", Some(2))).then_nothing();
    }

    #[test]
    fn only_a_pool_of_the_event_is_resized() {
        given::<EventRoster>([opened(2)])
            .when(resize("cellar", Some(2)))
            .then_refused(RosterRefusal::PoolUnknown { pool: "cellar".into() });
    }
}
