use guildhall_aggregates::{
    MemberId,
    member::{self, Member},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::Line};

/// Record that a member no longer holds a credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveCredential {
    /// Which member.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
    /// Its usual short form.
    #[schema(example = "RN")]
    credential: Line,
}

impl Endpoint for RemoveCredential {
    const NAME: &'static str = "RemoveCredential";
    type Aggregate = Member;

    fn stream(&self, _: &Origin) -> Uuid {
        self.member_id.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<Member>, Problem> {
        Ok(Prepared::of(member::RemoveCredential { credential: self.credential.into() }))
    }
}
