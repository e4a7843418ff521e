use guildhall_aggregates::{
    MemberId, PaymentId,
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
    wire::{Amount, Day, MoneyStanding, Revenue, Source},
};

/// Take over a contribution as another system kept it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportContribution {
    /// The payment's id; a new one where not given.
    #[schema(value_type = Option<Uuid>)]
    payment_id: Option<PaymentId>,
    /// Who gave it.
    #[schema(value_type = Uuid)]
    payer: MemberId,
    /// How much.
    amount: Amount,
    /// What for.
    kind: Revenue,
    /// Where it stands.
    standing: MoneyStanding,
    /// On which day it came, or was expected.
    on: Day,
    /// Which row it is.
    source: Source,
}

impl Endpoint for ImportContribution {
    const NAME: &'static str = "ImportContribution";
    type Aggregate = Payment;

    fn stream(&self, origin: &Origin) -> Uuid {
        origin.given_or_new(self.payment_id.map(PaymentId::uuid))
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<Member>(self.payer.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Payment>, Problem> {
        context.require_member(self.payer, "/payer").await?;
        Ok(Prepared::of(payment::ImportContribution {
            payer: self.payer.into(),
            amount: self.amount.into(),
            kind: self.kind.into(),
            standing: self.standing.into(),
            on: self.on.0,
            source: self.source.into(),
        }))
    }
}
