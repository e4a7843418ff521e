//! The log of one association as it stands in the database: full tiles, and events for what is younger.

use std::collections::{HashMap, hash_map::Entry};

use guildhall_aggregates::TenantId;
use guildhall_event_store::EventStore;
use tlog_tiles::{Hash, Tile, node_hash, prove_record, prove_tree, sub_tree_index, tree_hash};
use tokio_postgres::{Client, GenericClient, Row, types::Type};

use crate::{
    IntegrityError,
    checkpoint::{Checkpoint, Statement},
    leaf,
    tree::{Edge, FullTile, HEIGHT, Hashes, Node, TILE, WIDTH, bytes},
};

/// The log of one association, seen through one connection or transaction.
pub(crate) struct Log<'a, C> {
    pub(crate) client: &'a C,
    pub(crate) tenant: TenantId,
}

/// A tile as it is stored: the position of the last event under it, its root, its hashes.
pub(crate) type StoredTile = (u64, Hash, Vec<u8>);

/// A leaf, and the position of its event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf {
    pub(crate) position: u64,
    pub(crate) hash: Hash,
}

impl<'a, C: GenericClient + Sync> Log<'a, C> {
    pub(crate) fn new(client: &'a C, tenant: TenantId) -> Self {
        Self { client, tenant }
    }

    /// The edge of the tree as far as it is kept, and the position of the last event under it.
    pub(crate) async fn edge(&self) -> Result<(Edge, u64), IntegrityError> {
        let rows = self
            .client
            .query_typed(
                "SELECT t.index + 1 FROM generate_series(0, 6) l
                 CROSS JOIN LATERAL (SELECT index FROM es.log_tile
                     WHERE tenant_id = $1 AND level = l ORDER BY index DESC LIMIT 1) t
                 ORDER BY l",
                &[(&self.tenant.uuid(), Type::UUID)],
            )
            .await?;
        let tiles = rows.first().map(|row| natural(row, 0)).transpose()?.unwrap_or(0);
        let mut levels = Vec::new();
        let mut below = tiles;
        for level in 0.. {
            let above = rows.get(level + 1).map(|row| natural(row, 0)).transpose()?.unwrap_or(0);
            let roots = self.roots(u8::try_from(level).unwrap_or(u8::MAX), above * WIDTH).await?;
            if roots.len() as u64 != below - (above * WIDTH).min(below) || roots.len() >= TILE {
                return Err(IntegrityError::Incomplete(format!("tiles of level {level} are missing")));
            }
            levels.push(roots);
            if above == 0 {
                break;
            }
            below = above;
        }
        let (mut edge, tail) = (Edge::after(tiles, levels), self.tail().await?);
        for leaf in tail.leaves {
            edge.push(leaf);
        }
        Ok((edge, tail.last_position))
    }

    /// The roots of the full tiles of a level from this one on; of 256 at most.
    async fn roots(&self, level: u8, from: u64) -> Result<Vec<Hash>, IntegrityError> {
        let rows = self
            .client
            .query_typed(
                "SELECT root FROM es.log_tile WHERE tenant_id = $1 AND level = $2 AND index >= $3 ORDER BY index LIMIT 256",
                &[
                    (&self.tenant.uuid(), Type::UUID),
                    (&i16::from(level), Type::INT2),
                    (&signed(from), Type::INT8),
                ],
            )
            .await?;
        rows.iter().map(|row| hash(row, 0)).collect()
    }

