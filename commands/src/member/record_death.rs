use guildhall_aggregates::{
    MemberId,
    member::{self, Member},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::Day};

/// Record that a person has died.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordDeath {
    /// Which member.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
    /// When, if it is known.
    on: Option<Day>,
}

impl Endpoint for RecordDeath {
    const NAME: &'static str = "RecordDeath";
    type Aggregate = Member;

    fn stream(&self, _: &Origin) -> Uuid {
        self.member_id.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<Member>, Problem> {
        Ok(Prepared::of(member::RecordDeath { on: self.on.map(|Day(on)| on) }))
    }
}
