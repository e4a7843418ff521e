//! Endpoints: where a partner wants to be told of what. Made and changed here, by their association alone.

use chrono::{DateTime, Utc};
use guildhall_aggregates::TenantId;
use guildhall_event_store::FeedFilter;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{WebhookError, Webhooks, secret::Secret};

/// An endpoint as its owner sees it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) id: Uuid,
    pub(crate) tenant: TenantId,
    pub(crate) url: String,
    /// None: all.
    pub(crate) categories: Vec<String>,
    pub(crate) description: String,
    pub(crate) created_at: DateTime<Utc>,
    /// Everything for it up to here was delivered.
    pub(crate) position: u64,
    pub(crate) failures: u32,
    pub(crate) retry_at: Option<DateTime<Utc>>,
    pub(crate) disabled: Option<(DateTime<Utc>, String)>,
    secret: Vec<u8>,
    previous: Option<(Vec<u8>, DateTime<Utc>)>,
}

/// The columns of an endpoint, in the order [`Endpoint::of`] reads them.
pub(crate) const COLUMNS: &str = "id, tenant_id, url, categories, description, created_at, position, failures,
    CASE WHEN failures > 0 AND disabled_at IS NULL THEN retry_at END, disabled_at, disabled_reason, secret,
    previous_secret, previous_until";

impl Endpoint {
    /// The endpoint of a row.
    pub(crate) fn of(row: &Row) -> Result<Self, WebhookError> {
        let position: i64 = row.try_get(6)?;
        let failures: i32 = row.try_get(7)?;
        let disabled: (Option<DateTime<Utc>>, Option<String>) = (row.try_get(9)?, row.try_get(10)?);
        let previous: (Option<Vec<u8>>, Option<DateTime<Utc>>) = (row.try_get(12)?, row.try_get(13)?);
        Ok(Self {
            id: row.try_get(0)?,
            tenant: TenantId::new(row.try_get(1)?),
            url: row.try_get(2)?,
            categories: row.try_get(3)?,
            description: row.try_get(4)?,
            created_at: row.try_get(5)?,
            position: position.unsigned_abs(),
            failures: failures.unsigned_abs(),
            retry_at: row.try_get(8)?,
            disabled: disabled.0.zip(disabled.1),
            secret: row.try_get(11)?,
            previous: previous.0.zip(previous.1),
        })
    }

    /// What it wants to be told of.
    pub(crate) fn filter(&self) -> Result<FeedFilter, WebhookError> {
        Ok(FeedFilter::parse(self.tenant, self.categories.iter().map(String::as_str))?)
    }
}

/// What an endpoint is made of.
pub(crate) struct NewEndpoint {
    pub(crate) url: String,
    pub(crate) categories: Vec<String>,
    pub(crate) description: String,
    /// It is told of what comes after this.
    pub(crate) position: u64,
}

/// What is to become different about an endpoint.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) url: Option<String>,
    pub(crate) categories: Option<Vec<String>>,
    pub(crate) description: Option<String>,
    pub(crate) enabled: Option<bool>,
}

/// Why an endpoint was not made.
pub(crate) enum NotMade {
    /// The association has as many as it may.
    TooMany,
    /// Something went wrong.
    Failed(WebhookError),
}

impl<E: Into<WebhookError>> From<E> for NotMade {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// The advisory locks under which endpoints are made, one for each association.
const MAKING: i32 = 0x5748_4B53;

/// Ends the turn of whoever delivers, once what is on its way has arrived or was given up.
const INTERRUPT: &str = "epoch = epoch + 1, lease_until = least(lease_until, clock_timestamp() + $3 * interval '1 s')";

impl Webhooks {
    /// The secrets that sign now, the newest first.
    pub(crate) fn secrets_of(&self, endpoint: &Endpoint) -> Result<Vec<Secret>, WebhookError> {
        let now = self.store.clock().now();
        let previous = endpoint.previous.iter().filter(|(_, until)| *until > now).map(|(sealed, _)| sealed);
        let open = |sealed: &Vec<u8>| self.store.vault().open_secret(endpoint.tenant, endpoint.id, sealed);
        [&endpoint.secret].into_iter().chain(previous).map(|sealed| Ok(Secret::of(open(sealed)?))).collect()
    }

    /// Makes an endpoint. The secret is told now and never again.
    pub(crate) async fn create(&self, tenant: TenantId, new: NewEndpoint) -> Result<(Endpoint, Secret), NotMade> {
        let (id, secret) = (Uuid::now_v7(), Secret::generate());
        let sealed = self.store.vault().seal_secret(tenant, id, secret.bytes());
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        // Two that are made at the same time must not both be the last one.
        let tenant_key = i32::from_be_bytes(*tenant.uuid().as_bytes().first_chunk().expect("a UUID has 16 bytes"));
        transaction.execute("SELECT pg_advisory_xact_lock($1, $2)", &[&MAKING, &tenant_key]).await?;
        let count = "SELECT count(*) FROM webhook.endpoint WHERE tenant_id = $1";
        let count: i64 = transaction.query_one(count, &[&tenant.uuid()]).await?.try_get(0)?;
        if count.unsigned_abs() >= self.options.endpoints as u64 {
            return Err(NotMade::TooMany);
        }
        transaction
            .execute(
                "INSERT INTO webhook.endpoint (id, tenant_id, url, categories, description, created_at, secret, position, tail)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
                &[
                    &id,
                    &tenant.uuid(),
                    &new.url,
                    &new.categories,
                    &new.description,
                    &self.store.clock().now(),
                    &sealed,
                    &signed(new.position),
                ],
            )
            .await?;
        transaction.commit().await?;
        // Behind the commit: what is recorded from now on is noted at this endpoint as at all others.
        let statement = format!(
            "UPDATE webhook.endpoint SET tail = greatest(tail, $2), behind_since = CASE WHEN position < $2 THEN created_at END
             WHERE id = $1 RETURNING {COLUMNS}"
        );
        let row = client.query_one(&statement, &[&id, &signed(self.store.head().await?)]).await?;
        Ok((Endpoint::of(&row)?, secret))
    }

