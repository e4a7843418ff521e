//! `event`: what people attend, and its roster. Tickets are what its participants were charged.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDateTime;
use guildhall_aggregates::{
    Money,
    event_roster::{CapacityPool, RosterPolicy, TicketType},
    money::Currency,
};
use serde_json::json;
use uuid::Uuid;

use super::{
    intake::{Intake, currency_of, source_of},
    plans::code_of,
    table::{Row, Table},
};
use crate::report::RowIndex;

/// The pool every ticket draws on; the source has one number of places per event.
const POOL: &str = "places";

/// The ticket of participants without a fee level.
const STANDARD: &str = "standard";

/// The most kinds of tickets a roster takes.
const MOST_TICKETS: usize = 100;

/// The events that are taken, by the ids of the export.
pub(super) type Events = BTreeMap<u64, Event>;

/// An event that is taken.
pub(super) struct Event {
    pub(super) id: Uuid,
    /// How many places it has; no limit where not given.
    pub(super) places: Option<u32>,
    pub(super) currency: Currency,
    one_ticket: bool,
    closed: bool,
    row: RowIndex,
}

/// What is known of an event before it is entered.
struct Facts {
    title: String,
    summary: Option<String>,
    starts: NaiveDateTime,
    ends: NaiveDateTime,
    registration_ends: NaiveDateTime,
    places: Option<u32>,
    currency: Currency,
    tickets: BTreeMap<String, Money>,
    one_ticket: bool,
    closed: bool,
    remarks: Vec<String>,
}

/// Takes the events and opens their rosters.
pub(super) fn take(intake: &mut Intake<'_>, table: &Table, participants: &Table) -> Events {
    let mut charged: HashMap<u64, Vec<Row<'_>>> = HashMap::new();
    for participant in participants.rows().filter(|row| !row.flag("is_test")) {
        if let Ok(Some(event)) = participant.number("event_id") {
            charged.entry(event).or_default().push(participant);
        }
    }
    let mut events = Events::new();
    for row in table.rows() {
        let participants = charged.remove(&row.id).unwrap_or_default();
        match facts_of(intake, table, row, &participants) {
            Ok(facts) => {
                let event = order(intake, row, facts);
                events.insert(row.id, event);
            }
            Err(reason) => intake.refuse(row, reason),
        }
    }
    events
}

/// Closes the rosters that are not to take anybody in; after the registrations, which belong to an open one.
pub(super) fn close(intake: &mut Intake<'_>, events: &Events) {
    for (id, event) in events.iter().filter(|(_, event)| event.closed) {
        intake.order("CloseRegistration", ("event", id), &[event.row], json!({ "event_id": event.id }));
    }
}

impl Event {
    /// The code of the ticket a participant has.
    pub(super) fn ticket_of(&self, participant: Row<'_>) -> String {
        if self.one_ticket { STANDARD.to_owned() } else { level_of(participant) }
    }
}

fn level_of(participant: Row<'_>) -> String {
    let levels = participant.values("fee_level");
    if levels.is_empty() { STANDARD.to_owned() } else { code_of(&levels.join(" ")) }
}

/// What a participant was charged.
pub(super) fn charge(participant: Row<'_>, event_currency: Currency) -> Result<Money, String> {
    let currency = currency_of(participant, "fee_currency", event_currency)?;
    let charge = participant.amount("fee_amount", currency)?.unwrap_or_else(|| Money::zero(currency));
    if charge.minor < 0 { Err("fee_amount is negative".to_owned()) } else { Ok(charge) }
}

fn order(intake: &mut Intake<'_>, row: Row<'_>, facts: Facts) -> Event {
    let index = intake.take(row, facts.remarks);
    let id = intake.id_of(row.table, row.id);
    let time_zone = intake.options.time_zone;
    let scheduled = json!({
        "event_id": id,
        "details": { "title": facts.title, "summary": facts.summary },
        "schedule": { "starts": facts.starts, "ends": facts.ends, "time_zone": time_zone },
        "source": source_of(row),
    });
    intake.order("ScheduleEvent", (row.table, row.id), &[index], scheduled);
    let policy = RosterPolicy {
        waitlist: row.flag("has_waitlist"),
        approval_required: row.flag("requires_approval"),
        ..RosterPolicy::default()
    };
    let ticket_type = |(code, fee)| TicketType { code, fee, member_fee: None, pools: vec![POOL.to_owned()] };
    let opened = json!({
        "event_id": id,
        "pools": [CapacityPool { name: POOL.to_owned(), size: facts.places }],
        "ticket_types": facts.tickets.into_iter().map(ticket_type).collect::<Vec<_>>(),
        "policy": policy,
        "closes_at": intake.moment(facts.registration_ends),
    });
    intake.order("OpenRegistration", (row.table, row.id), &[index], opened);
    let Facts { places, currency, one_ticket, closed, .. } = facts;
    Event { id, places, currency, one_ticket, closed, row: index }
}