    /// The leaves of the events after a position and up to another, in order.
    pub(crate) async fn leaves(&self, after: u64, up_to: u64, limit: usize) -> Result<Vec<Leaf>, IntegrityError> {
        let rows = self
            .client
            .query_typed(
                "SELECT position, leaf_hash FROM es.event
                 WHERE tenant_id = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4",
                &[
                    (&self.tenant.uuid(), Type::UUID),
                    (&signed(after), Type::INT8),
                    (&signed(up_to), Type::INT8),
                    (&signed(limit as u64), Type::INT8),
                ],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let position = natural(row, 0)?;
                Ok(Leaf { position, hash: leaf(position, &hash(row, 1)?.0) })
            })
            .collect()
    }

    /// Keeps tiles that are full now; `last` has the position of the last event under each.
    pub(crate) async fn keep(&self, tiles: &[(FullTile, u64)]) -> Result<(), IntegrityError> {
        if tiles.is_empty() {
            return Ok(());
        }
        let levels: Vec<i16> = tiles.iter().map(|(tile, _)| i16::from(tile.level)).collect();
        let indexes: Vec<i64> = tiles.iter().map(|(tile, _)| signed(tile.index)).collect();
        let last: Vec<i64> = tiles.iter().map(|(_, last)| signed(*last)).collect();
        let roots: Vec<&[u8]> = tiles.iter().map(|(tile, _)| &tile.root.0[..]).collect();
        let hashes: Vec<Vec<u8>> = tiles.iter().map(|(tile, _)| tile.bytes()).collect();
        self.client
            .execute_typed(
                "INSERT INTO es.log_tile (tenant_id, level, index, last_position, root, hashes)
                 SELECT $1, * FROM unnest($2, $3, $4, $5, $6)",
                &[
                    (&self.tenant.uuid(), Type::UUID),
                    (&levels, Type::INT2_ARRAY),
                    (&indexes, Type::INT8_ARRAY),
                    (&last, Type::INT8_ARRAY),
                    (&roots, Type::BYTEA_ARRAY),
                    (&hashes, Type::BYTEA_ARRAY),
                ],
            )
            .await?;
        Ok(())
    }

    /// What is stored in the places of these tiles.
    pub(crate) async fn stored(
        &self,
        tiles: &[(FullTile, u64)],
    ) -> Result<HashMap<(u8, u64), StoredTile>, IntegrityError> {
        if tiles.is_empty() {
            return Ok(HashMap::new());
        }
        let levels: Vec<i16> = tiles.iter().map(|(tile, _)| i16::from(tile.level)).collect();
        let indexes: Vec<i64> = tiles.iter().map(|(tile, _)| signed(tile.index)).collect();
        let rows = self
            .client
            .query_typed(
                "SELECT t.level, t.index, t.last_position, t.root, t.hashes FROM unnest($2, $3) w (level, index)
                 CROSS JOIN LATERAL (SELECT * FROM es.log_tile
                     WHERE tenant_id = $1 AND level = w.level AND index = w.index LIMIT 1) t",
                &[(&self.tenant.uuid(), Type::UUID), (&levels, Type::INT2_ARRAY), (&indexes, Type::INT8_ARRAY)],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let level = u8::try_from(row.try_get::<_, i16>(0)?).unwrap_or(u8::MAX);
                Ok(((level, natural(row, 1)?), (natural(row, 2)?, hash(row, 3)?, row.try_get(4)?)))
            })
            .collect()
    }

    /// The latest checkpoint as it is stored; nothing of it is checked.
    pub(crate) async fn latest(&self) -> Result<Option<Checkpoint>, IntegrityError> {
        let row = self
            .client
            .query_typed_opt(
                &format!("{SELECT_CHECKPOINT} WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1"),
                &[(&self.tenant.uuid(), Type::UUID)],
            )
            .await?;
        row.as_ref().map(checkpoint).transpose()
    }

    /// Which leaf the event at a position is, or would be.
    pub(crate) async fn index_of(&self, position: u64) -> Result<u64, IntegrityError> {
        let before = self.tile_before(position).await?;
        self.present(before, position).await?;
        let row = self
            .client
            .query_typed_one(
                "WITH tile AS (SELECT index + 1 AS tiles, last_position FROM es.log_tile
                     WHERE tenant_id = $1 AND level = 0 AND last_position < $2 ORDER BY last_position DESC LIMIT 1)
                 SELECT coalesce((SELECT tiles FROM tile), 0) * 256 + (SELECT count(*) FROM es.event
                     WHERE tenant_id = $1 AND position > coalesce((SELECT last_position FROM tile), 0) AND position < $2)",
                &[(&self.tenant.uuid(), Type::UUID), (&signed(position), Type::INT8)],
            )
            .await?;
        natural(&row, 0)
    }

    /// The last position under the last full tile before a position; 0 where there is none.
    async fn tile_before(&self, position: u64) -> Result<u64, IntegrityError> {
        let row = self
            .client
            .query_typed_one(
                "SELECT coalesce(max(last_position), 0) FROM es.log_tile
                 WHERE tenant_id = $1 AND level = 0 AND last_position < $2",
                &[(&self.tenant.uuid(), Type::UUID), (&signed(position), Type::INT8)],
            )
            .await?;
        natural(&row, 0)
    }

    /// The position of the event that a leaf stands for.
    pub(crate) async fn position_of(&self, index: u64) -> Result<u64, IntegrityError> {
        let row = self
            .client
            .query_typed_opt(
                "SELECT position FROM es.event
                 WHERE tenant_id = $1 AND position > CASE $2 WHEN 0 THEN 0 ELSE (SELECT last_position FROM es.log_tile
                     WHERE tenant_id = $1 AND level = 0 AND index = $2 - 1) END
                 ORDER BY position OFFSET $3 LIMIT 1",
                &[
                    (&self.tenant.uuid(), Type::UUID),
                    (&signed(index / WIDTH), Type::INT8),
                    (&signed(index % WIDTH), Type::INT8),
                ],
            )
            .await?;
        let row = row.ok_or_else(|| IntegrityError::Incomplete(format!("record {index} is missing")))?;
        natural(&row, 0)
    }

    /// The root of the tree when it had so many leaves.
    pub(crate) async fn root(&self, size: u64) -> Result<Hash, IntegrityError> {
        self.with_hashes(|hashes| tree_hash(size, hashes)).await
    }

    /// The proof that the leaf is in the tree of this size.
    pub(crate) async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, IntegrityError> {
        self.with_hashes(|hashes| prove_record(size, index, hashes)).await
    }

    /// The proof that the tree of the larger size begins with that of the smaller one.
    pub(crate) async fn consistency(&self, smaller: u64, larger: u64) -> Result<Vec<Hash>, IntegrityError> {
        self.with_hashes(|hashes| prove_tree(larger, smaller, hashes)).await
    }

    /// The hashes of nodes.
    pub(crate) async fn subtrees(&self, nodes: &[Node]) -> Result<Vec<Hash>, IntegrityError> {
        self.with_hashes(|hashes| {
            nodes
                .iter()
                .map(|&(first, end)| {
                    let parts = tlog_tiles::HashReader::read_hashes(hashes, &sub_tree_index(first, end, Vec::new()))?;
                    parts
                        .into_iter()
                        .rev()
                        .reduce(|right, left| node_hash(left, right))
                        .ok_or(tlog_tiles::Error::BadMath)
                })
                .collect()
        })
        .await
    }

    /// Computes something from hashes of the tree, once to learn which they are and once with them.
    async fn with_hashes<T>(
        &self,
        compute: impl Fn(&Hashes) -> Result<T, tlog_tiles::Error>,
    ) -> Result<T, IntegrityError> {
        let mut hashes = Hashes::default();
        compute(&hashes)?;
        let mut tiles: HashMap<(u8, u64), Vec<u8>> = HashMap::new();
        for index in hashes.missing() {
            let place = Tile::from_index(HEIGHT, index);
            let data = match tiles.entry((place.level(), place.level_index())) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(free) => free.insert(self.tile(place.level(), place.level_index()).await?),
            };
            hashes.known.insert(index, place.hash_at_index(data, index)?);
        }
        Ok(compute(&hashes)?)
    }

    /// The hashes of a tile: all 256 of a full one, of the others as many as there are.
    async fn tile(&self, level: u8, index: u64) -> Result<Vec<u8>, IntegrityError> {
        let stored = self
            .client
            .query_typed_opt(
                "SELECT hashes FROM es.log_tile WHERE tenant_id = $1 AND level = $2 AND index = $3",
                &[(&self.tenant.uuid(), Type::UUID), (&i16::from(level), Type::INT2), (&signed(index), Type::INT8)],
            )
            .await?;
        if let Some(row) = stored {
            return Ok(row.try_get(0)?);
        }
        if level > 0 {
            return Ok(bytes(&self.roots(level - 1, index * WIDTH).await?));
        }
        Ok(bytes(&self.last_tile(index).await?))
    }
}

