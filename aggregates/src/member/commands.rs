//! What a member record can be asked.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::{ContactDetails, MemberKind, PrivacySwitches};
use crate::{
    decide::command_enum,
    ids::MemberId,
    personal::{BirthDate, FreeText, PersonName, Personal, Profile},
    source::SourceRef,
};

/// Put a person or organization on record.
#[derive(Debug, Clone)]
pub struct RegisterMember {
    /// Person, organization or household.
    pub kind: MemberKind,
    /// What they are called.
    pub name: Personal<PersonName>,
    /// How they can be reached.
    pub contact: ContactDetails,
    /// Date of birth.
    pub birth_date: Option<Personal<BirthDate>>,
    /// The association's own number for the member.
    pub member_number: Option<String>,
    /// Where the record is imported from.
    pub source: Option<SourceRef>,
}

/// Change what they are called.
#[derive(Debug, Clone)]
pub struct ChangeName {
    /// The new name.
    pub name: Personal<PersonName>,
}

/// Replace how they can be reached.
#[derive(Debug, Clone)]
pub struct ChangeContactDetails {
    /// All of them; what is `None` is taken away.
    pub contact: ContactDetails,
}

/// Replace what they say about themselves.
#[derive(Debug, Clone)]
pub struct ChangeProfile {
    /// The whole profile.
    pub profile: Personal<Profile>,
}

/// Record that they hold a credential.
#[derive(Debug, Clone)]
pub struct AddCredential {
    /// Its usual short form.
    pub credential: String,
}

/// Record that they no longer hold a credential.
#[derive(Debug, Clone)]
pub struct RemoveCredential {
    /// Its usual short form.
    pub credential: String,
}

/// Decide what others may see.
#[derive(Debug, Clone)]
pub struct ChangePrivacy {
    /// All switches.
    pub privacy: PrivacySwitches,
}

/// Replace the organizations they belong to.
#[derive(Debug, Clone)]
pub struct ChangeAffiliations {
    /// All of them.
    pub organizations: BTreeSet<MemberId>,
}

/// Record that the person has died.
#[derive(Debug, Clone)]
pub struct RecordDeath {
    /// When, if it is known.
    pub on: Option<NaiveDate>,
}

/// Note something about them.
#[derive(Debug, Clone)]
pub struct AddNote {
    /// The note.
    pub text: Personal<FreeText>,
}

/// Make their personal data unreadable for ever.
#[derive(Debug, Clone)]
pub struct ForgetMember {}

command_enum! {
    /// Everything a member record can be asked.
    MemberCommand {
        RegisterMember, ChangeName, ChangeContactDetails, ChangeProfile, AddCredential, RemoveCredential, ChangePrivacy, ChangeAffiliations, RecordDeath, AddNote, ForgetMember
    }
}
