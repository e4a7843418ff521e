//! A roster as it is now, read from its stream: the very state that decides about places, in the order of asking.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use guildhall_aggregates::{
    AssociationEventId, RegistrationId, StoredEvent, SubjectId, TenantId,
    event_roster::{EventRoster, Registration, RosterEvent, Standing},
};
use guildhall_event_store::{EventStore, StreamId};
use guildhall_web::Problem;

use crate::problems::of_store;

/// How many events are in memory at once while a roster is folded.
const PAGE: usize = 1_000;

/// A roster and who asked in which order.
#[derive(Debug, Default)]
pub(super) struct Book {
    state: EventRoster,
    version: u64,
    asked: Vec<(RegistrationId, DateTime<Utc>)>,
}

/// One registration in a roster.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// 1 for who asked first.
    pub(super) number: u64,
    /// What was asked for; the registrant is who has the place now.
    pub(super) registration: &'a Registration,
    /// Where it stands.
    pub(super) standing: Standing,
    /// When it was recorded.
    pub(super) asked_at: DateTime<Utc>,
    /// 1 for who is next; none for who does not wait.
    pub(super) waitlist_place: Option<u64>,
}

impl Entry<'_> {
    /// Whose registration it is.
    pub(super) fn subject(&self) -> SubjectId {
        self.registration.registrant.subject()
    }
}

/// The roster of an association event; none where registration never opened.
pub(super) async fn read(
    store: &EventStore,
    tenant: TenantId,
    event: AssociationEventId,
) -> Result<Option<Book>, Problem> {
    let stream = StreamId::new(RosterEvent::CATEGORY, event.uuid());
    let mut book = Book::default();
    loop {
        let events = store.read_stream(tenant, &stream, book.version, PAGE).await.map_err(of_store)?;
        for recorded in &events {
            let event = recorded.decode::<RosterEvent>().map_err(|error| Problem::internal(&error))?;
            let asked = asked_for(&event).filter(|id| book.state.standing(*id).is_none());
            book.asked.extend(asked.map(|id| (id, recorded.recorded_at)));
            book.state.apply(event);
            book.version = recorded.version;
        }
        if events.len() < PAGE {
            return Ok(Some(book).filter(|book| book.version > 0));
        }
    }
}

/// The registration an event enters into the roster.
fn asked_for(event: &RosterEvent) -> Option<RegistrationId> {
    match event {
        RosterEvent::PlaceHeld { registration, .. }
        | RosterEvent::ApprovalRequested { registration }
        | RosterEvent::PlaceConfirmed { registration }
        | RosterEvent::RegistrationWaitlisted { registration, .. }
        | RosterEvent::RegistrationImported { registration, .. } => Some(registration.registration_id),
        _ => None,
    }
}

impl Book {
    /// The version of the stream.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The registrations after a number, and the number to go on after.
    pub(super) fn page(&self, after: u64, limit: usize) -> (Vec<Entry<'_>>, Option<u64>) {
        let waiting: HashMap<_, _> = self.state.waitlist().zip(1..).collect();
        let skipped = usize::try_from(after).unwrap_or(usize::MAX);
        let numbered = self.asked.iter().zip(1..).skip(skipped).take(limit);
        let page: Vec<_> = numbered
            .filter_map(|(&(id, asked_at), number)| {
                let (registration, standing) = (self.state.registration(id)?, self.state.standing(id)?);
                Some(Entry { number, registration, standing, asked_at, waitlist_place: waiting.get(&id).copied() })
            })
            .collect();
        let next = page.last().map(|entry| entry.number).filter(|last| *last < self.asked.len() as u64);
        (page, next)
    }
}
