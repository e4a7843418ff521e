use guildhall_aggregates::{
    MemberId,
    member::{self, Member},
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{email_claim, on_record, seal_contact};
use crate::{Context, Endpoint, Origin, Prepared, endpoint::stream_of, wire::Contact};

/// Replace how a member can be reached. What is left out is taken away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeContactDetails {
    /// Which member.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
    /// All details.
    contact: Contact,
    /// Others have the same e-mail address: it is not claimed for this member alone.
    #[serde(default)]
    email_shared: bool,
}

impl Endpoint for ChangeContactDetails {
    const NAME: &'static str = "ChangeContactDetails";
    type Aggregate = Member;

    fn stream(&self, _: &Origin) -> Uuid {
        self.member_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<Member>(self.member_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Member>, Problem> {
        let subject = on_record(context).await?;
        let email = email_claim(context, self.contact.email.as_ref(), self.email_shared);
        let contact = seal_contact(context, subject, self.contact).await?;
        Ok(Prepared::of(member::ChangeContactDetails { contact }).claiming(email))
    }
}
