use guildhall_aggregates::{
    MembershipId,
    membership::{self, Membership},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Context, Endpoint, Origin, Prepared,
    wire::{Day, Status},
};

/// Set the status of a membership by hand.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverrideStatus {
    /// Which membership.
    #[schema(value_type = Uuid)]
    membership_id: MembershipId,
    /// The status that is to hold from today.
    status: Status,
    /// The last day it holds; until cleared where not given.
    until: Option<Day>,
}

impl Endpoint for OverrideStatus {
    const NAME: &'static str = "OverrideStatus";
    type Aggregate = Membership;

    fn stream(&self, _: &Origin) -> Uuid {
        self.membership_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Membership>, Problem> {
        Ok(Prepared::of(membership::OverrideStatus {
            status: self.status.into(),
            until: self.until.map(|Day(day)| day),
            today: context.today()?,
        }))
    }
}
