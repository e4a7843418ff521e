//! Who has a place at one association event, and who waits for one.
//! The boundary is one event, because capacity is decided here.

mod answer;
mod attend;
mod book;
mod commands;
mod events;
mod import;
mod leave;
mod open;
mod pay;
mod refusal;
mod register;
#[cfg(test)]
mod testing;
mod waitlist;

use std::collections::BTreeSet;

pub use book::Standing;
use book::{Book, Entry, PaymentMade};
use chrono::{DateTime, Utc};
pub use commands::*;
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
pub use events::*;
pub use refusal::*;
use serde::{Deserialize, Serialize};

use crate::{
    Decide, Money, StoredEvent,
    ids::{InvoiceId, RegistrationId, SubjectId},
};

/// The roster of one association event. Its id is the event's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRoster {
    opening: Option<Opening>,
    closed: bool,
    book: Book,
    /// The scans recorded so far; each is recorded once.
    scans: BTreeSet<String>,
}

/// What registration was opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Opening {
    pools: Vec<CapacityPool>,
    ticket_types: Vec<TicketType>,
    policy: RosterPolicy,
    closes_at: Option<DateTime<Utc>>,
}

impl EventRoster {
    /// Whether places can be asked for now.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        let closes_at = self.opening.as_ref().map(|opening| opening.closes_at);
        !self.closed && closes_at.is_some_and(|closes_at| closes_at.is_none_or(|closes_at| now < closes_at))
    }

    /// How those who ask are treated; none before registration was opened.
    pub fn policy(&self) -> Option<&RosterPolicy> {
        self.opening.as_ref().map(|opening| &opening.policy)
    }

    /// What can be registered for under a code.
    pub fn ticket_type(&self, code: &str) -> Option<&TicketType> {
        self.book.ticket_types.get(code)
    }

    /// A registration as it was asked for; the registrant is who has the place now.
    pub fn registration(&self, registration_id: RegistrationId) -> Option<&Registration> {
        self.book.entries.get(&registration_id).map(|entry| &entry.registration)
    }

    /// Where a registration stands.
    pub fn standing(&self, registration_id: RegistrationId) -> Option<Standing> {
        self.book.entries.get(&registration_id).map(|entry| entry.standing)
    }

    /// The invoice a registration waits for.
    pub fn invoice_of(&self, registration_id: RegistrationId) -> Option<InvoiceId> {
        match self.standing(registration_id)? {
            Standing::AwaitingPayment { invoice_id, .. } => invoice_id,
            _ => None,
        }
    }

    /// Whether a person has a place or waits for one.
    pub fn has_live_registration(&self, subject: SubjectId) -> bool {
        self.book.is_live(subject)
    }

    /// Everyone who has a place or waits for one, with what was paid.
    pub fn live(&self) -> impl Iterator<Item = (&Registration, Money)> {
        self.book.entries.values().filter(|entry| entry.standing.is_live()).map(|entry| {
            let nothing = Money::zero(entry.registration.fee.currency);
            (&entry.registration, entry.payment.map_or(nothing, |made| made.paid))
        })
    }

    /// Places of a pool that are taken, in whatever way: held, pending, offered, confirmed, used.
    pub fn taken(&self, pool: &str) -> Option<u64> {
        self.book.pools.get(pool).map(|pool| pool.taken)
    }

    /// The size of a pool: `Some(None)` where it has no limit, `None` where there is no such pool.
    pub fn size(&self, pool: &str) -> Option<Option<u32>> {
        self.book.pools.get(pool).map(|pool| pool.size)
    }

    /// Who waits, first come first.
    pub fn waitlist(&self) -> impl Iterator<Item = RegistrationId> {
        self.book.waitlist.iter().map(book::Turn::registration_id)
    }

    /// When the next hold, unpaid registration or offer lapses: when [`ExpireDue`] is to be sent.
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.book.due.first().map(|(due, _)| *due)
    }

    fn opening(&self) -> Result<&Opening, RosterRefusal> {
        self.opening.as_ref().ok_or(RosterRefusal::RegistrationNotOpen)
    }

    fn entry(&self, registration_id: RegistrationId) -> Result<&Entry, RosterRefusal> {
        self.book.entries.get(&registration_id).ok_or(RosterRefusal::RegistrationUnknown)
    }
}

