//! `GET /v1/reports/event-fill`: how full association events are.

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
pub(crate) struct FillQuery {
    /// Only this association event; all of them where not given.
    event_id: Option<Uuid>,
    /// A consistency token: wait until this is in the answer, five seconds at most.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
    /// The shape of the answer; by `Accept` where not given.
    #[param(inline)]
    format: Option<ListFormat>,
}

/// How full one capacity pool of an association event is, in places.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FillLine {
    /// The association event.
    event_id: Uuid,
    /// Its title.
    title: Option<String>,
    /// Its start, local to `time_zone`.
    #[schema(value_type = Option<String>, example = "2026-05-01T09:00:00")]
    starts_local: Option<NaiveDateTime>,
    /// The IANA zone of the start.
    time_zone: Option<String>,
    /// Whether it was called off.
    cancelled: bool,
    /// The pool.
    pool: String,
    /// How many places it has; null for no limit.
    size: Option<i64>,
    /// Places confirmed.
    confirmed: i64,
    /// Places that wait for payment or approval.
    pending: i64,
    /// Places held for a short while.
    held: i64,
    /// Places offered to the waitlist.
    offered: i64,
    /// Places people wait for.
    waitlisted: i64,
    /// Places left; null for no limit.
    available: Option<i64>,
    /// True where the read model could not follow its stream: what happened to it since is missing. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    stale: bool,
}

/// How full association events are
///
/// One line for each capacity pool, the latest event first.
#[utoipa::path(
    get,
    path = "/v1/reports/event-fill",
    tag = super::TAG,
    params(FillQuery),
    responses((status = OK, content((Report<FillLine> = "application/json"), (String = "text/csv"))), AnyRead),
)]
pub(crate) async fn event_fill(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<FillQuery>,
) -> Result<Response, Early> {
    super::admit(&asked.caller)?;
    let format = asked.list_shape(query.format)?;
    let reading = read.reading::<Reporting>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, ())?;

    let lines = reporting::event_fill(&reading.client, asked.caller.tenant, query.event_id)
        .await
        .map_err(|error| of_postgres(&error))?;
    answer.report(lines.into_iter().map(|line| FillLine::of(line, &reading.stale)).collect())
}

impl FillLine {
    fn of(line: reporting::PoolFill, stale: &Stale) -> Self {
        let reporting::PoolFill {
            event_id,
            title,
            starts_local,
            time_zone,
            cancelled,
            pool,
            size,
            confirmed,
            pending,
            held,
            offered,
            waitlisted,
            available,
        } = line;
        Self {
            event_id,
            title,
            starts_local,
            time_zone,
            cancelled,
            pool,
            size,
            confirmed,
            pending,
            held,
            offered,
            waitlisted,
            available,
            stale: event_roster::is_stale(stale, event_id),
        }
    }
}

impl Tabular for FillLine {
    const COLUMNS: &'static [&'static str] = &[
        "event_id",
        "title",
        "starts_local",
        "time_zone",
        "cancelled",
        "pool",
        "size",
        "confirmed",
        "pending",
        "held",
        "offered",
        "waitlisted",
        "available",
        "stale",
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::plain(self.event_id),
            Cell::text(self.title.as_deref()),
            Cell::maybe(self.starts_local),
            Cell::text(self.time_zone.as_deref()),
            Cell::plain(self.cancelled),
            Cell::text(Some(&self.pool)),
            Cell::maybe(self.size),
            Cell::plain(self.confirmed),
            Cell::plain(self.pending),
            Cell::plain(self.held),
            Cell::plain(self.offered),
            Cell::plain(self.waitlisted),
            Cell::maybe(self.available),
            Cell::stale(self.stale),
        ]
    }
}
