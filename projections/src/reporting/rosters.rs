//! Association events, their pools and who is registered: rows and fold.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDateTime, Utc};
use deadpool_postgres::Transaction;
use guildhall_aggregates::{
    RegistrationId,
    association_event::{AssociationEventRecord, EventDetails, Schedule},
    event_roster::{Registrant, Registration, RosterEvent, TicketType},
};
use postgres_types::{FromSql, Json, ToSql};
use serde::{Deserialize, Serialize};
use tokio_postgres::Error;
use uuid::Uuid;

use crate::{
    decode::Decoded,
    rows::{KeyedRow, Row, WorkingSet},
    standing::key_of,
};

pub(super) const EVENT: &str = "reporting_event";
pub(super) const ROSTER: &str = "reporting_roster";
pub(super) const REGISTRATION: &str = "reporting_registration";

#[derive(Debug, Clone, ToSql, FromSql)]
#[postgres(name = "reporting_event")]
struct EventRow {
    tenant_id: Uuid,
    event_id: Uuid,
    title: String,
    venue: Option<String>,
    starts_local: NaiveDateTime,
    ends_local: NaiveDateTime,
    time_zone: String,
    cancelled: bool,
}

#[derive(Debug, Clone, ToSql, FromSql)]
#[postgres(name = "reporting_roster")]
struct RosterRow {
    tenant_id: Uuid,
    event_id: Uuid,
    pools: Vec<String>,
    sizes: Vec<Option<i64>>,
    open: bool,
    ticket_types: Json<Vec<Ticket>>,
}

/// What of a ticket type the fill of pools follows from.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ticket {
    code: String,
    pools: Vec<String>,
}

#[derive(Debug, Clone, ToSql, FromSql)]
#[postgres(name = "reporting_registration")]
struct RegistrationRow {
    tenant_id: Uuid,
    event_id: Uuid,
    registration_id: Uuid,
    ticket_type: String,
    places: i64,
    standing: String,
    member_id: Option<Uuid>,
    fee_minor: i64,
    currency: String,
    over_capacity: bool,
    checked_in_at: Option<DateTime<Utc>>,
}

impl Row for EventRow {
    const TYPE: &'static str = EVENT;
}
impl KeyedRow<2> for EventRow {
    const KEY: [&'static str; 2] = ["tenant_id", "event_id"];
    const COLUMNS: &'static str = "tenant_id, event_id, title, venue, starts_local, ends_local, time_zone, cancelled";
    fn key(&self) -> [Uuid; 2] {
        [self.tenant_id, self.event_id]
    }
}
impl Row for RosterRow {
    const TYPE: &'static str = ROSTER;
}
impl KeyedRow<2> for RosterRow {
    const KEY: [&'static str; 2] = ["tenant_id", "event_id"];
    const COLUMNS: &'static str = "tenant_id, event_id, pools, sizes, open, ticket_types";
    fn key(&self) -> [Uuid; 2] {
        [self.tenant_id, self.event_id]
    }
}
impl Row for RegistrationRow {
    const TYPE: &'static str = REGISTRATION;
}
impl KeyedRow<3> for RegistrationRow {
    const KEY: [&'static str; 3] = ["tenant_id", "event_id", "registration_id"];
    const COLUMNS: &'static str = "tenant_id, event_id, registration_id, ticket_type, places, standing, member_id, \
        fee_minor, currency, over_capacity, checked_in_at";
    fn key(&self) -> [Uuid; 3] {
        [self.tenant_id, self.event_id, self.registration_id]
    }
}

/// Folds what people attend.
pub(super) async fn apply_events(
    tx: &Transaction<'_>,
    events: &Decoded<'_, AssociationEventRecord>,
) -> Result<(), Error> {
    let keys = events.iter().map(|(event, _)| key_of(event)).collect();
    let mut rows = WorkingSet::<EventRow, 2>::load(tx, EVENT, keys).await?;
    for (event, said) in events {
        let key = key_of(event);
        match said {
            AssociationEventRecord::EventScheduled { details, schedule, .. } => {
                rows.put(EventRow::scheduled(key, details, *schedule));
            }
            AssociationEventRecord::EventRescheduled { schedule } => {
                rows.change(key, |row| row.set_schedule(*schedule));
            }
            AssociationEventRecord::EventDetailsChanged { details } => rows.change(key, |row| row.set_details(details)),
            AssociationEventRecord::EventCancelled { .. } => rows.change(key, |row| row.cancelled = true),
        }
    }
    rows.write(tx).await
}

impl EventRow {
    fn scheduled([tenant_id, event_id]: [Uuid; 2], details: &EventDetails, schedule: Schedule) -> Self {
        Self {
            tenant_id,
            event_id,
            title: details.title.clone(),
            venue: details.venue.clone(),
            starts_local: schedule.starts,
            ends_local: schedule.ends,
            time_zone: schedule.time_zone.name().to_owned(),
            cancelled: false,
        }
    }

