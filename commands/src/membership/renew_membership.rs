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

/// Ask for another term. With a payment, or when nothing is to be paid, it runs at once; otherwise once the
/// dues are paid. The same payment never extends twice.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenewMembership {
    /// Which membership.
    #[schema(value_type = Uuid)]
    membership_id: MembershipId,
    /// How many terms at once; 1 where not given.
    #[serde(default = "super::one")]
    #[schema(minimum = 1)]
    terms: u32,
    /// The payment already made for it.
    #[schema(value_type = Option<Uuid>)]
    payment_id: Option<PaymentId>,
}

impl Endpoint for RenewMembership {
    const NAME: &'static str = "RenewMembership";
    type Aggregate = Membership;

    fn stream(&self, _: &Origin) -> Uuid {
        self.membership_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        let own = stream_of::<Membership>(self.membership_id.uuid());
        let payment = self.payment_id.map(|payment_id| stream_of::<Payment>(payment_id.uuid()));
        payment.into_iter().chain([own]).collect()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Membership>, Problem> {
        if let Some(payment_id) = self.payment_id {
            context.require::<Payment>(payment_id.uuid(), "/payment_id").await?;
        }
        let plan_id = super::plan_of(context).await?;
        Ok(Prepared::of(membership::RenewMembership {
            plan: context.plan_on_sale(plan_id, "/membership_id").await?,
            terms: self.terms,
            payment_id: self.payment_id,
            rules: context.association()?.status_rules.clone(),
            today: context.today()?,
        }))
    }
}
