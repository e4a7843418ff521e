//! `GET /v1/reports/revenue`: revenue by month and kind.

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
pub(crate) struct RevenueQuery {
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

/// Revenue of one kind in one month, as invoiced and before tax.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevenueLine {
    /// The month, as its first day.
    month: NaiveDate,
    /// `dues`, `event_fee`, `donation` or `other`.
    kind: String,
    /// ISO 4217.
    currency: String,
    /// The sum in minor units.
    amount_minor: i64,
    /// How many invoices, credit notes and contributions.
    records: i64,
}

/// Revenue by month and kind
///
/// Both months included. What was credited counts against the month of the credit note.
#[utoipa::path(
    get,
    path = "/v1/reports/revenue",
    tag = super::TAG,
    params(RevenueQuery),
    responses((status = OK, content((Report<RevenueLine> = "application/json"), (String = "text/csv"))), AnyRead),
)]
pub(crate) async fn revenue(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<RevenueQuery>,
) -> Result<Response, Early> {
    super::admit(&asked.caller)?;
    let (from, to) = super::months(query.from, query.to)?;
    let format = asked.list_shape(query.format)?;
    let reading = read.reading::<Reporting>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, ())?;

    let lines = reporting::revenue_by_month(&reading.client, asked.caller.tenant, from, to)
        .await
        .map_err(|error| of_postgres(&error))?;
    answer.report(lines.into_iter().map(RevenueLine::from).collect())
}

impl From<reporting::Revenue> for RevenueLine {
    fn from(line: reporting::Revenue) -> Self {
        let reporting::Revenue { month, kind, currency, amount_minor, records } = line;
        Self { month, kind, currency, amount_minor, records }
    }
}

impl Tabular for RevenueLine {
    const COLUMNS: &'static [&'static str] = &["month", "kind", "currency", "amount", "records"];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::plain(self.month),
            Cell::plain(&self.kind),
            Cell::plain(&self.currency),
            Cell::amount(self.amount_minor, &self.currency),
            Cell::plain(self.records),
        ]
    }
}
