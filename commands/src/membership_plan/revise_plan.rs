use guildhall_aggregates::{
    PlanId,
    membership_plan::{self, MembershipPlan},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::Terms};

/// Change what a plan says, for terms sold from now on. Running terms keep theirs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevisePlan {
    /// Which plan.
    #[schema(value_type = Uuid)]
    plan_id: PlanId,
    /// All that it says from now on.
    terms: Terms,
}

impl Endpoint for RevisePlan {
    const NAME: &'static str = "RevisePlan";
    type Aggregate = MembershipPlan;

    fn stream(&self, _: &Origin) -> Uuid {
        self.plan_id.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<MembershipPlan>, Problem> {
        Ok(Prepared::of(membership_plan::RevisePlan { terms: self.terms.into() }))
    }
}
