//! `GET /v1/events/{event_id}/roster`: who has a place, and who waits for one.

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use guildhall_aggregates::{
    AssociationEventId,
    event_roster::{Registrant, Standing},
};
use guildhall_projections::directory::Directory;
use guildhall_web::{Named, Position, Query, Role};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{book, names::Names};
use crate::{
    ReadState,
    answer::{Asked, Early, Page},
    csv::{Cell, Tabular},
    directory::sight,
    format::ListFormat,
    parameters::{Count, Limit},
    problems::{OneRead, not_found},
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RosterQuery {
    /// `next` of the page before.
    #[serde(default)]
    #[param(value_type = Option<u64>, minimum = 0)]
    after: Count,
    /// How many registrations at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// A consistency token: wait until this is in the answer, five seconds at most.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
    /// The shape of the answer; by `Accept` where not given.
    #[param(inline)]
    format: Option<ListFormat>,
}

/// One registration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RosterLine {
    /// Its place in the order of asking: 1 for the first.
    number: u64,
    /// Which registration.
    registration_id: Uuid,
    /// The member; null for a guest.
    member_id: Option<Uuid>,
    /// What they are called, where the caller may know.
    name: Option<String>,
    /// What they registered for.
    ticket_type: String,
    /// How many places.
    places: u32,
    /// `held`, `approval` or `pending` (payment), `confirmed`, `checked_in`, `no_show`, `waitlisted`, `offered`,
    /// `declined`, `expired` or `cancelled`.
    standing: &'static str,
    /// When it lapses unless something happens.
    lapses_at: Option<DateTime<Utc>>,
    /// The place on the waitlist: 1 is next.
    waitlist_place: Option<u64>,
    /// What is to be paid, in minor units.
    fee_minor: i64,
    /// ISO 4217.
    currency: String,
    /// When it was recorded.
    asked_at: DateTime<Utc>,
}

/// Who has a place, and who waits for one
///
/// In the order of asking. Always as it is now: the roster itself is read, which decides about places. Names
/// come from the directory, as the caller may see them; those of guests are for the scope `api`.
#[utoipa::path(
    get,
    path = "/v1/events/{event_id}/roster",
    tag = super::TAG,
    params(("event_id" = Uuid, Path, description = "The association event's id"), RosterQuery),
    responses((status = OK, content((Page<RosterLine> = "application/json"), (String = "text/csv"))), OneRead),
)]
pub(crate) async fn roster(
    State(read): State<ReadState>,
    asked: Asked,
    Named(event): Named<AssociationEventId>,
    Query(query): Query<RosterQuery>,
) -> Result<Response, Early> {
    asked.caller.require(&Role::ALL)?;
    let format = asked.list_shape(query.format)?;
    let tenant = asked.caller.tenant;
    let viewer = sight::of(&asked.caller, None)?;
    let today = read.today(tenant).await?;
    let reading = read.reading::<Directory>(&asked, query.at_least).await?;
    let book = book::read(&read.store, tenant, event).await?.ok_or_else(|| not_found("roster"))?;
    // The roster may be further on than the directory.
    let answer = asked.answer(format, reading.mark, (today, book.version()))?;

    let (page, next) = book.page(query.after.0, query.limit.rows());
    let names = Names { vault: read.store.vault(), directory: &reading.client, tenant, viewer, today };
    let names = names.of(&page).await?;
    let lines = page.iter().map(|entry| RosterLine::of(entry, names.get(&entry.subject()).cloned())).collect();
    answer.list(lines, next.map(|next| next.to_string()))
}

impl RosterLine {
    fn of(entry: &book::Entry<'_>, name: Option<String>) -> Self {
        let registration = entry.registration;
        let member_id = match registration.registrant {
            Registrant::Member { member_id } => Some(member_id.uuid()),
            Registrant::Guest { .. } => None,
        };
        Self {
            number: entry.number,
            registration_id: registration.registration_id.uuid(),
            member_id,
            name,
            ticket_type: registration.ticket_type.clone(),
            places: registration.places,
            standing: word(entry.standing),
            lapses_at: entry.standing.due(),
            waitlist_place: entry.waitlist_place,
            fee_minor: registration.fee.minor,
            currency: registration.fee.currency.code().to_owned(),
            asked_at: entry.asked_at,
        }
    }
}

/// The words of the reports.
fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Held { .. } => "held",
        Standing::AwaitingApproval => "approval",
        Standing::AwaitingPayment { .. } => "pending",
        Standing::Confirmed => "confirmed",
        Standing::CheckedIn => "checked_in",
        Standing::NoShow => "no_show",
        Standing::Waitlisted { .. } => "waitlisted",
        Standing::Offered { .. } => "offered",
        Standing::Declined => "declined",
        Standing::Expired => "expired",
        Standing::Cancelled => "cancelled",
    }
}

impl Tabular for RosterLine {
    const COLUMNS: &'static [&'static str] = &[
        "number",
        "registration_id",
        "member_id",
        "name",
        "ticket_type",
        "places",
        "standing",
        "lapses_at",
        "waitlist_place",
        "fee",
        "currency",
        "asked_at",
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::plain(self.number),
            Cell::plain(self.registration_id),
            Cell::maybe(self.member_id),
            Cell::text(self.name.as_deref()),
            Cell::text(Some(&self.ticket_type)),
            Cell::plain(self.places),
            Cell::plain(self.standing),
            Cell::maybe(self.lapses_at.map(|at| at.to_rfc3339())),
            Cell::maybe(self.waitlist_place),
            Cell::amount(self.fee_minor, &self.currency),
            Cell::plain(&self.currency),
            Cell::plain(self.asked_at.to_rfc3339()),
        ]
    }
}
