//! Commands to the record of a member.

mod add_credential;
mod add_note;
mod change_affiliations;
mod change_contact_details;
mod change_name;
mod change_privacy;
mod change_profile;
mod forget_member;
mod record_death;
mod register_member;
mod remove_credential;

use guildhall_aggregates::{
    SubjectId,
    member::{ContactDetails, Member, MemberRefusal},
};
use guildhall_event_store::Claim;
use guildhall_web::{Kind, Problem};

use crate::{
    Context, claim,
    endpoint::Refusal,
    registry::CommandType,
    wire::{Contact, Email},
};

pub(crate) fn all() -> Vec<CommandType> {
    vec![
        CommandType::of::<register_member::RegisterMember>(),
        CommandType::of::<change_name::ChangeName>(),
        CommandType::of::<change_contact_details::ChangeContactDetails>(),
        CommandType::of::<change_profile::ChangeProfile>(),
        CommandType::of::<add_credential::AddCredential>(),
        CommandType::of::<remove_credential::RemoveCredential>(),
        CommandType::of::<change_privacy::ChangePrivacy>(),
        CommandType::of::<change_affiliations::ChangeAffiliations>(),
        CommandType::of::<record_death::RecordDeath>(),
        CommandType::of::<add_note::AddNote>(),
        CommandType::of::<forget_member::ForgetMember>(),
    ]
}

impl Refusal for MemberRefusal {
    fn kind(&self) -> Kind {
        let word = self.into();
        match self {
            Self::MemberUnknown => Kind::absent(word),
            Self::MemberAlreadyRegistered | Self::MemberForgotten | Self::NotAPerson => Kind::refused(word),
            Self::MemberNumberEmpty
            | Self::CredentialMissing
            | Self::TooManyCredentials { .. }
            | Self::TooManyAffiliations { .. } => Kind::invalid(word),
        }
    }
}

/// Requires that the member a command is for is on record, before anything is sealed: sealing makes a key,
/// and nobody who is not there gets one. That somebody was forgotten meanwhile, the vault or the decision says.
async fn on_record(context: &Context) -> Result<SubjectId, Problem> {
    let (exists, known) =
        context.glance::<Member, _>(context.id, |member| (member.version > 0, member.state.is_known())).await?;
    match (exists, known) {
        (_, true) => Ok(SubjectId::new(context.id)),
        (true, false) => Err(MemberRefusal::MemberForgotten.problem()),
        (false, false) => Err(MemberRefusal::MemberUnknown.problem()),
    }
}

async fn seal_contact(context: &Context, subject: SubjectId, contact: Contact) -> Result<ContactDetails, Problem> {
    let contact = contact.clear();
    Ok(ContactDetails {
        email: context.seal_some(subject, contact.email).await?,
        phone: context.seal_some(subject, contact.phone).await?,
        address: context.seal_some(subject, contact.address).await?,
    })
}

/// An e-mail address belongs to one member, unless people share it and say so.
fn email_claim(context: &Context, email: Option<&Email>, shared: bool) -> Claim {
    let own = email.filter(|_| !shared).map(Email::comparable);
    context.claim(claim::EMAIL, own.as_deref())
}
