//! What a reader has to know beside the rows: how far they are, and of which streams something is missing in them.

use guildhall_aggregates::TenantId;
use guildhall_event_store::StreamId;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

/// How far a projection is, as one association's readers see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Which version of the projector filled the tables; none where nothing has yet.
    pub version: Option<i32>,
    /// Everything up to here is in the tables, but for the streams below.
    pub reached: u64,
    /// The association's streams that are parked, or of which an event was left out. Nearly always none.
    pub stale: Vec<StaleStream>,
}

/// A stream of which something is missing in the tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StaleStream {
    /// Which one.
    pub stream: StreamId,
    /// The first event that is missing.
    pub first_position: u64,
    /// Whether it waits; one that does not goes on without what was left out of it.
    pub parked: bool,
}

/// How far a projection is for one association, in one statement: it comes with every read.
pub async fn standing(
    client: &deadpool_postgres::Client,
    projection: &str,
    tenant: TenantId,
) -> Result<Standing, Error> {
    let sql = "SELECT r.reached, s.category, s.stream_id, s.first_position, s.parked, r.version FROM \
         (SELECT coalesce((SELECT min(reached) FROM read.checkpoint WHERE projection = $1), \
                          (SELECT baseline FROM read.projection WHERE name = $1), 0) AS reached, \
                 (SELECT version FROM read.projection WHERE name = $1) AS version) r \
         LEFT JOIN (SELECT category, stream_id, first_position, true AS parked FROM read.parked_stream \
                     WHERE projection = $1 AND tenant_id = $2 \
                    UNION ALL \
                    SELECT category, stream_id, position, false FROM read.poison_event \
                     WHERE projection = $1 AND tenant_id = $2 AND left_out) s ON true \
         ORDER BY s.first_position";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&projection, &tenant.uuid()]).await?;
    let mut standing = Standing::default();
    for row in rows {
        standing.reached = row.get::<_, i64>(0).cast_unsigned();
        standing.version = row.get(5);
        let Some(category) = row.get::<_, Option<&str>>(1) else { continue };
        standing.stale.push(StaleStream {
            stream: StreamId::new(category, row.get::<_, Uuid>(2)),
            first_position: row.get::<_, i64>(3).cast_unsigned(),
            parked: row.get(4),
        });
    }
    Ok(standing)
}

/// How many streams of a projection are parked, and how many events were left out of it.
pub(crate) async fn counts(client: &Client, projection: &str) -> Result<(u64, u64), Error> {
    let sql = "SELECT (SELECT count(*) FROM read.parked_stream WHERE projection = $1), \
                      (SELECT count(*) FROM read.poison_event WHERE projection = $1 AND left_out)";
    let row = client.query_one(sql, &[&projection]).await?;
    Ok((row.get::<_, i64>(0).cast_unsigned(), row.get::<_, i64>(1).cast_unsigned()))
}
