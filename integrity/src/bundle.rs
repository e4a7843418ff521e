//! What an auditor takes away: records with everything that is needed to check them elsewhere.
//!
//! The format is described in `docs/formats/bundle.md`.

use std::io::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use guildhall_aggregates::TenantId;
use guildhall_event_store::{EventStore, RecordedEvent};
use serde_json::{Value, json};
use tlog_tiles::{Hash, check_tree};
use tokio_postgres::{Client, types::Type};

use crate::{
    Checkpoint, IntegrityError,
    log::{Log, natural, signed},
    tree::Beside,
};

/// The name and version of the format, as its first line gives it.
pub const BUNDLE_FORMAT: &str = "guildhall-bundle/v1";

/// Records of one page.
const PAGE: usize = 1_000;
/// Records whose times are looked at in one query.
const DATES: u64 = 20_000;

/// Which records are wanted.
#[derive(Debug, Clone)]
pub struct BundleRequest {
    /// Whose.
    pub tenant: TenantId,
    /// The association's short name, to stand in the bundle.
    pub slug: String,
    /// From this time on; `None` from the first record.
    pub from: Option<DateTime<Utc>>,
    /// Before this time; `None` to the last record under the latest checkpoint.
    pub to: Option<DateTime<Utc>>,
    /// An earlier checkpoint, as a signed note, that the bundle is to prove consistency with.
    pub consistent_with: Option<String>,
}

/// What a bundle covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bundled {
    /// The index of its first record in the association's log, from 0.
    pub first_index: u64,
    /// How many records it has.
    pub count: u64,
    /// How many the tree of its checkpoint has.
    pub tree_size: u64,
}

/// The records of a bundle: those asked for, and one on each side as evidence of the edges.
#[derive(Debug, Clone, Copy)]
struct Range {
    first: u64,
    end: u64,
    before: bool,
    after: bool,
}

/// Writes a bundle, line by line, under the association's latest checkpoint.
///
/// # Errors
/// There is no checkpoint yet, the earlier one is not one that history agrees with, or reading or writing failed. What
/// was written then is no bundle: it has no last line.
pub async fn write_bundle(
    store: &EventStore,
    request: &BundleRequest,
    out: &mut (impl Write + Send),
) -> Result<Bundled, IntegrityError> {
    let client = store.pool().get().await?;
    let log = Log::new(&**client, request.tenant);
    let latest = log.latest().await?.ok_or_else(|| no_checkpoint(&request.slug))?;
    let size = latest.statement.tree_size;
    let range = range(&client, &log, request, &latest).await?;
    let count = range.end - range.first;
    let beside = Beside::of(range.first, range.end, size);
    let (left, right) = (log.subtrees(&beside.left).await?, log.subtrees(&beside.right).await?);
    let consistency = match &request.consistent_with {
        Some(note) => Some(consistency(&log, note, &latest).await?),
        None => None,
    };

    let mut line = |value: Value| writeln!(out, "{value}").map_err(not_written);
    line(json!({
        "format": BUNDLE_FORMAT,
        "association": { "tenant_id": request.tenant.uuid(), "slug": request.slug },
        "from": request.from.map(written),
        "to": request.to.map(written),
        "edges": { "before": range.before, "after": range.after },
        "first_index": range.first,
        "count": count,
        "tree_size": size,
        "created_at": written(store.clock().now()),
    }))?;
    line(json!({ "checkpoint": latest.note }))?;
    if let Some(consistency) = consistency {
        line(json!({ "consistency": consistency }))?;
    }
    line(json!({ "range_proof": { "left": texts(&left), "right": texts(&right) } }))?;
    let mut position = if count == 0 { 0 } else { log.position_of(range.first).await? - 1 };
    let mut index = range.first;
    while index < range.end {
        let wanted = PAGE.min(usize::try_from(range.end - index).unwrap_or(PAGE));
        let page = store.read_tenant_after(request.tenant, position, wanted).await?;
        for event in &page {
            line(json!({ "record": record(index, event)? }))?;
            (index, position) = (index + 1, event.position);
        }
        if page.is_empty() {
            return Err(IntegrityError::Incomplete(format!("record {index} is missing")));
        }
    }
    line(json!({ "end": { "count": count } }))?;
    out.flush().map_err(not_written)?;
    Ok(Bundled { first_index: range.first, count, tree_size: size })
}

/// A record as bundles and proofs show it.
pub(crate) fn record(index: u64, event: &RecordedEvent) -> Result<Value, IntegrityError> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| IntegrityError::NotText(event.position));
    Ok(json!({
        "index": index,
        "position": event.position,
        "category": event.stream.category,
        "stream_id": event.stream.id,
        "version": event.version,
        "event_id": event.event_id,
        "type": event.type_name,
        "schema_version": event.schema_version,
        "command_id": event.command_id,
        "recorded_at_micros": event.recorded_at.timestamp_micros(),
        "metadata": text(&event.metadata)?,
        "payload": text(&event.payload)?,
    }))
}

