//! Who calls, and what they may see.
//!
//! EventStoreDB's clients send a user name and a password. The password is the token; the user name says whether
//! personal data is wanted in clear text. Programs that set headers themselves may send the token as a bearer.

use base64::{Engine, engine::general_purpose::STANDARD};
use guildhall_web::{Caller, Role, TokenKeys};
use tonic::{Status, metadata::MetadataMap};

/// The user name that asks for personal data in clear text, and the header that does so beside a bearer token.
const OPEN_USER: &str = "open";
const OPEN_HEADER: &str = "guildhall-open";

/// A caller who was let in, for as long as their token holds.
pub(crate) struct Access {
    pub(crate) caller: Caller,
    /// Whether they asked for personal data in clear text. Everybody who may see history may ask; it is logged.
    pub(crate) opens: bool,
    token: String,
    keys: TokenKeys,
}

impl Access {
    /// Lets an auditor in.
    pub(crate) fn of(metadata: &MetadataMap, keys: &TokenKeys) -> Result<Self, Status> {
        let (token, opens) = credentials(metadata).ok_or_else(|| {
            Status::unauthenticated(
                "send a token: as the password of any user, or as `authorization: Bearer`; \
                 `guildhall token --scope auditor` makes one",
            )
        })?;
        let caller = verified(keys, &token)?;
        if !caller.roles.contains(&Role::Auditor) {
            return Err(Status::permission_denied("this needs a token with the scope `auditor`"));
        }
        Ok(Self { caller, opens, token, keys: keys.clone() })
    }

    /// Asks again whether the token holds: a subscription may outlive it.
    pub(crate) fn still_holds(&self) -> Result<(), Status> {
        verified(&self.keys, &self.token).map(|_| ())
    }
}

fn verified(keys: &TokenKeys, token: &str) -> Result<Caller, Status> {
    keys.verify(token).map_err(|error| Status::unauthenticated(format!("the call is not let in: {error}")))
}

/// The token, and whether personal data is asked for.
fn credentials(metadata: &MetadataMap) -> Option<(String, bool)> {
    let (scheme, value) = metadata.get("authorization")?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        let opens = metadata.get(OPEN_HEADER).is_some_and(|value| value.as_bytes() == b"true");
        return Some((value.trim().to_owned(), opens));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((password.to_owned(), user == OPEN_USER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: &str) -> Option<(String, bool)> {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", value.parse().unwrap());
        credentials(&metadata)
    }

    #[test]
    fn a_token_is_a_password_or_a_bearer() {
        let basic = |text: &str| sent(&format!("Basic {}", STANDARD.encode(text)));
        assert_eq!(basic("auditor:a.b.c"), Some(("a.b.c".into(), false)));
        assert_eq!(basic("open:a.b.c"), Some(("a.b.c".into(), true)));
        assert_eq!(sent("Bearer a.b.c"), Some(("a.b.c".into(), false)));
        assert_eq!(basic("no colon"), None);
        assert_eq!(sent("Basic !"), None);
        assert_eq!(sent("Digest x"), None);
        assert_eq!(credentials(&MetadataMap::new()), None);
    }

    #[test]
    fn a_bearer_asks_for_personal_data_by_a_header() {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", "bearer a.b.c".parse().unwrap());
        metadata.insert(OPEN_HEADER, "true".parse().unwrap());
        assert_eq!(credentials(&metadata), Some(("a.b.c".into(), true)));
    }
}
