//! The vault: personal data goes into history as ciphertext, under a key of each person's own.
//!
//! A data key is made when a person's data is sealed for the first time, and it is durable before anything sealed
//! with it can be appended. It is kept wrapped by the [`KeyEncryptionKey`], apart from the events. To forget a
//! person is to destroy their key: what history, Kafka, backups and exports hold of them is noise from then on, and
//! the hashes over that noise still verify.
//!
//! What this cannot do: Postgres keeps the old version of a row until it is vacuumed, and backups keep it as long as
//! they are kept. Both hold the key wrapped; a backup is forgotten by ending its retention.

mod kek;
mod keymaker;
mod keys;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool_postgres::Pool;
use guildhall_aggregates::{Clear, Personal, PersonalData, SubjectId, TenantId, personal::Opened};
use quick_cache::sync::Cache;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{Clock, StoreError};
use kek::Keyring;
pub use kek::{KeyEncryptionKey, NotAKey};
use keymaker::Keymaker;
pub(crate) use keys::KeyState;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// How many keys are kept in memory: some 15 MB.
const CACHED_KEYS: usize = 20_000;

/// How long a key in memory is used. Forgetting drops it at once on the node that does it; the other nodes read what
/// they have cached for at most this long, and hold it for at most twice as long.
const CACHED_FOR: Duration = Duration::from_mins(1);

/// A person of an association.
pub(crate) type Person = (TenantId, SubjectId);

/// The keys of some persons.
pub(crate) type Keys = HashMap<Person, Result<KeyState, VaultError>>;

/// Why personal data could not be sealed or opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    /// The person was forgotten; nothing may be recorded about them any more.
    #[error("this person was forgotten; nothing can be recorded about them any more")]
    SubjectForgotten,
    /// Nothing was ever sealed for this person, so this token is not from here.
    #[error("no personal data was ever sealed for this person here")]
    UnknownSubject,
    /// The token was changed, or belongs to another association, person or field.
    #[error("this personal data was changed, or is not what it is taken for")]
    Tampered,
    /// What was sealed is not what this program expects in the field.
    #[error("personal data of the field `{field}` has an unexpected shape")]
    Unreadable {
        /// Which kind of personal data.
        field: &'static str,
    },
    /// The person's key was wrapped with another key-encryption key.
    #[error("personal data in this database is under key {stored}, the configured key-encryption key is {given}")]
    WrongKey {
        /// The id of the key it is under.
        stored: String,
        /// The id of the key this process has.
        given: String,
    },
    /// The database did not answer.
    #[error("the vault is not available: {0}")]
    Unavailable(String),
}

impl From<tokio_postgres::Error> for VaultError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Unavailable(crate::error::said(&error))
    }
}

impl From<deadpool_postgres::PoolError> for VaultError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The keys of all persons, and what is done with them. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

/// What is known of a key, and since when.
#[derive(Clone)]
struct Cached {
    state: KeyState,
    since: Instant,
}

impl Cached {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < CACHED_FOR
    }
}

/// Nobody may ask for a key again, so that asking would find it too old.
async fn drop_old_keys(cache: Arc<Cache<Person, Cached>>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(CACHED_FOR)).await.is_some() {
        cache.retain(|_, cached| cached.is_fresh());
    }
}

struct Inner {
    keyring: Arc<Keyring>,
    cache: Arc<Cache<Person, Cached>>,
    keymaker: Keymaker,
    pool: Pool,
    clock: Clock,
}

