//! Personal data as events hold it: a token of ciphertext.

use std::{borrow::Cow, fmt, marker::PhantomData, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use super::PersonalDigest;
use crate::ids::SubjectId;

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

    /// Equal for the same data of the same person.
    pub fn digest(&self) -> PersonalDigest<T> {
        let digest = bytes_of(self.text(DIGEST_AT, CIPHERTEXT_AT - 1));
        PersonalDigest::new(digest.expect("a token is checked when it is made"))
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

fn bytes_of<const N: usize>(text: &str) -> Result<[u8; N], NotAToken> {
    let mut bytes = [0; N];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
        Ok(length) if length == N => Ok(bytes),
        Ok(_) | Err(_) => Err(NotAToken),
    }
}

fn uuid_of(text: &str) -> Result<Uuid, NotAToken> {
    bytes_of(text).map(Uuid::from_bytes)
}

fn parts_of(token: &str) -> Result<TokenParts, NotAToken> {
    let part = |from: usize, to: usize| token.get(from..to).ok_or(NotAToken);
    let dots = [COMMAND_AT - 1, DIGEST_AT - 1, CIPHERTEXT_AT - 1];
    let bytes = token.as_bytes();
    if !token.starts_with(TOKEN_PREFIX) || dots.iter().any(|&at| bytes.get(at) != Some(&b'.')) {
        return Err(NotAToken);
    }
    Ok(TokenParts {
        subject: SubjectId::new(uuid_of(part(SUBJECT_AT, COMMAND_AT - 1)?)?),
        sealed_by: uuid_of(part(COMMAND_AT, DIGEST_AT - 1)?)?,
        digest: bytes_of(part(DIGEST_AT, CIPHERTEXT_AT - 1)?)?,
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
        deserializer.deserialize_str(TokenVisitor(PhantomData))
    }
}

/// Reads a token where it stands: a history is full of them, and each would be copied once more.
struct TokenVisitor<T>(PhantomData<fn() -> T>);

impl<T> de::Visitor<'_> for TokenVisitor<T> {
    type Value = Personal<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token of sealed personal data")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Personal<T>, E> {
        Personal::parse(text).map_err(E::custom)
    }
}

/// A token is described as what stands in history: whoever reads it there cannot open it.
impl<T> JsonSchema for Personal<T> {
    fn schema_name() -> Cow<'static, str> {
        "Sealed".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let (uuid, digest) = (UUID_CHARS, DIGEST_CHARS);
        let part = "[A-Za-z0-9_-]";
        let prefix = TOKEN_PREFIX.replace('.', "\\.");
        json_schema!({
            "description": "Personal data, sealed: `gp1.<subject>.<command>.<digest>.<ciphertext>`, parts in base64url. \
                            The subject is whose it is. Equal digests of one subject are equal data. Once the person is \
                            forgotten nobody can open it.",
            "type": "string",
            "pattern": format!(r"^{prefix}{part}{{{uuid}}}\.{part}{{{uuid}}}\.{part}{{{digest}}}\.{part}*$"),
        })
    }
}
