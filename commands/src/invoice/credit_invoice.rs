use guildhall_aggregates::{
    CreditNoteId, InvoiceId,
    invoice::{self, Invoice},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Context, Endpoint, Origin, Prepared,
    wire::{Amount, Line},
};

/// Take back a part or all of an invoice by a credit note.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreditInvoice {
    /// Which invoice.
    #[schema(value_type = Uuid)]
    invoice_id: InvoiceId,
    /// The credit note's id; a new one where not given.
    #[schema(value_type = Option<Uuid>)]
    credit_note_id: Option<CreditNoteId>,
    /// How much.
    amount: Amount,
    /// Why, as the books read it; must not say anything about a person.
    reason: Line,
}

impl Endpoint for CreditInvoice {
    const NAME: &'static str = "CreditInvoice";
    type Aggregate = Invoice;

    fn stream(&self, _: &Origin) -> Uuid {
        self.invoice_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Invoice>, Problem> {
        let credit_note_id = context.origin.given_or_new(self.credit_note_id.map(CreditNoteId::uuid));
        Ok(Prepared::of(invoice::CreditInvoice {
            credit_note_id: credit_note_id.into(),
            amount: self.amount.into(),
            reason: self.reason.into(),
            today: context.today()?,
        }))
    }
}
