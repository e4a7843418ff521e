use guildhall_aggregates::{
    MembershipId,
    membership::{self, Membership},
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, endpoint::stream_of, wire::Prose};

/// End a membership before its time.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelMembership {
    /// Which membership.
    #[schema(value_type = Uuid)]
    membership_id: MembershipId,
    /// Why. Kept as personal data of the member.
    reason: Option<Prose>,
}

impl Endpoint for CancelMembership {
    const NAME: &'static str = "CancelMembership";
    type Aggregate = Membership;

    fn stream(&self, _: &Origin) -> Uuid {
        self.membership_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<Membership>(self.membership_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Membership>, Problem> {
        let reason = super::sealed_reason(context, self.reason).await?;
        Ok(Prepared::of(membership::CancelMembership { reason, today: context.today()? }))
    }
}
