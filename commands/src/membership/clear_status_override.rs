use guildhall_aggregates::{
    MembershipId,
    membership::{self, Membership},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared};

/// Let the rules decide about the status again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClearStatusOverride {
    /// Which membership.
    #[schema(value_type = Uuid)]
    membership_id: MembershipId,
}

impl Endpoint for ClearStatusOverride {
    const NAME: &'static str = "ClearStatusOverride";
    type Aggregate = Membership;

    fn stream(&self, _: &Origin) -> Uuid {
        self.membership_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Membership>, Problem> {
        Ok(Prepared::of(membership::ClearStatusOverride { today: context.today()? }))
    }
}
