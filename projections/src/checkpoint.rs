//! How far a projection is: one row for each source of events, moved in the transaction that writes the rows.

use deadpool_postgres::Transaction;
use tokio_postgres::Client;

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
    pub(crate) owner_epoch: i64,
}

/// What the next transaction makes of a checkpoint.
pub(crate) struct Advance<'a> {
    pub(crate) source: &'a str,
    /// Where the checkpoint is believed to be. After a commit whose answer was lost it is further.
    pub(crate) from_position: u64,
    pub(crate) next_offset: i64,
    pub(crate) last_position: u64,
    pub(crate) last_hash: Option<&'a [u8]>,
    pub(crate) reached: u64,
}

/// The position up to which everything is in the read model: the least that any of its sources has reached.
/// 0 for a projection that never ran.
pub async fn reached(client: &Client, projection: &str) -> Result<u64, tokio_postgres::Error> {
    let row = client
        .query_one(
            "SELECT coalesce((SELECT min(reached) FROM read.checkpoint WHERE projection = $1), \
                             (SELECT baseline FROM read.projection WHERE name = $1), 0)",
            &[&projection],
        )
        .await?;
    Ok(row.get::<_, i64>(0).cast_unsigned())
}

/// Makes the checkpoints of sources that nobody has claimed yet, so that [`reached`] waits for them, too.
pub(crate) async fn declare<P: Projector>(tx: &Transaction<'_>, sources: &[&str]) -> Result<(), RunError> {
    let Some(first) = sources.first() else { return Ok(()) };
    let baseline = enter::<P>(tx, transport_of(first)).await?;
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
    let baseline = enter::<P>(tx, transport_of(source)).await?;
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

/// Moves a checkpoint, if it is still ours and where we left it. The first statement of each transaction: from here on nobody else can move it.
pub(crate) async fn advance<P: Projector>(
    tx: &Transaction<'_>,
    owner_epoch: i64,
    to: &Advance<'_>,
) -> Result<(), RunError> {
    let statement = tx
        .prepare_cached(
            "UPDATE read.checkpoint SET next_offset = $4, last_position = greatest(last_position, $5), \
                    last_hash = coalesce($6, last_hash), reached = greatest(reached, $7) \
             WHERE projection = $1 AND source = $2 AND owner_epoch = $3 AND last_position = $8",
        )
        .await?;
    let moved = tx
        .execute(
            &statement,
            &[
                &P::NAME,
                &to.source,
                &owner_epoch,
                &to.next_offset,
                &to.last_position.cast_signed(),
                &to.last_hash,
                &to.reached.cast_signed(),
                &to.from_position.cast_signed(),
            ],
        )
        .await?;
    if moved == 0 { Err(RunError::Fenced { projection: P::NAME, source_name: to.source.to_owned() }) } else { Ok(()) }
}

/// Checks that the tables are of this version and fed by this transport, and gives the position they start from.
async fn enter<P: Projector>(tx: &Transaction<'_>, transport: &str) -> Result<i64, RunError> {
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
    Ok(row.get(2))
}

fn transport_of(source: &str) -> &str {
    source.split_once(':').map_or(source, |(transport, _)| transport)
}
