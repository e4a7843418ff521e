//! How far a projection is: one row for each source of events, moved in the transaction that writes the rows.

use std::collections::HashSet;

use deadpool_postgres::{ClientWrapper, Transaction};
use guildhall_event_store::RecordedEvent;
use tokio_postgres::{Client, Statement};

use crate::{Projector, RunError};

/// The source of a projection that reads the event store itself.
pub const STORE: &str = "store";

/// Where a source stood when it was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The offset to go on reading from, where the source has offsets.
    pub next_offset: i64,
    /// Events at or below this position are in the tables already.
    pub last_position: u64,
    /// Everything the source has to give up to this position is in the tables; not below `last_position`.
    pub reached: u64,
    /// The leaf hash of the last event folded; none before the first and after a rebuild.
    pub last_hash: Option<Vec<u8>>,
    /// Tells this claim from every other one of the source.
    pub owner_epoch: i64,
}

/// What the next transaction makes of a checkpoint.
pub(crate) struct Advance {
    pub(crate) source: String,
    owner_epoch: i64,
    /// Where the checkpoint is believed to be. After a commit whose answer was lost it is further.
    from_position: u64,
    pub(crate) next_offset: i64,
    pub(crate) last_position: u64,
    pub(crate) last_hash: Option<[u8; 32]>,
    pub(crate) reached: u64,
}

impl Advance {
    /// From where a source was claimed or left over these events of it.
    pub(crate) fn over(
        source: String,
        claim: &Claim,
        events: &[RecordedEvent],
        next_offset: i64,
        reached: u64,
    ) -> Self {
        let last = events.last();
        Self {
            source,
            owner_epoch: claim.owner_epoch,
            from_position: claim.last_position,
            next_offset,
            last_position: last.map_or(claim.last_position, |event| event.position),
            last_hash: last.map(|event| event.leaf_hash),
            reached,
        }
    }
}

/// The position up to which everything is in the read model: the least that any of its sources has reached.
/// 0 for a projection that never ran.
pub async fn reached(client: &ClientWrapper, projection: &str) -> Result<u64, tokio_postgres::Error> {
    let sql = "SELECT coalesce((SELECT min(reached) FROM read.checkpoint WHERE projection = $1), \
                               (SELECT baseline FROM read.projection WHERE name = $1), 0)";
    let row = client.query_one(&client.prepare_cached(sql).await?, &[&projection]).await?;
    Ok(row.get::<_, i64>(0).cast_unsigned())
}

/// Makes the checkpoints of sources that nobody has claimed yet, so that [`reached`] waits for them, too; and for no others.
pub(crate) async fn declare<P: Projector>(tx: &Transaction<'_>, sources: &[&str]) -> Result<(), RunError> {
    let Some(first) = sources.first() else { return Ok(()) };
    let baseline = enter::<P>(tx, first).await?;
    // What the projector has read no more since is not waited for either.
    tx.execute("DELETE FROM read.checkpoint WHERE projection = $1 AND source <> ALL ($2)", &[&P::NAME, &sources])
        .await?;
    tx.execute(
        "INSERT INTO read.checkpoint (projection, source, last_position, reached) \
         SELECT $1, source, $3, $3 FROM unnest($2::text[]) AS source ON CONFLICT (projection, source) DO NOTHING",
        &[&P::NAME, &sources, &baseline],
    )
    .await?;
    Ok(())
}

/// Takes a source over: whoever owned it before is fenced.
pub(crate) async fn claim<P: Projector>(tx: &Transaction<'_>, source: &str) -> Result<Claim, RunError> {
    let baseline = enter::<P>(tx, source).await?;
    // A claim must outlast a crash, or who was fenced could come back as the owner.
    tx.batch_execute("SET LOCAL synchronous_commit = on").await?;
    let row = tx
        .query_one(
            "INSERT INTO read.checkpoint AS c (projection, source, last_position, reached) VALUES ($1, $2, $3, $3) \
             ON CONFLICT (projection, source) DO UPDATE SET owner_epoch = c.owner_epoch + 1 \
             RETURNING next_offset, last_position, greatest(reached, last_position), last_hash, owner_epoch",
            &[&P::NAME, &source, &baseline],
        )
        .await?;
    Ok(Claim {
        next_offset: row.get(0),
        last_position: row.get::<_, i64>(1).cast_unsigned(),
        reached: row.get::<_, i64>(2).cast_unsigned(),
        last_hash: row.get(3),
        owner_epoch: row.get(4),
    })
}

