//! What can happen to the record of a member.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use crate::{
    ids::MemberId,
    personal::{BirthDate, EmailAddress, FreeText, PersonName, Personal, PhoneNumber, PostalAddress, Profile},
    source::SourceRef,
};

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MemberKind {
    /// A human being.
    Person,
    /// A company, school, chapter or other body.
    Organization,
    /// People who share an address and a record.
    Household,
}

/// How a member can be reached. What is missing is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContactDetails {
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Personal<EmailAddress>>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<PhoneNumber>>,
    /// Postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Personal<PostalAddress>>,
}

/// What the member lets others see. The directory redacts by these and by who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "five independent switches, named as members see them")]
pub struct PrivacySwitches {
    /// Other members may see the e-mail address.
    pub show_email: bool,
    /// Other members may see the telephone number.
    pub show_phone: bool,
    /// The member is listed in the directory.
    pub show_in_directory: bool,
    /// Other members may send messages.
    pub allow_messages: bool,
    /// People who are not members may see the profile.
    pub public_profile: bool,
}

impl Default for PrivacySwitches {
    /// Listed for fellow members, everything else closed.
    fn default() -> Self {
        Self {
            show_email: false,
            show_phone: false,
            show_in_directory: true,
            allow_messages: true,
            public_profile: false,
        }
    }
}

/// What happened. Stored for ever: add variants and versions, never change one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantNames)]
#[serde(tag = "type")]
pub enum MemberEvent {
    /// The association knows this person or organization from now on.
    MemberRegistered {
        /// Person, organization or household.
        kind: MemberKind,
        /// What they are called.
        name: Personal<PersonName>,
        /// How they can be reached.
        contact: ContactDetails,
        /// Date of birth.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        birth_date: Option<Personal<BirthDate>>,
        /// The association's own number for the member, unique within it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member_number: Option<String>,
        /// Where the record was imported from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<SourceRef>,
    },
    /// They are called something else.
    NameChanged {
        /// The new name.
        name: Personal<PersonName>,
    },
    /// They are reached in another way. Replaces all contact details.
    ContactDetailsChanged {
        /// All of them, as they are now.
        contact: ContactDetails,
    },
    /// They describe themselves differently. Replaces the whole profile.
    ProfileChanged {
        /// The profile as it is now.
        profile: Personal<Profile>,
    },
    /// They hold a credential.
    CredentialAdded {
        /// Its usual short form: `RN`, `PE`, `JD`.
        credential: String,
    },
    /// They no longer hold a credential.
    CredentialRemoved {
        /// Its usual short form.
        credential: String,
    },
    /// They decided what others may see.
    PrivacyChanged {
        /// All switches, as they are now.
        privacy: PrivacySwitches,
    },
    /// They belong to other organizations.
    AffiliationsChanged {
        /// All organizations, as they are now.
        organizations: BTreeSet<MemberId>,
    },
    /// The person has died.
    DeathRecorded {
        /// When, if it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<NaiveDate>,
    },
    /// Something was noted about them.
    NoteAdded {
        /// The note.
        text: Personal<FreeText>,
    },
    /// Their personal data is to be unreadable from now on. The vault destroys the data key.
    MemberForgotten {},
}
