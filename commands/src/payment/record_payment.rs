use guildhall_aggregates::{
    InvoiceId, MemberId,
    invoice::Invoice,
    member::Member,
    payment::{self, Payment},
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Context, Endpoint, Origin, Prepared,
    endpoint::stream_of,
    wire::{Amount, Line},
};

/// Record money that came. The same reference of the same provider is the same payment, however often and with
/// whichever key it is told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordPayment {
    /// Who took it: `stripe`, `bank`, `cash`.
    #[schema(example = "bank")]
    provider: Line,
    /// The provider's own reference, unique there.
    #[schema(example = "2026-11-20/0017")]
    reference: Line,
    /// Who paid, where it is a member.
    #[schema(value_type = Option<Uuid>)]
    payer: Option<MemberId>,
    /// How much.
    amount: Amount,
    /// The invoice it is meant for.
    #[schema(value_type = Option<Uuid>)]
    invoice_id: Option<InvoiceId>,
}

impl Endpoint for RecordPayment {
    const NAME: &'static str = "RecordPayment";
    type Aggregate = Payment;

    fn stream(&self, origin: &Origin) -> Uuid {
        super::payment_id(origin.tenant, self.provider.as_str(), self.reference.as_str())
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        let payer = self.payer.map(|payer| stream_of::<Member>(payer.uuid()));
        let invoice = self.invoice_id.map(|invoice_id| stream_of::<Invoice>(invoice_id.uuid()));
        payer.into_iter().chain(invoice).collect()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Payment>, Problem> {
        if let Some(payer) = self.payer {
            context.require_member(payer, "/payer").await?;
        }
        if let Some(invoice_id) = self.invoice_id {
            context.require::<Invoice>(invoice_id.uuid(), "/invoice_id").await?;
        }
        Ok(Prepared::of(payment::RecordPayment {
            provider: self.provider.into(),
            reference: self.reference.into(),
            payer: self.payer.map(Into::into),
            amount: self.amount.into(),
            invoice_id: self.invoice_id,
            today: context.today()?,
        }))
    }
}
