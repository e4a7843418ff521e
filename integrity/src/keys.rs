//! The keys that sign checkpoints, and those that verify them.
//!
//! A key signs for all associations of an installation, so that whoever checks keeps one text. Its name is therefore ours
//! and not the origin of any one log.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use signed_note::{NoteError, Signature, StandardVerifier, VerifierList, key_id};

/// The name every key has.
pub const KEY_NAME: &str = "guildhall";

/// Ed25519, as signed notes number it.
const ED25519: u8 = 1;

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// No signing key.
    #[error("a signing key is 32 random bytes in base64; `openssl rand -base64 32` makes one")]
    Signing,
    /// No verifier key.
    #[error("a verifier key is written `name+hash+key`, as `guildhall audit keys` prints it")]
    Verifier,
}

/// What checkpoints are signed with. Not to be printed.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: u32,
}

impl SigningKey {
    /// Reads a key from the base64 of its 32 secret bytes.
    ///
    /// ```
    /// use guildhall_integrity::SigningKey;
    /// let key = SigningKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    /// assert!(key.verifier().starts_with("guildhall+"));
    /// assert!(SigningKey::parse("secret").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let seed: [u8; 32] =
            STANDARD.decode(text.trim()).ok().and_then(|seed| seed.try_into().ok()).ok_or(NotAKey::Signing)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| NotAKey::Signing)?;
        let id = key_id(KEY_NAME, &encoded(&pair));
        Ok(Self { pair, id })
    }

    /// What others verify its signatures with, as C2SP's signed notes write it: `guildhall+hash+key`.
    pub fn verifier(&self) -> String {
        format!("{}+{}", self.id(), STANDARD.encode(encoded(&self.pair)))
    }

    /// Its name and hash, which tell it from others: `guildhall+89abcdef`.
    pub fn id(&self) -> String {
        format!("{KEY_NAME}+{:08x}", self.id)
    }

    pub(crate) fn sign(&self, text: &[u8]) -> Result<Signature, NoteError> {
        Signature::new(KEY_NAME.to_owned(), self.id, self.pair.sign(text).as_ref().to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, …)", self.id())
    }
}

fn encoded(pair: &Ed25519KeyPair) -> Vec<u8> {
    [&[ED25519], pair.public_key().as_ref()].concat()
}

/// The keys of an installation.
#[derive(Debug, Default)]
pub struct Keys {
    signing: Option<SigningKey>,
    previous: Option<SigningKey>,
    trusted: Vec<String>,
}

impl Keys {
    /// Takes the key that signs, the one that signed before and still does for a while, and verifier keys of those that
    /// do not sign any more. Any of them may be missing.
    ///
    /// # Errors
    /// A retired key is no verifier key.
    pub fn new(signing: Option<SigningKey>, previous: Option<SigningKey>, retired: &[String]) -> Result<Self, NotAKey> {
        let mut trusted: Vec<String> = [&signing, &previous].into_iter().flatten().map(SigningKey::verifier).collect();
        for key in retired {
            check_verifier(key)?;
            if !trusted.contains(key) {
                trusted.push(key.clone());
            }
        }
        Ok(Self { signing, previous, trusted })
    }

    /// The key that signs, if any does.
    pub fn signing(&self) -> Option<&SigningKey> {
        self.signing.as_ref()
    }

    /// The key that signed before, while both sign.
    pub fn previous(&self) -> Option<&SigningKey> {
        self.previous.as_ref()
    }

    /// All verifier keys: of the key that signs, the previous one, the retired ones.
    pub fn verifiers(&self) -> &[String] {
        &self.trusted
    }

    pub(crate) fn list(&self) -> VerifierList {
        let known = self.trusted.iter().filter_map(|key| StandardVerifier::new(key).ok());
        VerifierList::new(known.map(|verifier| Box::new(verifier) as _).collect())
    }
}

/// Says whether a text is a verifier key.
pub fn check_verifier(key: &str) -> Result<(), NotAKey> {
    StandardVerifier::new(key).map(|_| ()).map_err(|_| NotAKey::Verifier)
}
