//! `GET /v1/events`: the calendar.

use axum::{extract::State, response::Response};
use chrono::NaiveDateTime;
use guildhall_projections::reporting::{self, Reporting};
use guildhall_web::{Position, Query, Role};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    ReadState,
    answer::{Asked, Early, Report},
    csv::{Cell, Tabular},
    format::ListFormat,
    problems::{AnyRead, of_postgres},
    stale::Stale,
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// A consistency token: wait until this is in the answer, five seconds at most.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
    /// The shape of the answer; by `Accept` where not given.
    #[param(inline)]
    format: Option<ListFormat>,
}

/// An association event on the calendar.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CalendarEntry {
    /// Which one.
    pub(super) event_id: Uuid,
    /// Its title.
    pub(super) title: String,
    /// Its start, local to `time_zone`.
    #[schema(value_type = String, example = "2026-05-01T09:00:00")]
    pub(super) starts_local: NaiveDateTime,
    /// The IANA zone of the start.
    pub(super) time_zone: String,
    /// Whether it was called off.
    pub(super) cancelled: bool,
    /// Registrations in whatever standing.
    pub(super) registrations: i64,
    /// Places confirmed.
    pub(super) expected: i64,
    /// Places checked in.
    pub(super) attended: i64,
    /// Places people wait for.
    pub(super) waitlisted: i64,
    /// True where the read model could not follow its stream: what happened to it since is missing. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    stale: bool,
}

/// The calendar, the latest event first
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = super::TAG,
    params(EventsQuery),
    responses((status = OK, content((Report<CalendarEntry> = "application/json"), (String = "text/csv"))), AnyRead),
)]
pub(crate) async fn events(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<EventsQuery>,
) -> Result<Response, Early> {
    asked.caller.require(&Role::ALL)?;
    let format = asked.list_shape(query.format)?;
    let reading = read.reading::<Reporting>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, ())?;

    let events = reporting::event_attendance(&reading.client, asked.caller.tenant, None)
        .await
        .map_err(|error| of_postgres(&error))?;
    answer.report(events.into_iter().map(|event| CalendarEntry::of(event, &reading.stale)).collect())
}

impl CalendarEntry {
    /// The association event, and whether something of it or of its roster is missing.
    pub(super) fn of(event: reporting::Attendance, stale: &Stale) -> Self {
        Self {
            event_id: event.event_id,
            title: event.title,
            starts_local: event.starts_local,
            time_zone: event.time_zone,
            cancelled: event.cancelled,
            registrations: event.registrations,
            expected: event.expected,
            attended: event.attended,
            waitlisted: event.waitlisted,
            stale: super::is_stale(stale, event.event_id),
        }
    }
}

impl Tabular for CalendarEntry {
    const COLUMNS: &'static [&'static str] = &[
        "event_id",
        "title",
        "starts_local",
        "time_zone",
        "cancelled",
        "registrations",
        "expected",
        "attended",
        "waitlisted",
        "stale",
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::plain(self.event_id),
            Cell::text(Some(&self.title)),
            Cell::plain(self.starts_local),
            Cell::plain(&self.time_zone),
            Cell::plain(self.cancelled),
            Cell::plain(self.registrations),
            Cell::plain(self.expected),
            Cell::plain(self.attended),
            Cell::plain(self.waitlisted),
            Cell::stale(self.stale),
        ]
    }
}
