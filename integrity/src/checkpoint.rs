//! A checkpoint: what the tree of an association is at one moment, signed.
//!
//! It is a C2SP checkpoint in a C2SP signed note: origin, tree size and root, then lines of ours, then signatures.
//!
//! ```text
//! guildhall/8d5bbd3e-4a0c-5a69-a1b5-1f3a6f0a6a55
//! 1204
//! bU0Y0m7Zs0m0x0V0t2nCqV1WcDkqUo7yq0wqkIwqS1Q=
//! checkpoint 17
//! position 20931
//! time 2026-11-20T18:30:00.000000Z
//!
//! — guildhall c2lnbmVk…
//! ```
//!
//! `position` is that of the last record under it. `checkpoint` numbers all checkpoints of the installation. While a key
//! is rotated both keys sign, and a line `key` names the new one: whoever trusts the old key learns the new one from it.

use std::str::FromStr as _;

use chrono::{DateTime, SecondsFormat, Utc};
use guildhall_aggregates::TenantId;
use signed_note::Note;
use tlog_tiles::Hash;
use uuid::Uuid;

use crate::keys::{KEY_NAME, Keys, SigningKey};

/// Where the name of a log begins.
const ORIGIN: &str = "guildhall/";

/// The most bytes a checkpoint may have. Ours have some four hundred.
pub const MAX_NOTE_BYTES: usize = 16 * 1024;

/// What is said about a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Its place among all checkpoints of the installation: 1, 2, 3 ….
    pub number: u64,
    /// Whose records are meant.
    pub tenant: TenantId,
    /// How many records the tree has.
    pub tree_size: u64,
    /// The position of the last of them.
    pub position: u64,
    /// The root of the tree.
    pub root: Hash,
    /// When it was signed, to the microsecond, by the clock of the node that did.
    pub signed_at: DateTime<Utc>,
}

/// A signed checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// What it says.
    pub statement: Statement,
    /// Name and hash of the key that signed first.
    pub key: String,
    /// The signed note, byte for byte.
    pub note: String,
}

/// Why a text is no checkpoint to rely on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a checkpoint of ours.
    #[error("this is no signed checkpoint of an association: {0}")]
    Malformed(&'static str),
    /// A key we know is named, and did not sign this.
    #[error("the signature of the checkpoint is not one of its text: it was forged or changed")]
    Forged,
    /// No key we know has signed.
    #[error(
        "the checkpoint is signed by no key that is trusted here; give its verifier key in `integrity.retired_keys`"
    )]
    Untrusted,
}

impl Statement {
    /// Signs it: with the key, and with the previous one while there is one.
    pub(crate) fn sign(self, key: &SigningKey, previous: Option<&SigningKey>) -> Result<Checkpoint, NoteError> {
        let rotation = previous.map(|_| format!("key {}\n", key.verifier())).unwrap_or_default();
        let text = format!(
            "{ORIGIN}{}\n{}\n{}\ncheckpoint {}\nposition {}\ntime {}\n{rotation}",
            self.tenant.uuid(),
            self.tree_size,
            self.root,
            self.number,
            self.position,
            self.signed_at.to_rfc3339_opts(SecondsFormat::Micros, true)
        );
        let malformed = |_| NoteError::Malformed("it cannot be signed");
        let signatures: Result<Vec<_>, _> =
            std::iter::once(key).chain(previous).map(|key| key.sign(text.as_bytes())).collect();
        let note = Note::new(text.as_bytes(), &signatures.map_err(malformed)?).map_err(malformed)?;
        let note = String::from_utf8(note.to_bytes()).map_err(|_| NoteError::Malformed("it is not text"))?;
        Ok(Checkpoint { statement: self, key: key.id(), note })
    }
}

impl Checkpoint {
    /// Reads a checkpoint and checks its signatures: at least one by a key that is trusted, and none that is wrong.
    ///
    /// # Errors
    /// It is none, or is not to be trusted.
    pub fn verified(note: &str, keys: &Keys) -> Result<Self, NoteError> {
        let checkpoint = Self::unverified(note)?;
        let note = parsed(note)?;
        match note.verify(&keys.list()) {
            Ok(_) => Ok(checkpoint),
            Err(signed_note::NoteError::UnverifiedNote) => Err(NoteError::Untrusted),
            Err(_) => Err(NoteError::Forged),
        }
    }

