//! Opening, closing and resizing.

use std::collections::BTreeSet;

use super::{
    CancellationFee, CapacityPool, ChangeCapacity, EventRoster, OpenRegistration, Opening, PromotionReason,
    RosterEvent, RosterPolicy, RosterRefusal, TicketType, waitlist::Room,
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
        events.extend(self.offers(self.queue(), room, PromotionReason::CapacityRaised, now));
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
