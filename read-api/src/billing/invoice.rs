//! `GET /v1/invoices/{invoice_id}`: one invoice, with its lines and what counts against it.

use axum::{extract::State, response::Response};
use chrono::NaiveDate;
use cqrs_es::Aggregate;
use guildhall_aggregates::{
    InvoiceId, StoredEvent, TenantId,
    invoice::{self, InvoiceEvent},
};
use guildhall_event_store::{EventStore, StreamId};
use guildhall_web::{Named, Position, Problem, Query, Role};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    ReadState,
    answer::{Asked, Early, One},
    format::Format,
    problems::{OneRead, not_found, of_store},
};

/// An invoice with more records than these has other troubles than being shown whole.
const MOST_RECORDS: usize = 10_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InvoiceQuery {
    /// A consistency token: wait until this is in the answer, five seconds at most.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
}

/// An invoice.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvoiceSheet {
    /// Which one.
    invoice_id: Uuid,
    /// The series it is numbered in; null while it is a draft.
    series: Option<String>,
    /// Its number in the series.
    number: Option<u32>,
    /// Who is to pay: a member's id, or a guest's.
    bill_to: Uuid,
    /// What it is for: `kind`, and what that names.
    #[schema(value_type = Object)]
    purpose: invoice::InvoicePurpose,
    /// When it is dated.
    dated: NaiveDate,
    /// When it is to be paid.
    due_on: NaiveDate,
    /// ISO 4217, of all amounts.
    currency: String,
    /// What was invoiced, tax included, in minor units.
    total_minor: i64,
    /// Of which tax.
    tax_minor: i64,
    /// What is still open.
    open_minor: i64,
    /// The lines.
    lines: Vec<ChargedLine>,
    /// What counts against it, in order.
    movements: Vec<Movement>,
}

/// One line of an invoice.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChargedLine {
    /// What is charged for.
    description: String,
    /// `dues`, `event_fee`, `donation` or `other`.
    kind: &'static str,
    /// How many.
    quantity: u32,
    /// What one costs, in minor units.
    unit_minor: i64,
    /// Discount on the whole line, in minor units.
    discount_minor: i64,
    /// Tax rate in hundredths of a percent, on the amount after discount.
    tax_rate_bp: u32,
}

/// Something that changes what is open.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Movement {
    /// `payment`, `reversal`, `credit_note` or `write_off`.
    kind: &'static str,
    /// The payment or credit note; null for a write-off.
    reference: Option<Uuid>,
    /// On which day.
    on: NaiveDate,
    /// What it adds to what is open, in minor units; negative for what it takes off.
    amount_minor: i64,
}

/// One invoice
///
/// Always as it is now: the invoice itself is read. Needs the scope `api`.
#[utoipa::path(
    get,
    path = "/v1/invoices/{invoice_id}",
    tag = super::TAG,
    params(("invoice_id" = Uuid, Path, description = "The invoice's id"), InvoiceQuery),
    responses((status = OK, body = One<InvoiceSheet>), OneRead),
)]
pub(crate) async fn invoice(
    State(read): State<ReadState>,
    asked: Asked,
    Named(invoice): Named<InvoiceId>,
    Query(query): Query<InvoiceQuery>,
) -> Result<Response, Early> {
    asked.caller.require(&[Role::Api])?;
    let format = asked.shape(None, &[Format::Json])?;
    let mark = read.history(query.at_least).await?;
    let answer = asked.answer(format, mark, ())?;

    let found = current(&read.store, asked.caller.tenant, invoice).await?;
    answer.one(found.ok_or_else(|| not_found("invoice"))?)
}

/// The invoice as it is now, from its stream.
async fn current(store: &EventStore, tenant: TenantId, id: InvoiceId) -> Result<Option<InvoiceSheet>, Problem> {
    let stream = StreamId::new(InvoiceEvent::CATEGORY, id.uuid());
    let (mut state, mut shown) = (invoice::Invoice::default(), None::<InvoiceSheet>);
    for recorded in store.read_stream(tenant, &stream, 0, MOST_RECORDS).await.map_err(of_store)? {
        let event = recorded.decode::<InvoiceEvent>().map_err(|error| Problem::internal(&error))?;
        match &mut shown {
            None => shown = InvoiceSheet::drafted(id, &event),
            Some(invoice) => invoice.take_in(&event),
        }
        state.apply(event);
    }
    Ok(shown.map(|invoice| InvoiceSheet { open_minor: state.open().map_or(0, |open| open.minor), ..invoice }))
}

impl InvoiceSheet {
    fn drafted(id: InvoiceId, event: &InvoiceEvent) -> Option<Self> {
        let InvoiceEvent::InvoiceDrafted { bill_to, purpose, lines, total, tax, dated, due_on } = event else {
            return None;
        };
        Some(Self {
            invoice_id: id.uuid(),
            series: None,
            number: None,
            bill_to: bill_to.uuid(),
            purpose: *purpose,
            dated: *dated,
            due_on: *due_on,
            currency: total.currency.code().to_owned(),
            total_minor: total.minor,
            tax_minor: tax.minor,
            // What is open is left to the aggregate.
            open_minor: 0,
            lines: lines.iter().map(ChargedLine::of).collect(),
            movements: Vec::new(),
        })
    }

    fn take_in(&mut self, event: &InvoiceEvent) {
        match event {
            InvoiceEvent::InvoiceDrafted { .. } | InvoiceEvent::InvoiceSettled { .. } => {}
            InvoiceEvent::InvoiceIssued { series, number } => {
                (self.series, self.number) = (Some(series.clone()), Some(*number));
            }
            InvoiceEvent::PaymentApplied { payment_id, amount, on, .. } => {
                self.moved("payment", Some(payment_id.uuid()), *on, -amount.minor);
            }
            InvoiceEvent::PaymentReversed { payment_id, amount, on } => {
                self.moved("reversal", Some(payment_id.uuid()), *on, amount.minor);
            }
            InvoiceEvent::InvoiceCredited { credit_note_id, amount, on, .. } => {
                self.moved("credit_note", Some(credit_note_id.uuid()), *on, -amount.minor);
            }
            InvoiceEvent::InvoiceWrittenOff { amount, on, .. } => self.moved("write_off", None, *on, -amount.minor),
        }
    }

    fn moved(&mut self, kind: &'static str, reference: Option<Uuid>, on: NaiveDate, amount_minor: i64) {
        self.movements.push(Movement { kind, reference, on, amount_minor });
    }
}

impl ChargedLine {
    fn of(line: &invoice::InvoiceLine) -> Self {
        Self {
            description: line.description.clone(),
            kind: line.kind.into(),
            quantity: line.quantity,
            unit_minor: line.unit_minor,
            discount_minor: line.discount_minor,
            tax_rate_bp: line.tax_rate_bp,
        }
    }
}