    /// Reads what a checkpoint says, whoever signed it.
    ///
    /// # Errors
    /// It is none.
    pub fn unverified(note: &str) -> Result<Self, NoteError> {
        let parsed = parsed(note)?;
        let body = tlog_tiles::Checkpoint::from_bytes(parsed.text())
            .map_err(|_| NoteError::Malformed("its first lines are not origin, size and root"))?;
        let tenant = body.origin().strip_prefix(ORIGIN).and_then(|id| Uuid::from_str(id).ok());
        let tenant = tenant.ok_or(NoteError::Malformed("its first line names no association"))?;
        let said = |name: &'static str| line(body.extension(), name).ok_or(NoteError::Malformed("a line is missing"));
        let number = |name| said(name)?.parse().map_err(|_| NoteError::Malformed("a line has no number"));
        let signed_at =
            DateTime::parse_from_rfc3339(said("time")?).map_err(|_| NoteError::Malformed("its time cannot be read"))?;
        let statement = Statement {
            number: number("checkpoint")?,
            tenant: TenantId::new(tenant),
            tree_size: body.size(),
            position: number("position")?,
            root: *body.hash(),
            signed_at: signed_at.to_utc(),
        };
        let key = first_key(note).ok_or(NoteError::Malformed("its signature is not by a key of ours"))?;
        Ok(Self { statement, key, note: note.to_owned() })
    }

    /// The verifier key that this checkpoint introduces, if it was signed while keys were rotated.
    pub fn introduces(&self) -> Option<&str> {
        line(self.note.split("\n\n").next().unwrap_or_default(), "key")
    }
}

fn parsed(note: &str) -> Result<Note, NoteError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(NoteError::Malformed("it is too long"));
    }
    let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| NoteError::Malformed("it is no signed note"))?;
    // Lines that would be read another way by another program are refused: the note is the exact text.
    (parsed.to_bytes() == note.as_bytes()).then_some(parsed).ok_or(NoteError::Malformed("it is written in an odd way"))
}

/// What a line with this first word says.
fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
}

fn first_key(note: &str) -> Option<String> {
    let signatures = note.split_once("\n\n")?.1;
    let signature = signed_note::Signature::from_bytes(signatures.lines().next()?.as_bytes()).ok()?;
    (signature.name() == KEY_NAME).then(|| format!("{KEY_NAME}+{:08x}", signature.id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: &str) -> SigningKey {
        SigningKey::parse(seed).unwrap()
    }

    const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "/////wQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn statement() -> Statement {
        Statement {
            number: 17,
            tenant: TenantId::new(Uuid::from_u128(1)),
            tree_size: 1204,
            position: 20931,
            root: Hash([7; 32]),
            signed_at: DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap(),
        }
    }

    fn keys(signing: &str, retired: &[String]) -> Keys {
        Keys::new(Some(key(signing)), None, retired).unwrap()
    }

    #[test]
    fn a_checkpoint_says_what_was_signed() {
        let signed = statement().sign(&key(OLD), None).unwrap();
        let lines: Vec<&str> = signed.note.lines().take(6).collect();
        assert_eq!(lines[..2], ["guildhall/00000000-0000-0000-0000-000000000001", "1204"]);
        assert_eq!(lines[3..], ["checkpoint 17", "position 20931", "time 2027-01-15T08:00:00.123456Z"]);
        assert_eq!(Checkpoint::verified(&signed.note, &keys(OLD, &[])), Ok(signed));
    }

    #[test]
    fn a_checkpoint_that_was_changed_in_any_byte_is_refused() {
        let note = statement().sign(&key(OLD), None).unwrap().note;
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                Checkpoint::verified(&changed, &keys(OLD, &[])).unwrap_err();
            }
        }
    }

    #[test]
    fn only_trusted_keys_count() {
        let signed = statement().sign(&key(OLD), None).unwrap();
        assert_eq!(Checkpoint::verified(&signed.note, &keys(NEW, &[])), Err(NoteError::Untrusted));
        assert!(Checkpoint::verified(&signed.note, &keys(NEW, &[key(OLD).verifier()])).is_ok());
    }

    #[test]
    fn while_keys_are_rotated_both_sign_and_the_new_one_is_introduced() {
        let signed = statement().sign(&key(NEW), Some(&key(OLD))).unwrap();
        for trusted in [OLD, NEW] {
            let checkpoint = Checkpoint::verified(&signed.note, &keys(trusted, &[])).unwrap();
            assert_eq!(checkpoint.introduces(), Some(&*key(NEW).verifier()));
            assert_eq!(checkpoint.key, key(NEW).id());
        }
    }
}
