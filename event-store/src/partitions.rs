//! The partitions of history, as an operator sees them. All of this needs the login that owns history.

use serde::Serialize;
use tokio_postgres::{Client, Row};

use crate::{
    StoreError,
    read::{self, natural, signed},
};

/// How many positions a partition has that `es.ensure_partitions` makes.
const WIDTH: u64 = 10_000_000;

/// What becomes of a partition in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionState {
    /// Nothing is in it yet.
    Ahead,
    /// Events are being appended to it.
    Hot,
    /// Full: nothing is appended to it any more.
    Sealed,
    /// Only the last event of each stream is here; the rest lies in an archive.
    Archived,
}

/// A partition: consecutive positions that are stored together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// The table's name in the schema `es`.
    pub name: String,
    /// The first position it may hold.
    pub first_position: u64,
    /// The last position it may hold.
    pub last_position: u64,
    /// What became of it so far.
    pub state: PartitionState,
    /// How many events are in it.
    pub events: u64,
    /// Bytes of its rows.
    pub row_bytes: u64,
    /// Bytes of its indexes.
    pub index_bytes: u64,
    /// Its indexes.
    pub indexes: Vec<String>,
    /// Whether every page is known to be visible to all, as `VACUUM` leaves it: nothing has to look at it again.
    pub vacuumed: bool,
}

/// All partitions, in the order of their positions.
///
/// # Errors
/// The database does not answer, or has no history.
pub async fn list(client: &Client) -> Result<Vec<Partition>, StoreError> {
    let head = read::head(client).await?;
    let rows = client
        .query(
            "SELECT c.relname::text, greatest(b.bound[1]::bigint, 1), b.bound[2]::bigint - 1,
                    pg_table_size(c.oid), pg_indexes_size(c.oid),
                    ARRAY(SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
                          WHERE x.indrelid = c.oid ORDER BY i.relname),
                    c.relpages > 0 AND c.relallvisible >= c.relpages, (a.manifest->>'kept')::bigint
             FROM pg_inherits h
             JOIN pg_class c ON c.oid = h.inhrelid
             CROSS JOIN LATERAL (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), '''(\\d+)''.*''(\\d+)''') AS bound) b
             LEFT JOIN es.archived a ON a.partition_name = c.relname
             WHERE h.inhparent = 'es.event'::regclass
             ORDER BY 2",
            &[],
        )
        .await?;
    rows.iter().map(|row| partition(row, head)).collect()
}

fn partition(row: &Row, head: u64) -> Result<Partition, StoreError> {
    let (first_position, last_position) = (natural(row, 1)?, natural(row, 2)?);
    let kept: Option<i64> = row.try_get(7)?;
    let (state, events) = match kept {
        Some(kept) => (PartitionState::Archived, u64::try_from(kept).unwrap_or(0)),
        None if head < first_position => (PartitionState::Ahead, 0),
        None if head < last_position => (PartitionState::Hot, head - first_position + 1),
        None => (PartitionState::Sealed, last_position - first_position + 1),
    };
    Ok(Partition {
        name: row.try_get(0)?,
        first_position,
        last_position,
        state,
        events,
        row_bytes: natural(row, 3)?,
        index_bytes: natural(row, 4)?,
        indexes: row.try_get(5)?,
        vacuumed: row.try_get(6)?,
    })
}

/// Makes partitions ahead of the events, this many of 10,000,000 positions each, where they are missing. Nodes that
/// append do that by themselves, one ahead.
///
/// # Errors
/// The database does not answer, or refuses.
pub async fn make_ahead(client: &Client, count: u32) -> Result<(), StoreError> {
    let ahead = signed(WIDTH * u64::from(count));
    client.query_one("SELECT es.ensure_partitions($1)", &[&ahead]).await?;
    Ok(())
}

/// Vacuums, freezes and analyses the sealed partitions that need it, and gives their names. A partition that is frozen is
/// never read again to keep transaction ids from wrapping around, and reading it marks no page any more.
///
/// # Errors
/// The database does not answer, or refuses.
pub async fn vacuum_sealed(client: &Client) -> Result<Vec<String>, StoreError> {
    let mut vacuumed = Vec::new();
    for partition in list(client).await? {
        if partition.state == PartitionState::Sealed && !partition.vacuumed {
            client.batch_execute(&format!("VACUUM (FREEZE, ANALYZE) es.\"{}\"", partition.name)).await?;
            vacuumed.push(partition.name);
        }
    }
    Ok(vacuumed)
}
