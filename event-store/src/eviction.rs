//! No node stalls the others: a writer that stopped while it holds the append lock is cut off.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio_postgres::types::Type;

use crate::StoreError;

/// Ends the connection that has held the append lock for `after` while it waited for its client, and returns the
/// process id of what was ended; `None` where nobody stalls the log. Takes `after` to answer if somebody may.
///
/// Whoever is cut off loses nothing: its transaction is rolled back, and its node sends the same units again. See
/// `migrations/es/V8__evict_stalled_writer.sql`.
///
/// # Errors
/// The database does not answer, or this login may not end the other node's connection.
pub(crate) async fn evict_stalled(pool: &Pool, after: Duration) -> Result<Option<i32>, StoreError> {
    let client = pool.get().await?;
    let row = client
        .query_typed_one(
            "SELECT es.evict_stalled_writer(make_interval(secs => $1))",
            &[(&after.as_secs_f64(), Type::FLOAT8)],
        )
        .await?;
    let evicted: Option<i32> = row.try_get(0)?;
    if let Some(process) = evicted {
        tracing::warn!(process, "a node stopped while it was appending; its connection was ended");
        metrics::counter!("append_evictions_total").increment(1);
    }
    Ok(evicted)
}
