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
use crate::{Context, Endpoint, Origin, Prepared, endpoint::stream_of, wire::AboutMe};

/// Replace what a member says about themself. What is left out is taken away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeProfile {
    /// Which member.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
    /// The whole profile.
    profile: AboutMe,
}

impl Endpoint for ChangeProfile {
    const NAME: &'static str = "ChangeProfile";
    type Aggregate = Member;

    fn stream(&self, _: &Origin) -> Uuid {
        self.member_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<Member>(self.member_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Member>, Problem> {
        let subject = on_record(context).await?;
        let profile = context.seal(subject, &self.profile.clear()).await?;
        Ok(Prepared::of(member::ChangeProfile { profile }))
    }
}
