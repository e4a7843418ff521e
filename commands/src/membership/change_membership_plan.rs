use guildhall_aggregates::{
    MembershipId, PlanId,
    membership::{self, Membership},
    membership_plan::MembershipPlan,
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, endpoint::stream_of};

/// Move a membership to another plan from today. What is unused of the running term is credited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeMembershipPlan {
    /// Which membership.
    #[schema(value_type = Uuid)]
    membership_id: MembershipId,
    /// The new plan, in its current version.
    #[schema(value_type = Uuid)]
    plan_id: PlanId,
}

impl Endpoint for ChangeMembershipPlan {
    const NAME: &'static str = "ChangeMembershipPlan";
    type Aggregate = Membership;

    fn stream(&self, _: &Origin) -> Uuid {
        self.membership_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<MembershipPlan>(self.plan_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Membership>, Problem> {
        let plan = context.plan_on_sale(self.plan_id, "/plan_id").await?;
        Ok(Prepared::of(membership::ChangeMembershipPlan { plan, today: context.today()? }))
    }
}
