//! The data key of one person, and what is done with it.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    hkdf, hmac,
};
use guildhall_aggregates::{
    Personal, PersonalData, SubjectId, TenantId,
    personal::{Opened, TokenParts},
};
use uuid::Uuid;

use super::{KEY_BYTES, NONCE_BYTES, VaultError, kek::derived, length_prefixed};

/// What is known about the key of a person who has, or had, one.
#[derive(Debug, Clone)]
pub(crate) enum KeyState {
    /// It opens what was sealed.
    Known(std::sync::Arc<DataKey>),
    /// It was destroyed.
    Forgotten,
}

/// A person's key: one part seals, the other compares. Thousands are kept; the second is large when it is ready for use, and
/// quickly made from its secret.
pub(crate) struct DataKey {
    cipher: RandomizedNonceKey,
    digest: [u8; KEY_BYTES],
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

impl DataKey {
    pub(super) fn new(secret: &[u8; KEY_BYTES]) -> Self {
        let root = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret);
        let cipher = derived(&root, &[b"seal"]);
        let digest = derived(&root, &[b"digest"]);
        Self {
            cipher: RandomizedNonceKey::new(&AES_256_GCM, &cipher).expect("the key has the cipher's length"),
            digest,
        }
    }

    pub(super) fn seal<T: PersonalData>(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        sealed_by: Uuid,
        value: &T,
    ) -> Result<Personal<T>, VaultError> {
        let mut text = serde_json::to_vec(value).map_err(|_| VaultError::Unreadable { field: T::FIELD })?;
        let mut parts = TokenParts { subject, sealed_by, digest: self.digest(T::FIELD, &text), ciphertext: Vec::new() };
        let nonce = self
            .cipher
            .seal_in_place_append_tag(binding(tenant, T::FIELD, &parts), &mut text)
            .expect("less than 64 GiB is sealed under one nonce");
        parts.ciphertext.reserve_exact(NONCE_BYTES + text.len());
        parts.ciphertext.extend_from_slice(nonce.as_ref());
        parts.ciphertext.extend_from_slice(&text);
        Ok(Personal::from_parts(&parts))
    }

    fn open<T: PersonalData>(&self, tenant: TenantId, parts: &TokenParts) -> Result<T, VaultError> {
        let (nonce, sealed) = parts.ciphertext.split_at_checked(NONCE_BYTES).ok_or(VaultError::Tampered)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Tampered)?;
        let mut text = sealed.to_vec();
        let text = self
            .cipher
            .open_in_place(nonce, binding(tenant, T::FIELD, parts), &mut text)
            .map_err(|_| VaultError::Tampered)?;
        serde_json::from_slice(text).map_err(|_| VaultError::Unreadable { field: T::FIELD })
    }

    /// Equal for equal data of one person; without the key it tells nothing, not even a guess can be tried.
    fn digest(&self, field: &str, text: &[u8]) -> [u8; 16] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.digest);
        let tag = hmac::sign(&key, &length_prefixed(&[field.as_bytes(), text]));
        tag.as_ref()[..16].try_into().expect("HMAC-SHA256 has 32 bytes")
    }
}

impl KeyState {
    pub(crate) fn open<T: PersonalData>(
        &self,
        tenant: TenantId,
        personal: &Personal<T>,
    ) -> Result<Opened<T>, VaultError> {
        match self {
            Self::Known(key) => key.open(tenant, &personal.parts()).map(Opened::Known),
            Self::Forgotten => Ok(Opened::Forgotten),
        }
    }
}

/// What a ciphertext is bound to: it opens as nothing else, for nobody else, and with no other digest beside it.
fn binding(tenant: TenantId, field: &str, parts: &TokenParts) -> Aad<Vec<u8>> {
    Aad::from(length_prefixed(&[
        tenant.uuid().as_bytes(),
        parts.subject.uuid().as_bytes(),
        field.as_bytes(),
        parts.sealed_by.as_bytes(),
        &parts.digest,
    ]))
}
