//! The events that could not be folded, each once: what an operator left out, and what external consumers are to be told.

use guildhall_aggregates::TenantId;
use guildhall_event_store::StreamId;
use tokio_postgres::{Client, Error, Row, Transaction};

/// An event that a projection could not fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoisonEvent {
    /// Where it stands in history.
    pub position: u64,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its stream.
    pub stream: StreamId,
    /// Its version in the stream.
    pub version: u64,
    /// What is wrong with it, as it was said last, without personal data.
    pub reason: String,
}

/// Columns of [`PoisonEvent`], in the order [`read`] takes them.
const COLUMNS: &str = "position, tenant_id, category, stream_id, version, reason";

fn read(row: &Row) -> PoisonEvent {
    PoisonEvent {
        position: row.get::<_, i64>(0).cast_unsigned(),
        tenant: TenantId::new(row.get(1)),
        stream: StreamId::new(row.get(2), row.get(3)),
        version: row.get::<_, i64>(4).cast_unsigned(),
        reason: row.get(5),
    }
}

/// Notes what could not be folded, in the table that unqualified names mean on this connection. An event noted before keeps whether it was sent: its letter says no more the second time.
pub(super) async fn note(
    tx: &Transaction<'_>,
    projection: &str,
    events: &[PoisonEvent],
    left_out: bool,
) -> Result<(), Error> {
    for event in events {
        tx.execute(
            "INSERT INTO poison_event (projection, position, tenant_id, category, stream_id, version, reason, left_out) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (projection, position) \
             DO UPDATE SET reason = excluded.reason, left_out = excluded.left_out",
            &[
                &projection,
                &event.position.cast_signed(),
                &event.tenant.uuid(),
                &&*event.stream.category,
                &event.stream.id,
                &event.version.cast_signed(),
                &event.reason,
                &left_out,
            ],
        )
        .await?;
    }
    Ok(())
}

/// Forgets what was left out, because a rebuild has folded it or parked its stream anew, and takes over what the rebuild has
/// noted in its own schema.
pub(super) async fn take_over(tx: &Transaction<'_>, projection: &str, schema: &str) -> Result<(), Error> {
    let sql = "UPDATE read.poison_event SET left_out = false WHERE projection = $1 AND left_out";
    tx.execute(sql, &[&projection]).await?;
    let sql = format!(
        "INSERT INTO read.poison_event TABLE {schema}.poison_event \
         ON CONFLICT (projection, position) DO UPDATE SET reason = excluded.reason"
    );
    tx.execute(&sql, &[]).await?;
    Ok(())
}

/// What was left out of a projection's tables for good, until a rebuild, in order of position.
pub async fn left_out(client: &Client, projection: &str) -> Result<Vec<PoisonEvent>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM read.poison_event WHERE projection = $1 AND left_out ORDER BY position");
    Ok(client.query(&sql, &[&projection]).await?.iter().map(read).collect())
}

/// The next events of a projection that external consumers were not told of. Until the transaction ends, whoever else asks
/// gets others.
pub async fn unsent(tx: &Transaction<'_>, projection: &str, limit: i64) -> Result<Vec<PoisonEvent>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM read.poison_event WHERE projection = $1 AND NOT sent ORDER BY position LIMIT $2 \
         FOR NO KEY UPDATE SKIP LOCKED"
    );
    Ok(tx.query(&sql, &[&projection, &limit]).await?.iter().map(read).collect())
}

/// Notes that external consumers were told of these events.
pub async fn mark_sent(tx: &Transaction<'_>, projection: &str, events: &[PoisonEvent]) -> Result<(), Error> {
    let positions: Vec<i64> = events.iter().map(|event| event.position.cast_signed()).collect();
    let sql = "UPDATE read.poison_event SET sent = true WHERE projection = $1 AND position = ANY ($2)";
    tx.execute(sql, &[&projection, &positions]).await?;
    Ok(())
}
