//! `GET /v1/reports/invoice-ageing`: how old what is open is.

use axum::{extract::State, response::Response};
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
pub(crate) struct AgeingQuery {
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

/// What is open of invoices of one age.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgeingLine {
    /// Days past due: `current`, `1-30`, `31-60`, `61-90` or `>90`.
    bucket: String,
    /// ISO 4217.
    currency: String,
    /// How many invoices.
    invoices: i64,
    /// What is open, in minor units.
    open_minor: i64,
}

/// What is open, by days past due
///
/// What was open on that day, of all invoices issued by then.
#[utoipa::path(
    get,
    path = "/v1/reports/invoice-ageing",
    tag = super::TAG,
    params(AgeingQuery),
    responses((status = OK, content((Report<AgeingLine> = "application/json"), (String = "text/csv"))), AnyRead),
)]
pub(crate) async fn invoice_ageing(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<AgeingQuery>,
) -> Result<Response, Early> {
    super::admit(&asked.caller)?;
    let on = match query.on {
        Some(Day(on)) => on,
        None => read.today(asked.caller.tenant).await?,
    };
    let format = asked.list_shape(query.format)?;
    let reading = read.reading::<Reporting>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, on)?;

    let lines = reporting::invoice_ageing(&reading.client, asked.caller.tenant, on)
        .await
        .map_err(|error| of_postgres(&error))?;
    answer.report(lines.into_iter().map(AgeingLine::from).collect())
}

impl From<reporting::Ageing> for AgeingLine {
    fn from(line: reporting::Ageing) -> Self {
        let reporting::Ageing { bucket, currency, invoices, open_minor } = line;
        Self { bucket, currency, invoices, open_minor }
    }
}

impl Tabular for AgeingLine {
    const COLUMNS: &'static [&'static str] = &["bucket", "currency", "invoices", "open"];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::plain(&self.bucket),
            Cell::plain(&self.currency),
            Cell::plain(self.invoices),
            Cell::amount(self.open_minor, &self.currency),
        ]
    }
}
