use guildhall_aggregates::{
    MemberId,
    member::{self, Member},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::Privacy};

/// Decide what others may see of a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePrivacy {
    /// Which member.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
    /// All switches.
    privacy: Privacy,
}

impl Endpoint for ChangePrivacy {
    const NAME: &'static str = "ChangePrivacy";
    type Aggregate = Member;

    fn stream(&self, _: &Origin) -> Uuid {
        self.member_id.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<Member>, Problem> {
        Ok(Prepared::of(member::ChangePrivacy { privacy: self.privacy.into() }))
    }
}