/// Hashes as bundles and proofs show them: in base64.
pub(crate) fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(ToString::to_string).collect()
}

pub(crate) fn no_checkpoint(of: &str) -> IntegrityError {
    IntegrityError::NotProvable(format!(
        "no checkpoint of {of} has been signed yet, so there is nothing to prove its records with; \
         `guildhall audit checkpoint` signs one"
    ))
}

async fn consistency(log: &Log<'_, Client>, note: &str, latest: &Checkpoint) -> Result<Value, IntegrityError> {
    let (old, new) = (Checkpoint::unverified(note)?.statement, &latest.statement);
    if old.tenant != new.tenant {
        return Err(IntegrityError::NotProvable(format!(
            "the earlier checkpoint is of association {}, the bundle of {}",
            old.tenant, new.tenant
        )));
    }
    let contradicted = |reason: &str| IntegrityError::Contradicted {
        association: old.tenant,
        number: old.number,
        reason: reason.to_owned(),
    };
    if old.tree_size > new.tree_size {
        return Err(contradicted("it is of more records than the latest checkpoint"));
    }
    let proof = log.consistency(old.tree_size, new.tree_size).await?;
    check_tree(&proof, new.tree_size, new.root, old.tree_size, old.root)
        .map_err(|_| contradicted("its records are not the first of those under the latest checkpoint"))?;
    Ok(json!({ "old_checkpoint": note, "proof": texts(&proof) }))
}

/// The leaves from the first record at or after `from` to the last before `to`, and a neighbour on each side that has
/// one.
async fn range(
    client: &Client,
    log: &Log<'_, Client>,
    request: &BundleRequest,
    latest: &Checkpoint,
) -> Result<Range, IntegrityError> {
    let (size, last) = (latest.statement.tree_size, latest.statement.position);
    let first = match request.from {
        None => 0,
        Some(from) => match first_since(client, request.tenant, from, last).await? {
            Some(position) => log.index_of(position).await?,
            None => size,
        },
    };
    let end = match request.to {
        None => size,
        Some(to) => match last_before(client, request.tenant, to, last).await? {
            Some(position) => log.index_of(position).await? + 1,
            None => 0,
        },
    };
    // Where nothing was recorded in between, the neighbours alone say so.
    let end = end.max(first);
    let (before, after) = (request.from.is_some() && first > 0, request.to.is_some() && end < size);
    Ok(Range { first: first - u64::from(before), end: end + u64::from(after), before, after })
}

/// The position of the first record at or after a time, none after `last` being asked for. By pages: times have no index,
/// and the clocks of several nodes need not agree.
async fn first_since(
    client: &Client,
    tenant: TenantId,
    from: DateTime<Utc>,
    last: u64,
) -> Result<Option<u64>, IntegrityError> {
    let mut after = 0;
    loop {
        let row = client
            .query_typed_one(
                "SELECT max(position), min(position) FILTER (WHERE recorded_at >= $3)
                 FROM (SELECT position, recorded_at FROM es.event
                       WHERE tenant_id = $1 AND position > $2 AND position <= $4 ORDER BY position LIMIT $5) e",
                &[
                    (&tenant.uuid(), Type::UUID),
                    (&signed(after), Type::INT8),
                    (&from, Type::TIMESTAMPTZ),
                    (&signed(last), Type::INT8),
                    (&signed(DATES), Type::INT8),
                ],
            )
            .await?;
        match row.try_get::<_, Option<i64>>(0)? {
            None => return Ok(None),
            Some(_) if row.try_get::<_, Option<i64>>(1)?.is_some() => return Ok(Some(natural(&row, 1)?)),
            Some(_) => after = natural(&row, 0)?,
        }
    }
}

/// The position of the last record before a time.
async fn last_before(
    client: &Client,
    tenant: TenantId,
    to: DateTime<Utc>,
    last: u64,
) -> Result<Option<u64>, IntegrityError> {
    let mut up_to = last;
    loop {
        let row = client
            .query_typed_one(
                "SELECT min(position) - 1, max(position) FILTER (WHERE recorded_at < $3)
                 FROM (SELECT position, recorded_at FROM es.event
                       WHERE tenant_id = $1 AND position <= $2 ORDER BY position DESC LIMIT $4) e",
                &[
                    (&tenant.uuid(), Type::UUID),
                    (&signed(up_to), Type::INT8),
                    (&to, Type::TIMESTAMPTZ),
                    (&signed(DATES), Type::INT8),
                ],
            )
            .await?;
        match row.try_get::<_, Option<i64>>(0)? {
            None => return Ok(None),
            Some(_) if row.try_get::<_, Option<i64>>(1)?.is_some() => return Ok(Some(natural(&row, 1)?)),
            Some(_) => up_to = natural(&row, 0)?,
        }
    }
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn not_written(source: std::io::Error) -> IntegrityError {
    IntegrityError::File { path: "the bundle".into(), source }
}
