use guildhall_aggregates::{
    MembershipId,
    membership::{self, Membership},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared};

/// Record the status of a membership if time has made it another one. Run twice, it records nothing new.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordStatus {
    /// Which membership.
    #[schema(value_type = Uuid)]
    membership_id: MembershipId,
}

impl Endpoint for RecordStatus {
    const NAME: &'static str = "RecordStatus";
    type Aggregate = Membership;

    fn stream(&self, _: &Origin) -> Uuid {
        self.membership_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Membership>, Problem> {
        let rules = context.association()?.status_rules.clone();
        Ok(Prepared::of(membership::RecordStatus { rules, today: context.today()? }))
    }
}
