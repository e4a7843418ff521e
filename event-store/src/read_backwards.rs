//! Reading history from its end: the latest first, by keyset, in short queries, as `read` does forwards.

use guildhall_aggregates::TenantId;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use crate::{
    EventStore, RecordedEvent, StoreError, StreamId,
    options::MAX_PAGE,
    read::{archived_below, natural, recorded, signed},
};

impl EventStore {
    /// Events of one association before a position, the latest first. At most 10,000 of them.
    pub async fn read_tenant_before(
        &self,
        tenant: TenantId,
        position: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        tenant_before(&*self.pool().get().await?, tenant, position, limit).await
    }

    /// Events of one stream before a version, the latest first. At most 10,000 of them; none for a stream that does not
    /// exist.
    pub async fn read_stream_before(
        &self,
        tenant: TenantId,
        stream: &StreamId,
        version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        stream_before(&*self.pool().get().await?, tenant, stream, version, limit).await
    }
}

async fn tenant_before(
    client: &Client,
    tenant: TenantId,
    position: u64,
    limit: usize,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let rows = client
        .query_typed(
            "SELECT e.position, e.tenant_id, s.category, s.id, e.version, e.event_id, e.type, e.schema_version,
                    e.payload, e.metadata, e.command_id, e.leaf_hash, e.recorded_at
             FROM (SELECT * FROM es.event WHERE tenant_id = $1 AND position < $2 ORDER BY position DESC LIMIT $3) e
             CROSS JOIN LATERAL (SELECT category, id FROM es.stream WHERE stream_key = e.stream_key LIMIT 1) s
             ORDER BY e.position DESC",
            &[(&tenant.uuid(), Type::UUID), (&signed(position), Type::INT8), (&page(limit), Type::INT8)],
        )
        .await?;
    let events = recorded(&rows)?;
    // Others' events stand between these, so that what is missing does not show in the positions.
    let seen_down_to = if is_full(&events, limit) { events.last().map_or(position, |last| last.position) } else { 1 };
    let archived = client
        .query_typed_opt(
            "SELECT last_position FROM es.archived WHERE last_position >= $1 AND first_position < $2
             ORDER BY last_position DESC LIMIT 1",
            &[(&signed(seen_down_to), Type::INT8), (&signed(position), Type::INT8)],
        )
        .await?;
    match archived {
        Some(row) => missing(client, natural(&row, 0)?).await,
        None => Ok(events),
    }
}

async fn stream_before(
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
    // As forwards: partitions older than the stream are not touched. Reads one event more, the next one that is too
    // late, because only beside it a gap shows at the top.
    let rows = client
        .query_typed(
            "WITH s AS (SELECT stream_key, first_position FROM es.stream WHERE tenant_id = $1 AND category = $2 AND id = $3)
             (SELECT e.position, e.tenant_id, $2, $3, e.version, e.event_id, e.type, e.schema_version,
                     e.payload, e.metadata, e.command_id, e.leaf_hash, e.recorded_at
              FROM es.event e
              WHERE e.stream_key = (SELECT stream_key FROM s) AND e.position >= (SELECT first_position FROM s)
                AND e.version >= $4 ORDER BY e.version LIMIT 1)
             UNION ALL
             (SELECT e.position, e.tenant_id, $2, $3, e.version, e.event_id, e.type, e.schema_version,
                     e.payload, e.metadata, e.command_id, e.leaf_hash, e.recorded_at
              FROM es.event e
              WHERE e.stream_key = (SELECT stream_key FROM s) AND e.position >= (SELECT first_position FROM s)
                AND e.version < $4 ORDER BY e.version DESC LIMIT $5)",
            of_stream,
        )
        .await?;
    let mut events = recorded(&rows)?;
    events.sort_by_key(|event| std::cmp::Reverse(event.version));
    let too_late = usize::from(events.first().is_some_and(|first| first.version >= version));
    // The last event of a stream is never archived and the first one has version 1, so what is archived shows as a gap.
    let gap = events.windows(2).find(|pair| pair[0].version != pair[1].version + 1).map(|pair| &pair[0]);
    let breaks_off = events.last().filter(|last| last.version > 1 && !is_full(&events[too_late..], limit));
    if let Some(above) = gap.or(breaks_off) {
        return missing(client, above.position).await;
    }
    events.drain(..too_late);
    Ok(events)
}

/// Says that something below a position was archived, or that nobody knows where it is.
async fn missing(client: &Client, position: u64) -> Result<Vec<RecordedEvent>, StoreError> {
    let archived = archived_below(client, position).await?;
    Err(archived.unwrap_or(StoreError::Hole { expected: position.saturating_sub(1), found: position }))
}

fn is_full(events: &[RecordedEvent], limit: usize) -> bool {
    events.len() == limit.min(MAX_PAGE)
}

fn page(limit: usize) -> i64 {
    signed(limit.min(MAX_PAGE) as u64)
}
