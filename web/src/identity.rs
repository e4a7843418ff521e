//! Who calls: a signed bearer token says which association and with which roles.
//!
//! Tokens are JWTs under HMAC-SHA-256: who may verify them is who may make them, which holds while one
//! operator runs both sides. The signature is checked when a token is seen first; after that, its expiry is.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use guildhall_aggregates::{TenantId, tenant_of_slug};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use lru::LruCache;
use serde::{Deserialize, Serialize};

use crate::problem::{Problem, kind};

const ISSUER: &str = "guildhall";
const AUDIENCE: &str = "guildhall-api";
/// Clocks of two machines may differ by this much.
const LEEWAY: i64 = 5;
/// How many verified tokens are kept in mind: some 5 MB.
const VERIFIED_TOKENS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");
/// A longer token is none of ours, and is not decoded.
const MAX_TOKEN_BYTES: usize = 4096;
const MIN_SECRET_BYTES: usize = 32;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Send commands and read.
    Api,
    /// Read reports and exports.
    Analyst,
    /// Read history itself.
    Auditor,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Api, Self::Analyst, Self::Auditor];

    /// Its word in a token's `scope`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
        }
    }
}

/// A word that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is one of `api`, `analyst` and `auditor`")]
pub struct NotARole;

impl FromStr for Role {
    type Err = NotARole;
    fn from_str(word: &str) -> Result<Self, NotARole> {
        Self::ALL.into_iter().find(|role| role.word() == word).ok_or(NotARole)
    }
}

/// Who sent a request, and what they may do. As an extractor it refuses everyone who cannot show a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The association the caller acts in. There is no other way to name one.
    pub tenant: TenantId,
    /// The association's short name.
    pub association: String,
    /// Who the token was made for. A pseudonym: it is stored beside every event for ever.
    pub subject: String,
    /// What they may do.
    pub roles: BTreeSet<Role>,
}

impl Caller {
    /// Requires one of some roles.
    ///
    /// # Errors
    /// The token has none of them.
    pub fn require(&self, any_of: &[Role]) -> Result<(), Problem> {
        if any_of.iter().any(|role| self.roles.contains(role)) {
            return Ok(());
        }
        let words: Vec<_> = any_of.iter().map(|role| role.word()).collect();
        Err(Problem::new(kind::FORBIDDEN, format!("This needs a token with the scope `{}`.", words.join("` or `"))))
    }
}

/// What a token is to be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The association's short name.
    pub association: String,
    /// Who it is for: 1 to 64 letters, digits and `.`, `_`, `:`, `-`. Not an e-mail address or a name: it
    /// is stored with what the holder does, and what is stored is never erased.
    pub subject: String,
    /// What the holder may do.
    pub roles: BTreeSet<Role>,
    /// How long it holds; at least a second.
    pub lifetime: TimeDelta,
}

/// Why there is no token, or no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The secret is not the base64 of 32 bytes or more.
    #[error("the token secret must be at least 32 random bytes in base64; `openssl rand -base64 32` makes one")]
    WeakSecret,
    /// The subject holds other characters, or is too long.
    #[error("a token's subject is 1 to 64 letters, digits and `.`, `_`, `:`, `-`; it must not identify a person")]
    BadSubject,
    /// The association's short name cannot be one.
    #[error("an association's short name is 1 to 64 lower-case letters, digits and hyphens")]
    BadAssociation,
    /// The lifetime is not positive.
    #[error("a token must hold for a second at least")]
    BadLifetime,
    /// The token is forged, damaged, or made for something else.
    #[error("the token does not hold: it is not signed by this server, or not made for it")]
    Invalid,
    /// The token held once.
    #[error("the token has expired; ask for a new one")]
    Expired,
}

/// The claims as they stand in a token. `tenant` follows from `assoc`; both are there so that neither side
/// needs the other to be read.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    tenant: TenantId,
    assoc: String,
    scope: String,
    iat: i64,
    exp: i64,
}

/// The key that signs and verifies tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenKeys(Arc<Keys>);

struct Keys {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    /// Callers whose tokens were verified, and until when they hold: a client sends the same token again and again.
    verified: Mutex<LruCache<Box<str>, (Caller, i64)>>,
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKeys(…)")
    }
}

impl TokenKeys {
    /// The keys that follow from a secret of 32 random bytes or more, written in base64.
    pub fn parse(secret: &str) -> Result<Self, TokenError> {
        let bytes = STANDARD.decode(secret.trim()).map_err(|_| TokenError::WeakSecret)?;
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(TokenError::WeakSecret);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY.unsigned_abs();
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Ok(Self(Arc::new(Keys {
            signing: EncodingKey::from_secret(&bytes),
            verifying: DecodingKey::from_secret(&bytes),
            validation,
            verified: Mutex::new(LruCache::new(VERIFIED_TOKENS)),
        })))
    }

