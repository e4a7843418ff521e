//! The book a roster decides by: every registration with its standing, and counters and orders kept beside
//! them, so that a hot roster answers in the time of a lookup and not of a walk.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{CapacityPool, ImportedStanding, Registrant, Registration, TicketType};
use crate::{
    Money,
    ids::{InvoiceId, PaymentId, RegistrationId, SubjectId},
    source::SourceRef,
};

/// Where a registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Has its places reserved until there is an invoice.
    Held {
        /// When the hold lapses.
        until: DateTime<Utc>,
    },
    /// Has its places reserved until somebody agrees.
    AwaitingApproval,
    /// Has its places reserved until the invoice is paid.
    AwaitingPayment {
        /// The invoice; none for an imported registration.
        invoice_id: Option<InvoiceId>,
        /// When it lapses; never by itself for an imported registration.
        until: Option<DateTime<Utc>>,
    },
    /// Has its places.
    Confirmed,
    /// Came.
    CheckedIn,
    /// Did not come. The places stay taken: the event is on.
    NoShow,
    /// Waits for places.
    Waitlisted {
        /// When it was asked for: the order of waiting, after priority.
        at: DateTime<Utc>,
        /// The order of arrival, where the time is the same.
        arrival: u64,
    },
    /// Waited, and has places reserved until it is answered.
    Offered {
        /// When the offer lapses.
        until: DateTime<Utc>,
    },
    /// Was turned down, or turned its offer down.
    Declined,
    /// Lapsed.
    Expired,
    /// Was given back.
    Cancelled,
}

impl Standing {
    /// Whether it takes places from its pools.
    pub const fn has_place(self) -> bool {
        match self {
            Self::Held { .. }
            | Self::AwaitingApproval
            | Self::AwaitingPayment { .. }
            | Self::Confirmed
            | Self::CheckedIn
            | Self::NoShow
            | Self::Offered { .. } => true,
            Self::Waitlisted { .. } | Self::Declined | Self::Expired | Self::Cancelled => false,
        }
    }

    /// Whether it is the person's registration for the event: it has a place or waits for one.
    pub const fn is_live(self) -> bool {
        self.has_place() || matches!(self, Self::Waitlisted { .. })
    }

    /// When it lapses by itself.
    pub const fn due(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Held { until } | Self::Offered { until } => Some(until),
            Self::AwaitingPayment { until, .. } => until,
            Self::AwaitingApproval
            | Self::Confirmed
            | Self::CheckedIn
            | Self::NoShow
            | Self::Waitlisted { .. }
            | Self::Declined
            | Self::Expired
            | Self::Cancelled => None,
        }
    }
}

/// A registration and what happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) registration: Registration,
    pub(super) standing: Standing,
    pub(super) payment: Option<PaymentMade>,
    /// Payments that came too late and are to be paid back.
    pub(super) unplaced: BTreeSet<PaymentId>,
    pub(super) source: Option<SourceRef>,
}

/// What a registration was confirmed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PaymentMade {
    pub(super) payment_id: PaymentId,
    pub(super) paid: Money,
}

/// A place in the waitlist: priority first, then time, then order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Turn(Reverse<i32>, DateTime<Utc>, u64, RegistrationId);

impl Turn {
    pub(super) fn new(registration: &Registration, at: DateTime<Utc>, arrival: u64) -> Self {
        Self(Reverse(registration.priority), at, arrival, registration.registration_id)
    }

