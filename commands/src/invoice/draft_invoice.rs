use guildhall_aggregates::{
    InvoiceId, MemberId,
    invoice::{self, Invoice},
    member::Member,
    money::Currency,
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Context, Endpoint, Origin, Prepared,
    endpoint::stream_of,
    wire::{Charge, Day, Purpose},
};

/// Write an invoice. It is issued, and never changes again, as soon as its series has given it a number.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DraftInvoice {
    /// The invoice's id; a new one where not given.
    #[schema(value_type = Option<Uuid>)]
    invoice_id: Option<InvoiceId>,
    /// Who is to pay.
    #[schema(value_type = Uuid)]
    bill_to: MemberId,
    /// What for: whose settlement starts something; nothing where not given.
    #[serde(default = "super::nothing")]
    purpose: Purpose,
    /// The lines.
    #[serde(deserialize_with = "crate::wire::at_most::<200, _, _>")]
    #[schema(min_items = 1, max_items = 200)]
    lines: Vec<Charge>,
    /// The ISO 4217 currency of all amounts; the association's where not given.
    #[schema(value_type = Option<String>, example = "USD", pattern = "^[A-Z]{3}$")]
    currency: Option<Currency>,
    /// When it is to be paid; in 14 days where not given.
    due_on: Option<Day>,
}

impl Endpoint for DraftInvoice {
    const NAME: &'static str = "DraftInvoice";
    type Aggregate = Invoice;

    fn stream(&self, origin: &Origin) -> Uuid {
        origin.given_or_new(self.invoice_id.map(InvoiceId::uuid))
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        let payer = stream_of::<Member>(self.bill_to.uuid());
        super::purpose_stream(self.purpose).into_iter().chain([payer]).collect()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Invoice>, Problem> {
        context.require_member(self.bill_to, "/bill_to").await?;
        super::require_purpose(context, self.purpose).await?;
        let today = context.today()?;
        Ok(Prepared::of(invoice::DraftInvoice {
            bill_to: self.bill_to.into(),
            purpose: self.purpose.into(),
            lines: self.lines.into_iter().map(Into::into).collect(),
            currency: self.currency.unwrap_or(context.association()?.currency),
            today,
            due_on: self.due_on.map_or(today + super::USUAL_TERM, |Day(day)| day),
        }))
    }
}