    /// The endpoints of an association, in the order they were made.
    pub(crate) async fn endpoints(&self, tenant: TenantId) -> Result<Vec<Endpoint>, WebhookError> {
        let statement = format!("SELECT {COLUMNS} FROM webhook.endpoint WHERE tenant_id = $1 ORDER BY id");
        self.client().await?.query(&statement, &[&tenant.uuid()]).await?.iter().map(Endpoint::of).collect()
    }

    /// One endpoint of an association.
    pub(crate) async fn endpoint(&self, tenant: TenantId, id: Uuid) -> Result<Option<Endpoint>, WebhookError> {
        let statement = format!("SELECT {COLUMNS} FROM webhook.endpoint WHERE tenant_id = $1 AND id = $2");
        let row = self.client().await?.query_opt(&statement, &[&tenant.uuid(), &id]).await?;
        row.as_ref().map(Endpoint::of).transpose()
    }

    /// Changes an endpoint. One that is enabled again goes on from where it stood, at once.
    pub(crate) async fn change(
        &self,
        tenant: TenantId,
        id: Uuid,
        change: Change,
    ) -> Result<Option<Endpoint>, WebhookError> {
        let statement = format!(
            "UPDATE webhook.endpoint SET {INTERRUPT}, url = coalesce($4, url), categories = coalesce($5, categories),
                 description = coalesce($6, description),
                 failures = CASE WHEN $7 THEN 0 ELSE failures END,
                 retry_at = CASE WHEN $7 THEN '-infinity' ELSE retry_at END,
                 disabled_at = CASE WHEN $7 THEN NULL WHEN NOT $7 THEN coalesce(disabled_at, $8) ELSE disabled_at END,
                 disabled_reason = CASE WHEN $7 THEN NULL WHEN NOT $7 THEN coalesce(disabled_reason, 'switched off')
                                        ELSE disabled_reason END,
                 behind_since = CASE WHEN $7 AND position < tail THEN $8 ELSE behind_since END
             WHERE tenant_id = $1 AND id = $2 RETURNING {COLUMNS}"
        );
        let Change { url, categories, description, enabled } = change;
        let row = self
            .client()
            .await?
            .query_opt(
                &statement,
                &[
                    &tenant.uuid(),
                    &id,
                    &self.options.timeout.as_secs_f64(),
                    &url,
                    &categories,
                    &description,
                    &enabled,
                    &self.store.clock().now(),
                ],
            )
            .await?;
        row.as_ref().map(Endpoint::of).transpose()
    }

    /// Gives an endpoint a new secret, which is told now and never again. The old one signs as well for a while.
    pub(crate) async fn rotate(
        &self,
        tenant: TenantId,
        id: Uuid,
    ) -> Result<Option<(Secret, DateTime<Utc>)>, WebhookError> {
        let secret = Secret::generate();
        let sealed = self.store.vault().seal_secret(tenant, id, secret.bytes());
        let until = self.store.clock().now() + self.options.rotation;
        let statement = format!(
            "UPDATE webhook.endpoint SET {INTERRUPT}, previous_secret = secret, previous_until = $4, secret = $5
             WHERE tenant_id = $1 AND id = $2"
        );
        let timeout = self.options.timeout.as_secs_f64();
        let changed =
            self.client().await?.execute(&statement, &[&tenant.uuid(), &id, &timeout, &until, &sealed]).await?;
        Ok((changed == 1).then_some((secret, until)))
    }

    /// Has an endpoint told again of everything after a position.
    pub(crate) async fn replay(
        &self,
        tenant: TenantId,
        id: Uuid,
        position: u64,
    ) -> Result<Option<Endpoint>, WebhookError> {
        let head = self.store.head().await?;
        let statement = format!(
            "UPDATE webhook.endpoint SET {INTERRUPT}, position = $4, tail = greatest(tail, $5), failures = 0,
                 retry_at = '-infinity', behind_since = CASE WHEN $4 < greatest(tail, $5) THEN $6::timestamptz END
             WHERE tenant_id = $1 AND id = $2 RETURNING {COLUMNS}"
        );
        let (timeout, now) = (self.options.timeout.as_secs_f64(), self.store.clock().now());
        let row = self
            .client()
            .await?
            .query_opt(&statement, &[&tenant.uuid(), &id, &timeout, &signed(position), &signed(head), &now])
            .await?;
        row.as_ref().map(Endpoint::of).transpose()
    }

    /// Forgets an endpoint and what was delivered to it. Says whether there was one.
    pub(crate) async fn delete(&self, tenant: TenantId, id: Uuid) -> Result<bool, WebhookError> {
        let statement = "DELETE FROM webhook.endpoint WHERE tenant_id = $1 AND id = $2";
        Ok(self.client().await?.execute(statement, &[&tenant.uuid(), &id]).await? == 1)
    }

    /// A connection to the tables of this room.
    pub(crate) async fn client(&self) -> Result<deadpool_postgres::Object, WebhookError> {
        Ok(self.store.pool().get().await?)
    }
}

/// A position as the database knows it.
pub(crate) fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
