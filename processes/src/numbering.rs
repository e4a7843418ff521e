//! A drafted invoice gets the next number of its series, and is issued with it.

use chrono::{Datelike, NaiveDate};
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
    issue(hands, cause, InvoiceId::new(cause.stream.id), dated).await
}

/// Issues a drafted invoice under the next number of its year. One that has its number keeps it, so whoever cannot
/// wait for the invoice to be issued may ask for it.
pub(crate) async fn issue(
    hands: &Hands,
    cause: &RecordedEvent,
    invoice_id: InvoiceId,
    dated: NaiveDate,
) -> Result<(), ProcessError> {
    let series = dated.year().to_string();
    let id = series_id(cause.tenant, &series);
    let command = AssignNumber { series: series.clone(), invoice_id };
    let reaction = Reaction { process: PROCESS, name: "AssignNumber", cause, id, command };
    hands.send_about::<InvoiceSeries>(reaction, invoice_id.uuid()).await?;
    let number = hands.look(cause, id, |series: &InvoiceSeries| series.number_of(invoice_id)).await?;
    let Some(number) = number else { return Ok(()) };
    let command = IssueInvoice { series, number };
    let id = invoice_id.uuid();
    hands.send::<Invoice>(Reaction { process: PROCESS, name: "IssueInvoice", cause, id, command }).await
}
