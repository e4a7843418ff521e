//! Personal data. Two types keep it out of places where it cannot be forgotten:
//!
//! * [`Clear`] is what a caller sent. It cannot be serialized, so an event or a read model that holds one
//!   does not compile, and its `Debug` shows nothing.
//! * [`Personal`] is what an event holds: a token of ciphertext that only the vault can make and open.
//!   Once the person's data key is gone the token is noise for ever.
//!
//! A third, [`PersonalDigest`], is what a state keeps of personal data that is only ever compared.
//!
//! ```compile_fail
//! # use guildhall_aggregates::personal::{Clear, EmailAddress};
//! #[derive(serde::Serialize)]
//! struct Leaks { email: Clear<EmailAddress> } // `Clear` is not `Serialize`
//! ```
//! ```compile_fail
//! # use guildhall_aggregates::personal::{Clear, EmailAddress};
//! fn log(email: &Clear<EmailAddress>) { println!("{email}"); } // nor `Display`
//! ```

mod digest;
mod token;

use std::fmt;

use chrono::NaiveDate;
pub use digest::PersonalDigest;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
pub use token::{NotAToken, Personal, TOKEN_PREFIX, TokenParts, subjects_in};

/// A kind of personal data. The ciphertext is bound to [`PersonalData::FIELD`], so a telephone number
/// cannot be passed off as a name.
pub trait PersonalData: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stable name of the field. Never changed once data is stored under it.
    const FIELD: &'static str;
}

/// A person's or organization's name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonName {
    /// What the person is called: "Ada Lovelace", "Inner City Arts".
    pub display: String,
    /// Given name, where it is known apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Middle names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub middle: Option<String>,
    /// Family name, where it is known apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

/// A postal address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostalAddress {
    /// Street and number, and what else stands above the town.
    pub lines: Vec<String>,
    /// Town.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// State, province or county.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// Country: ISO 3166 code, or the source's own when imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// What a member says about themself.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Free text about the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub biography: Option<String>,
    /// Position held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_title: Option<String>,
    /// Where a picture of the person is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture_url: Option<String>,
    /// Links to the person's pages elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub social_links: Vec<String>,
}

/// An e-mail address as the person wrote it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailAddress(pub String);

/// A telephone number as the person wrote it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PhoneNumber(pub String);

/// A date of birth.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BirthDate(pub NaiveDate);

/// Free text that may say something about a person, such as the reason for a cancellation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FreeText(pub String);

impl PersonalData for PersonName {
    const FIELD: &'static str = "name";
}
impl PersonalData for PostalAddress {
    const FIELD: &'static str = "address";
}
impl PersonalData for Profile {
    const FIELD: &'static str = "profile";
}
impl PersonalData for EmailAddress {
    const FIELD: &'static str = "email";
}
impl PersonalData for PhoneNumber {
    const FIELD: &'static str = "phone";
}
impl PersonalData for BirthDate {
    const FIELD: &'static str = "birth_date";
}
impl PersonalData for FreeText {
    const FIELD: &'static str = "free_text";
}

/// Personal data in clear text, on its way from a caller to the vault or from the vault to a reader.
/// Can be read from a request; cannot be written, printed or logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Clear<T>(pub T);

impl<T> fmt::Debug for Clear<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clear(…)")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Clear<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Clear)
    }
}

/// What opening personal data gives: the data, or the knowledge that the person was forgotten.
#[derive(Clone, PartialEq, Eq)]
pub enum Opened<T> {
    /// The data in clear text.
    Known(T),
    /// The person was erased; nobody can read this any more.
    Forgotten,
}

impl<T> Opened<T> {
    /// The data, unless it was forgotten.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Forgotten => None,
        }
    }
}

impl<T> fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(_) => "Known(…)",
            Self::Forgotten => "Forgotten",
        })
    }
}
