//! A bulk import beside plain inserts of what it stored.

use std::time::Instant;

use chrono::{DateTime, Utc};
use guildhall_sandbox::testing::TestDatabase;
use tokio_postgres::{
    Client, Row, Statement,
    types::{FromSqlOwned, ToSql},
};
use uuid::Uuid;

use super::{Bench, Ours};
use crate::{
    load::{Target, bulk},
    machine::connect,
    node::{self, Members},
    report::{Run, Side},
};

/// Rows of a batch of plain inserts; as many as the store puts into one of its batches at most.
const BATCH: i64 = 512;

/// Notes about these members in one request, one event each.
pub async fn add_notes(target: &Target, members: impl Iterator<Item = &Uuid>) -> anyhow::Result<u64> {
    bulk::send(target, &bulk::chunks(notes(members))).await
}

fn notes<'a>(members: impl Iterator<Item = &'a Uuid>) -> impl Iterator<Item = String> {
    (0..).zip(members).map(|(nth, id)| bulk::line("AddNote", &node::note(*id, nth)))
}

/// Members with e-mail addresses, and then a note about each, as a table follows another.
pub fn bulk(bench: &Bench) -> anyhow::Result<Vec<Run>> {
    let ours = Ours::start(bench, 1)?;
    let plain = bench.runtime.block_on(TestDatabase::create_on(&bench.machine.url()))?;
    let runs = bench.in_turn(|| {
        let members = Members::new(bench.size.lines / 2)?;
        let registrations = members.ids.iter().map(|id| {
            let mut registration = node::registration(*id);
            registration["contact"] = serde_json::json!({ "email": format!("{}@example.org", id.simple()) });
            bulk::line("RegisterMember", &registration)
        });
        let chunks = bulk::chunks(registrations.chain(notes(members.ids.iter())));
        bench.runtime.block_on(async {
            let source = connect(ours.database.url()).await?;
            let before = head(&source).await?;
            bench.machine.checkpoint().await?;
            let started = Instant::now();
            let recorded = bulk::send(&ours.node.target, &chunks).await?;
            let ours = recorded as f64 / started.elapsed().as_secs_f64();
            let rows = Rows::after(&source, before).await?;
            bench.machine.checkpoint().await?;
            let inserter = Inserter::start(connect(plain.url()).await?).await?;
            let started = Instant::now();
            inserter.insert(&rows).await?;
            let baseline = rows.events as f64 / started.elapsed().as_secs_f64();
            anyhow::ensure!(rows.events == recorded, "{recorded} lines were recorded as {} events", rows.events);
            Ok(Run { ours: Side::of(ours), baseline: Some(Side::of(baseline)) })
        })
    })?;
    ours.node.stop()?;
    Ok(runs)
}

async fn head(client: &Client) -> anyhow::Result<i64> {
    Ok(client.query_one("SELECT coalesce(max(position), 0) FROM es.event", &[]).await?.get(0))
}

/// A table that an import fills: which of its rows belong to a run of positions, and how they are inserted.
struct Table {
    select: &'static str,
    insert: &'static str,
    columns: fn(&[Row]) -> Vec<Column>,
}

type Column = Box<dyn ToSql + Sync + Send>;

/// One column of rows as an array.
fn column<T: FromSqlOwned + ToSql + Send + Sync + 'static>(rows: &[Row], at: usize) -> Column {
    Box::new(rows.iter().map(|row| row.get::<_, T>(at)).collect::<Vec<T>>())
}

