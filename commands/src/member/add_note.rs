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
use crate::{
    Context, Endpoint, Origin, Prepared,
    endpoint::stream_of,
    wire::{Prose, clear_text},
};

/// Note something about a member. The note that is the latest already is recorded once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddNote {
    /// Which member.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
    /// The note.
    text: Prose,
}

impl Endpoint for AddNote {
    const NAME: &'static str = "AddNote";
    type Aggregate = Member;

    fn stream(&self, _: &Origin) -> Uuid {
        self.member_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<Member>(self.member_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Member>, Problem> {
        let subject = on_record(context).await?;
        let text = context.seal(subject, &clear_text(self.text)).await?;
        Ok(Prepared::of(member::AddNote { text }))
    }
}