/// The association after another, in the order of their ids, of all that have recorded something. By one question each:
/// the index has an entry for every event.
pub(crate) async fn next_association(
    client: &Client,
    after: Option<TenantId>,
) -> Result<Option<TenantId>, IntegrityError> {
    let row = client
        .query_typed_opt(
            "SELECT tenant_id FROM es.event WHERE $1 IS NULL OR tenant_id > $1 ORDER BY tenant_id LIMIT 1",
            &[(&after.map(TenantId::uuid), Type::UUID)],
        )
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.map(TenantId::new))
}

/// The association after another, of all that have recorded something; `None` begins with the first.
///
/// # Errors
/// The database cannot be asked.
pub async fn associations_after(
    store: &EventStore,
    after: Option<TenantId>,
) -> Result<Option<TenantId>, IntegrityError> {
    let client = store.pool().get().await?;
    next_association(&client, after).await
}

/// What [`checkpoint`] reads.
pub(crate) const SELECT_CHECKPOINT: &str =
    "SELECT number, tenant_id, tree_size, position, root, signed_at, key, note FROM es.checkpoint";

/// A checkpoint from its row.
pub(crate) fn checkpoint(row: &Row) -> Result<Checkpoint, IntegrityError> {
    let statement = Statement {
        number: natural(row, 0)?,
        tenant: TenantId::new(row.try_get(1)?),
        tree_size: natural(row, 2)?,
        position: natural(row, 3)?,
        root: hash(row, 4)?,
        signed_at: row.try_get(5)?,
    };
    Ok(Checkpoint { statement, key: row.try_get(6)?, note: row.try_get(7)? })
}

/// A `bigint` that is a position, an index or a count, and so not negative.
pub(crate) fn natural(row: &Row, column: usize) -> Result<u64, IntegrityError> {
    let value: i64 = row.try_get(column)?;
    Ok(u64::try_from(value).unwrap_or(0))
}

/// A position or a count as the database knows it.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// 32 bytes; anything else is no hash, and equal to none.
pub(crate) fn hash(row: &Row, column: usize) -> Result<Hash, IntegrityError> {
    let bytes: &[u8] = row.try_get(column)?;
    Ok(Hash(bytes.try_into().unwrap_or_default()))
}
