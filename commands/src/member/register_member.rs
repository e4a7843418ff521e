use guildhall_aggregates::{
    MemberId, SubjectId,
    member::{self, Member},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{email_claim, seal_contact};
use crate::{
    Context, Endpoint, Origin, Prepared, claim,
    wire::{Contact, Day, Kind, Line, Name, Source, clear_birth_date},
};

/// Put a person, organization or household on record. An e-mail address and a member number belong to one
/// member each.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterMember {
    /// The member's id; a new one where not given.
    #[schema(value_type = Option<Uuid>)]
    member_id: Option<MemberId>,
    /// Person, organization or household.
    kind: Kind,
    /// What they are called.
    name: Name,
    /// How they can be reached.
    #[serde(default)]
    contact: Contact,
    /// Others have the same e-mail address, as in a household: it is not claimed for this member alone.
    #[serde(default)]
    email_shared: bool,
    /// Date of birth.
    birth_date: Option<Day>,
    /// The association's own number for the member.
    member_number: Option<Line>,
    /// Where the record is imported from.
    source: Option<Source>,
}

impl Endpoint for RegisterMember {
    const NAME: &'static str = "RegisterMember";
    type Aggregate = Member;

    fn stream(&self, origin: &Origin) -> Uuid {
        origin.given_or_new(self.member_id.map(MemberId::uuid))
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Member>, Problem> {
        let subject = SubjectId::new(context.id);
        let email = self.contact.email.as_ref().map(|email| email_claim(context, Some(email), self.email_shared));
        let number = self.member_number.as_ref().map(Line::as_str);
        let number = number.map(|number| context.claim(claim::MEMBER_NUMBER, Some(number)));
        let command = member::RegisterMember {
            kind: self.kind.into(),
            name: context.seal(subject, &self.name.clear()).await?,
            contact: seal_contact(context, subject, self.contact).await?,
            birth_date: context.seal_some(subject, self.birth_date.map(clear_birth_date)).await?,
            member_number: self.member_number.map(Into::into),
            source: self.source.map(Into::into),
        };
        Ok(Prepared { claims: email.into_iter().chain(number).collect(), ..Prepared::of(command) })
    }
}
