//! `participant`, with `participant_status_type`: who registered for what, and what came of it.

use std::collections::{HashMap, HashSet};

use guildhall_aggregates::{
    MemberId, Money,
    event_roster::{ImportedStanding, Registrant},
};
use serde_json::json;

use super::{
    Tables,
    contacts::{self, Members},
    events::{self, Events},
    intake::{Intake, source_of},
    links::Priced,
    table::{Row, Table},
};

/// Where registrations of one status stand here, and what is to be said about it.
type Standings = HashMap<u64, (ImportedStanding, Option<String>)>;

/// The rosters as they fill.
#[derive(Default)]
struct Filling {
    places_taken: HashMap<u64, u32>,
    /// Event and contact of every registration that has or awaits a place.
    live: HashSet<(u64, u64)>,
}

/// Takes the registrations. The answer says what each one's payment should be.
pub(super) fn take(intake: &mut Intake<'_>, tables: &Tables, events: &Events, members: &Members) -> Priced {
    let standings = standings(intake, &tables.participant_status_type);
    let (mut charged, mut filling) = (Priced::new(), Filling::default());
    for row in tables.participant.rows() {
        match take_registration(intake, row, &standings, events, members, &mut filling) {
            Ok(charge) => {
                charged.insert(row.id, charge);
            }
            Err(reason) => intake.refuse(row, reason),
        }
    }
    charged
}

fn take_registration(
    intake: &mut Intake<'_>,
    row: Row<'_>,
    standings: &Standings,
    events: &Events,
    members: &Members,
    filling: &mut Filling,
) -> Result<(u64, Money), String> {
    if row.flag("is_test") {
        return Err("is a test row".to_owned());
    }
    let contact = row.needed_number("contact_id")?;
    let member_id = contacts::member_id(members, contact)?;
    let event_number = row.needed_number("event_id")?;
    let event = events.get(&event_number).ok_or_else(|| format!("event {event_number} is not imported"))?;
    let status = row.needed_number("status_id")?;
    let (standing, remark) =
        standings.get(&status).ok_or_else(|| format!("participant_status_type {status} is not imported"))?;
    let fee = events::charge(row, event.currency)?;
    let mut remarks: Vec<_> = remark.clone().into_iter().collect();
    let local = row.date_time("register_date")?.unwrap_or_else(|| {
        remarks.push("has no register_date: the day of the export is taken".to_owned());
        intake.options.as_of.into()
    });
    remarks.extend(filling.add((event_number, contact), *standing, event.places));
    let index = intake.take(row, remarks);
    let body = json!({
        "event_id": event.id,
        "registration_id": intake.id_of(row.table, row.id),
        "registrant": Registrant::Member { member_id: MemberId::new(member_id) },
        "ticket_type": event.ticket_of(row),
        "places": 1,
        "fee": fee,
        "standing": standing,
        "at": intake.moment(local),
        "source": source_of(row),
    });
    intake.order("ImportRegistration", (row.table, row.id), &[index], body);
    Ok((contact, fee))
}

impl Filling {
    /// Adds a registration, and says what is unusual about it.
    fn add(&mut self, who: (u64, u64), standing: ImportedStanding, places: Option<u32>) -> Vec<String> {
        let mut remarks = Vec::new();
        if is_live(standing) && !self.live.insert(who) {
            remarks.push("the contact has another registration for the event; both are imported".to_owned());
        }
        if has_place(standing) {
            let taken = self.places_taken.entry(who.0).or_default();
            *taken += 1;
            if let Some(places) = places.filter(|places| *taken > *places) {
                remarks.push(format!("is beyond the {places} places of the event; imported as history"));
            }
        }
        remarks
    }
}

fn has_place(standing: ImportedStanding) -> bool {
    match standing {
        ImportedStanding::Confirmed | ImportedStanding::Pending | ImportedStanding::CheckedIn => true,
        ImportedStanding::Waitlisted
        | ImportedStanding::Cancelled
        | ImportedStanding::Declined
        | ImportedStanding::Expired
        | ImportedStanding::NoShow => false,
    }
}

fn is_live(standing: ImportedStanding) -> bool {
    has_place(standing) || standing == ImportedStanding::Waitlisted
}

/// Takes the statuses: by name where there is a standing of that meaning, otherwise by class.
fn standings(intake: &mut Intake<'_>, table: &Table) -> Standings {
    let mut standings = Standings::new();
    for row in table.rows() {
        match standing_of(table, row) {
            Ok((standing, remark)) => {
                intake.take(row, remark.clone().into_iter().collect());
                standings.insert(row.id, (standing, remark));
            }
            Err(reason) => intake.refuse(row, reason),
        }
    }
    standings
}

fn standing_of(table: &Table, row: Row<'_>) -> Result<(ImportedStanding, Option<String>), String> {
    let name = row.text("name").ok_or("has no name")?;
    let exact = match name {
        "Registered" => Some(ImportedStanding::Confirmed),
        "Attended" => Some(ImportedStanding::CheckedIn),
        "No-show" => Some(ImportedStanding::NoShow),
        "Cancelled" => Some(ImportedStanding::Cancelled),
        "On waitlist" => Some(ImportedStanding::Waitlisted),
        "Rejected" => Some(ImportedStanding::Declined),
        "Expired" => Some(ImportedStanding::Expired),
        _ => None,
    };
    if let Some(standing) = exact {
        return Ok((standing, None));
    }
    let counted = !table.has("is_counted") || row.flag("is_counted");
    let standing = match (row.text("class"), counted) {
        (Some("Positive"), _) => ImportedStanding::Confirmed,
        (Some("Pending" | "Waiting"), true) => ImportedStanding::Pending,
        (Some("Pending"), false) => ImportedStanding::Expired,
        (Some("Waiting"), false) => ImportedStanding::Waitlisted,
        (Some("Negative"), _) => ImportedStanding::Cancelled,
        (Some(class), _) => return Err(format!("class {class:?} is not known")),
        (None, _) => return Err("class is empty".to_owned()),
    };
    if standing == ImportedStanding::Pending {
        return Ok((standing, None));
    }
    let word: &str = standing.into();
    Ok((standing, Some(format!("there is no status {name:?} here: it is taken for {word}"))))
}
