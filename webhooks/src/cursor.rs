//! Who delivers to an endpoint, and how far: every write names the epoch it was given, and moves nothing under another.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use guildhall_event_store::RecordedEvent;

use crate::{
    WebhookError, Webhooks,
    endpoint::{COLUMNS, Endpoint, signed},
    message::Message,
    sender::Sent,
};

/// The right to deliver to one endpoint, until somebody else has it.
pub(crate) struct Turn {
    pub(crate) endpoint: Endpoint,
    epoch: i64,
    renewed: Instant,
}

/// What becomes of an endpoint that did not take a message.
pub(crate) enum Then {
    /// It is tried again at this time.
    Retry(DateTime<Utc>),
    /// It is disabled, for this reason.
    Disable(String),
}

impl Turn {
    /// Whether nobody else can have the endpoint before a message that is sent now has arrived or was given up.
    pub(crate) fn holds(&self, lease: Duration, timeout: Duration) -> bool {
        self.renewed.elapsed() + timeout <= lease
    }
}

impl Webhooks {
    /// Takes endpoints for which there is something to do and to which nobody delivers, those first that have waited
    /// longest for their turn.
    pub(crate) async fn take_turns(&self, most: usize) -> Result<Vec<Turn>, WebhookError> {
        let statement = format!(
            "UPDATE webhook.endpoint SET epoch = epoch + 1, lease_until = clock_timestamp() + $3 * interval '1 s'
             WHERE id IN (SELECT id FROM webhook.endpoint
                          WHERE disabled_at IS NULL AND position < tail AND retry_at <= $1
                            AND lease_until <= clock_timestamp()
                          ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED)
             RETURNING {COLUMNS}, epoch"
        );
        let renewed = Instant::now();
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let now = self.store.clock().now();
        let client = self.client().await?;
        let statement = client.prepare_cached(&statement).await?;
        let rows = client.query(&statement, &[&now, &most, &self.options.lease.as_secs_f64()]).await?;
        rows.iter()
            .map(|row| Ok(Turn { endpoint: Endpoint::of(row)?, epoch: row.try_get("epoch")?, renewed }))
            .collect()
    }

