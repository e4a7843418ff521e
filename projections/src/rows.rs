//! Rows of read tables, read and written set by set. A row is a Postgres composite, so one statement with one array
//! carries any number of rows, and its types are checked.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use postgres_types::{FromSql, ToSql};
use tokio_postgres::Error;
use uuid::Uuid;

/// At most this many rows go into one statement, so that no message comes near what the protocol can hold.
const CHUNK: usize = 5_000;

/// One row of a read table; its fields are the table's columns, in order.
pub(crate) trait Row: ToSql + Clone + Send + Sync {
    /// The composite type: the table's own, named like the table, or a type that several tables are made of.
    const TYPE: &'static str;
}

/// A row that is found again by a key of UUIDs, and changes.
pub(crate) trait KeyedRow<const N: usize>: Row + for<'r> FromSql<'r> {
    /// The columns of the primary key.
    const KEY: [&'static str; N];
    /// All columns, in order.
    const COLUMNS: &'static str;

    /// The row's key.
    fn key(&self) -> [Uuid; N];
}

/// Adds rows to a table.
pub(crate) async fn insert<R: Row>(tx: &Transaction<'_>, table: &str, rows: &[R]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = format!("INSERT INTO {table} SELECT * FROM unnest($1::{}[])", R::TYPE);
    let statement = tx.prepare_cached(&sql).await?;
    for chunk in rows.chunks(CHUNK) {
        tx.execute(&statement, &[&chunk]).await?;
    }
    Ok(())
}

/// The rows of one table that a batch touches: read once, folded in memory, written once.
pub(crate) struct WorkingSet<R, const N: usize> {
    table: &'static str,
    rows: BTreeMap<[Uuid; N], R>,
    changed: BTreeSet<[Uuid; N]>,
}

impl<R: KeyedRow<N>, const N: usize> WorkingSet<R, N> {
    /// Reads the rows with these keys, in one statement.
    pub(crate) async fn load(
        tx: &Transaction<'_>,
        table: &'static str,
        keys: BTreeSet<[Uuid; N]>,
    ) -> Result<Self, Error> {
        let mut set = Self { table, rows: BTreeMap::new(), changed: BTreeSet::new() };
        if keys.is_empty() {
            return Ok(set);
        }
        let columns: Vec<Vec<Uuid>> = (0..N).map(|at| keys.iter().map(|key| key[at]).collect()).collect();
        let arrays: Vec<String> = (1..=N).map(|at| format!("${at}::uuid[]")).collect();
        let (row, key, arrays) = (R::TYPE, R::KEY.join(", "), arrays.join(", "));
        // A keyed join, not a list of values: the primary key answers it whatever the number of keys.
        let sql = format!("SELECT ROW(r.*)::{row} FROM {table} r JOIN unnest({arrays}) AS k ({key}) USING ({key})");
        let statement = tx.prepare_cached(&sql).await?;
        let parameters: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as _).collect();
        for found in tx.query(&statement, &parameters).await? {
            let row: R = found.try_get(0)?;
            set.rows.insert(row.key(), row);
        }
        Ok(set)
    }

    /// The row as it is by now.
    pub(crate) fn get(&self, key: [Uuid; N]) -> Option<&R> {
        self.rows.get(&key)
    }

    /// Adds or replaces a row.
    pub(crate) fn put(&mut self, row: R) {
        let key = row.key();
        self.rows.insert(key, row);
        self.changed.insert(key);
    }

    /// Changes a row in place. A row that is not there stays away: nothing was known about it to change.
    pub(crate) fn change(&mut self, key: [Uuid; N], change: impl FnOnce(&mut R)) {
        if let Some(row) = self.rows.get_mut(&key) {
            change(row);
            self.changed.insert(key);
        }
    }

    /// The rows that were added or changed, by key.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &R> {
        self.changed.iter().filter_map(|key| self.rows.get(key))
    }

    /// Writes what was added or changed, in key order, so that two writers cannot wait for each other.
    pub(crate) async fn write(&self, tx: &Transaction<'_>) -> Result<(), Error> {
        let rows: Vec<R> = self.changed().cloned().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let (table, row, key, columns) = (self.table, R::TYPE, R::KEY.join(", "), R::COLUMNS);
        let sql = format!(
            "INSERT INTO {table} SELECT * FROM unnest($1::{row}[]) \
             ON CONFLICT ({key}) DO UPDATE SET ({columns}) = (SELECT excluded.*)"
        );
        let statement = tx.prepare_cached(&sql).await?;
        for chunk in rows.chunks(CHUNK) {
            tx.execute(&statement, &[&chunk]).await?;
        }
        Ok(())
    }
}