    fn set_details(&mut self, details: &EventDetails) {
        self.title.clone_from(&details.title);
        self.venue.clone_from(&details.venue);
    }

    fn set_schedule(&mut self, schedule: Schedule) {
        self.starts_local = schedule.starts;
        self.ends_local = schedule.ends;
        schedule.time_zone.name().clone_into(&mut self.time_zone);
    }
}

/// Folds pools and registrations.
pub(super) async fn apply_rosters(tx: &Transaction<'_>, events: &Decoded<'_, RosterEvent>) -> Result<(), Error> {
    let about_roster: BTreeSet<_> =
        events.iter().filter(|(_, said)| registration_of(said).is_none()).map(|(event, _)| key_of(event)).collect();
    let mut rosters = WorkingSet::<RosterRow, 2>::load(tx, ROSTER, about_roster).await?;
    let keys = events.iter().filter_map(|(event, said)| {
        let [tenant, roster] = key_of(event);
        registration_of(said).map(|registration| [tenant, roster, registration.uuid()])
    });
    let mut registrations = WorkingSet::<RegistrationRow, 3>::load(tx, REGISTRATION, keys.collect()).await?;
    for (event, said) in events {
        let key = key_of(event);
        match registration_of(said) {
            None => fold_roster(&mut rosters, key, said),
            Some(registration) => fold_registration(&mut registrations, [key[0], key[1], registration.uuid()], said),
        }
    }
    rosters.write(tx).await?;
    registrations.write(tx).await
}

fn fold_roster(rosters: &mut WorkingSet<RosterRow, 2>, key: [Uuid; 2], said: &RosterEvent) {
    match said {
        RosterEvent::RegistrationOpened { pools, ticket_types, .. } => {
            let ticket = |ticket: &TicketType| Ticket { code: ticket.code.clone(), pools: ticket.pools.clone() };
            rosters.put(RosterRow {
                tenant_id: key[0],
                event_id: key[1],
                pools: pools.iter().map(|pool| pool.name.clone()).collect(),
                sizes: pools.iter().map(|pool| pool.size.map(i64::from)).collect(),
                open: true,
                ticket_types: Json(ticket_types.iter().map(ticket).collect()),
            });
        }
        RosterEvent::CapacityChanged { pool, size } => rosters.change(key, |row| {
            if let Some(at) = row.pools.iter().position(|name| name == pool) {
                row.sizes[at] = size.map(i64::from);
            }
        }),
        RosterEvent::RegistrationClosed {} => rosters.change(key, |row| row.open = false),
        _ => {}
    }
}

/// The registration an event is about; none for those about the roster as a whole.
fn registration_of(said: &RosterEvent) -> Option<RegistrationId> {
    match said {
        RosterEvent::RegistrationOpened { .. }
        | RosterEvent::RegistrationClosed {}
        | RosterEvent::CapacityChanged { .. } => None,
        RosterEvent::PlaceHeld { registration, .. }
        | RosterEvent::ApprovalRequested { registration }
        | RosterEvent::PlaceConfirmed { registration }
        | RosterEvent::RegistrationWaitlisted { registration, .. }
        | RosterEvent::RegistrationImported { registration, .. } => Some(registration.registration_id),
        RosterEvent::PaymentAwaited { registration_id, .. }
        | RosterEvent::RegistrationConfirmed { registration_id, .. }
        | RosterEvent::PlaceOffered { registration_id, .. }
        | RosterEvent::WaitlistPassed { registration_id, .. }
        | RosterEvent::OfferAccepted { registration_id, .. }
        | RosterEvent::OfferDeclined { registration_id }
        | RosterEvent::RegistrationExpired { registration_id }
        | RosterEvent::RegistrationDeclined { registration_id, .. }
        | RosterEvent::RegistrationCancelled { registration_id, .. }
        | RosterEvent::PaymentUnplaced { registration_id, .. }
        | RosterEvent::RegistrationTransferred { registration_id, .. }
        | RosterEvent::CheckedIn { registration_id, .. }
        | RosterEvent::CheckInRefused { registration_id, .. }
        | RosterEvent::NoShowRecorded { registration_id } => Some(*registration_id),
    }
}

fn fold_registration(rows: &mut WorkingSet<RegistrationRow, 3>, key: [Uuid; 3], said: &RosterEvent) {
    let mut stands = |standing: &str| rows.change(key, |row| standing.clone_into(&mut row.standing));
    match said {
        RosterEvent::PlaceHeld { registration, .. } => rows.put(RegistrationRow::asked(key, registration, "held")),
        RosterEvent::ApprovalRequested { registration } => {
            rows.put(RegistrationRow::asked(key, registration, "approval"));
        }
        RosterEvent::PlaceConfirmed { registration } => {
            rows.put(RegistrationRow::asked(key, registration, "confirmed"));
        }
        RosterEvent::RegistrationWaitlisted { registration, .. } => {
            rows.put(RegistrationRow::asked(key, registration, "waitlisted"));
        }
        RosterEvent::RegistrationImported { registration, standing, over_capacity, .. } => {
            let asked = RegistrationRow::asked(key, registration, standing.into());
            rows.put(RegistrationRow { over_capacity: *over_capacity, ..asked });
        }
        RosterEvent::PaymentAwaited { .. } => stands("pending"),
        RosterEvent::RegistrationConfirmed { .. } => stands("confirmed"),
        RosterEvent::PlaceOffered { .. } => stands("offered"),
        RosterEvent::OfferAccepted { .. } => stands("held"),
        RosterEvent::OfferDeclined { .. } | RosterEvent::RegistrationDeclined { .. } => stands("declined"),
        RosterEvent::RegistrationExpired { .. } => stands("expired"),
        RosterEvent::RegistrationCancelled { .. } => stands("cancelled"),
        RosterEvent::NoShowRecorded { .. } => stands("no_show"),
        RosterEvent::RegistrationTransferred { registrant, .. } => {
            rows.change(key, |row| row.member_id = member_of(registrant));
        }
        RosterEvent::CheckedIn { at, .. } => rows.change(key, |row| {
            "checked_in".clone_into(&mut row.standing);
            row.checked_in_at = Some(*at);
        }),
        // Passed over, unplaced or not let in, a registration stands where it stood.
        RosterEvent::WaitlistPassed { .. }
        | RosterEvent::PaymentUnplaced { .. }
        | RosterEvent::CheckInRefused { .. }
        | RosterEvent::RegistrationOpened { .. }
        | RosterEvent::RegistrationClosed {}
        | RosterEvent::CapacityChanged { .. } => {}
    }
}

impl RegistrationRow {
    fn asked([tenant_id, event_id, registration_id]: [Uuid; 3], asked: &Registration, standing: &str) -> Self {
        Self {
            tenant_id,
            event_id,
            registration_id,
            ticket_type: asked.ticket_type.clone(),
            places: i64::from(asked.places),
            standing: standing.to_owned(),
            member_id: member_of(&asked.registrant),
            fee_minor: asked.fee.minor,
            currency: asked.fee.currency.code().to_owned(),
            over_capacity: false,
            checked_in_at: None,
        }
    }
}

fn member_of(registrant: &Registrant) -> Option<Uuid> {
    match registrant {
        Registrant::Member { member_id } => Some(member_id.uuid()),
        Registrant::Guest { .. } => None,
    }
}
