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

use crate::{
    Context, Endpoint, Origin, Prepared,
    endpoint::stream_of,
    wire::{Day, Override, Source, Span},
};

/// Take over a membership as another system kept it. Nothing is decided: it is recorded as it stood there.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportMembership {
    /// The membership's id; a new one where not given.
    #[schema(value_type = Option<Uuid>)]
    membership_id: Option<MembershipId>,
    /// Whose.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
    /// Of what.
    #[schema(value_type = Uuid)]
    plan_id: PlanId,
    /// When they first joined.
    joined_on: Day,
    /// The term that stands there.
    term: Span,
    /// The day the other system's record was taken.
    as_of: Day,
    /// A status set by hand there.
    overridden: Option<Override>,
    /// Which row it is.
    source: Source,
}

impl Endpoint for ImportMembership {
    const NAME: &'static str = "ImportMembership";
    type Aggregate = Membership;

    fn stream(&self, origin: &Origin) -> Uuid {
        origin.given_or_new(self.membership_id.map(MembershipId::uuid))
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<Member>(self.member_id.uuid()), stream_of::<MembershipPlan>(self.plan_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Membership>, Problem> {
        context.require_member(self.member_id, "/member_id").await?;
        Ok(Prepared::of(membership::ImportMembership {
            member_id: self.member_id,
            plan: context.plan(self.plan_id, "/plan_id").await?,
            joined_on: self.joined_on.0,
            term: self.term.into(),
            as_of: self.as_of.0,
            overridden: self.overridden.map(Into::into),
            source: self.source.into(),
        }))
    }
}
