//! Personal data. Two types keep it out of places where it cannot be forgotten:
//!
//! * [`Clear`] is what a caller sent. It cannot be serialized, so an event or a read model that holds one
//!   does not compile, and its `Debug` shows nothing.
//! * [`Personal`] is what an event holds: a token of ciphertext that only the vault can make and open.
//!   Once the person's data key is gone the token is noise for ever.
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

use std::{fmt, marker::PhantomData, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error};
use uuid::Uuid;

use crate::ids::SubjectId;

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

/// The first characters of every token; with them the tokens in stored bytes can be found without
/// knowing the event's type.
pub const TOKEN_PREFIX: &str = "gp1.";

/// The four parts a token is made of, as bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenParts {
    /// Whose data it is, and so which data key opens it.
    pub subject: SubjectId,
    /// The command that sealed it; bound into the ciphertext.
    pub sealed_by: Uuid,
    /// A keyed digest of field and clear text: equal for equal data of one person, meaningless without
    /// the person's key.
    pub digest: [u8; 16],
    /// Nonce, ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// Personal data as events hold it: ciphertext under the data key of the person it is about, written as a
/// token `gp1.<subject>.<command>.<digest>.<ciphertext>` (base64url parts).
///
/// Two values are equal when they are the same person's same data, however often it was sealed; so a
/// decision can tell "nothing changed" without reading anything.
pub struct Personal<T> {
    token: Arc<str>,
    kind: PhantomData<fn() -> T>,
}

/// Why a text is not a token of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token of sealed personal data")]
pub struct NotAToken;

const UUID_CHARS: usize = 22;
const DIGEST_CHARS: usize = 22;
const SUBJECT_AT: usize = TOKEN_PREFIX.len();
const COMMAND_AT: usize = SUBJECT_AT + UUID_CHARS + 1;
const DIGEST_AT: usize = COMMAND_AT + UUID_CHARS + 1;
const CIPHERTEXT_AT: usize = DIGEST_AT + DIGEST_CHARS + 1;

impl<T> Personal<T> {
    /// The token made of these parts. Only the vault has parts that will ever open.
    pub fn from_parts(parts: &TokenParts) -> Self {
        let mut token = String::with_capacity(CIPHERTEXT_AT + parts.ciphertext.len() * 4 / 3 + 2);
        token.push_str(TOKEN_PREFIX);
        URL_SAFE_NO_PAD.encode_string(parts.subject.uuid(), &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(parts.sealed_by, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(parts.digest, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&parts.ciphertext, &mut token);
        Self { token: token.into(), kind: PhantomData }
    }

    /// Reads a token back.
    pub fn parse(token: &str) -> Result<Self, NotAToken> {
        parts_of(token)?;
        Ok(Self { token: token.into(), kind: PhantomData })
    }

    /// The token's parts.
    pub fn parts(&self) -> TokenParts {
        parts_of(&self.token).expect("a token is checked when it is made")
    }

    /// The token as it is stored.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whose data it is.
    pub fn subject(&self) -> SubjectId {
        let uuid = uuid_of(self.text(SUBJECT_AT, COMMAND_AT - 1));
        SubjectId::new(uuid.expect("a token is checked when it is made"))
    }

    fn text(&self, from: usize, to: usize) -> &str {
        self.token.get(from..to).expect("a token is checked when it is made")
    }
}

/// The subjects of all tokens in the bytes of a stored payload, in order, with repetitions.
///
/// Works on bytes alone, so a reader can fetch the keys for a whole batch before it knows any event's
/// type. Text that merely looks like a token costs a useless lookup and nothing else.
pub fn subjects_in(payload: &[u8]) -> impl Iterator<Item = SubjectId> {
    let prefix = TOKEN_PREFIX.as_bytes();
    payload.windows(prefix.len()).enumerate().filter(move |(_, window)| *window == prefix).filter_map(move |(at, _)| {
        let start = at + prefix.len();
        let subject = payload.get(start..start + UUID_CHARS)?;
        uuid_of(std::str::from_utf8(subject).ok()?).ok().map(SubjectId::new)
    })
}

fn uuid_of(text: &str) -> Result<Uuid, NotAToken> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAToken)?;
    Uuid::from_slice(&bytes).map_err(|_| NotAToken)
}

fn parts_of(token: &str) -> Result<TokenParts, NotAToken> {
    let part = |from: usize, to: usize| token.get(from..to).ok_or(NotAToken);
    let dots = [COMMAND_AT - 1, DIGEST_AT - 1, CIPHERTEXT_AT - 1];
    let bytes = token.as_bytes();
    if !token.starts_with(TOKEN_PREFIX) || dots.iter().any(|&at| bytes.get(at) != Some(&b'.')) {
        return Err(NotAToken);
    }
    let digest = URL_SAFE_NO_PAD.decode(part(DIGEST_AT, CIPHERTEXT_AT - 1)?).map_err(|_| NotAToken)?;
    Ok(TokenParts {
        subject: SubjectId::new(uuid_of(part(SUBJECT_AT, COMMAND_AT - 1)?)?),
        sealed_by: uuid_of(part(COMMAND_AT, DIGEST_AT - 1)?)?,
        digest: digest.try_into().map_err(|_| NotAToken)?,
        ciphertext: URL_SAFE_NO_PAD.decode(part(CIPHERTEXT_AT, token.len())?).map_err(|_| NotAToken)?,
    })
}

impl<T> Clone for Personal<T> {
    fn clone(&self) -> Self {
        Self { token: Arc::clone(&self.token), kind: PhantomData }
    }
}
impl<T> PartialEq for Personal<T> {
    fn eq(&self, other: &Self) -> bool {
        // Base64 has one way to write each subject and each digest, so their texts can be compared.
        let (subject, digest) = ((SUBJECT_AT, COMMAND_AT - 1), (DIGEST_AT, CIPHERTEXT_AT - 1));
        [subject, digest].iter().all(|&(from, to)| self.text(from, to) == other.text(from, to))
    }
}
impl<T> Eq for Personal<T> {}
impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Personal(…)")
    }
}
impl<T> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.token)
    }
}
impl<'de, T> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let token = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&token).map_err(D::Error::custom)
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