impl Decide for EventRoster {
    fn decide(&self, command: RosterCommand) -> Result<Vec<RosterEvent>, RosterRefusal> {
        match command {
            RosterCommand::OpenRegistration(command) => self.open(command),
            RosterCommand::CloseRegistration(CloseRegistration {}) => self.close(),
            RosterCommand::ChangeCapacity(command) => self.change_capacity(command),
            RosterCommand::RegisterForEvent(command) => self.register(command),
            RosterCommand::AwaitPayment(command) => self.await_payment(command),
            RosterCommand::ConfirmRegistration(command) => self.confirm(command),
            RosterCommand::ApproveRegistration(command) => self.approve(command),
            RosterCommand::DeclineRegistration(command) => self.decline(command),
            RosterCommand::AcceptOffer(command) => self.accept_offer(command),
            RosterCommand::DeclineOffer(command) => self.decline_offer(command),
            RosterCommand::CancelRegistration(command) => self.cancel(command),
            RosterCommand::TransferRegistration(command) => self.transfer(command),
            RosterCommand::ExpireDue(command) => Ok(self.expire_due(command)),
            RosterCommand::CheckIn(command) => self.check_in(command),
            RosterCommand::RecordNoShow(command) => self.record_no_show(command),
            RosterCommand::ImportRegistration(command) => self.import(command),
        }
    }
}

impl Aggregate for EventRoster {
    const TYPE: &'static str = RosterEvent::CATEGORY;
    type Command = RosterCommand;
    type Event = RosterEvent;
    type Error = RosterRefusal;
    type Services = ();

    async fn handle(&mut self, command: RosterCommand, (): &(), sink: &EventSink<Self>) -> Result<(), RosterRefusal> {
        crate::decide::handle(self, command, sink).await
    }

    fn apply(&mut self, event: RosterEvent) {
        let book = &mut self.book;
        match event {
            RosterEvent::RegistrationOpened { pools, ticket_types, policy, closes_at } => {
                book.furnish(pools.clone(), ticket_types.clone());
                self.opening = Some(Opening { pools, ticket_types, policy, closes_at });
                self.closed = false;
            }
            RosterEvent::RegistrationClosed {} => self.closed = true,
            RosterEvent::CapacityChanged { pool: name, size } => {
                book.furnish(vec![CapacityPool { name, size }], vec![]);
            }
            RosterEvent::PlaceHeld { registration, until } => book.put(registration, Standing::Held { until }, None),
            RosterEvent::ApprovalRequested { registration } => book.put(registration, Standing::AwaitingApproval, None),
            RosterEvent::PaymentAwaited { registration_id: id, invoice_id, until } => {
                book.stand(id, Standing::AwaitingPayment { invoice_id: Some(invoice_id), until: Some(until) });
            }
            RosterEvent::PlaceConfirmed { registration } => book.put(registration, Standing::Confirmed, None),
            RosterEvent::RegistrationConfirmed { registration_id: id, payment_id, paid } => {
                book.confirm(id, payment_id.map(|payment_id| PaymentMade { payment_id, paid }));
            }
            RosterEvent::RegistrationWaitlisted { registration, at } => book.put_waiting(registration, at, None),
            // Passing somebody over leaves them where they were.
            RosterEvent::WaitlistPassed { registration_id: _, reason: _ } => {}
            RosterEvent::PlaceOffered { registration_id: id, until, reason: _ } => {
                book.stand(id, Standing::Offered { until });
            }
            RosterEvent::OfferAccepted { registration_id: id, until } => book.stand(id, Standing::Held { until }),
            RosterEvent::OfferDeclined { registration_id: id }
            | RosterEvent::RegistrationDeclined { registration_id: id, reason: _ } => {
                book.stand(id, Standing::Declined);
            }
            RosterEvent::RegistrationExpired { registration_id: id } => book.stand(id, Standing::Expired),
            RosterEvent::RegistrationCancelled { registration_id: id, .. } => book.stand(id, Standing::Cancelled),
            RosterEvent::PaymentUnplaced { registration_id: id, payment_id, amount: _ } => book.unplace(id, payment_id),
            RosterEvent::RegistrationTransferred { registration_id: id, registrant } => book.transfer(id, registrant),
            RosterEvent::CheckedIn { registration_id: id, nonce, at: _ } => {
                self.scans.insert(nonce);
                book.stand(id, Standing::CheckedIn);
            }
            RosterEvent::CheckInRefused { nonce, .. } => {
                self.scans.insert(nonce);
            }
            RosterEvent::NoShowRecorded { registration_id: id } => book.stand(id, Standing::NoShow),
            RosterEvent::RegistrationImported { registration, standing, at, source, over_capacity: _ } => {
                match standing.standing() {
                    Some(standing) => book.put(registration, standing, Some(source)),
                    None => book.put_waiting(registration, at, Some(source)),
                }
            }
        }
    }
}

impl DomainEvent for RosterEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }
    fn event_version(&self) -> String {
        self.schema_version().to_string()
    }
}

impl StoredEvent for RosterEvent {
    const CATEGORY: &'static str = "event_roster";
    fn type_name(&self) -> &'static str {
        self.into()
    }
}
