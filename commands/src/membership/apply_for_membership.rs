use guildhall_aggregates::{
    MemberId, MembershipId, PlanId,
    member::Member,
    membership::{self, Membership},
    membership_plan::MembershipPlan,
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, endpoint::stream_of, wire::Day};

/// Ask for a membership of a plan. It is pending until it is approved, where the plan wants that, and paid,
/// where it costs something; one that needs neither runs at once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyForMembership {
    /// The membership's id; a new one where not given.
    #[schema(value_type = Option<Uuid>)]
    membership_id: Option<MembershipId>,
    /// Who asks.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
    /// The plan, in its current version.
    #[schema(value_type = Uuid)]
    plan_id: PlanId,
    /// A start other than by the plan's rule.
    requested_start: Option<Day>,
    /// How many terms at once; 1 where not given.
    #[serde(default = "super::one")]
    #[schema(minimum = 1)]
    terms: u32,
}

impl Endpoint for ApplyForMembership {
    const NAME: &'static str = "ApplyForMembership";
    type Aggregate = Membership;

    fn stream(&self, origin: &Origin) -> Uuid {
        origin.given_or_new(self.membership_id.map(MembershipId::uuid))
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<Member>(self.member_id.uuid()), stream_of::<MembershipPlan>(self.plan_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Membership>, Problem> {
        context.require_member(self.member_id, "/member_id").await?;
        Ok(Prepared::of(membership::ApplyForMembership {
            member_id: self.member_id,
            plan: context.plan_on_sale(self.plan_id, "/plan_id").await?,
            requested_start: self.requested_start.map(|Day(day)| day),
            terms: self.terms,
            today: context.today()?,
        }))
    }
}
