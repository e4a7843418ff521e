//! `GET /v1/events/{event_id}`: one association event.

use axum::{extract::State, response::Response};
use guildhall_aggregates::AssociationEventId;
use guildhall_projections::reporting::{self, PoolFill, Reporting};
use guildhall_web::{Named, Position, Query, Role};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::events::CalendarEntry;
use crate::{
    ReadState,
    answer::{Asked, Early, One},
    format::Format,
    problems::{OneRead, not_found, of_postgres},
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// A consistency token: wait until this is in the answer, five seconds at most.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
}

/// An association event and the places at it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventSheet {
    /// What stands on the calendar.
    event: CalendarEntry,
    /// Its capacity pools; none before registration is opened.
    pools: Vec<PoolSheet>,
}

/// How full one capacity pool is, in places.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolSheet {
    /// Its name.
    name: String,
    /// How many places it has; null for no limit.
    size: Option<i64>,
    /// Confirmed.
    confirmed: i64,
    /// Waiting for payment or approval.
    pending: i64,
    /// Held for a short while.
    held: i64,
    /// Offered to the waitlist.
    offered: i64,
    /// Waited for.
    waitlisted: i64,
    /// Left; null for no limit.
    available: Option<i64>,
}

/// One association event, and how full it is
#[utoipa::path(
    get,
    path = "/v1/events/{event_id}",
    tag = super::TAG,
    params(("event_id" = Uuid, Path, description = "The association event's id"), EventQuery),
    responses((status = OK, body = One<EventSheet>), OneRead),
)]
pub(crate) async fn event(
    State(read): State<ReadState>,
    asked: Asked,
    Named(event): Named<AssociationEventId>,
    Query(query): Query<EventQuery>,
) -> Result<Response, Early> {
    asked.caller.require(&Role::ALL)?;
    let format = asked.shape(None, &[Format::Json])?;
    let reading = read.reading::<Reporting>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, ())?;

    let (tenant, event) = (asked.caller.tenant, Some(event.uuid()));
    let (mut found, pools) = tokio::try_join!(
        reporting::event_attendance(&reading.client, tenant, event),
        reporting::event_fill(&reading.client, tenant, event)
    )
    .map_err(|error| of_postgres(&error))?;
    let event = found.pop().ok_or_else(|| not_found("event"))?;
    let event = CalendarEntry::of(event, &reading.stale);
    answer.one(EventSheet { event, pools: pools.into_iter().map(PoolSheet::from).collect() })
}

impl From<PoolFill> for PoolSheet {
    fn from(fill: PoolFill) -> Self {
        Self {
            name: fill.pool,
            size: fill.size,
            confirmed: fill.confirmed,
            pending: fill.pending,
            held: fill.held,
            offered: fill.offered,
            waitlisted: fill.waitlisted,
            available: fill.available,
        }
    }
}
