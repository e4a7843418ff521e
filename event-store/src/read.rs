//! Reading history in order: by keyset, in short queries.
//!
//! A statement with arguments is planned when it is run, with the real ones (`query_typed`): a plan kept from the time when the
//! tables were small would read them whole when they are not. What followers of history ask many times a second is
//! prepared instead, on a [`Line`](crate::line::Line), whose settings leave no such plan: planning takes four times as long as
//! the answer. The name of an event's stream is looked up event by event (`LATERAL … LIMIT 1`): left the choice, Postgres reads
//! all streams for one page of events.
//!
//! Where events have been archived, a read that would need them says so: what is not here must not look as if it had
//! never been.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::Arc,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{TryFutureExt as _, TryStreamExt as _};
use guildhall_aggregates::TenantId;
use tokio_postgres::{
    Client, Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use crate::{
    StoreError,
    line::Statements,
    options::MAX_PAGE,
    record::{RecordedEvent, StreamId},
    unit::{Receipt, ReceiptEvent, RecordedCommand},
};

/// All events after a position.
const AFTER: &str = "
    SELECT e.position, e.tenant_id, s.category, s.id, e.version, e.event_id, e.type, e.schema_version,
           e.payload, e.metadata, e.command_id, e.leaf_hash, e.recorded_at
    FROM (SELECT * FROM es.event WHERE position > $1 ORDER BY position LIMIT $2) e
    CROSS JOIN LATERAL (SELECT category, id FROM es.stream WHERE stream_key = e.stream_key LIMIT 1) s
    ORDER BY e.position";

/// Which of some positions and leaf hashes history, as far as it is not archived, does not have.
const UNLIKE: &str = "
    SELECT t.nth FROM unnest($1, $2) WITH ORDINALITY t(position, leaf_hash, nth)
    LEFT JOIN LATERAL (SELECT position, leaf_hash FROM es.event WHERE position = t.position LIMIT 1) e ON true
    WHERE e.leaf_hash IS DISTINCT FROM t.leaf_hash AND (e.position IS NOT NULL OR NOT EXISTS
        (SELECT FROM es.archived a WHERE t.position BETWEEN a.first_position AND a.last_position))";

/// A row with the highest position, where there is any.
const HEAD: &str = "SELECT position FROM es.event ORDER BY position DESC LIMIT 1";

/// The highest position.
pub(crate) async fn head(client: &Client) -> Result<u64, StoreError> {
    head_in(client.query_typed_opt(HEAD, &[]).await?)
}

/// The highest position, for whoever asks again and again: planning takes longer than the answer, and from empty tables on
/// there is no better plan than the index's end.
pub(crate) async fn head_again(client: &deadpool_postgres::Client) -> Result<u64, StoreError> {
    let statement = client.prepare_cached(HEAD).await?;
    head_in(client.query_opt(&statement, &[]).await?)
}

fn head_in(row: Option<Row>) -> Result<u64, StoreError> {
    Ok(row.map(|row| natural(&row, 0)).transpose()?.unwrap_or(0))
}

/// All events after a position, without a hole between them.
pub(crate) async fn after(
    client: &Client,
    statements: &mut Statements,
    position: u64,
    limit: usize,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let statement = statements.prepared(client, AFTER, &[Type::INT8, Type::INT8]).await?;
    let rows = client.query(&statement, &[&signed(position), &page(limit)]).await?;
    let events = recorded(&rows)?;
    for (event, expected) in events.iter().zip(position.saturating_add(1)..) {
        if event.position != expected {
            let archived = archived_between(client, expected, event.position).await?;
            return Err(archived.unwrap_or(StoreError::Hole { expected, found: event.position }));
        }
    }
    Ok(events)
}

/// An error that names the first archived positions among these; none where all of these are here.
pub(crate) async fn archived_between(client: &Client, from: u64, to: u64) -> Result<Option<StoreError>, StoreError> {
    let row = client
        .query_typed_opt(
            "SELECT first_position, last_position FROM es.archived WHERE last_position >= $1 AND first_position <= $2
             ORDER BY first_position LIMIT 1",
            &[(&signed(from), Type::INT8), (&signed(to), Type::INT8)],
        )
        .await?;
    row.map(|row| Ok(StoreError::Archived { first: natural(&row, 0)?, last: natural(&row, 1)? })).transpose()
}

/// An error that names archived positions below this one; none where nothing below it was archived.
pub(crate) async fn archived_below(client: &Client, position: u64) -> Result<Option<StoreError>, StoreError> {
    archived_between(client, 1, position).await
}

/// Those of these positions and leaf hashes that history, as far as it is not archived, does not have.
pub(crate) async fn unlike(
    client: &Client,
    statements: &mut Statements,
    told: &[(u64, [u8; 32])],
) -> Result<HashSet<(u64, [u8; 32])>, StoreError> {
    let told = &told[..told.len().min(MAX_PAGE)];
    let positions: Vec<i64> = told.iter().map(|(position, _)| signed(*position)).collect();
    let hashes: Vec<&[u8]> = told.iter().map(|(_, leaf_hash)| leaf_hash.as_slice()).collect();
    let statement = statements.prepared(client, UNLIKE, &[Type::INT8_ARRAY, Type::BYTEA_ARRAY]).await?;
    let rows = client.query(&statement, &[&positions, &hashes]).await?;
    let nth = |row: &Row| usize::try_from(row.get::<_, i64>(0)).ok().and_then(|nth| told.get(nth - 1)).copied();
    Ok(rows.iter().filter_map(nth).collect())
}

/// Tells the last position, up to a given one, of each stream that has an event there. An archive keeps the last event of
/// each stream, so this is true as long as what comes next is here.
pub(crate) async fn last_positions(
    client: &mut Client,
    up_to: u64,
    mut each: impl FnMut(TenantId, StreamId, u64),
) -> Result<(), StoreError> {
    let next = up_to.saturating_add(1);
    if let Some(archived) = archived_between(client, next, next).await? {
        return Err(archived);
    }
    let transaction = client.transaction().await?;
    // A whole history takes longer than a page.
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let rows = transaction
        .query_raw(
            "SELECT s.tenant_id, s.category, s.id, l.position FROM es.stream s JOIN
             (SELECT stream_key, max(position) AS position FROM es.event WHERE position <= $1 GROUP BY stream_key) l
             USING (stream_key)",
            [signed(up_to)],
        )
        .await?;
    let mut rows = pin!(rows);
    while let Some(row) = rows.try_next().await? {
        let category: &str = row.try_get(1)?;
        each(
            TenantId::new(row.try_get(0)?),
            StreamId { category: category.into(), id: row.try_get(2)? },
            natural(&row, 3)?,
        );
    }
    Ok(())
}

/// For each position, when the first event behind it was recorded; none where it is the end of history.
pub(crate) async fn recorded_after(
    client: &Client,
    positions: &[u64],
) -> Result<Vec<Option<DateTime<Utc>>>, StoreError> {
    let positions: Vec<i64> = positions.iter().map(|position| signed(*position)).collect();
    let rows = client
        .query_typed(
            "SELECT e.recorded_at FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (position, nth)
             LEFT JOIN LATERAL (SELECT recorded_at FROM es.event e WHERE e.position > asked.position
                                ORDER BY e.position LIMIT 1) e ON true
             ORDER BY asked.nth",
            &[(&positions, Type::INT8_ARRAY)],
        )
        .await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Those of these events, each a position and a leaf hash, that history does not have: it has another one there, or ends
/// before. What is archived is not held against anybody.
pub(crate) async fn missing(client: &Client, known: &[(u64, [u8; 32])]) -> Result<Vec<(u64, [u8; 32])>, StoreError> {
    let (positions, hashes): (Vec<i64>, Vec<&[u8]>) =
        known.iter().map(|(position, hash)| (signed(*position), hash.as_slice())).unzip();
    let rows = client
        .query_typed(
            "SELECT k.position, k.leaf_hash FROM unnest($1::bigint[], $2::bytea[]) AS k (position, leaf_hash)
             LEFT JOIN es.event e USING (position)
             WHERE CASE WHEN e.position IS NULL
                        THEN NOT EXISTS (SELECT FROM es.archived a
                                         WHERE k.position BETWEEN a.first_position AND a.last_position)
                        ELSE e.leaf_hash <> k.leaf_hash END",
            &[(&positions, Type::INT8_ARRAY), (&hashes, Type::BYTEA_ARRAY)],
        )
        .await?;
    rows.iter().map(|row| Ok((natural(row, 0)?, hash(row, 1)?))).collect()
}

/// The events of one association after a position.
pub(crate) async fn tenant_after(
    client: &Client,
    tenant: TenantId,
    position: u64,
    limit: usize,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let tenant = tenant.uuid();
    let of_tenant: &[(&(dyn ToSql + Sync), Type)] =
        &[(&tenant, Type::UUID), (&signed(position), Type::INT8), (&page(limit), Type::INT8)];
    let rows = client.query_typed(
        "SELECT e.position, e.tenant_id, s.category, s.id, e.version, e.event_id, e.type, e.schema_version,
                e.payload, e.metadata, e.command_id, e.leaf_hash, e.recorded_at
         FROM (SELECT * FROM es.event WHERE tenant_id = $1 AND position > $2 ORDER BY position LIMIT $3) e
         CROSS JOIN LATERAL (SELECT category, id FROM es.stream WHERE stream_key = e.stream_key LIMIT 1) s
         ORDER BY e.position",
        of_tenant,
    );
    // Others' events stand between these, so that what is missing does not show in the positions. Asked behind the
    // rows, on the same connection: what is archived in between is found twice, not missed.
    let archived = archived_between(client, position.saturating_add(1), u64::MAX);
    let (rows, archived) = futures::try_join!(rows.map_err(StoreError::from), archived)?;
    match archived {
        Some(archived) if rows.len() < limit.min(MAX_PAGE) => Err(archived),
        Some(archived) => {
            let last = rows.last().map(|row| natural(row, 0)).transpose()?.unwrap_or(position);
            if archived_between(client, position + 1, last).await?.is_some() { Err(archived) } else { recorded(&rows) }
        }
        None => recorded(&rows),
    }
}

/// Whose events stand after one position and up to another, and where the last of each stands.
pub(crate) async fn tenants_between(
    client: &Client,
    after: u64,
    up_to: u64,
) -> Result<HashMap<TenantId, u64>, StoreError> {
    let rows = client
        .query_typed(
            "SELECT tenant_id, max(position) FROM es.event WHERE position > $1 AND position <= $2 GROUP BY tenant_id",
            &[(&signed(after), Type::INT8), (&signed(up_to), Type::INT8)],
        )
        .await?;
    rows.iter().map(|row| Ok((TenantId::new(row.try_get(0)?), natural(row, 1)?))).collect()
}

/// The events of one stream after a version.
pub(crate) async fn stream_after(
    client: &Client,
    tenant: TenantId,
    stream: &StreamId,
    version: u64,
    limit: usize,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let of_stream: &[(&(dyn ToSql + Sync), Type)] = &[
        (&tenant.uuid(), Type::UUID),
        (&&*stream.category, Type::TEXT),
        (&stream.id, Type::UUID),
        (&signed(version), Type::INT8),
        (&page(limit), Type::INT8),
    ];
    // The first position is looked up first, so that older partitions are not touched.
    let rows = client
        .query_typed(
            "SELECT e.position, e.tenant_id, $2, $3, e.version, e.event_id, e.type, e.schema_version,
                    e.payload, e.metadata, e.command_id, e.leaf_hash, e.recorded_at
             FROM es.event e
             WHERE e.stream_key = (SELECT stream_key FROM es.stream WHERE tenant_id = $1 AND category = $2 AND id = $3)
               AND e.position >= (SELECT first_position FROM es.stream
                                  WHERE tenant_id = $1 AND category = $2 AND id = $3)
               AND e.version > $4
             ORDER BY e.version LIMIT $5",
            of_stream,
        )
        .await?;
    let events = recorded(&rows)?;
    // The last event of a stream is never archived, so what is archived shows as a gap.
    if let Some((after_gap, _)) =
        events.iter().zip(version.saturating_add(1)..).find(|(event, expected)| event.version != *expected)
        && let Some(archived) = archived_below(client, after_gap.position).await?
    {
        return Err(archived);
    }
    Ok(events)
}

/// The commands of these that are in the log, in no particular order.
pub(crate) async fn commands(
    client: &Client,
    tenant: TenantId,
    command_ids: &[Uuid],
) -> Result<Vec<RecordedCommand>, StoreError> {
    let rows = client
        .query_typed(
            "SELECT l.command_id, l.request_hash, s.category, s.id, l.version, l.position, l.event_count, e.ids, e.types
             FROM es.command_log l JOIN es.stream s USING (stream_key)
             LEFT JOIN LATERAL (
                 SELECT array_agg(event_id ORDER BY position) AS ids, array_agg(type ORDER BY position) AS types
                 FROM es.event WHERE position > l.position - l.event_count AND position <= l.position
             ) e ON true
             WHERE l.tenant_id = $1 AND l.command_id = ANY ($2)",
            &[(&tenant.uuid(), Type::UUID), (&command_ids, Type::UUID_ARRAY)],
        )
        .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(command) = command(row)? else {
            let position = natural(row, 5)?;
            let archived = archived_below(client, position).await?;
            return Err(archived.unwrap_or(StoreError::Hole { expected: position, found: position }));
        };
        found.push(command);
    }
    Ok(found)
}

/// None where events of the command are not here.
fn command(row: &Row) -> Result<Option<RecordedCommand>, StoreError> {
    let (version, position) = (natural(row, 4)?, natural(row, 5)?);
    let count = u64::try_from(row.try_get::<_, i32>(6)?).unwrap_or(0);
    let ids: Option<Vec<Uuid>> = row.try_get(7)?;
    let types: Option<Vec<String>> = row.try_get(8)?;
    let (ids, types) = (ids.unwrap_or_default(), types.unwrap_or_default());
    if ids.len() as u64 != count {
        return Ok(None);
    }
    let events = (1..=count)
        .zip(ids.into_iter().zip(types))
        .map(|(nth, (event_id, type_name))| ReceiptEvent {
            event_id,
            type_name,
            version: version - count + nth,
            position: position - count + nth,
        })
        .collect();
    let stream = StreamId::new(row.try_get(2)?, row.try_get(3)?);
    Ok(Some(RecordedCommand {
        request_hash: hash(row, 1)?,
        receipt: Receipt { command_id: row.try_get(0)?, stream, version, position, events },
    }))
}

/// Rows of the thirteen columns that every reading query selects in the same order.
pub(crate) fn recorded(rows: &[Row]) -> Result<Vec<RecordedEvent>, StoreError> {
    let mut names = Names::default();
    rows.iter().map(|row| event(row, &mut names)).collect()
}

fn event(row: &Row, names: &mut Names) -> Result<RecordedEvent, StoreError> {
    Ok(RecordedEvent {
        position: natural(row, 0)?,
        tenant: TenantId::new(row.try_get(1)?),
        stream: StreamId { category: names.shared(row.try_get(2)?), id: row.try_get(3)? },
        version: natural(row, 4)?,
        event_id: row.try_get(5)?,
        type_name: names.shared(row.try_get(6)?),
        schema_version: u16::try_from(row.try_get::<_, i16>(7)?).unwrap_or(0),
        payload: Bytes::copy_from_slice(row.try_get(8)?),
        metadata: Bytes::copy_from_slice(row.try_get(9)?),
        command_id: row.try_get(10)?,
        leaf_hash: hash(row, 11)?,
        recorded_at: row.try_get(12)?,
    })
}

/// The few names that many events share.
#[derive(Default)]
struct Names(HashSet<Arc<str>>);

impl Names {
    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.0.insert(Arc::clone(&name));
        name
    }
}

/// A `bigint` that is a position, a version or a count, and so not negative.
pub(crate) fn natural(row: &Row, column: usize) -> Result<u64, StoreError> {
    let value: i64 = row.try_get(column)?;
    Ok(u64::try_from(value).unwrap_or(0))
}

/// A position or version as the database knows it. None of them comes near the end of the range.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn page(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_PAGE)).unwrap_or(i64::MAX)
}

/// 32 bytes; anything else is no hash, and equal to none.
fn hash(row: &Row, column: usize) -> Result<[u8; 32], StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    Ok(bytes.try_into().unwrap_or_default())
}
