//! People: what they are called, how they are reached, what they say of themselves.

use guildhall_aggregates::{
    Clear,
    member::{MemberKind, PrivacySwitches},
    personal::{BirthDate, EmailAddress, FreeText, PersonName, PhoneNumber, PostalAddress, Profile},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Day, Email, Line, Prose};

/// A person's or organization's name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// What they are called.
    #[schema(example = "Ada Lovelace")]
    pub display: Line,
    /// Given name, where it is known apart.
    pub first: Option<Line>,
    /// Middle names.
    pub middle: Option<Line>,
    /// Family name, where it is known apart.
    pub last: Option<Line>,
}

impl Name {
    /// The name, on its way to the vault.
    pub fn clear(self) -> Clear<PersonName> {
        Clear(PersonName {
            display: self.display.into(),
            first: self.first.map(Into::into),
            middle: self.middle.map(Into::into),
            last: self.last.map(Into::into),
        })
    }
}

/// A postal address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Street and number, and what else stands above the town; at most 8 lines.
    #[serde(default, deserialize_with = "super::at_most::<8, _, _>")]
    #[schema(max_items = 8)]
    pub lines: Vec<Line>,
    /// Town.
    pub city: Option<Line>,
    /// State, province or county.
    pub region: Option<Line>,
    /// Postal code.
    pub postal_code: Option<Line>,
    /// Country, best as its ISO 3166 code.
    pub country: Option<Line>,
}

/// How a member can be reached. What is left out is not known, or taken away.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// E-mail address.
    pub email: Option<Email>,
    /// Telephone number.
    pub phone: Option<Line>,
    /// Postal address.
    pub address: Option<Address>,
}

/// Contact details on their way to the vault.
pub struct ClearContact {
    /// E-mail address.
    pub email: Option<Clear<EmailAddress>>,
    /// Telephone number.
    pub phone: Option<Clear<PhoneNumber>>,
    /// Postal address.
    pub address: Option<Clear<PostalAddress>>,
}

impl Contact {
    /// The details, on their way to the vault.
    pub fn clear(self) -> ClearContact {
        let address = self.address.map(|address| {
            Clear(PostalAddress {
                lines: address.lines.into_iter().map(Into::into).collect(),
                city: address.city.map(Into::into),
                region: address.region.map(Into::into),
                postal_code: address.postal_code.map(Into::into),
                country: address.country.map(Into::into),
            })
        });
        ClearContact {
            email: self.email.map(clear_email),
            phone: self.phone.map(|phone| Clear(PhoneNumber(phone.into()))),
            address,
        }
    }
}

/// An e-mail address, on its way to the vault.
pub fn clear_email(email: Email) -> Clear<EmailAddress> {
    Clear(EmailAddress(email.into_inner()))
}

/// A text that may say something about a person, on its way to the vault.
pub fn clear_text(text: Prose) -> Clear<FreeText> {
    Clear(FreeText(text.into()))
}

/// A date of birth, on its way to the vault.
pub fn clear_birth_date(Day(date): Day) -> Clear<BirthDate> {
    Clear(BirthDate(date))
}

/// What a member says about themself.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AboutMe {
    /// Free text about the person.
    pub biography: Option<Prose>,
    /// Position held.
    pub job_title: Option<Line>,
    /// Where a picture of the person is.
    pub picture_url: Option<Line>,
    /// Links to the person's pages elsewhere; at most 20.
    #[serde(default, deserialize_with = "super::at_most::<20, _, _>")]
    #[schema(max_items = 20)]
    pub social_links: Vec<Line>,
}

impl AboutMe {
    /// The profile, on its way to the vault.
    pub fn clear(self) -> Clear<Profile> {
        Clear(Profile {
            biography: self.biography.map(Into::into),
            job_title: self.job_title.map(Into::into),
            picture_url: self.picture_url.map(Into::into),
            social_links: self.social_links.into_iter().map(Into::into).collect(),
        })
    }
}

/// What a member is.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A human being.
    Person,
    /// A company, school, chapter or other body.
    Organization,
    /// People who share an address and a record.
    Household,
}

impl From<Kind> for MemberKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Person => Self::Person,
            Kind::Organization => Self::Organization,
            Kind::Household => Self::Household,
        }
    }
}

/// What the member lets others see.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "five independent switches, named as members see them")]
pub struct Privacy {
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

impl From<Privacy> for PrivacySwitches {
    fn from(privacy: Privacy) -> Self {
        let Privacy { show_email, show_phone, show_in_directory, allow_messages, public_profile } = privacy;
        Self { show_email, show_phone, show_in_directory, allow_messages, public_profile }
    }
}
