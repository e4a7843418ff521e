//! How far every projection is, for those who look after them.

use tokio_postgres::{Client, Error, Row};

use crate::{NAMES, parked};

/// How far one projection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The projection.
    pub projection: &'static str,
    /// Which version of it filled the tables; none for one that never ran.
    pub version: Option<i32>,
    /// Where its events come from, `store` or `kafka`; none before the first source is claimed.
    pub transport: Option<String>,
    /// Streams that wait.
    pub parked: u64,
    /// Events that were left out, until a rebuild.
    pub left_out: u64,
    /// Whether it is being rebuilt at the moment.
    pub rebuilding: bool,
    /// Each source. One that never ran has none.
    pub sources: Vec<Source>,
}

/// How far one source of a projection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `store`, or `kafka:<topic>:<partition>`.
    pub name: String,
    /// Everything it has to give up to this position is in the tables.
    pub reached: u64,
    /// The position and the leaf hash of the last event folded; none before the first and after a rebuild.
    pub last: Option<(u64, [u8; 32])>,
}

impl Source {
    fn of(row: &Row) -> Self {
        let hash = row.get::<_, Option<&[u8]>>(3).and_then(|hash| hash.try_into().ok());
        Self {
            name: row.get(0),
            reached: row.get::<_, i64>(1).cast_unsigned(),
            last: hash.map(|hash| (row.get::<_, i64>(2).cast_unsigned(), hash)),
        }
    }
}

/// How far all projections are, in their usual order.
pub async fn progress(client: &Client) -> Result<Vec<Progress>, Error> {
    let mut all = Vec::new();
    for projection in NAMES {
        all.push(of(client, projection).await?);
    }
    Ok(all)
}

async fn of(client: &Client, projection: &'static str) -> Result<Progress, Error> {
    // The lock is the one that a rebuild holds for as long as it runs.
    let sql = "SELECT p.version, p.transport, EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND objsubid = 1 \
                   AND (classid::bigint << 32 | objid::bigint) = hashtextextended('guildhall rebuild ' || $1, 0)) \
               FROM (SELECT $1::text AS name) n LEFT JOIN read.projection p USING (name)";
    let sources = "SELECT source, greatest(reached, last_position), last_position, last_hash FROM read.checkpoint WHERE projection = $1 \
                   ORDER BY source";
    let row = client.query_one(sql, &[&projection]).await?;
    let sources = client.query(sources, &[&projection]).await?;
    let (parked, left_out) = parked::counts(client, projection).await?;
    Ok(Progress {
        projection,
        version: row.get(0),
        transport: row.get(1),
        parked,
        left_out,
        rebuilding: row.get(2),
        sources: sources.iter().map(Source::of).collect(),
    })
}
