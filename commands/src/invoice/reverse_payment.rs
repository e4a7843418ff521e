use guildhall_aggregates::{
    InvoiceId, PaymentId,
    invoice::{self, Invoice},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared};

/// Take back what a payment that was charged back had counted against an invoice.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReversePayment {
    /// Which invoice.
    #[schema(value_type = Uuid)]
    invoice_id: InvoiceId,
    /// Which payment.
    #[schema(value_type = Uuid)]
    payment_id: PaymentId,
}

impl Endpoint for ReversePayment {
    const NAME: &'static str = "ReversePayment";
    type Aggregate = Invoice;

    fn stream(&self, _: &Origin) -> Uuid {
        self.invoice_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Invoice>, Problem> {
        Ok(Prepared::of(invoice::ReversePayment { payment_id: self.payment_id, today: context.today()? }))
    }
}