    /// Makes a token that holds from `now` on.
    ///
    /// ```
    /// use guildhall_web::{Role, TokenKeys, TokenRequest};
    /// # #[expect(clippy::disallowed_methods, reason = "the token has to hold while the example runs")]
    /// let now = chrono::Utc::now();
    /// let keys = TokenKeys::parse("c2l4dGVlbiByYW5kb20gYnl0ZXMgYW5kIHNpeHRlZW4=").unwrap();
    /// let request = TokenRequest {
    ///     association: "nurses".into(),
    ///     subject: "front-desk".into(),
    ///     roles: [Role::Api].into(),
    ///     lifetime: chrono::TimeDelta::hours(1),
    /// };
    /// let token = keys.issue(&request, now).unwrap();
    /// assert_eq!(keys.verify(&token).unwrap().association, "nurses");
    /// ```
    pub fn issue(&self, request: &TokenRequest, now: DateTime<Utc>) -> Result<String, TokenError> {
        let TokenRequest { association, subject, roles, lifetime } = request;
        if !is_slug(association) {
            return Err(TokenError::BadAssociation);
        }
        if !is_subject(subject) {
            return Err(TokenError::BadSubject);
        }
        if lifetime.num_seconds() < 1 {
            return Err(TokenError::BadLifetime);
        }
        let scope: Vec<_> = roles.iter().map(|role| role.word()).collect();
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: subject.clone(),
            tenant: tenant_of_slug(association),
            assoc: association.clone(),
            scope: scope.join(" "),
            iat: now.timestamp(),
            exp: now.timestamp().saturating_add(lifetime.num_seconds()),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.0.signing).map_err(|_| TokenError::Invalid)
    }

    /// Who holds a token. The machine's own clock says whether it has expired.
    pub fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Invalid);
        }
        if let Some((caller, expires)) = self.verified().get(token) {
            let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap_or(i64::MAX);
            return if now > expires + LEEWAY { Err(TokenError::Expired) } else { Ok(caller.clone()) };
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.0.verifying, &self.0.validation)
            .map_err(|error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            })?
            .claims;
        if claims.tenant != tenant_of_slug(&claims.assoc) || !is_subject(&claims.sub) {
            return Err(TokenError::Invalid);
        }
        // A scope this program does not know grants nothing here; it may mean something to a newer one.
        let roles = claims.scope.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let caller = Caller { tenant: claims.tenant, association: claims.assoc, subject: claims.sub, roles };
        self.verified().put(token.into(), (caller.clone(), claims.exp));
        Ok(caller)
    }

    fn verified(&self) -> MutexGuard<'_, LruCache<Box<str>, (Caller, i64)>> {
        // Nothing in here can be left half done.
        self.0.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a text can be an association's short name.
pub fn is_slug(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(inside)
}

fn is_subject(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(inside)
}

/// The bearer token among a request's headers, whether it holds or not.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl<S: Sync> FromRequestParts<S> for Caller
where
    TokenKeys: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let missing = || {
            Problem::new(
                kind::UNAUTHENTICATED,
                "Send `Authorization: Bearer` and a token; `guildhall token` makes one.",
            )
        };
        TokenKeys::from_ref(state)
            .verify(bearer(&parts.headers).ok_or_else(missing)?)
            .map_err(|error| Problem::new(kind::UNAUTHENTICATED, format!("The request is not let in: {error}.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: u8) -> TokenKeys {
        TokenKeys::parse(&STANDARD.encode([byte; 32])).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "the machine's clock decides whether a token has expired")]
    fn now() -> DateTime<Utc> {
        Utc::now()
    }

    fn request() -> TokenRequest {
        TokenRequest {
            association: "nurses".into(),
            subject: "front-desk".into(),
            roles: [Role::Api, Role::Auditor].into(),
            lifetime: TimeDelta::hours(1),
        }
    }

    #[test]
    fn a_token_says_who_and_where() {
        let token = keys(1).issue(&request(), now()).unwrap();
        let caller = keys(1).verify(&token).unwrap();
        assert_eq!(caller.tenant, tenant_of_slug("nurses"));
        assert_eq!(caller.subject, "front-desk");
        assert_eq!(caller.roles, [Role::Api, Role::Auditor].into());
        assert!(caller.require(&[Role::Analyst]).is_err());
        assert!(caller.require(&[Role::Analyst, Role::Auditor]).is_ok());
    }

    #[test]
    fn a_token_of_another_key_does_not_hold() {
        let token = keys(1).issue(&request(), now()).unwrap();
        assert_eq!(keys(2).verify(&token), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_expires() {
        let token = keys(1).issue(&request(), now() - TimeDelta::hours(2)).unwrap();
        assert_eq!(keys(1).verify(&token), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_that_was_verified_expires_all_the_same() {
        let keys = keys(1);
        let token = keys.issue(&request(), now()).unwrap();
        let caller = keys.verify(&token).unwrap();
        assert_eq!(keys.verify(&token), Ok(caller.clone()));
        keys.verified().put(token.clone().into(), (caller, now().timestamp() - LEEWAY - 2));
        assert_eq!(keys.verify(&token), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_that_is_signed_by_nothing_does_not_hold() {
        let none = r#"{"alg":"none","typ":"JWT"}"#;
        let token = keys(1).issue(&request(), now()).unwrap();
        let claims = token.split('.').nth(1).unwrap();
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(none);
        assert_eq!(keys(1).verify(&format!("{header}.{claims}.")), Err(TokenError::Invalid));
    }

    #[test]
    fn an_email_address_is_no_subject() {
        let request = TokenRequest { subject: "ada@example.org".into(), ..request() };
        assert_eq!(keys(1).issue(&request, now()), Err(TokenError::BadSubject));
    }

    #[test]
    fn a_short_secret_makes_no_keys() {
        assert_eq!(TokenKeys::parse(&STANDARD.encode([1; 31])).err(), Some(TokenError::WeakSecret));
        assert_eq!(TokenKeys::parse("not base64!").err(), Some(TokenError::WeakSecret));
    }
}
