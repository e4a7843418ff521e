//! `GET /v1/reports/event-attendance`: who was expected and who came.

use axum::{extract::State, response::Response};
use chrono::NaiveDateTime;
use guildhall_projections::reporting::{self, Reporting};
use guildhall_web::{Position, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    ReadState,
    answer::{Asked, Early, Report},
    csv::{Cell, Tabular},
    event_roster,
    format::ListFormat,
    problems::{AnyRead, of_postgres},
    stale::Stale,
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AttendanceQuery {
    /// Only this association event; all of them where not given.
    event_id: Option<Uuid>,
    /// A consistency token: wait until this is in the answer, five seconds at most.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
    /// The shape of the answer; by `Accept` where not given.
    #[param(inline)]
    format: Option<ListFormat>,
}

/// Who was expected at an association event and who came, in places.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttendanceLine {
    /// The association event.
    event_id: Uuid,
    /// Its title.
    title: String,
    /// Its start, local to `time_zone`.
    #[schema(value_type = String, example = "2026-05-01T09:00:00")]
    starts_local: NaiveDateTime,
    /// The IANA zone of the start.
    time_zone: String,
    /// Whether it was called off.
    cancelled: bool,
    /// Registrations in whatever standing.
    registrations: i64,
    /// Places confirmed.
    expected: i64,
    /// Places checked in.
    attended: i64,
    /// Places recorded as not used.
    no_shows: i64,
    /// Places cancelled, declined or lapsed.
    given_up: i64,
    /// Places people wait for.
    waitlisted: i64,
    /// True where the read model could not follow its stream: what happened to it since is missing. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    stale: bool,
}

/// Who was expected at association events and who came
///
/// One line for each association event, the latest first.
#[utoipa::path(
    get,
    path = "/v1/reports/event-attendance",
    tag = super::TAG,
    params(AttendanceQuery),
    responses((status = OK, content((Report<AttendanceLine> = "application/json"), (String = "text/csv"))), AnyRead),
)]
pub(crate) async fn event_attendance(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<AttendanceQuery>,
) -> Result<Response, Early> {
    super::admit(&asked.caller)?;
    let format = asked.list_shape(query.format)?;
    let reading = read.reading::<Reporting>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, ())?;

    let lines = reporting::event_attendance(&reading.client, asked.caller.tenant, query.event_id)
        .await
        .map_err(|error| of_postgres(&error))?;
    answer.report(lines.into_iter().map(|line| AttendanceLine::of(line, &reading.stale)).collect())
}

impl AttendanceLine {
    fn of(line: reporting::Attendance, stale: &Stale) -> Self {
        let reporting::Attendance {
            event_id,
            title,
            starts_local,
            time_zone,
            cancelled,
            registrations,
            expected,
            attended,
            no_shows,
            given_up,
            waitlisted,
        } = line;
        Self {
            event_id,
            title,
            starts_local,
            time_zone,
            cancelled,
            registrations,
            expected,
            attended,
            no_shows,
            given_up,
            waitlisted,
            stale: event_roster::is_stale(stale, event_id),
        }
    }
}

impl Tabular for AttendanceLine {
    const COLUMNS: &'static [&'static str] = &[
        "event_id",
        "title",
        "starts_local",
        "time_zone",
        "cancelled",
        "registrations",
        "expected",
        "attended",
        "no_shows",
        "given_up",
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
            Cell::plain(self.no_shows),
            Cell::plain(self.given_up),
            Cell::plain(self.waitlisted),
            Cell::stale(self.stale),
        ]
    }
}
