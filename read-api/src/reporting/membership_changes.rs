//! `GET /v1/reports/membership-changes`: who joined, renewed and left, by month.

use axum::{extract::State, response::Response};
use chrono::NaiveDate;
use guildhall_projections::reporting::{self, Reporting};
use guildhall_web::{Position, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    ReadState,
    answer::{Asked, Early, Report},
    csv::{Cell, Tabular},
    format::ListFormat,
    parameters::Day,
    problems::{AnyRead, of_postgres},
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangesQuery {
    /// A day of the first month.
    #[param(value_type = String, format = Date)]
    from: Day,
    /// A day of the last month.
    #[param(value_type = String, format = Date)]
    to: Day,
    /// A consistency token: wait until this is in the answer, five seconds at most.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
    /// The shape of the answer; by `Accept` where not given.
    #[param(inline)]
    format: Option<ListFormat>,
}

/// What changed in one month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangesLine {
    /// The month, as its first day.
    month: NaiveDate,
    /// Memberships with their join date in the month.
    joined: i64,
    /// Renewals recorded in the month.
    renewed: i64,
    /// Memberships that expired; in months to come, that will unless they are renewed.
    lapsed: i64,
    /// Memberships that were cancelled.
    cancelled: i64,
}

/// Joiners, renewals and lapses per month
///
/// Both months included. Months in which nothing changed have no line.
#[utoipa::path(
    get,
    path = "/v1/reports/membership-changes",
    tag = super::TAG,
    params(ChangesQuery),
    responses((status = OK, content((Report<ChangesLine> = "application/json"), (String = "text/csv"))), AnyRead),
)]
pub(crate) async fn membership_changes(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<ChangesQuery>,
) -> Result<Response, Early> {
    super::admit(&asked.caller)?;
    let (from, to) = super::months(query.from, query.to)?;
    let format = asked.list_shape(query.format)?;
    let reading = read.reading::<Reporting>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, ())?;

    let lines = reporting::movements_per_month(&reading.client, asked.caller.tenant, from, to)
        .await
        .map_err(|error| of_postgres(&error))?;
    answer.report(lines.into_iter().map(ChangesLine::from).collect())
}

impl From<reporting::Movements> for ChangesLine {
    fn from(line: reporting::Movements) -> Self {
        let reporting::Movements { month, joined, renewed, lapsed, cancelled } = line;
        Self { month, joined, renewed, lapsed, cancelled }
    }
}

impl Tabular for ChangesLine {
    const COLUMNS: &'static [&'static str] = &["month", "joined", "renewed", "lapsed", "cancelled"];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::plain(self.month),
            Cell::plain(self.joined),
            Cell::plain(self.renewed),
            Cell::plain(self.lapsed),
            Cell::plain(self.cancelled),
        ]
    }
}
