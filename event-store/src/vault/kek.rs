//! The key-encryption key: the one secret outside the database.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    hkdf, hmac, rand,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use guildhall_aggregates::{SubjectId, TenantId};
use lru::LruCache;
use uuid::Uuid;

use super::{KEY_BYTES, NONCE_BYTES, VaultError, keys::DataKey, length_prefixed};

/// The key all data keys are wrapped with. Whoever has it and the database can read everybody's personal data; who
/// loses it can read nobody's. Keep it apart from the database and its backups.
///
/// Claims and request hashes are keyed by it, too, so another key needs more than wrapping the data keys anew: it
/// would not recognise a member number that is taken. A store is opened with the key it was begun with.
#[derive(Clone)]
pub struct KeyEncryptionKey {
    secret: [u8; KEY_BYTES],
}

/// Why a text is no key-encryption key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key-encryption key is 32 random bytes in base64; `openssl rand -base64 32` makes one")]
pub struct NotAKey;

impl KeyEncryptionKey {
    /// Reads a key from base64.
    ///
    /// ```
    /// use guildhall_event_store::KeyEncryptionKey;
    /// let key = KeyEncryptionKey::generate();
    /// assert_eq!(KeyEncryptionKey::parse(&key.encoded()).unwrap().encoded(), key.encoded());
    /// assert!(KeyEncryptionKey::parse("secret").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| NotAKey)?;
        Ok(Self { secret: bytes.try_into().map_err(|_| NotAKey)? })
    }

    /// A new random key.
    pub fn generate() -> Self {
        Self { secret: random() }
    }

    /// The key in base64, to be kept where secrets are kept.
    pub fn encoded(&self) -> String {
        STANDARD.encode(self.secret)
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyEncryptionKey(…)")
    }
}

