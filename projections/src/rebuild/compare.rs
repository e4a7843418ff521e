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
    let (pace, mut from, mut rows, mut sum) = (Pace::from(0, reading.pace), 0, 0, 0);
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
    if live != rebuilt {
        return differences(tx, schema, table).await.map(Some);
    }
    let (live, rebuilt) = (live.0, rebuilt.0);
    Ok(Some(TableReport { table, live, rebuilt, only_live: 0, only_rebuilt: 0, first: Vec::new() }))
}

async fn differences(tx: &Transaction<'_>, schema: &str, table: &'static str) -> Result<TableReport, Error> {
    let key = key_of(tx.client(), table).await?.join(", ");
    let sql = format!(
        "WITH l AS (TABLE read.{table} EXCEPT TABLE {schema}.{table}),
              r AS (TABLE {schema}.{table} EXCEPT TABLE read.{table}),
              d AS (SELECT coalesce(to_jsonb(l), to_jsonb(r)) AS shown, to_jsonb(l) AS lj, to_jsonb(r) AS rj
                      FROM l FULL JOIN r USING ({key}) ORDER BY {key} LIMIT {NAMED})
         SELECT (SELECT count(*) FROM read.{table}), (SELECT count(*) FROM {schema}.{table}),
                (SELECT count(*) FROM l), (SELECT count(*) FROM r),
                ARRAY(SELECT (SELECT jsonb_object_agg(k.key, k.value) FROM jsonb_each(shown) k
                               WHERE k.key = ANY (string_to_array('{key}', ', ')))::text FROM d),
                ARRAY(SELECT coalesce((SELECT string_agg(a.key, ',' ORDER BY a.key) FROM jsonb_each(lj) a
                               WHERE a.value IS DISTINCT FROM rj -> a.key AND rj IS NOT NULL), '') FROM d)"
    );
    let row = tx.query_one(&sql, &[]).await?;
    let (keys, changed): (Vec<String>, Vec<String>) = (row.get(4), row.get(5));
    let named = |columns: &str| columns.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Ok(TableReport {
        table,
        live: row.get(0),
        rebuilt: row.get(1),
        only_live: row.get(2),
        only_rebuilt: row.get(3),
        first: keys.into_iter().zip(changed).map(|(key, at)| Difference { key, columns: named(&at) }).collect(),
    })
}

/// Gives the live table the rebuilt rows: takes out what differs and puts in what is missing, so that readers see either
/// the old rows or the new ones and rows that are right are not touched.
pub(super) async fn repair(tx: &Transaction<'_>, schema: &str, table: &str) -> Result<(), Error> {
    let key = key_of(tx.client(), table).await?.join(", ");
    tx.batch_execute(&format!(
        "DELETE FROM read.{table} WHERE ({key}) IN
             (SELECT {key} FROM (TABLE read.{table} EXCEPT TABLE {schema}.{table}) differing);
         INSERT INTO read.{table} (TABLE {schema}.{table} EXCEPT TABLE read.{table})"
    ))
    .await
}
