//! The events table of `postgres-es`, read a page at a time.

use anyhow::Context as _;
use guildhall_event_store::{MAX_EVENT_BYTES, MAX_METADATA_BYTES};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

/// Rows of one page. The largest that fit into history make 140 MB.
const PAGE: i64 = 512;

/// The cursor of an import that orders streams among each other.
const CURSOR: &str = "events_in_order";

/// A row of the table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
    pub(super) sequence: i64,
    /// Which of its stream's rows it is, from 1: its sequence, unless something is missing.
    pub(super) place: i64,
    pub(super) event_type: String,
    pub(super) event_version: String,
    /// The exact text; `None` where it is larger than an event may be.
    pub(super) payload: Option<String>,
    /// The exact text; `None` where it is larger than metadata may be.
    pub(super) metadata: Option<String>,
}

/// The table, and how far it has been read.
pub(super) struct Source {
    client: Client,
    // The connection runs as long as this is held.
    _driver: JoinSet<Result<(), tokio_postgres::Error>>,
    table: String,
    reading: Reading,
}

/// In which order the table is read.
enum Reading {
    /// One stream after another, in short queries that go on after the last row.
    ByStream { last: (String, String, i64), place: i64 },
    /// By a time in the metadata, from a cursor: there is no index to go on by. The table stays as it was when the import
    /// began.
    ByTime,
}

impl Source {
    /// Connects, and sees that the table is one of `postgres-es`.
    pub(super) async fn open(url: &str, table: &str, order_by: Option<&str>) -> anyhow::Result<Self> {
        let (client, connection) =
            tokio_postgres::connect(url, NoTls).await.context("the source database cannot be reached")?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let table = quoted(table);
        let looked = client.query(&format!("SELECT {} FROM {table} LIMIT 0", columns()), &[]).await;
        looked.map_err(said).with_context(|| format!("{table} is no events table of postgres-es"))?;
        let reading = match order_by {
            None => Reading::ByStream { last: (String::new(), String::new(), -1), place: 0 },
            Some(path) => {
                sort(&client, &table, path).await?;
                Reading::ByTime
            }
        };
        Ok(Self { client, _driver: driver, table, reading })
    }

    /// How many rows there are now.
    pub(super) async fn count(&self) -> anyhow::Result<u64> {
        let row = self.client.query_one(&format!("SELECT count(*) FROM {}", self.table), &[]).await.map_err(said)?;
        Ok(u64::try_from(row.get::<_, i64>(0))?)
    }

    /// The next rows; none at the end.
    pub(super) async fn page(&mut self) -> anyhow::Result<Vec<Row>> {
        let read = match &mut self.reading {
            Reading::ByTime => self.client.query(&format!("FETCH FORWARD {PAGE} FROM {CURSOR}"), &[]).await,
            Reading::ByStream { last, .. } => {
                let sql = format!(
                    "SELECT {}, 0::bigint FROM {} WHERE (aggregate_type, aggregate_id, sequence) > ($1, $2, $3)
                     ORDER BY aggregate_type, aggregate_id, sequence LIMIT $4",
                    columns(),
                    self.table
                );
                self.client.query(&sql, &[&last.0, &last.1, &last.2, &PAGE]).await
            }
        };
        let rows = read.map_err(said).context("the source stopped answering; the import can be run again")?;
        let mut rows: Vec<Row> = rows.iter().map(row).collect::<Result<_, _>>()?;
        if let Reading::ByStream { last, place } = &mut self.reading {
            for row in &mut rows {
                let same = (&last.0, &last.1) == (&row.aggregate_type, &row.aggregate_id);
                *place = if same { *place + 1 } else { 1 };
                row.place = *place;
                *last = (row.aggregate_type.clone(), row.aggregate_id.clone(), row.sequence);
            }
        }
        Ok(rows)
    }
}

/// What is read of a row. What is too large for history does not travel.
fn columns() -> String {
    format!(
        "aggregate_type::text, aggregate_id::text, sequence::bigint, event_type::text, event_version::text,
         CASE WHEN octet_length(payload::text) <= {MAX_EVENT_BYTES} THEN payload::text END,
         CASE WHEN octet_length(metadata::text) <= {MAX_METADATA_BYTES} THEN metadata::text END"
    )
}

/// Has Postgres sort the table, once it is seen that the times can be read. An event without the time comes right after the one before it in its stream; and
/// because no event comes before its predecessor, whatever the times say, order within a stream always holds.
async fn sort(client: &Client, table: &str, path: &str) -> anyhow::Result<()> {
    let key = path
        .strip_prefix("metadata.")
        .filter(|key| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)))
        .with_context(|| {
            format!("--order-by: {path:?} should be metadata.KEY, of letters, digits, `_`, `-` and `.`")
        })?;
    let sql = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
         SELECT count((metadata ->> '{key}')::timestamptz) FROM {table};
         DECLARE {CURSOR} NO SCROLL CURSOR FOR
         SELECT {}, place FROM (
             SELECT *, row_number() OVER stream AS place,
                    max((metadata ->> '{key}')::timestamptz) OVER stream AS reached
             FROM {table} WINDOW stream AS (PARTITION BY aggregate_type, aggregate_id ORDER BY sequence)
         ) events ORDER BY reached NULLS FIRST, aggregate_type, aggregate_id, sequence;",
        columns()
    );
    let sorted = client.batch_execute(&sql).await;
    sorted.map_err(said).with_context(|| format!("--order-by: the events cannot be sorted by {path}"))
}

fn row(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    Ok(Row {
        aggregate_type: row.try_get(0)?,
        aggregate_id: row.try_get(1)?,
        sequence: row.try_get(2)?,
        event_type: row.try_get(3)?,
        event_version: row.try_get(4)?,
        payload: row.try_get(5)?,
        metadata: row.try_get(6)?,
        place: row.try_get(7)?,
    })
}

/// A table's name, perhaps after its schema, as an identifier.
fn quoted(table: &str) -> String {
    let parts = table.split('.').map(|part| format!("\"{}\"", part.replace('"', "\"\"")));
    parts.collect::<Vec<_>>().join(".")
}

/// What the server said, which the driver's error does not.
fn said(error: tokio_postgres::Error) -> anyhow::Error {
    match error.as_db_error() {
        Some(db) => anyhow::anyhow!("{} ({})", db.message(), db.code().code()),
        None => error.into(),
    }
}
