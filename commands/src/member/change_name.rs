use guildhall_aggregates::{
    MemberId,
    member::{self, Member},
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::on_record;
use crate::{Context, Endpoint, Origin, Prepared, endpoint::stream_of, wire::Name};

/// Change what a member is called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeName {
    /// Which member.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
    /// The new name.
    name: Name,
}

impl Endpoint for ChangeName {
    const NAME: &'static str = "ChangeName";
    type Aggregate = Member;

    fn stream(&self, _: &Origin) -> Uuid {
        self.member_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<Member>(self.member_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Member>, Problem> {
        let subject = on_record(context).await?;
        let name = context.seal(subject, &self.name.clear()).await?;
        Ok(Prepared::of(member::ChangeName { name }))
    }
}
