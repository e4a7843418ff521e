//! The leaves behind the last full tile, and what may be missing among the events they come from.
//!
//! Events may be moved to an archive. The tree must then go on from what is kept of them, and never over a gap: a leaf that
//! is left out would make another tree.

use tlog_tiles::Hash;
use tokio_postgres::{Client, GenericClient, types::Type};

use crate::{
    IntegrityError,
    log::{Log, natural, signed},
    tree::{Edge, TILE, WIDTH, bytes},
};

/// What is kept of the end of a log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tail {
    /// How many leaves the log had.
    pub(crate) tree_size: u64,
    /// The position of the last event among them; 0 where there is none.
    pub(crate) last_position: u64,
    /// The leaves behind the last full tile.
    pub(crate) leaves: Vec<Hash>,
}

impl<C: GenericClient + Sync> Log<'_, C> {
    /// The end of the log as far as it is kept: as of the last checkpoint, or the last full tile if that is later.
    pub(crate) async fn tail(&self) -> Result<Tail, IntegrityError> {
        let row = self
            .client
            .query_typed_opt(
                "SELECT (index + 1) * 256, last_position FROM es.log_tile
                 WHERE tenant_id = $1 AND level = 0 ORDER BY index DESC LIMIT 1",
                &[(&self.tenant.uuid(), Type::UUID)],
            )
            .await?;
        let (tiled, last_position) = match row {
            Some(row) => (natural(&row, 0)?, natural(&row, 1)?),
            None => (0, 0),
        };
        match self.kept_tail().await? {
            Some(kept) if kept.tree_size > tiled && kept.tree_size / WIDTH == tiled / WIDTH => Ok(kept),
            _ => Ok(Tail { tree_size: tiled, last_position, leaves: Vec::new() }),
        }
    }

    /// The end of the log as it was kept with the last checkpoint.
    pub(crate) async fn kept_tail(&self) -> Result<Option<Tail>, IntegrityError> {
        let row = self
            .client
            .query_typed_opt(
                "SELECT tree_size, last_position, hashes FROM es.log_tail WHERE tenant_id = $1",
                &[(&self.tenant.uuid(), Type::UUID)],
            )
            .await?;
        row.map(|row| {
            let hashes: &[u8] = row.try_get(2)?;
            let leaves = hashes.chunks(32).map(|hash| Hash(hash.try_into().unwrap_or_default())).collect();
            Ok(Tail { tree_size: natural(&row, 0)?, last_position: natural(&row, 1)?, leaves })
        })
        .transpose()
    }

    /// Keeps the end of the log, in place of what was kept before.
    pub(crate) async fn keep_tail(&self, edge: &Edge, last_position: u64) -> Result<(), IntegrityError> {
        self.client
            .execute_typed(
                "INSERT INTO es.log_tail (tenant_id, tree_size, last_position, hashes) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (tenant_id) DO UPDATE SET tree_size = excluded.tree_size,
                     last_position = excluded.last_position, hashes = excluded.hashes",
                &[
                    (&self.tenant.uuid(), Type::UUID),
                    (&signed(edge.size()), Type::INT8),
                    (&signed(last_position), Type::INT8),
                    (&bytes(edge.untiled()), Type::BYTEA),
                ],
            )
            .await?;
        Ok(())
    }

    /// The leaves of the tile that is not full yet, as far as they are kept, or else from events.
    pub(crate) async fn last_tile(&self, index: u64) -> Result<Vec<Hash>, IntegrityError> {
        let tail = self.tail().await?;
        if tail.tree_size / WIDTH != index {
            return Err(IntegrityError::Incomplete(format!("tile {index} of level 0 is missing")));
        }
        if !tail.leaves.is_empty() {
            return Ok(tail.leaves);
        }
        self.present(tail.last_position, u64::MAX).await?;
        let leaves = self.leaves(tail.last_position, u64::MAX, TILE).await?;
        Ok(leaves.into_iter().map(|leaf| leaf.hash).collect())
    }

    /// Checks that no event between two positions was moved to an archive.
    pub(crate) async fn present(&self, after: u64, up_to: u64) -> Result<(), IntegrityError> {
        let row = self
            .client
            .query_typed_opt(
                "SELECT first_position, last_position FROM es.archived WHERE last_position > $1 AND first_position <= $2
                 ORDER BY first_position LIMIT 1",
                &[(&signed(after), Type::INT8), (&signed(up_to), Type::INT8)],
            )
            .await?;
        match row {
            Some(row) => Err(IntegrityError::Archived { first: natural(&row, 0)?, last: natural(&row, 1)? }),
            None => Ok(()),
        }
    }

    /// Checks that no event after this position was moved to an archive before it was under a checkpoint.
    pub(crate) async fn unbroken(&self, after: u64) -> Result<(), IntegrityError> {
        let row = self.client.query_typed_one("SELECT coalesce(max(position), 0) FROM es.sealed", &[]).await?;
        self.present(after.max(natural(&row, 0)?), u64::MAX).await
    }
}

/// Notes that every event of all associations up to a position is under a checkpoint.
pub(crate) async fn all_sealed(client: &Client, position: u64) -> Result<(), IntegrityError> {
    client
        .execute_typed(
            "INSERT INTO es.sealed (position) VALUES ($1)
             ON CONFLICT (only_row) DO UPDATE SET position = greatest(es.sealed.position, excluded.position)",
            &[(&signed(position), Type::INT8)],
        )
        .await?;
    Ok(())
}
