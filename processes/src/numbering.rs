//! A drafted invoice gets the next number of its series, and is issued with it.

use chrono::Datelike;
use guildhall_aggregates::{
    StoredEvent, TenantId,
    ids::{InvoiceId, derived},
    invoice::{Invoice, InvoiceEvent, IssueInvoice},
    invoice_series::{AssignNumber, InvoiceSeries, SeriesEvent},
};
use guildhall_event_store::RecordedEvent;
use uuid::Uuid;

use crate::hands::{Hands, ProcessError, Reaction};

const PROCESS: &str = "numbering";

/// The stream of an association's series.
fn series_id(tenant: TenantId, series: &str) -> Uuid {
    derived(tenant.uuid(), &[SeriesEvent::CATEGORY, series])
}

pub(crate) async fn on_invoice(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    let InvoiceEvent::InvoiceDrafted { dated, .. } = cause.decode()? else { return Ok(()) };
    let series = dated.year().to_string();
    let id = series_id(cause.tenant, &series);
    let command = AssignNumber { series, invoice_id: InvoiceId::new(cause.stream.id) };
    hands.send::<InvoiceSeries>(Reaction { process: PROCESS, name: "AssignNumber", cause, id, command }).await
}

pub(crate) async fn on_series(hands: &Hands, cause: &RecordedEvent) -> Result<(), ProcessError> {
    let SeriesEvent::NumberAssigned { series, invoice_id, number } = cause.decode()?;
    let command = IssueInvoice { series, number };
    let id = invoice_id.uuid();
    hands.send::<Invoice>(Reaction { process: PROCESS, name: "IssueInvoice", cause, id, command }).await
}
