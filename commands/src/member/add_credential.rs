use guildhall_aggregates::{
    MemberId,
    member::{self, Member},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::Line};

/// Record that a member holds a credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddCredential {
    /// Which member.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
    /// Its usual short form.
    #[schema(example = "RN")]
    credential: Line,
}

impl Endpoint for AddCredential {
    const NAME: &'static str = "AddCredential";
    type Aggregate = Member;

    fn stream(&self, _: &Origin) -> Uuid {
        self.member_id.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<Member>, Problem> {
        Ok(Prepared::of(member::AddCredential { credential: self.credential.into() }))
    }
}
