//! Who is next. A freed place becomes an offer in the decision that freed it, in the order of the waitlist.

use std::{collections::BTreeMap, ops::Bound};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    EventRoster, PromotionReason, Registration, RosterEvent,
    book::{Book, Entry, Turn},
};
use crate::ids::RegistrationId;

/// Offers of one decision, so that what it records fits into one append. The next decision that looks for
/// offers makes more; [`ExpireDue`](super::ExpireDue) does nothing else when nothing is due.
const MOST_OFFERS: usize = 150;
/// Groups that may be passed over on the way to one that fits; each is an event.
const MOST_PASSED: usize = 100;
/// Registrations that lapse in one decision.
pub(super) const MOST_LAPSED: usize = 150;

/// The free places of each pool while a decision is made. Negative where history is over capacity; `None`
/// where there is no limit.
pub(super) struct Room<'a> {
    free: BTreeMap<&'a str, Option<i64>>,
}

impl<'a> Room<'a> {
    pub(super) fn of(book: &'a Book) -> Self {
        let free = |size: Option<u32>, taken: u64| {
            size.map(|size| i64::from(size).saturating_sub(i64::try_from(taken).unwrap_or(i64::MAX)))
        };
        Self { free: book.pools.iter().map(|(name, pool)| (name.as_str(), free(pool.size, pool.taken))).collect() }
    }

    pub(super) fn resize(&mut self, book: &'a Book, pool: &str, size: Option<u32>) {
        if let Some((name, pool)) = book.pools.get_key_value(pool) {
            let taken = i64::try_from(pool.taken).unwrap_or(i64::MAX);
            self.free.insert(name, size.map(|size| i64::from(size).saturating_sub(taken)));
        }
    }

    /// Gives back the places of an entry that is about to leave.
    pub(super) fn without(mut self, book: &Book, leaving: &Entry) -> Self {
        if leaving.standing.has_place() {
            self.add(book.pools_of(&leaving.registration.ticket_type), i64::from(leaving.registration.places));
        }
        self
    }

    pub(super) fn fits(&self, pools: &[String], places: u32) -> bool {
        pools.iter().all(|pool| !self.lacks(pool, places))
    }

    /// Whether a pool has too little room for so many places.
    pub(super) fn lacks(&self, pool: &str, places: u32) -> bool {
        matches!(self.free.get(pool), Some(Some(free)) if *free < i64::from(places))
    }

    fn add(&mut self, pools: &[String], places: i64) {
        for pool in pools {
            if let Some(Some(free)) = self.free.get_mut(pool.as_str()) {
                *free += places;
            }
        }
    }

    /// Keeps the rest of a pool for somebody who is next and needs more than there is.
    fn reserve(&mut self, pool: &str) {
        if let Some(free) = self.free.get_mut(pool) {
            *free = Some(0);
        }
    }
}

impl EventRoster {
    /// Whether a wish can be met now without overtaking anyone: there is room, and nobody waits for a pool
    /// it draws on. Who waits for a full workshop does not keep others out of the hall.
    pub(super) fn can_place(&self, room: &Room<'_>, ticket_type: &str, places: u32) -> bool {
        let pools = self.book.pools_of(ticket_type);
        let waits_for = |pool: &String, ticket: &String, size: u32| {
            let theirs = self.book.pools_of(ticket);
            theirs.contains(pool) && (room.lacks(pool, size) || room.fits(theirs, size))
        };
        let waited_for = |pool: &String| {
            self.book.waiting.iter().any(|(ticket, sizes)| sizes.keys().any(|size| waits_for(pool, ticket, *size)))
        };
        room.fits(pools, places) && !pools.iter().any(waited_for)
    }

    /// The offers that can be made once `leaving` has left.
    pub(super) fn offers_without(
        &self,
        leaving: &Entry,
        reason: PromotionReason,
        now: DateTime<Utc>,
    ) -> Vec<RosterEvent> {
        let room = Room::of(&self.book).without(&self.book, leaving);
        self.offers(Queue::Without(leaving.registration.registration_id), room, reason, now)
    }

