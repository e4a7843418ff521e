//! The state of an aggregate: its events, folded.
//!
//! A load is one statement and one round trip: the snapshot, where there is one, and what was recorded after it, in one
//! look. Rows are folded as they arrive, while the server reads on; nothing but the state is kept.

use std::pin::pin;

use futures::TryStreamExt as _;
use guildhall_aggregates::{Decide, StoredEvent, TenantId};
use tokio_postgres::{
    Client, Row,
    types::{BorrowToSql, Type},
};
use uuid::Uuid;

use crate::{
    StoreError,
    error::LoadError,
    line::{Lines, Statements},
    options::MAX_PAGE,
    read,
    record::StreamId,
    snapshot::{self, Snapshots},
    upcast::Stored,
};

/// What was recorded after a version. The first position is looked up first, so that older partitions are not touched.
const AFTER_VERSION: &str = "
    SELECT e.version, e.position, e.type, e.schema_version, e.payload
    FROM es.event e
    WHERE e.stream_key = (SELECT stream_key FROM es.stream WHERE tenant_id = $1 AND category = $2 AND id = $3)
      AND e.position >= (SELECT first_position FROM es.stream WHERE tenant_id = $1 AND category = $2 AND id = $3)
      AND e.version > $5
    ORDER BY e.version LIMIT $4";

/// The snapshot, in a row without a type, and what was recorded after it. In one statement, because a snapshot that is
/// replaced between two would leave its reader with neither the events nor the state they made.
const SINCE_SNAPSHOT: &str = "
    WITH s AS MATERIALIZED (
        SELECT stream_key, first_position FROM es.stream WHERE tenant_id = $1 AND category = $2 AND id = $3
    ), n AS MATERIALIZED (
        SELECT version, fingerprint = $5 AS fits, state, seal FROM es.snapshot
        WHERE stream_key = (SELECT stream_key FROM s)
    )
    SELECT n.version, NULL::bigint, NULL::text, NULL::smallint, CASE WHEN n.fits THEN n.state END, n.seal FROM n
    UNION ALL
    SELECT * FROM (
        SELECT e.version, e.position, e.type, e.schema_version, e.payload, NULL::bytea
        FROM es.event e
        WHERE e.stream_key = (SELECT stream_key FROM s) AND e.position >= (SELECT first_position FROM s)
          AND e.version > coalesce((SELECT version FROM n WHERE fits), 0)
        ORDER BY e.version LIMIT $4
    ) e";

/// State and the version it is at. A stream that does not exist is the default state at version 0.
#[derive(Debug, Clone, Default)]
pub struct Loaded<A> {
    /// The folded state.
    pub state: A,
    /// The version of the last event folded in.
    pub version: u64,
}

/// Loads streams, over connections of its own whose statements are prepared.
pub(crate) struct Loader {
    lines: Lines,
    snapshots: Option<Snapshots>,
}

impl Loader {
    pub(crate) fn new(lines: Lines, snapshots: Option<Snapshots>) -> Self {
        Self { lines, snapshots }
    }

    /// Folds in what was recorded after `loaded.version`. If it fails half-way, what was folded in stays, and the
    /// version says how far.
    pub(crate) async fn catch_up<A: Decide>(
        &self,
        tenant: TenantId,
        id: Uuid,
        loaded: &mut Loaded<A>,
    ) -> Result<(), LoadError> {
        let stream = StreamId::new(A::Event::CATEGORY, id);
        let snapshots = self.snapshots.as_ref();
        let folding = async |client: &Client, statements: &mut Statements| {
            Reading { client, statements, tenant, stream: &stream, snapshots }.all(loaded).await
        };
        let folded = self.lines.with(folding).await?;
        if let Some(snapshots) = snapshots {
            snapshots.offer(tenant, &stream, loaded, folded);
        }
        Ok(())
    }
}

/// One stream on its way in.
struct Reading<'a> {
    client: &'a Client,
    statements: &'a mut Statements,
    tenant: TenantId,
    stream: &'a StreamId,
    snapshots: Option<&'a Snapshots>,
}

