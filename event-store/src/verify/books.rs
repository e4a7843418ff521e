//! What stands beside the events and must agree with them: each stream, and each command in the log.
//!
//! Each query looks at rows and events in one snapshot, so what is appended meanwhile is no finding. Rows are compared as
//! if no constraint had ever held: who may change them may drop constraints, too.

use guildhall_aggregates::TenantId;
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

use super::{Difference, Problem};
use crate::{
    StoreError, StreamId,
    read::{natural, signed},
};

/// Rows of one query; more only where several are of one key, which is a finding.
const PAGE: u64 = 5_000;

/// The first row that is not what events say.
pub(super) async fn first_difference(
    client: &Client,
    tenant: Option<TenantId>,
) -> Result<Option<Difference>, StoreError> {
    let hidden = client.query_typed_opt("SELECT 1 FROM es.event WHERE position < 1 LIMIT 1", &[]).await?;
    if hidden.is_some() {
        return Ok(Some(Difference { position: 0, stream: None, problem: Problem::Hidden }));
    }
    match streams(client, tenant).await? {
        None => commands(client, tenant).await,
        found => Ok(found),
    }
}

/// A stream begins with its first event. One whose first command recorded nothing begins behind what was the end then.
async fn streams(client: &Client, tenant: Option<TenantId>) -> Result<Option<Difference>, StoreError> {
    let mut last = i64::MIN;
    loop {
        let rows = client
            .query_typed(
                "SELECT s.stream_key, s.first_position, s.category, s.id,
                        count(*) OVER (PARTITION BY s.stream_key) = 1
                        AND NOT EXISTS (SELECT FROM es.stream o WHERE o.id = s.id AND o.tenant_id = s.tenant_id
                                AND o.category = s.category AND o.stream_key <> s.stream_key)
                        AND CASE WHEN EXISTS (SELECT FROM es.event e WHERE e.position = s.first_position
                                AND e.stream_key = s.stream_key AND e.version = 1) THEN true
                            ELSE EXISTS (SELECT FROM es.command_log l WHERE l.stream_key = s.stream_key
                                AND l.tenant_id = s.tenant_id AND l.event_count = 0
                                AND l.version = 0 AND l.position = s.first_position - 1) END
                 FROM (SELECT * FROM es.stream WHERE stream_key > $1 AND ($2 IS NULL OR tenant_id = $2)
                       ORDER BY stream_key FETCH FIRST $3 ROWS WITH TIES) s
                 ORDER BY s.stream_key",
                &[(&last, Type::INT8), (&tenant.map(TenantId::uuid), Type::UUID), (&signed(PAGE), Type::INT8)],
            )
            .await?;
        for row in &rows {
            if !row.try_get::<_, bool>(4)? {
                let stream = Some(StreamId::new(row.try_get(2)?, row.try_get(3)?));
                return Ok(Some(Difference { position: natural(row, 1)?, stream, problem: Problem::WrongStream }));
            }
        }
        match rows.last() {
            Some(row) => last = row.try_get(0)?,
            None => return Ok(None),
        }
    }
}

/// A command recorded the events that end at its position; or none, and its stream was at its version then.
async fn commands(client: &Client, tenant: Option<TenantId>) -> Result<Option<Difference>, StoreError> {
    let mut last: Option<(Uuid, Uuid)> = None;
    loop {
        let (command, of) = last.unzip();
        let rows = client
            .query_typed(
                "SELECT l.command_id, l.tenant_id, l.position,
                        count(*) OVER (PARTITION BY l.command_id, l.tenant_id) = 1 AND l.event_count >= 0
                        AND s.stream_key IS NOT NULL
                        AND CASE WHEN l.event_count > 0 THEN
                            EXISTS (SELECT FROM es.event e WHERE e.position = l.position AND e.version = l.version
                                AND e.stream_key = l.stream_key AND e.command_id = l.command_id)
                            AND EXISTS (SELECT FROM es.event e WHERE e.position = l.position - l.event_count + 1
                                AND e.stream_key = l.stream_key AND e.command_id = l.command_id)
                        ELSE l.position >= s.first_position - 1
                            AND l.position <= (SELECT coalesce(max(position), 0) FROM es.event)
                            AND (l.version = 0 OR EXISTS (SELECT FROM es.event e WHERE e.stream_key = l.stream_key
                                AND e.version = l.version AND e.position BETWEEN s.first_position AND l.position))
                            AND NOT EXISTS (SELECT FROM es.event e WHERE e.stream_key = l.stream_key
                                AND e.version = l.version + 1 AND e.position BETWEEN s.first_position AND l.position)
                        END
                 FROM (SELECT * FROM es.command_log
                       WHERE ($1 IS NULL OR (command_id, tenant_id) > ($1, $2)) AND ($3 IS NULL OR tenant_id = $3)
                       ORDER BY command_id, tenant_id FETCH FIRST $4 ROWS WITH TIES) l
                 LEFT JOIN LATERAL (SELECT stream_key, first_position FROM es.stream s
                     WHERE s.stream_key = l.stream_key AND s.tenant_id = l.tenant_id LIMIT 1) s ON true
                 ORDER BY l.command_id, l.tenant_id",
                &[
                    (&command, Type::UUID),
                    (&of, Type::UUID),
                    (&tenant.map(TenantId::uuid), Type::UUID),
                    (&signed(PAGE), Type::INT8),
                ],
            )
            .await?;
        for row in &rows {
            if !row.try_get::<_, bool>(3)? {
                let problem = Problem::NotInHistory { command_id: row.try_get(0)? };
                return Ok(Some(Difference { position: natural(row, 2)?, stream: None, problem }));
            }
        }
        match rows.last() {
            Some(row) => last = Some((row.try_get(0)?, row.try_get(1)?)),
            None => return Ok(None),
        }
    }
}