fn facts_of(intake: &Intake<'_>, table: &Table, row: Row<'_>, participants: &[Row<'_>]) -> Result<Facts, String> {
    if row.flag("is_template") {
        return Err("is a template for events and no event".to_owned());
    }
    let mut remarks = Vec::new();
    let title = row.line("title")?.unwrap_or_else(|| {
        remarks.push("has no title: it is called \"(no title)\"".to_owned());
        "(no title)".to_owned()
    });
    let summary = row.prose("summary").unwrap_or_else(|reason| {
        remarks.push(format!("{reason}: it is left out"));
        None
    });
    let starts = row.date_time("start_date")?.ok_or("has no start_date")?;
    let ends = row.date_time("end_date")?.filter(|ends| *ends >= starts).unwrap_or_else(|| {
        remarks.push("has no end_date after its start: it ends when it starts".to_owned());
        starts
    });
    let places = row.number("max_participants")?.filter(|places| *places > 0);
    let currency = currency_of(row, "currency", intake.options.currency)?;
    let registration_ends = row.date_time("registration_end_date")?.unwrap_or(ends);
    let mut tickets = tickets_of(participants, currency, &mut remarks);
    let one_ticket = tickets.len() > MOST_TICKETS;
    if one_ticket {
        let dearest = tickets.values().map(|fee| fee.minor).max().unwrap_or_default();
        tickets = BTreeMap::from([(STANDARD.to_owned(), Money::new(dearest, currency))]);
        remarks.push(format!("has more than {MOST_TICKETS} fee levels: there is one ticket, at the highest fee"));
    }
    let as_of = intake.options.as_of;
    let mut closed = registration_ends.date() < as_of;
    if table.has("is_online_registration") && !row.flag("is_online_registration") {
        closed = true;
    }
    if table.has("is_active") && !row.flag("is_active") {
        closed = true;
        remarks.push("is disabled there: registration is closed".to_owned());
    }
    if let Some(opens) = row.date_time("registration_start_date")?.filter(|opens| opens.date() > as_of && !closed) {
        closed = true;
        remarks.push(format!("registration begins on {}: it is closed until somebody opens it", opens.date()));
    }
    if row.flag("is_monetary") && !closed && tickets.values().all(|fee| fee.is_zero()) {
        closed = true;
        remarks.push("costs something, and the export does not say how much: registration is closed".to_owned());
    }
    Ok(Facts {
        title,
        summary,
        starts,
        ends,
        registration_ends,
        places,
        currency,
        tickets,
        one_ticket,
        closed,
        remarks,
    })
}

/// A ticket for each fee level that was charged, at the most that was charged for it.
fn tickets_of(participants: &[Row<'_>], currency: Currency, remarks: &mut Vec<String>) -> BTreeMap<String, Money> {
    let mut tickets: BTreeMap<String, Money> = BTreeMap::new();
    let mut remark = |text: &str| {
        if !remarks.iter().any(|remark| remark == text) {
            remarks.push(text.to_owned());
        }
    };
    for &participant in participants {
        let Ok(charge) = charge(participant, currency) else { continue };
        let code = level_of(participant);
        if charge.currency != currency {
            remark("participants were charged in several currencies: new ones pay in the event's own");
            tickets.entry(code).or_insert(Money::zero(currency));
            continue;
        }
        let fee = tickets.entry(code).or_insert(charge);
        if *fee != charge {
            remark("participants were charged differently for one fee level: new ones pay the most");
            fee.minor = fee.minor.max(charge.minor);
        }
    }
    if tickets.is_empty() {
        tickets.insert(STANDARD.to_owned(), Money::zero(currency));
    }
    tickets
}
