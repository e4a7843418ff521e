//! What came of deliveries: kept for a while, and only so many lines of an endpoint.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{WebhookError, Webhooks};

/// How many lines one statement drops.
const DROP_AT_ONCE: i64 = 10_000;

/// One attempt to deliver.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) number: u64,
    pub(crate) attempted_at: DateTime<Utc>,
    pub(crate) message_id: String,
    pub(crate) type_name: String,
    pub(crate) position: u64,
    pub(crate) attempt: u32,
    pub(crate) delivered: bool,
    pub(crate) status: Option<u16>,
    pub(crate) detail: String,
    pub(crate) took: Duration,
}

impl Delivery {
    fn of(row: &Row) -> Result<Self, WebhookError> {
        let whole = |column| row.try_get::<_, i64>(column).map(i64::unsigned_abs);
        let small = |column| row.try_get::<_, i32>(column).map(i32::unsigned_abs);
        Ok(Self {
            number: whole(0)?,
            attempted_at: row.try_get(1)?,
            message_id: row.try_get(2)?,
            type_name: row.try_get(3)?,
            position: whole(4)?,
            attempt: small(5)?,
            delivered: row.try_get(6)?,
            status: row.try_get::<_, Option<i16>>(7)?.map(i16::unsigned_abs),
            detail: row.try_get(8)?,
            took: Duration::from_millis(small(9)?.into()),
        })
    }
}

impl Webhooks {
    /// The latest attempts before a number, the latest first.
    pub(crate) async fn deliveries(
        &self,
        endpoint: Uuid,
        before: Option<u64>,
        limit: u16,
    ) -> Result<Vec<Delivery>, WebhookError> {
        let statement =
            "SELECT number, attempted_at, message_id, type, position, attempt, delivered, status, detail, millis
                         FROM webhook.delivery WHERE endpoint_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3";
        let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        let rows = self.client().await?.query(statement, &[&endpoint, &before, &i64::from(limit)]).await?;
        rows.iter().map(Delivery::of).collect()
    }

    /// Drops what is older than the log goes back, and what is more than it holds.
    pub(crate) async fn drop_old_deliveries(&self) -> Result<(), WebhookError> {
        let (kept, most) = self.options.log;
        let client = self.client().await?;
        let old = "DELETE FROM webhook.delivery WHERE ctid = ANY (ARRAY(
                       SELECT ctid FROM webhook.delivery WHERE attempted_at < $1 LIMIT $2))";
        while client.execute(old, &[&(self.store.clock().now() - kept), &DROP_AT_ONCE]).await? > 0 {}
        let too_many = "DELETE FROM webhook.delivery WHERE ctid = ANY (ARRAY(
                            SELECT d.ctid FROM webhook.endpoint e
                            JOIN webhook.delivery d ON d.endpoint_id = e.id AND d.number <= e.attempts - $1 LIMIT $2))";
        while client.execute(too_many, &[&i64::from(most), &DROP_AT_ONCE]).await? > 0 {}
        Ok(())
    }
}