impl Reading<'_> {
    /// Folds in all that is new, page by page, and says how many events that were.
    async fn all<A: Decide>(&mut self, loaded: &mut Loaded<A>) -> Result<u64, LoadError> {
        let (mut folded, mut last) = (0, MAX_PAGE as u64);
        if loaded.version == 0
            && self.snapshots.is_some()
            && let Some(count) = self.since_snapshot(loaded).await?
        {
            (folded, last) = (count, count);
        }
        while last == MAX_PAGE as u64 {
            last = self.after_version(loaded).await?;
            folded += last;
        }
        Ok(folded)
    }

    /// Folds in the next page, and says how many events that were.
    async fn after_version<A: Decide>(&mut self, loaded: &mut Loaded<A>) -> Result<u64, LoadError> {
        let version = read::signed(loaded.version);
        let folded = self.fold(AFTER_VERSION, Type::INT8, &version, loaded).await?;
        Ok(folded.expect("only a snapshot is of no use, and none was asked for"))
    }

    /// Folds in the snapshot and what was recorded after it. `None`, and nothing folded, where the snapshot is of no use.
    async fn since_snapshot<A: Decide>(&mut self, loaded: &mut Loaded<A>) -> Result<Option<u64>, LoadError> {
        let fingerprint = snapshot::fingerprint::<A>();
        self.fold(SINCE_SNAPSHOT, Type::BYTEA, &fingerprint.as_slice(), loaded).await
    }

    async fn fold<A: Decide>(
        &mut self,
        query: &'static str,
        from_type: Type,
        from: &(dyn tokio_postgres::types::ToSql + Sync),
        loaded: &mut Loaded<A>,
    ) -> Result<Option<u64>, LoadError> {
        let types = [Type::UUID, Type::TEXT, Type::UUID, Type::INT8, from_type];
        let prepared = self.statements.prepared(self.client, query, &types).await;
        let statement = prepared.map_err(StoreError::from)?;
        let (tenant, category) = (self.tenant.uuid(), &*self.stream.category);
        let limit = read::signed(MAX_PAGE as u64);
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&tenant, &category, &self.stream.id, &limit, from];
        let rows = self.client.query_raw(&statement, params.iter().map(BorrowToSql::borrow_to_sql)).await;
        let mut rows = pin!(rows.map_err(StoreError::from)?);
        let mut folded = 0;
        while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
            let Some(type_name) = row.try_get::<_, Option<&str>>(2).map_err(StoreError::from)? else {
                let Some(restored) = self.restore(&row)? else { return Ok(None) };
                *loaded = restored;
                continue;
            };
            let event = self.event(&row, type_name)?;
            if event.version != loaded.version + 1 {
                return Err(self.gap(&event, loaded.version + 1).await);
            }
            loaded.state.apply(event.decode()?);
            loaded.version = event.version;
            folded += 1;
        }
        Ok(Some(folded))
    }

    fn event<'r>(&'r self, row: &'r Row, type_name: &'r str) -> Result<Stored<'r>, StoreError> {
        Ok(Stored {
            stream: self.stream,
            version: read::natural(row, 0)?,
            position: read::natural(row, 1)?,
            type_name,
            schema_version: u16::try_from(row.try_get::<_, i16>(3)?).unwrap_or(0),
            payload: row.try_get(4)?,
        })
    }

    fn restore<A: Decide>(&self, row: &Row) -> Result<Option<Loaded<A>>, StoreError> {
        let Some(snapshots) = self.snapshots else { return Ok(None) };
        let (version, state, seal) = (read::natural(row, 0)?, row.try_get(4)?, row.try_get(5)?);
        Ok(snapshots.restore(self.tenant, self.stream, version, state, seal))
    }

    /// Why the next event is not the next version.
    async fn gap(&self, found: &Stored<'_>, expected: u64) -> LoadError {
        match read::archived_below(self.client, found.position).await {
            Ok(Some(archived)) => LoadError::Store(archived),
            Ok(None) => found
                .unreadable(format!("version {expected} is missing before it; run `guildhall audit verify`"))
                .into(),
            Err(error) => LoadError::Store(error),
        }
    }
}
