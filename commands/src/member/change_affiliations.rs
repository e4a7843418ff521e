use guildhall_aggregates::{
    MemberId,
    member::{self, Member},
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, endpoint::stream_of};

/// Replace the organizations a member belongs to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeAffiliations {
    /// Which member.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
    /// All of them; each is a member of the association's record, too. At most 50.
    #[serde(deserialize_with = "crate::wire::at_most::<50, _, _>")]
    #[schema(value_type = Vec<Uuid>, max_items = 50)]
    organizations: Vec<MemberId>,
}

impl Endpoint for ChangeAffiliations {
    const NAME: &'static str = "ChangeAffiliations";
    type Aggregate = Member;

    fn stream(&self, _: &Origin) -> Uuid {
        self.member_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        self.organizations.iter().map(|organization| stream_of::<Member>(organization.uuid())).collect()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Member>, Problem> {
        for organization in &self.organizations {
            context.require_member(*organization, "/organizations").await?;
        }
        Ok(Prepared::of(member::ChangeAffiliations { organizations: self.organizations.into_iter().collect() }))
    }
}