    /// Offers places to those in the queue while there is room and registration is open.
    ///
    /// Who is next and needs more than a pool has keeps the rest of that pool for themselves, unless the
    /// event passes over large groups; then each pass is recorded with the offer it made way for.
    /// Source: "Waitlist" of the domain rules.
    pub(super) fn offers(
        &self,
        queue: Queue<'_>,
        mut room: Room<'_>,
        reason: PromotionReason,
        now: DateTime<Utc>,
    ) -> Vec<RosterEvent> {
        let Some(opening) = self.opening.as_ref().filter(|_| self.is_open(now)) else { return vec![] };
        let until = after(now, TimeDelta::hours(i64::from(opening.policy.offer_hours)));
        let wanted = self.wanted(queue);
        let mut events = vec![];
        let mut skipped: Vec<(&Registration, Vec<&String>)> = vec![];
        for next in self.in_turn(queue, now) {
            let somebody_fits = wanted.iter().any(|(pools, places)| room.fits(pools, *places));
            if !somebody_fits || events.len() >= MOST_OFFERS || skipped.len() >= MOST_PASSED {
                break;
            }
            let pools = self.book.pools_of(&next.ticket_type);
            let lacking: Vec<_> = pools.iter().filter(|pool| room.lacks(pool, next.places)).collect();
            if lacking.is_empty() {
                let made_way = |(_, lacking): &mut (_, Vec<&String>)| lacking.iter().any(|pool| pools.contains(pool));
                events.extend(skipped.extract_if(.., made_way).map(|(passed, _)| RosterEvent::WaitlistPassed {
                    registration_id: passed.registration_id,
                    reason: PromotionReason::GroupTooLarge,
                }));
                room.add(pools, -i64::from(next.places));
                events.push(RosterEvent::PlaceOffered { registration_id: next.registration_id, reason, until });
            } else if opening.policy.pass_over_large_groups {
                skipped.push((next, lacking));
            } else {
                for pool in lacking {
                    room.reserve(pool);
                }
            }
        }
        events
    }

    /// The queue, first come first.
    fn in_turn<'a>(&'a self, queue: Queue<'a>, now: DateTime<Utc>) -> impl Iterator<Item = &'a Registration> {
        let waitlist = &self.book.waitlist;
        let turn = queue.newcomer().map(|newcomer| Turn::new(newcomer, now, self.book.arrivals));
        let ahead = waitlist.range((Bound::Unbounded, turn.map_or(Bound::Unbounded, Bound::Excluded)));
        let behind = turn.into_iter().flat_map(|turn| waitlist.range(turn..));
        let waiting = |turn: &Turn| self.registration(turn.registration_id());
        let all = ahead.filter_map(waiting).chain(queue.newcomer()).chain(behind.filter_map(waiting));
        all.filter(move |next| Some(next.registration_id) != queue.leaving())
    }

    /// The least that is waited for under each ticket type: when none of it fits, nobody fits, however many
    /// wait.
    fn wanted<'a>(&'a self, queue: Queue<'a>) -> Vec<(&'a [String], u32)> {
        let waiting = self.book.waiting.iter();
        let least = waiting.filter_map(|(ticket, sizes)| Some((ticket, *sizes.keys().next()?)));
        let newcomer = queue.newcomer().map(|newcomer| (&newcomer.ticket_type, newcomer.places));
        least.chain(newcomer).map(|(ticket, places)| (self.book.pools_of(ticket), places)).collect()
    }
}

/// Those to whom places can be offered.
#[derive(Clone, Copy)]
pub(super) enum Queue<'a> {
    /// Everyone on the waitlist.
    Waitlist,
    /// The same but one, who is about to leave it.
    Without(RegistrationId),
    /// The same and a newcomer, in their turn.
    With(&'a Registration),
}

impl<'a> Queue<'a> {
    fn newcomer(self) -> Option<&'a Registration> {
        if let Self::With(newcomer) = self { Some(newcomer) } else { None }
    }

    fn leaving(self) -> Option<RegistrationId> {
        if let Self::Without(leaving) = self { Some(leaving) } else { None }
    }
}

/// A moment later; at the end of time when there is no such moment.
pub(super) fn after(now: DateTime<Utc>, delta: TimeDelta) -> DateTime<Utc> {
    now.checked_add_signed(delta).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
