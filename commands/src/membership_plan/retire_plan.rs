use guildhall_aggregates::{
    PlanId,
    membership_plan::{self, MembershipPlan},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared};

/// Stop offering a plan. Memberships of it run on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetirePlan {
    /// Which plan.
    #[schema(value_type = Uuid)]
    plan_id: PlanId,
}

impl Endpoint for RetirePlan {
    const NAME: &'static str = "RetirePlan";
    type Aggregate = MembershipPlan;

    fn stream(&self, _: &Origin) -> Uuid {
        self.plan_id.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<MembershipPlan>, Problem> {
        Ok(Prepared::of(membership_plan::RetirePlan {}))
    }
}
