use guildhall_aggregates::{
    InvoiceId,
    invoice::{self, Invoice},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::Line};

/// Give up what is open of an invoice.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteOffInvoice {
    /// Which invoice.
    #[schema(value_type = Uuid)]
    invoice_id: InvoiceId,
    /// Why, as the books read it; must not say anything about a person.
    reason: Line,
}

impl Endpoint for WriteOffInvoice {
    const NAME: &'static str = "WriteOffInvoice";
    type Aggregate = Invoice;

    fn stream(&self, _: &Origin) -> Uuid {
        self.invoice_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Invoice>, Problem> {
        Ok(Prepared::of(invoice::WriteOffInvoice { reason: self.reason.into(), today: context.today()? }))
    }
}