    pub(super) fn registration_id(&self) -> RegistrationId {
        self.3
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pool {
    pub(super) size: Option<u32>,
    pub(super) taken: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Book {
    pub(super) entries: BTreeMap<RegistrationId, Entry>,
    pub(super) pools: BTreeMap<String, Pool>,
    pub(super) ticket_types: BTreeMap<String, TicketType>,
    pub(super) waitlist: BTreeSet<Turn>,
    pub(super) due: BTreeSet<(DateTime<Utc>, RegistrationId)>,
    /// How many wait, by ticket type and number of places: all that "does anyone wait for this?" needs.
    pub(super) waiting: BTreeMap<String, BTreeMap<u32, u32>>,
    /// How many live registrations a person has.
    live: BTreeMap<SubjectId, u32>,
    pub(super) arrivals: u64,
}

impl Book {
    /// Sets pools and ticket types; those that exist keep their counts.
    pub(super) fn furnish(&mut self, pools: Vec<CapacityPool>, ticket_types: Vec<TicketType>) {
        for pool in pools {
            self.pools.entry(pool.name).or_default().size = pool.size;
        }
        self.ticket_types.extend(ticket_types.into_iter().map(|ticket| (ticket.code.clone(), ticket)));
    }

    /// Puts a registration in, or gives one that is in its next standing.
    pub(super) fn put(&mut self, registration: Registration, standing: Standing, source: Option<SourceRef>) {
        let id = registration.registration_id;
        if self.entries.contains_key(&id) {
            return self.stand(id, standing);
        }
        let entry = Entry { registration, standing, payment: None, unplaced: BTreeSet::new(), source };
        self.count_in(&entry);
        self.entries.insert(id, entry);
    }

    /// The same for one that waits: the order of arrival is counted here.
    pub(super) fn put_waiting(&mut self, registration: Registration, at: DateTime<Utc>, source: Option<SourceRef>) {
        let standing = Standing::Waitlisted { at, arrival: self.arrivals };
        self.arrivals += 1;
        self.put(registration, standing, source);
    }

    pub(super) fn stand(&mut self, id: RegistrationId, standing: Standing) {
        self.change(id, |entry| entry.standing = standing);
    }

    pub(super) fn confirm(&mut self, id: RegistrationId, payment: Option<PaymentMade>) {
        self.change(id, |entry| (entry.standing, entry.payment) = (Standing::Confirmed, payment));
    }

    /// Notes a payment that is to be paid back.
    pub(super) fn unplace(&mut self, id: RegistrationId, payment_id: PaymentId) {
        self.change(id, |entry| entry.unplaced.extend([payment_id]));
    }

    pub(super) fn transfer(&mut self, id: RegistrationId, registrant: Registrant) {
        self.change(id, |entry| entry.registration.registrant = registrant);
    }

    /// Changes an entry and keeps every count and order right.
    fn change(&mut self, id: RegistrationId, change: impl FnOnce(&mut Entry)) {
        let Some(mut entry) = self.entries.remove(&id) else { return };
        self.count_out(&entry);
        change(&mut entry);
        self.count_in(&entry);
        self.entries.insert(id, entry);
    }

    /// Whether a person has a live registration.
    pub(super) fn is_live(&self, subject: SubjectId) -> bool {
        self.live.contains_key(&subject)
    }

    /// The pools a registration draws on.
    pub(super) fn pools_of(&self, ticket_type: &str) -> &[String] {
        self.ticket_types.get(ticket_type).map_or(&[], |ticket| &ticket.pools)
    }

    fn count_in(&mut self, entry: &Entry) {
        let Entry { registration, standing, .. } = entry;
        let id = registration.registration_id;
        if standing.has_place() {
            self.each_pool(&registration.ticket_type, |pool| pool.taken += u64::from(registration.places));
        }
        if standing.is_live() {
            *self.live.entry(registration.registrant.subject()).or_default() += 1;
        }
        if let Standing::Waitlisted { at, arrival } = *standing {
            self.waitlist.insert(Turn::new(registration, at, arrival));
            let sizes = self.waiting.entry(registration.ticket_type.clone()).or_default();
            *sizes.entry(registration.places).or_default() += 1;
        }
        self.due.extend(standing.due().map(|due| (due, id)));
    }

    fn count_out(&mut self, entry: &Entry) {
        let Entry { registration, standing, .. } = entry;
        let id = registration.registration_id;
        if standing.has_place() {
            self.each_pool(&registration.ticket_type, |pool| pool.taken -= u64::from(registration.places));
        }
        if standing.is_live() {
            take_one(&mut self.live, &registration.registrant.subject());
        }
        if let Standing::Waitlisted { at, arrival } = *standing {
            self.waitlist.remove(&Turn::new(registration, at, arrival));
            if let Some(sizes) = self.waiting.get_mut(&registration.ticket_type) {
                take_one(sizes, &registration.places);
            }
        }
        if let Some(due) = standing.due() {
            self.due.remove(&(due, id));
        }
    }

    fn each_pool(&mut self, ticket_type: &str, change: impl Fn(&mut Pool)) {
        let Self { pools, ticket_types, .. } = self;
        for name in ticket_types.get(ticket_type).into_iter().flat_map(|ticket| &ticket.pools) {
            pools.get_mut(name).into_iter().for_each(&change);
        }
    }
}

/// One less; a count of none is not kept.
fn take_one<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl ImportedStanding {
    /// The standing here of a registration that stood so elsewhere; one that waits is put into the order.
    pub(super) fn standing(self) -> Option<Standing> {
        match self {
            Self::Confirmed => Some(Standing::Confirmed),
            Self::Pending => Some(Standing::AwaitingPayment { invoice_id: None, until: None }),
            Self::CheckedIn => Some(Standing::CheckedIn),
            Self::Waitlisted => None,
            Self::Cancelled => Some(Standing::Cancelled),
            Self::Declined => Some(Standing::Declined),
            Self::Expired => Some(Standing::Expired),
            Self::NoShow => Some(Standing::NoShow),
        }
    }
}
