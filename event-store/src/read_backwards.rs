//! Reading history from its end: the latest first, by keyset, in short queries, as `read` does forwards.

use guildhall_aggregates::TenantId;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use crate::{
    EventStore, RecordedEvent, StoreError, StreamId,
    options::MAX_PAGE,
    read::{recorded, signed},
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
    recorded(&rows)
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
    // As forwards: partitions older than the stream are not touched.
    let rows = client
        .query_typed(
            "SELECT e.position, e.tenant_id, $2, $3, e.version, e.event_id, e.type, e.schema_version,
                    e.payload, e.metadata, e.command_id, e.leaf_hash, e.recorded_at
             FROM es.event e
             WHERE e.stream_key = (SELECT stream_key FROM es.stream WHERE tenant_id = $1 AND category = $2 AND id = $3)
               AND e.position >= (SELECT first_position FROM es.stream
                                  WHERE tenant_id = $1 AND category = $2 AND id = $3)
               AND e.version < $4
             ORDER BY e.version DESC LIMIT $5",
            of_stream,
        )
        .await?;
    recorded(&rows)
}

fn page(limit: usize) -> i64 {
    signed(limit.min(MAX_PAGE) as u64)
}
