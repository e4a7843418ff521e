//! Makes and fetches data keys, many at a time.

use std::sync::Arc;

use deadpool_postgres::{Client, Pool};
use guildhall_aggregates::{SubjectId, TenantId};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Row, error::SqlState, types::Type};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{KeyState, Keys, Person, VaultError, kek::Keyring};
use crate::{Clock, StoreError};

/// How many persons one transaction makes keys for, and how many may wait for it.
const GROUP: usize = 512;
const WAITING: usize = 8 * GROUP;

type Answer = Result<KeyState, VaultError>;

/// Makes keys for whoever waits, in one transaction: an import that brings ten thousand new persons does not pay
/// for ten thousand commits.
pub(super) struct Keymaker {
    orders: mpsc::Sender<(Person, oneshot::Sender<Answer>)>,
}

impl Keymaker {
    pub(super) fn start(
        pool: Pool,
        keyring: Arc<Keyring>,
        clock: Clock,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (orders, mut waiting) = mpsc::channel(WAITING);
        tasks.spawn(async move {
            let mut group = Vec::with_capacity(GROUP);
            while stop.run_until_cancelled(waiting.recv_many(&mut group, GROUP)).await.unwrap_or(0) > 0 {
                serve(&pool, &keyring, &clock, &mut group).await;
            }
        });
        Self { orders }
    }

    /// The person's key, made and durable if there was none.
    pub(super) async fn key_of(&self, person: Person) -> Answer {
        let (answer, answered) = oneshot::channel();
        let stopped = || VaultError::Unavailable("it is shutting down".to_owned());
        self.orders.send((person, answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

async fn serve(pool: &Pool, keyring: &Keyring, clock: &Clock, group: &mut Vec<(Person, oneshot::Sender<Answer>)>) {
    let mut persons: Vec<Person> = group.iter().map(|(person, _)| *person).collect();
    // In one order on every node, so that two that make keys for the same persons cannot lock each other out.
    persons.sort_unstable();
    persons.dedup();
    let made = make(pool, keyring, clock, &persons).await;
    for (person, waiter) in group.drain(..) {
        let answer = match &made {
            Ok(keys) => keys.get(&person).cloned().unwrap_or(Err(VaultError::UnknownSubject)),
            Err(error) => Err(error.clone()),
        };
        // Whoever does not wait any more is not told.
        let _ = waiter.send(answer);
    }
}

async fn make(pool: &Pool, keyring: &Keyring, clock: &Clock, persons: &[Person]) -> Result<Keys, VaultError> {
    let client = pool.get().await?;
    let mut keys = fetch(&client, keyring, persons).await?;
    let new = without(persons, &keys);
    if !new.is_empty() {
        keys.extend(insert(&client, keyring, clock, &new).await?);
        // Another node may have been first, and then its key is the one.
        let lost = without(&new, &keys);
        if !lost.is_empty() {
            keys.extend(fetch(&client, keyring, &lost).await?);
        }
    }
    Ok(keys)
}

fn without(persons: &[Person], keys: &Keys) -> Vec<Person> {
    persons.iter().filter(|person| !keys.contains_key(person)).copied().collect()
}

/// Makes keys for those who have none, and gives those that were made.
async fn insert(client: &Client, keyring: &Keyring, clock: &Clock, persons: &[Person]) -> Result<Keys, VaultError> {
    let (tenants, subjects) = columns(persons);
    let wrapped: Vec<Vec<u8>> =
        persons.iter().map(|(tenant, subject)| keyring.new_data_key(*tenant, *subject)).collect();
    let statement = client
        .prepare_typed_cached(
            "INSERT INTO vault.data_key (tenant_id, subject, wrapped_key, kek_id, created_at)
             SELECT tenant_id, subject, wrapped_key, $4, $5
             FROM unnest($1, $2, $3) AS new (tenant_id, subject, wrapped_key) ORDER BY tenant_id, subject
             ON CONFLICT (tenant_id, subject) DO NOTHING
             RETURNING tenant_id, subject, wrapped_key, kek_id",
            &[Type::UUID_ARRAY, Type::UUID_ARRAY, Type::BYTEA_ARRAY, Type::TEXT, Type::TIMESTAMPTZ],
        )
        .await?;
    let rows = client.query(&statement, &[&tenants, &subjects, &wrapped, &keyring.id, &clock.now()]).await?;
    keys_in(keyring, &rows)
}

/// The keys these persons have or had.
pub(super) async fn fetch(client: &Client, keyring: &Keyring, persons: &[Person]) -> Result<Keys, VaultError> {
    let (tenants, subjects) = columns(persons);
    let rows = client
        .query_typed(
            "SELECT k.tenant_id, k.subject, k.wrapped_key, k.kek_id
             FROM unnest($1, $2) AS wanted (tenant_id, subject) JOIN vault.data_key k USING (tenant_id, subject)",
            &[(&tenants, Type::UUID_ARRAY), (&subjects, Type::UUID_ARRAY)],
        )
        .await?;
    keys_in(keyring, &rows)
}

fn keys_in(keyring: &Keyring, rows: &[Row]) -> Result<Keys, VaultError> {
    let mut keys = Keys::with_capacity(rows.len());
    for row in rows {
        let (tenant, subject) = (TenantId::new(row.try_get(0)?), SubjectId::new(row.try_get(1)?));
        let wrapped: Option<&[u8]> = row.try_get(2)?;
        let state = match wrapped {
            Some(wrapped) => {
                keyring.unwrap(tenant, subject, row.try_get(3)?, wrapped).map(|key| KeyState::Known(Arc::new(key)))
            }
            None => Ok(KeyState::Forgotten),
        };
        keys.insert((tenant, subject), state);
    }
    Ok(keys)
}

/// The id of a key-encryption key in use, if any data key was ever made.
pub(super) async fn some_kek_id(pool: &Pool) -> Result<Option<String>, StoreError> {
    let client = pool.get().await?;
    let found = client.query_opt("SELECT kek_id FROM vault.data_key WHERE wrapped_key IS NOT NULL LIMIT 1", &[]).await;
    match found {
        Ok(row) => Ok(row.map(|row| row.try_get(0)).transpose()?),
        // A login that may not see the vault, such as a relay's, may read history all the same.
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn columns(persons: &[Person]) -> (Vec<Uuid>, Vec<Uuid>) {
    persons.iter().map(|(tenant, subject)| (tenant.uuid(), subject.uuid())).unzip()
}