    /// Moves the cursor over a message that was taken, and logs it: one statement, so that neither is without the other.
    pub(crate) async fn taken(
        &self,
        turn: &mut Turn,
        event: &RecordedEvent,
        message: &Message,
        sent: &Sent,
    ) -> Result<(), WebhookError> {
        let renewed = Instant::now();
        let changed = self
            .client()
            .await?
            .execute(
                "WITH moved AS (
                     UPDATE webhook.endpoint SET position = $3, failures = 0, retry_at = '-infinity',
                         attempts = attempts + 1, lease_until = clock_timestamp() + $11 * interval '1 s',
                         behind_since = CASE WHEN $3 < tail THEN behind_since END
                     WHERE id = $1 AND epoch = $2 RETURNING attempts)
                 INSERT INTO webhook.delivery (endpoint_id, number, attempted_at, message_id, type, position, attempt,
                                               delivered, status, detail, millis)
                 SELECT $1, attempts, $4, $5, $6, $3, $7, true, $8, $9, $10 FROM moved",
                &[
                    &turn.endpoint.id,
                    &turn.epoch,
                    &signed(event.position),
                    &self.store.clock().now(),
                    &message.id,
                    &message.type_name,
                    &nth(&turn.endpoint),
                    &status(sent),
                    &sent.detail,
                    &millis(sent),
                    &self.options.lease.as_secs_f64(),
                ],
            )
            .await?;
        ours(changed)?;
        (turn.endpoint.position, turn.endpoint.failures, turn.renewed) = (event.position, 0, renewed);
        Ok(())
    }

    /// Logs a message that was not taken, and ends the turn.
    pub(crate) async fn not_taken(
        &self,
        turn: &Turn,
        event: &RecordedEvent,
        message: &Message,
        sent: &Sent,
        then: &Then,
    ) -> Result<(), WebhookError> {
        let now = self.store.clock().now();
        let (retry_at, reason) = match then {
            Then::Retry(at) => (Some(*at), None),
            Then::Disable(reason) => (None, Some(reason)),
        };
        let changed = self
            .client()
            .await?
            .execute(
                "WITH noted AS (
                     UPDATE webhook.endpoint SET failures = failures + 1, attempts = attempts + 1,
                         lease_until = clock_timestamp(), retry_at = coalesce($11, retry_at),
                         disabled_at = CASE WHEN $12::text IS NOT NULL THEN $4::timestamptz END, disabled_reason = $12
                     WHERE id = $1 AND epoch = $2 RETURNING attempts)
                 INSERT INTO webhook.delivery (endpoint_id, number, attempted_at, message_id, type, position, attempt,
                                               delivered, status, detail, millis)
                 SELECT $1, attempts, $4, $5, $6, $3, $7, false, $8, $9, $10 FROM noted",
                &[
                    &turn.endpoint.id,
                    &turn.epoch,
                    &signed(event.position),
                    &now,
                    &message.id,
                    &message.type_name,
                    &nth(&turn.endpoint),
                    &status(sent),
                    &sent.detail,
                    &millis(sent),
                    &retry_at,
                    &reason,
                ],
            )
            .await?;
        ours(changed)
    }

    /// Moves the cursor over what is not for the endpoint.
    pub(crate) async fn pass_over(&self, turn: &mut Turn, seen: u64) -> Result<(), WebhookError> {
        let renewed = Instant::now();
        let changed = self
            .client()
            .await?
            .execute(
                "UPDATE webhook.endpoint SET position = $3, lease_until = clock_timestamp() + $4 * interval '1 s',
                     behind_since = CASE WHEN $3 < tail THEN behind_since END
                 WHERE id = $1 AND epoch = $2",
                &[&turn.endpoint.id, &turn.epoch, &signed(seen), &self.options.lease.as_secs_f64()],
            )
            .await?;
        ours(changed)?;
        (turn.endpoint.position, turn.renewed) = (seen, renewed);
        Ok(())
    }

    /// Ends a turn: others may have the endpoint at once, or after a while where something went wrong on our side.
    pub(crate) async fn end_turn(&self, turn: &Turn, pause: Duration) -> Result<(), WebhookError> {
        let statement = "UPDATE webhook.endpoint SET lease_until = clock_timestamp() + $3 * interval '1 s'
                         WHERE id = $1 AND epoch = $2";
        self.client().await?.execute(statement, &[&turn.endpoint.id, &turn.epoch, &pause.as_secs_f64()]).await?;
        Ok(())
    }

    /// Disables an endpoint that cannot be told anything, and ends the turn.
    pub(crate) async fn disable(&self, turn: &Turn, reason: &str) -> Result<(), WebhookError> {
        let statement = "UPDATE webhook.endpoint SET disabled_at = $3, disabled_reason = $4,
                             lease_until = clock_timestamp() WHERE id = $1 AND epoch = $2";
        let now = self.store.clock().now();
        ours(self.client().await?.execute(statement, &[&turn.endpoint.id, &turn.epoch, &now, &reason]).await?)
    }
}

/// How often the next message has been tried, this time included.
fn nth(endpoint: &Endpoint) -> i32 {
    i32::try_from(endpoint.failures).unwrap_or(i32::MAX).saturating_add(1)
}

fn status(sent: &Sent) -> Option<i16> {
    sent.status.and_then(|status| i16::try_from(status).ok())
}

fn millis(sent: &Sent) -> i32 {
    i32::try_from(sent.took.as_millis()).unwrap_or(i32::MAX)
}

fn ours(changed: u64) -> Result<(), WebhookError> {
    if changed == 0 { Err(WebhookError::Replaced) } else { Ok(()) }
}
