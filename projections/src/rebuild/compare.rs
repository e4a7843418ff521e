//! Two copies of one table, row for row.

use std::num::NonZeroU32;

use deadpool_postgres::Transaction;
use tokio_postgres::{Client, Error, Row};
use tokio_util::sync::CancellationToken;

use super::pace::Pace;

/// How many differing rows a report names.
const NAMED: i64 = 5;

/// How many of a table's pages are read at once, at a pace: some hundred rows.
const PAGES: i64 = 8;

/// How tables are read from end to end.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    /// So many rows a second at most, or as many as it goes.
    pub(super) pace: Option<NonZeroU32>,
    pub(super) stop: &'a CancellationToken,
}

/// How the rebuilt rows of one table compare with the live ones.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TableReport {
    /// The table.
    pub table: &'static str,
    /// How many rows are live.
    pub live: i64,
    /// How many were rebuilt.
    pub rebuilt: i64,
    /// How many live rows are not among the rebuilt ones.
    pub only_live: i64,
    /// How many rebuilt rows are not among the live ones.
    pub only_rebuilt: i64,
    /// The first rows that differ.
    pub first: Vec<Difference>,
}

impl TableReport {
    /// True when both hold the same rows.
    pub fn equal(&self) -> bool {
        self.only_live == 0 && self.only_rebuilt == 0
    }
}

/// One row that differs. Its values stay out, because they may be personal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The row's primary key, as a JSON object.
    pub key: String,
    /// The columns that differ; none when the row stands on one side only.
    pub columns: Vec<String>,
}

/// The columns of a live table's primary key.
pub(super) async fn key_of(client: &Client, table: &str) -> Result<Vec<String>, Error> {
    let rows = client
        .query(
            "SELECT a.attname::text FROM pg_index i \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
             WHERE i.indrelid = ('read.' || $1)::regclass AND i.indisprimary \
             ORDER BY array_position(i.indkey, a.attnum)",
            &[&table],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// How many rows a table has, and the sum of their hashes: every column of every row counts, whatever their order. None when
/// told to stop.
async fn digest(tx: &Transaction<'_>, table: &str, reading: Reading<'_>) -> Result<Option<(i64, i128)>, Error> {
    let sql = format!("SELECT count(*), coalesce(sum(hashtextextended(r::text, 0)), 0)::text FROM {table} r");
    if reading.pace.is_none() {
        return Ok(Some(counted(&tx.query_one(&sql, &[]).await?)));
    }
    let pages = format!("SELECT pg_relation_size('{table}') / current_setting('block_size')::bigint");
    let pages: i64 = tx.query_one(&pages, &[]).await?.get(0);
    let (mut pace, mut from, mut rows, mut sum) = (Pace::from(0, reading.pace), 0, 0, 0);
    while from < pages {
        let until = from + PAGES;
        let some = format!("{sql} WHERE r.ctid >= '({from},0)' AND r.ctid < '({until},0)'");
        let some = counted(&tx.query_one(&some, &[]).await?);
        (from, rows, sum) = (until, rows + some.0, sum + some.1);
        pace.keep(rows.cast_unsigned(), reading.stop).await;
        if reading.stop.is_cancelled() {
            return Ok(None);
        }
    }
    Ok(Some((rows, sum)))
}

fn counted(row: &Row) -> (i64, i128) {
    (
        row.get(0),
        row.get::<_, &str>(1).parse().expect("as many 64-bit numbers as can be counted add up to fewer than 128 bits"),
    )
}

/// Compares `read.table` with `schema.table`: by their digests, and where those differ, row by row. None when told to stop.
pub(super) async fn table(
    tx: &Transaction<'_>,
    schema: &str,
    table: &'static str,
    reading: Reading<'_>,
) -> Result<Option<TableReport>, Error> {
    let Some(live) = digest(tx, &format!("read.{table}"), reading).await? else { return Ok(None) };
    let Some(rebuilt) = digest(tx, &format!("{schema}.{table}"), reading).await? else { return Ok(None) };
    let mut report =
        TableReport { table, live: live.0, rebuilt: rebuilt.0, only_live: 0, only_rebuilt: 0, first: Vec::new() };
    if live != rebuilt {
        find_differing(tx, schema, &mut report).await?;
    }
    Ok(Some(report))
}

/// Goes over both tables once, and keeps the keys of the rows that differ until the transaction ends: in a temporary table,
/// since there may be as many as rows.
async fn find_differing(tx: &Transaction<'_>, schema: &str, report: &mut TableReport) -> Result<(), Error> {
    let table = report.table;
    let (key, differing) = (key_of(tx.client(), table).await?.join(", "), differing(table));
    tx.batch_execute(&format!(
        "CREATE TEMP TABLE {differing} ON COMMIT DROP AS
             SELECT {key}, NOT (l IS NULL) AS is_live, NOT (r IS NULL) AS is_rebuilt
               FROM read.{table} l FULL JOIN {schema}.{table} r USING ({key}) WHERE l IS DISTINCT FROM r"
    ))
    .await?;
    let many = format!("SELECT count(*) FILTER (WHERE is_live), count(*) FILTER (WHERE is_rebuilt) FROM {differing}");
    let many = tx.query_one(&many, &[]).await?;
    (report.only_live, report.only_rebuilt) = (many.get(0), many.get(1));
    let first = format!(
        "SELECT to_jsonb(k)::text,
                ARRAY(SELECT a.key FROM jsonb_each(to_jsonb(l)) a
                       WHERE NOT (r IS NULL) AND a.value IS DISTINCT FROM to_jsonb(r) -> a.key ORDER BY a.key)
           FROM (SELECT {key} FROM {differing} ORDER BY {key} LIMIT {NAMED}) k
           LEFT JOIN read.{table} l USING ({key}) LEFT JOIN {schema}.{table} r USING ({key}) ORDER BY {key}"
    );
    let first = tx.query(&first, &[]).await?;
    report.first = first.iter().map(|row| Difference { key: row.get(0), columns: row.get(1) }).collect();
    Ok(())
}

/// Where the keys of a table's rows that differ are.
fn differing(table: &str) -> String {
    format!("pg_temp.differing_{table}")
}

/// Gives the live table the rebuilt rows in place of those that were found to differ, so that readers see either the old
/// rows or the new ones and rows that are right are not touched.
pub(super) async fn repair(tx: &Transaction<'_>, schema: &str, table: &str) -> Result<(), Error> {
    let (key, differing) = (key_of(tx.client(), table).await?.join(", "), differing(table));
    tx.batch_execute(&format!(
        "DELETE FROM read.{table} WHERE ({key}) IN (SELECT {key} FROM {differing} WHERE is_live);
         INSERT INTO read.{table} SELECT r.* FROM {schema}.{table} r JOIN {differing} USING ({key})"
    ))
    .await
}