pub(super) fn random() -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// What is derived from the key-encryption key: a key of its own for each use.
pub(super) struct Keyring {
    /// Names the key without telling it.
    pub(super) id: String,
    wrapping: RandomizedNonceKey,
    root: hkdf::Prk,
    /// The keys of keyed hashes: made once, because every command needs one.
    hmac_keys: Mutex<LruCache<(&'static str, TenantId), hmac::Key>>,
}

/// How many keys of keyed hashes are kept; two for each association.
const HMAC_KEYS: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not zero");

impl Keyring {
    pub(super) fn new(kek: &KeyEncryptionKey) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"guildhall vault v1").extract(&kek.secret);
        let wrapping = derived(&root, &[b"wrap"]);
        Self {
            id: URL_SAFE_NO_PAD.encode(&derived(&root, &[b"id"])[..9]),
            wrapping: RandomizedNonceKey::new(&AES_256_GCM, &wrapping).expect("the key has the cipher's length"),
            root,
            hmac_keys: Mutex::new(LruCache::new(HMAC_KEYS)),
        }
    }

    /// A new data key, wrapped.
    pub(super) fn new_data_key(&self, tenant: TenantId, subject: SubjectId) -> Vec<u8> {
        let mut wrapped = random().to_vec();
        let aad = Aad::from(self.binding(tenant, subject));
        let nonce = self.wrapping.seal_in_place_append_tag(aad, &mut wrapped).expect("sealing 32 bytes does not fail");
        wrapped.splice(0..0, nonce.as_ref().iter().copied());
        wrapped
    }

    /// Unwraps a data key. One that was wrapped for another person or by another key does not open.
    pub(super) fn unwrap(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        kek_id: &str,
        wrapped: &[u8],
    ) -> Result<DataKey, VaultError> {
        if kek_id != self.id {
            return Err(VaultError::WrongKey { stored: kek_id.to_owned(), given: self.id.clone() });
        }
        let (nonce, sealed) = wrapped.split_at_checked(NONCE_BYTES).ok_or(VaultError::Tampered)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Tampered)?;
        let mut sealed = sealed.to_vec();
        let secret = self
            .wrapping
            .open_in_place(nonce, Aad::from(self.binding(tenant, subject)), &mut sealed)
            .map_err(|_| VaultError::Tampered)?;
        let secret: [u8; KEY_BYTES] = (&*secret).try_into().map_err(|_| VaultError::Tampered)?;
        Ok(DataKey::new(&secret))
    }

    /// Seals a secret of an association that is no person's, under a key of its own.
    pub(super) fn seal_secret(&self, tenant: TenantId, name: Uuid, clear: &[u8]) -> Vec<u8> {
        let mut sealed = clear.to_vec();
        let aad = Aad::from(*name.as_bytes());
        let nonce = self.secrets_of(tenant).seal_in_place_append_tag(aad, &mut sealed).expect("sealing does not fail");
        sealed.splice(0..0, nonce.as_ref().iter().copied());
        sealed
    }

    /// Opens it again. One of another association or name does not open.
    pub(super) fn open_secret(&self, tenant: TenantId, name: Uuid, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or(VaultError::Tampered)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Tampered)?;
        let mut sealed = sealed.to_vec();
        let opened = self.secrets_of(tenant).open_in_place(nonce, Aad::from(*name.as_bytes()), &mut sealed);
        opened.map(|clear| clear.to_vec()).map_err(|_| VaultError::Tampered)
    }

    fn secrets_of(&self, tenant: TenantId) -> RandomizedNonceKey {
        let key = derived(&self.root, &[b"secret", tenant.uuid().as_bytes()]);
        RandomizedNonceKey::new(&AES_256_GCM, &key).expect("the key has the cipher's length")
    }

    fn binding(&self, tenant: TenantId, subject: SubjectId) -> Vec<u8> {
        length_prefixed(&[b"data key", self.id.as_bytes(), tenant.uuid().as_bytes(), subject.uuid().as_bytes()])
    }

    fn hmac_context(&self, purpose: &'static str, tenant: TenantId) -> hmac::Context {
        let mut keys = self.hmac_keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = keys.get_or_insert((purpose, tenant), || {
            let key = derived(&self.root, &[purpose.as_bytes(), tenant.uuid().as_bytes()]);
            hmac::Key::new(hmac::HMAC_SHA256, &key)
        });
        hmac::Context::with_key(key)
    }

    /// A keyed hash that differs from association to association, so that two of them cannot be compared.
    pub(super) fn hmac(&self, purpose: &'static str, tenant: TenantId, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = self.hmac_context(purpose, tenant);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }
}

/// 32 bytes for one use. The parts of its name are length-prefixed, so no two names run together.
pub(super) fn derived(root: &hkdf::Prk, name: &[&[u8]]) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let name = length_prefixed(name);
    root.expand(&[&name], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("HKDF-SHA256 gives up to 8,160 bytes");
    key
}

#[cfg(test)]
mod tests {
    use guildhall_aggregates::tenant_of_slug;

    use super::*;

    #[test]
    fn a_secret_opens_for_its_association_under_its_name_only() {
        let ring = Keyring::new(&KeyEncryptionKey::generate());
        let (tenant, name) = (tenant_of_slug("nurses"), Uuid::from_u128(1));
        let sealed = ring.seal_secret(tenant, name, b"clear");
        assert_eq!(ring.open_secret(tenant, name, &sealed).ok().as_deref(), Some(&b"clear"[..]));
        assert!(!sealed.windows(5).any(|bytes| bytes == b"clear"));
        assert_ne!(sealed, ring.seal_secret(tenant, name, b"clear"), "sealed twice it is not the same");
        let mut changed = sealed.clone();
        changed[NONCE_BYTES] ^= 1;
        assert!(ring.open_secret(tenant, name, &changed).is_err());
        assert!(ring.open_secret(tenant, Uuid::from_u128(2), &sealed).is_err());
        assert!(ring.open_secret(tenant_of_slug("lawyers"), name, &sealed).is_err());
        assert!(Keyring::new(&KeyEncryptionKey::generate()).open_secret(tenant, name, &sealed).is_err());
        assert!(ring.open_secret(tenant, name, b"short").is_err());
    }
}
