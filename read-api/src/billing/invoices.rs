//! `GET /v1/invoices`: the invoices of an association.

use axum::{extract::State, response::Response};
use chrono::NaiveDate;
use guildhall_aggregates::invoice::InvoiceEvent;
use guildhall_projections::reporting::Reporting;
use guildhall_web::{Position, Query, Role};
use serde::{Deserialize, Serialize};
use tokio_postgres::{Row, types::ToSql};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    ReadState,
    answer::{Asked, Early, Page},
    csv::{Cell, Tabular},
    cursor::{self, Cursor},
    format::ListFormat,
    parameters::{Day, Limit},
    problems::{AnyRead, of_postgres},
    stale::Stale,
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InvoicesQuery {
    /// Only issued invoices on which something is open.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    open: bool,
    /// Only those this member or guest is to pay.
    bill_to: Option<Uuid>,
    /// Only those for `membership_dues`, `renewal_dues`, `event_fee` or `other`.
    #[param(inline)]
    purpose: Option<Purpose>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<Cursor<(Day, Uuid)>>,
    /// How many invoices at most.
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

/// What an invoice is for, as a question names it.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    /// The first term of a membership.
    MembershipDues,
    /// A further term.
    RenewalDues,
    /// A place at an association event.
    EventFee,
    /// Something else.
    Other,
}

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Self::MembershipDues => "membership_dues",
            Self::RenewalDues => "renewal_dues",
            Self::EventFee => "event_fee",
            Self::Other => "other",
        }
    }
}

/// An invoice, in short.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvoiceLine {
    /// Which one.
    invoice_id: Uuid,
    /// Who is to pay: a member's id, or a guest's.
    bill_to: Uuid,
    /// What it is for: `membership_dues`, `renewal_dues`, `event_fee` or `other`.
    purpose: String,
    /// The series it is numbered in; null while it is a draft.
    series: Option<String>,
    /// Its number in the series.
    number: Option<i64>,
    /// When it is dated.
    dated: NaiveDate,
    /// When it is to be paid.
    due_on: NaiveDate,
    /// ISO 4217.
    currency: String,
    /// What was invoiced, tax included, in minor units.
    total_minor: i64,
    /// Of which tax.
    tax_minor: i64,
    /// What is still open.
    open_minor: i64,
    /// True where the read model could not follow its stream: what happened to it since is missing. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    stale: bool,
}

/// The analysts' view of the same name: what they count is what is listed here.
const PAGE: &str = "\
    SELECT invoice_id, bill_to, purpose, series, number, dated, due_on, currency, total_minor, tax_minor, open_minor \
    FROM reporting.invoices \
    WHERE tenant_id = $1 AND (NOT $2 OR (open_minor > 0 AND number IS NOT NULL)) \
      AND ($3::uuid IS NULL OR bill_to = $3) AND ($4::text IS NULL OR purpose = $4) \
      AND ($5::date IS NULL OR (dated, invoice_id) < ($5, $6)) \
    ORDER BY dated DESC, invoice_id DESC LIMIT $7";

/// The invoices, the latest first
#[utoipa::path(
    get,
    path = "/v1/invoices",
    tag = super::TAG,
    params(InvoicesQuery),
    responses((status = OK, content((Page<InvoiceLine> = "application/json"), (String = "text/csv"))), AnyRead),
)]
pub(crate) async fn invoices(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<InvoicesQuery>,
) -> Result<Response, Early> {
    asked.caller.require(&Role::ALL)?;
    let format = asked.list_shape(query.format)?;
    let reading = read.reading::<Reporting>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, ())?;

    let (day, id) = query.after.map(Cursor::into_key).map(|(Day(day), id)| (day, id)).unzip();
    let tenant = asked.caller.tenant.uuid();
    let purpose = query.purpose.map(Purpose::word);
    let of = |error| of_postgres(&error);
    let statement = reading.client.prepare_cached(PAGE).await.map_err(of)?;
    let values: &[&(dyn ToSql + Sync)] =
        &[&tenant, &query.open, &query.bill_to, &purpose, &day, &id, &query.limit.and_one()];
    let rows = reading.client.query(&statement, values).await.map_err(of)?;
    let mut invoices =
        rows.iter().map(|row| InvoiceLine::of(row, &reading.stale)).collect::<Result<Vec<_>, _>>().map_err(of)?;
    let more = invoices.len() > query.limit.rows();
    invoices.truncate(query.limit.rows());
    let next = invoices.last().filter(|_| more).map(|last| cursor::behind(&(Day(last.dated), last.invoice_id)));
    answer.list(invoices, next)
}

impl InvoiceLine {
    fn of(row: &Row, stale: &Stale) -> Result<Self, tokio_postgres::Error> {
        let invoice_id = row.try_get(0)?;
        Ok(Self {
            invoice_id,
            bill_to: row.try_get(1)?,
            purpose: row.try_get(2)?,
            series: row.try_get(3)?,
            number: row.try_get(4)?,
            dated: row.try_get(5)?,
            due_on: row.try_get(6)?,
            currency: row.try_get(7)?,
            total_minor: row.try_get(8)?,
            tax_minor: row.try_get(9)?,
            open_minor: row.try_get(10)?,
            stale: stale.has::<InvoiceEvent>(invoice_id),
        })
    }
}

impl Tabular for InvoiceLine {
    const COLUMNS: &'static [&'static str] = &[
        "invoice_id",
        "bill_to",
        "purpose",
        "series",
        "number",
        "dated",
        "due_on",
        "currency",
        "total",
        "tax",
        "open",
        "stale",
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::plain(self.invoice_id),
            Cell::plain(self.bill_to),
            Cell::plain(&self.purpose),
            Cell::text(self.series.as_deref()),
            Cell::maybe(self.number),
            Cell::plain(self.dated),
            Cell::plain(self.due_on),
            Cell::plain(&self.currency),
            Cell::amount(self.total_minor, &self.currency),
            Cell::amount(self.tax_minor, &self.currency),
            Cell::amount(self.open_minor, &self.currency),
            Cell::stale(self.stale),
        ]
    }
}
