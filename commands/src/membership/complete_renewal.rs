use guildhall_aggregates::{
    MembershipId, PaymentId,
    membership::{self, Membership},
    payment::Payment,
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, endpoint::stream_of};

/// Start the term a renewal asked for, because it was paid. Usually the settled invoice does this by itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteRenewal {
    /// Which membership.
    #[schema(value_type = Uuid)]
    membership_id: MembershipId,
    /// The payment that settled the dues.
    #[schema(value_type = Uuid)]
    payment_id: PaymentId,
}

impl Endpoint for CompleteRenewal {
    const NAME: &'static str = "CompleteRenewal";
    type Aggregate = Membership;

    fn stream(&self, _: &Origin) -> Uuid {
        self.membership_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<Payment>(self.payment_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Membership>, Problem> {
        context.require::<Payment>(self.payment_id.uuid(), "/payment_id").await?;
        Ok(Prepared::of(membership::CompleteRenewal {
            payment_id: self.payment_id,
            rules: context.association()?.status_rules.clone(),
            today: context.today()?,
        }))
    }
}
