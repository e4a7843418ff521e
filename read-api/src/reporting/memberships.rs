//! `GET /v1/reports/memberships`: memberships by plan and status on any day.

use axum::{extract::State, response::Response};
use guildhall_projections::reporting::{self, Reporting};
use guildhall_web::{Position, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

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
pub(crate) struct MembershipsQuery {
    /// The day; today in the association's zone where not given.
    #[param(value_type = Option<String>, format = Date)]
    on: Option<Day>,
    /// A consistency token: wait until this is in the answer, five seconds at most.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
    /// The shape of the answer; by `Accept` where not given.
    #[param(inline)]
    format: Option<ListFormat>,
}

/// Memberships of one plan in one status.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MembershipsLine {
    /// The plan.
    plan_id: Uuid,
    /// Its code.
    plan_code: Option<String>,
    /// Its name.
    plan_name: Option<String>,
    /// `new`, `current`, `grace`, `expired`, `pending`, `cancelled` or `deceased`.
    status: String,
    /// How many.
    memberships: i64,
}

/// Memberships by plan and status, as of any date
///
/// What was so on that day by what is known today: a renewal recorded later counts from the day it took effect.
#[utoipa::path(
    get,
    path = "/v1/reports/memberships",
    tag = super::TAG,
    params(MembershipsQuery),
    responses((status = OK, content((Report<MembershipsLine> = "application/json"), (String = "text/csv"))), AnyRead),
)]
pub(crate) async fn memberships(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<MembershipsQuery>,
) -> Result<Response, Early> {
    super::admit(&asked.caller)?;
    let on = match query.on {
        Some(Day(on)) => on,
        None => read.today(asked.caller.tenant).await?,
    };
    let format = asked.list_shape(query.format)?;
    let reading = read.reading::<Reporting>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, on)?;

    let lines = reporting::memberships_as_of(&reading.client, asked.caller.tenant, on)
        .await
        .map_err(|error| of_postgres(&error))?;
    answer.report(lines.into_iter().map(MembershipsLine::from).collect())
}

impl From<reporting::MembershipCount> for MembershipsLine {
    fn from(line: reporting::MembershipCount) -> Self {
        let reporting::MembershipCount { plan_id, plan_code, plan_name, status, memberships } = line;
        Self { plan_id, plan_code, plan_name, status, memberships }
    }
}

impl Tabular for MembershipsLine {
    const COLUMNS: &'static [&'static str] = &["plan_id", "plan_code", "plan_name", "status", "memberships"];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::plain(self.plan_id),
            Cell::text(self.plan_code.as_deref()),
            Cell::text(self.plan_name.as_deref()),
            Cell::plain(&self.status),
            Cell::plain(self.memberships),
        ]
    }
}