/// The statement of [`advance`], to be prepared before the transaction begins.
pub(crate) const ADVANCE: &str = "UPDATE read.checkpoint c SET next_offset = t.next_offset, last_position = t.last_position, \
                                             last_hash = coalesce(t.last_hash, c.last_hash), \
                                             reached = greatest(c.reached, t.reached) \
     FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bigint[]) \
            AS t (source, owner_epoch, from_position, next_offset, last_position, last_hash, reached) \
     WHERE c.projection = $1 AND c.source = t.source AND c.owner_epoch = t.owner_epoch \
       AND c.last_position = t.from_position \
     RETURNING c.source";

/// Moves checkpoints, those that are still ours and where we left them; fails if one of them is not. The first statement of
/// each transaction: from here on nobody else can move them. Outside of one it is for events that change no table.
pub(crate) async fn advance<P: Projector>(
    client: &Client,
    statement: &Statement,
    to: &[Advance],
) -> Result<(), RunError> {
    let sources: Vec<&str> = to.iter().map(|to| &*to.source).collect();
    let numbers = |number: fn(&Advance) -> i64| -> Vec<i64> { to.iter().map(number).collect() };
    let hashes: Vec<Option<&[u8]>> = to.iter().map(|to| to.last_hash.as_ref().map(|hash| &hash[..])).collect();
    let moved = client
        .query(
            statement,
            &[
                &P::NAME,
                &sources,
                &numbers(|to| to.owner_epoch),
                &numbers(|to| to.from_position.cast_signed()),
                &numbers(|to| to.next_offset),
                &numbers(|to| to.last_position.cast_signed()),
                &hashes,
                &numbers(|to| to.reached.cast_signed()),
            ],
        )
        .await?;
    let moved: HashSet<&str> = moved.iter().map(|row| row.get(0)).collect();
    match sources.into_iter().find(|source| !moved.contains(source)) {
        Some(lost) => Err(RunError::Fenced { projection: P::NAME, source_name: lost.to_owned() }),
        None => Ok(()),
    }
}

/// Keeps every source of a projection where it is until the transaction ends, and fences whoever owns one: they claim it
/// again before they fold another event.
pub(crate) async fn fence<P: Projector>(tx: &Transaction<'_>) -> Result<(), RunError> {
    let sql = "SELECT version FROM read.projection WHERE name = $1 FOR NO KEY UPDATE";
    let Some(row) = tx.query_opt(sql, &[&P::NAME]).await? else { return Ok(()) };
    let tables: i32 = row.get(0);
    if tables != P::VERSION {
        return Err(RunError::OtherVersion { projection: P::NAME, tables, program: P::VERSION });
    }
    // In the order of a rebuild, so that the two cannot wait for each other.
    let held = "SELECT 1 FROM read.checkpoint WHERE projection = $1 ORDER BY source FOR UPDATE";
    tx.query(held, &[&P::NAME]).await?;
    let fenced = "UPDATE read.checkpoint SET owner_epoch = owner_epoch + 1 WHERE projection = $1";
    tx.execute(fenced, &[&P::NAME]).await?;
    Ok(())
}

/// Checks that the tables are of this version and fed from where this source is, and gives the position they start from.
async fn enter<P: Projector>(tx: &Transaction<'_>, source: &str) -> Result<i64, RunError> {
    let transport = transport_of(source);
    tx.execute(
        "INSERT INTO read.projection (name, version, transport) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        &[&P::NAME, &P::VERSION, &transport],
    )
    .await?;
    let row = tx
        .query_one(
            "SELECT version, transport, baseline FROM read.projection WHERE name = $1 FOR NO KEY UPDATE",
            &[&P::NAME],
        )
        .await?;
    let version: i32 = row.get(0);
    if version != P::VERSION {
        return Err(RunError::OtherVersion { projection: P::NAME, tables: version, program: P::VERSION });
    }
    match row.get::<_, Option<String>>(1) {
        Some(present) if present != transport => {
            return Err(RunError::OtherTransport { projection: P::NAME, present, wanted: transport.to_owned() });
        }
        Some(_) => {}
        None => {
            let sql = "UPDATE read.projection SET transport = $2 WHERE name = $1";
            tx.execute(sql, &[&P::NAME, &transport]).await?;
        }
    }
    let generation = generation_of(source);
    let sql = "SELECT source FROM read.checkpoint WHERE projection = $1 AND NOT starts_with(source, $2) LIMIT 1";
    if let Some(row) = tx.query_opt(sql, &[&P::NAME, &generation]).await? {
        return Err(RunError::OtherGeneration { projection: P::NAME, present: row.get(0) });
    }
    Ok(row.get(2))
}

/// Where a source's positions mean the same: `store`, or a generation of topics such as `kafka:guildhall.`. In another
/// generation events lie in other partitions, whose checkpoints say nothing about what is folded.
fn generation_of(source: &str) -> &str {
    source.rfind('.').map_or(transport_of(source), |at| &source[..=at])
}

fn transport_of(source: &str) -> &str {
    source.split_once(':').map_or(source, |(transport, _)| transport)
}
