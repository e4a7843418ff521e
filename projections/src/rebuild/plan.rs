//! What a rebuild on its way is, as it stands in its own schema beside the rows it speaks for.
//!
//! Everything there is unlogged: it is written at half the cost, and after a crash of Postgres it is empty, rows and plan
//! together, so that the rebuild begins anew.

use deadpool_postgres::Transaction;
use guildhall_event_store::Share;
use tokio_postgres::{Client, Error};

use super::compare;
use crate::{Projector, parked};

/// The schema a projection is rebuilt in.
pub(super) fn schema_of<P: Projector>() -> String {
    format!("rebuild_{}", P::NAME)
}

/// A rebuild on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// How far each share is to come, before all go on together.
    pub(super) target: u64,
    /// How far each share has come.
    pub(super) reached: Vec<u64>,
    /// How far the build has come since the shares are together; none while they are not.
    pub(super) together: Option<u64>,
}

impl Plan {
    /// The shares of the streams, and how far each has come.
    pub(super) fn shares(&self) -> Vec<(Share, u64)> {
        let of = u16::try_from(self.reached.len()).unwrap_or(u16::MAX);
        (0..of).zip(&self.reached).map(|(number, reached)| (Share { number, of }, *reached)).collect()
    }

    /// The plan of a rebuild that was stopped; none where there is none, or one of a projector or of tables that are not
    /// today's, or of a history that was longer.
    pub(super) async fn found<P: Projector>(client: &Client, head: u64) -> Result<Option<Self>, Error> {
        let there = "SELECT to_regclass($1 || '.plan') IS NOT NULL";
        if !client.query_one(there, &[&schema_of::<P>()]).await?.get::<_, bool>(0) {
            return Ok(None);
        }
        let layout = layout::<P>(client).await?;
        let sql = "SELECT target, together, ARRAY(SELECT reached FROM share ORDER BY number) FROM plan \
                   WHERE version = $1 AND layout = $2 AND greatest(target, together) <= $3";
        let row = client.query_opt(sql, &[&P::VERSION, &layout, &head.cast_signed()]).await?;
        Ok(row.map(|row| Self {
            target: row.get::<_, i64>(0).cast_unsigned(),
            together: row.get::<_, Option<i64>>(1).map(i64::cast_unsigned),
            reached: row.get::<_, Vec<i64>>(2).into_iter().map(i64::cast_unsigned).collect(),
        }))
    }

    /// Makes the schema anew, with empty tables.
    pub(super) async fn begin<P: Projector>(client: &Client, target: u64, shares: u16) -> Result<Self, Error> {
        let schema = schema_of::<P>();
        client
            .batch_execute(&format!(
                "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema};
                 CREATE UNLOGGED TABLE {schema}.plan
                     (version integer NOT NULL, layout bigint NOT NULL, target bigint NOT NULL, together bigint);
                 CREATE UNLOGGED TABLE {schema}.share (number integer PRIMARY KEY, reached bigint NOT NULL)"
            ))
            .await?;
        for table in parked::TABLES {
            let create = format!("CREATE UNLOGGED TABLE {schema}.{table} (LIKE read.{table} INCLUDING ALL)");
            client.batch_execute(&create).await?;
        }
        for table in P::TABLES {
            let key = compare::key_of(client, table).await?.join(", ");
            // The primary key is all that folding needs. What is to be known of the rows is asked once, when all are there.
            let create = format!(
                "CREATE UNLOGGED TABLE {schema}.{table} (LIKE read.{table} INCLUDING ALL EXCLUDING INDEXES, \
                 PRIMARY KEY ({key})) WITH (autovacuum_enabled = false)"
            );
            client.batch_execute(&create).await?;
        }
        let layout = layout::<P>(client).await?;
        let sql = "INSERT INTO plan (version, layout, target) VALUES ($1, $2, $3)";
        client.execute(sql, &[&P::VERSION, &layout, &target.cast_signed()]).await?;
        let sql = "INSERT INTO share (number, reached) SELECT number, 0 FROM generate_series(0, $1 - 1) AS number";
        client.execute(sql, &[&i32::from(shares)]).await?;
        Ok(Self { target, reached: vec![0; usize::from(shares)], together: None })
    }
}

/// Notes how far a share has come, together with its rows.
pub(super) async fn share_reached(tx: &Transaction<'_>, share: Share, position: u64) -> Result<(), Error> {
    let statement = tx.prepare_cached("UPDATE share SET reached = $2 WHERE number = $1").await?;
    tx.execute(&statement, &[&i32::from(share.number), &position.cast_signed()]).await?;
    Ok(())
}

/// Notes how far all have come together.
pub(super) async fn together_at(tx: &Transaction<'_>, position: u64) -> Result<(), Error> {
    let statement = tx.prepare_cached("UPDATE plan SET together = $1").await?;
    tx.execute(&statement, &[&position.cast_signed()]).await?;
    Ok(())
}

/// A number that is another one when the columns of the tables are.
async fn layout<P: Projector>(client: &Client) -> Result<i64, Error> {
    let row = client
        .query_one(
            "SELECT hashtextextended(coalesce(string_agg(concat_ws(' ', c.relname, a.attname, a.atttypid::regtype), ','
                                                         ORDER BY c.relname, a.attnum), ''), 0)
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE c.relnamespace = 'read'::regnamespace AND c.relname = ANY ($1)",
            &[&P::TABLES],
        )
        .await?;
    Ok(row.get(0))
}