const TABLES: [Table; 5] = [
    Table {
        select: "SELECT stream_key, first_position, tenant_id, id, category FROM es.stream
                 WHERE first_position > $1 AND first_position <= $2 ORDER BY stream_key",
        insert: "INSERT INTO es.stream (stream_key, first_position, tenant_id, id, category) OVERRIDING SYSTEM VALUE
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::uuid[], $5::text[])",
        columns: |rows| {
            vec![
                column::<i64>(rows, 0),
                column::<i64>(rows, 1),
                column::<Uuid>(rows, 2),
                column::<Uuid>(rows, 3),
                column::<String>(rows, 4),
            ]
        },
    },
    Table {
        select: "SELECT position, stream_key, version, recorded_at, tenant_id, event_id, command_id, schema_version, type,
                        leaf_hash, metadata, payload FROM es.event
                 WHERE position > $1 AND position <= $2 ORDER BY position",
        insert: "INSERT INTO es.event (position, stream_key, version, recorded_at, tenant_id, event_id, command_id,
                                       schema_version, type, leaf_hash, metadata, payload)
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::uuid[],
                                      $6::uuid[], $7::uuid[], $8::smallint[], $9::text[], $10::bytea[], $11::bytea[],
                                      $12::bytea[])",
        columns: |rows| {
            vec![
                column::<i64>(rows, 0),
                column::<i64>(rows, 1),
                column::<i64>(rows, 2),
                column::<DateTime<Utc>>(rows, 3),
                column::<Uuid>(rows, 4),
                column::<Uuid>(rows, 5),
                column::<Uuid>(rows, 6),
                column::<i16>(rows, 7),
                column::<String>(rows, 8),
                column::<Vec<u8>>(rows, 9),
                column::<Vec<u8>>(rows, 10),
                column::<Vec<u8>>(rows, 11),
            ]
        },
    },
    Table {
        select: "SELECT tenant_id, command_id, stream_key, version, position, event_count, request_hash
                 FROM es.command_log WHERE position > $1 AND position <= $2 ORDER BY position",
        insert: "INSERT INTO es.command_log (tenant_id, command_id, stream_key, version, position, event_count, request_hash)
                 SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[],
                                      $7::bytea[])",
        columns: |rows| {
            vec![
                column::<Uuid>(rows, 0),
                column::<Uuid>(rows, 1),
                column::<i64>(rows, 2),
                column::<i64>(rows, 3),
                column::<i64>(rows, 4),
                column::<i32>(rows, 5),
                column::<Vec<u8>>(rows, 6),
            ]
        },
    },
    Table {
        select: "SELECT c.tenant_id, c.kind, c.value_hmac, c.stream_key FROM es.claim c JOIN es.stream s USING (stream_key)
                 WHERE s.first_position > $1 AND s.first_position <= $2",
        insert: "INSERT INTO es.claim (tenant_id, kind, value_hmac, stream_key)
                 SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bigint[])",
        columns: |rows| {
            vec![
                column::<Uuid>(rows, 0),
                column::<String>(rows, 1),
                column::<Vec<u8>>(rows, 2),
                column::<i64>(rows, 3),
            ]
        },
    },
    Table {
        select: "SELECT k.tenant_id, k.subject, k.wrapped_key, k.kek_id, k.created_at
                 FROM vault.data_key k JOIN es.stream s ON s.tenant_id = k.tenant_id AND s.id = k.subject
                 WHERE s.first_position > $1 AND s.first_position <= $2",
        insert: "INSERT INTO vault.data_key (tenant_id, subject, wrapped_key, kek_id, created_at)
                 SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[], $5::timestamptz[])",
        columns: |rows| {
            vec![
                column::<Uuid>(rows, 0),
                column::<Uuid>(rows, 1),
                column::<Vec<u8>>(rows, 2),
                column::<String>(rows, 3),
                column::<DateTime<Utc>>(rows, 4),
            ]
        },
    },
];

/// What was stored, in batches: for each, the columns of each table.
struct Rows {
    events: u64,
    batches: Vec<Vec<Vec<Column>>>,
}

impl Rows {
    /// Everything that came after a position.
    async fn after(source: &Client, before: i64) -> anyhow::Result<Self> {
        let head = head(source).await?;
        let mut batches = Vec::new();
        let mut from = before;
        while from < head {
            let to = head.min(from + BATCH);
            let mut batch = Vec::new();
            for table in &TABLES {
                let rows = source.query(table.select, &[&from, &to]).await?;
                batch.push((table.columns)(&rows));
            }
            batches.push(batch);
            from = to;
        }
        Ok(Self { events: u64::try_from(head - before)?, batches })
    }
}

/// Inserts batches, each in one transaction, one after another.
struct Inserter {
    client: Client,
    inserts: Vec<Statement>,
}

impl Inserter {
    async fn start(client: Client) -> anyhow::Result<Self> {
        let mut inserts = Vec::new();
        for table in &TABLES {
            inserts.push(client.prepare(table.insert).await?);
        }
        Ok(Self { client, inserts })
    }

    async fn insert(&self, rows: &Rows) -> anyhow::Result<()> {
        for batch in &rows.batches {
            let inserts = self.inserts.iter().zip(batch).map(|(insert, columns)| async move {
                let columns: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| &**column as _).collect();
                self.client.execute(insert, &columns).await
            });
            // Sent in one go and executed in order, without waiting for each answer.
            let (begun, inserted, committed) = tokio::join!(
                self.client.batch_execute("BEGIN"),
                futures::future::join_all(inserts),
                self.client.batch_execute("COMMIT")
            );
            begun?;
            inserted.into_iter().collect::<Result<Vec<u64>, _>>()?;
            committed?;
        }
        Ok(())
    }
}
