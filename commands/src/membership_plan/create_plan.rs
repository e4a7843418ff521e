use guildhall_aggregates::{
    PlanId,
    membership_plan::{self, MembershipPlan},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Context, Endpoint, Origin, Prepared, claim,
    wire::{Line, Source, Terms},
};

/// Offer a membership plan. Its code belongs to one plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatePlan {
    /// The plan's id; a new one where not given.
    #[schema(value_type = Option<Uuid>)]
    plan_id: Option<PlanId>,
    /// Its code, unique within the association.
    #[schema(example = "professional")]
    code: Line,
    /// All that it says.
    terms: Terms,
    /// Where it is imported from.
    source: Option<Source>,
}

impl Endpoint for CreatePlan {
    const NAME: &'static str = "CreatePlan";
    type Aggregate = MembershipPlan;

    fn stream(&self, origin: &Origin) -> Uuid {
        origin.given_or_new(self.plan_id.map(PlanId::uuid))
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<MembershipPlan>, Problem> {
        let code = context.claim(claim::PLAN_CODE, Some(self.code.as_str()));
        let command = membership_plan::CreatePlan {
            code: self.code.into(),
            terms: self.terms.into(),
            source: self.source.map(Into::into),
        };
        Ok(Prepared::of(command).claiming(code))
    }
}