impl Vault {
    /// Opens the vault and sees that this is the key it was begun with.
    pub(crate) async fn open_with(
        kek: &KeyEncryptionKey,
        pool: Pool,
        clock: Clock,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, StoreError> {
        let keyring = Arc::new(Keyring::new(kek));
        if let Some(stored) = keymaker::some_kek_id(&pool).await?
            && stored != keyring.id
        {
            return Err(StoreError::WrongKey { stored, given: keyring.id.clone() });
        }
        let cache = Arc::new(Cache::new(CACHED_KEYS));
        tasks.spawn(drop_old_keys(Arc::clone(&cache), stop.clone()));
        let keymaker = Keymaker::start(pool.clone(), Arc::clone(&keyring), clock.clone(), tasks, stop);
        Ok(Self { inner: Arc::new(Inner { keyring, cache, keymaker, pool, clock }) })
    }

    /// Seals what a caller sent, so that an event can hold it. Makes the person's key if there is none yet.
    ///
    /// # Errors
    /// The person was forgotten, or the database does not answer.
    pub async fn seal<T: PersonalData>(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        command_id: Uuid,
        clear: &Clear<T>,
    ) -> Result<Personal<T>, VaultError> {
        let person = (tenant, subject);
        let state = match self.cached(&person) {
            Some(state) => state,
            None => self.remember(person, Box::pin(self.inner.keymaker.key_of(person)).await?),
        };
        match state {
            KeyState::Known(key) => key.seal(tenant, subject, command_id, &clear.0),
            KeyState::Forgotten => Err(VaultError::SubjectForgotten),
        }
    }

    /// Opens sealed data. For many events at once, [`crate::Batch::open`] has fetched the keys already.
    ///
    /// # Errors
    /// The token is not from here or was changed, or the database does not answer.
    pub async fn open<T: PersonalData>(
        &self,
        tenant: TenantId,
        personal: &Personal<T>,
    ) -> Result<Opened<T>, VaultError> {
        let person = (tenant, personal.subject());
        let mut keys = self.keys_of([person]).await?;
        keys.remove(&person).ok_or(VaultError::UnknownSubject)??.open(tenant, personal)
    }

    /// Destroys a person's key, and sees that they never get another. Says whether they were known until now.
    ///
    /// # Errors
    /// The database does not answer; forgetting again is safe.
    pub async fn forget(&self, tenant: TenantId, subject: SubjectId) -> Result<bool, VaultError> {
        let client = self.inner.pool.get().await?;
        let forgotten = client
            .execute(
                "INSERT INTO vault.data_key (tenant_id, subject, kek_id, created_at, forgotten_at)
                 VALUES ($1, $2, $3, $4, $4)
                 ON CONFLICT (tenant_id, subject) DO UPDATE SET wrapped_key = NULL, forgotten_at = EXCLUDED.forgotten_at
                 WHERE data_key.forgotten_at IS NULL",
                &[&tenant.uuid(), &subject.uuid(), &self.inner.keyring.id, &self.inner.clock.now()],
            )
            .await?;
        self.remember((tenant, subject), KeyState::Forgotten);
        Ok(forgotten == 1)
    }

    /// A keyed hash of a value that only one stream may claim. The same value gives another hash in another
    /// association. Normalise the value first: to this function `Ada@x.org` and `ada@x.org` differ.
    pub fn claim_hmac(&self, tenant: TenantId, kind: &str, value: &str) -> [u8; 32] {
        self.inner.keyring.hmac("claim", tenant, &[kind.as_bytes(), value.as_bytes()])
    }

    /// A keyed hash of a request, to tell the same request from another one under the same idempotency key. Keyed,
    /// because a request holds personal data and a plain hash of it could be guessed after the person was forgotten.
    pub fn request_hash(&self, tenant: TenantId, body: &[u8]) -> [u8; 32] {
        self.inner.keyring.hmac("request", tenant, &[body])
    }

    /// Seals a secret that an association shares with somebody else, such as one that signs messages. It is no personal
    /// data: nobody can be asked to forget it, and whoever keeps it deletes it. `name` says which one it is.
    pub fn seal_secret(&self, tenant: TenantId, name: Uuid, clear: &[u8]) -> Vec<u8> {
        self.inner.keyring.seal_secret(tenant, name, clear)
    }

    /// Opens a secret that was sealed for this association under this name.
    ///
    /// # Errors
    /// It was changed, or sealed for another one.
    pub fn open_secret(&self, tenant: TenantId, name: Uuid, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.inner.keyring.open_secret(tenant, name, sealed)
    }

    /// The keys of these persons, from memory or by one query. Persons without one are left out; a key that does not
    /// unwrap is an error of whoever needs it, not of all.
    pub(crate) async fn keys_of(&self, persons: impl IntoIterator<Item = Person>) -> Result<Keys, VaultError> {
        let mut keys = Keys::new();
        let mut missing = HashSet::new();
        for person in persons {
            if keys.contains_key(&person) || missing.contains(&person) {
                continue;
            }
            match self.cached(&person) {
                Some(state) => {
                    keys.insert(person, Ok(state));
                }
                None => {
                    missing.insert(person);
                }
            }
        }
        if !missing.is_empty() {
            let missing: Vec<_> = missing.into_iter().collect();
            let client = self.inner.pool.get().await?;
            for (person, state) in keymaker::fetch(&client, &self.inner.keyring, &missing).await? {
                keys.insert(person, state.map(|state| self.remember(person, state)));
            }
        }
        Ok(keys)
    }

    fn cached(&self, person: &Person) -> Option<KeyState> {
        self.inner.cache.get(person).filter(Cached::is_fresh).map(|cached| cached.state)
    }

    fn remember(&self, person: Person, state: KeyState) -> KeyState {
        self.inner.cache.insert(person, Cached { state: state.clone(), since: Instant::now() });
        state
    }
}

/// Each part after its length, so that no two lists of parts give the same bytes.
fn length_prefixed(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_memory_is_used_for_a_minute() {
        let since =
            |age| Cached { state: KeyState::Forgotten, since: Instant::now().checked_sub(age).expect("it runs") };
        assert!(since(CACHED_FOR / 2).is_fresh());
        assert!(!since(CACHED_FOR).is_fresh());
    }
}
