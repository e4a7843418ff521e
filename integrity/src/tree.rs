//! The arithmetic of the log: leaves, the growing edge of a tree, and which hashes a proof is made of.
//!
//! The tree is that of RFC 6962 with SHA-256. What is proved is computed by `tlog_tiles`; here is what it leaves out.

use std::{cell::RefCell, collections::HashMap};

use tlog_tiles::{Error, Hash, HashReader, node_hash, record_hash};

/// How many hashes a tile has.
pub(crate) const TILE: usize = 256;
/// The same, as its place in a tree is counted.
pub(crate) const WIDTH: u64 = 256;
/// The height of a tile, as the base-2 logarithm of [`TILE`].
pub(crate) const HEIGHT: u8 = 8;

/// The hash of the leaf that stands for one event: RFC 6962 over its position, as eight bytes, big end first, and the
/// hash of its envelope. So the tree says both what was recorded and where in all of history it stands.
///
/// ```
/// use guildhall_integrity::leaf;
/// assert_ne!(leaf(1, &[7; 32]), leaf(2, &[7; 32]));
/// ```
pub fn leaf(position: u64, envelope_hash: &[u8; 32]) -> Hash {
    let mut data = [0; 40];
    data[..8].copy_from_slice(&position.to_be_bytes());
    data[8..].copy_from_slice(envelope_hash);
    record_hash(&data)
}

/// A full tile that the edge of the tree has passed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FullTile {
    pub(crate) level: u8,
    pub(crate) index: u64,
    pub(crate) root: Hash,
    pub(crate) hashes: Vec<Hash>,
}

/// The growing edge of a tree: for each level of tiles the hashes of the one that is not full yet. It is all that is
/// needed to go on, and to say the root.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    levels: Vec<Vec<Hash>>,
    size: u64,
}

impl Edge {
    /// The edge of a tree that ends with a full tile of leaves: `levels` holds, from level 1 up, the roots of full tiles
    /// that are not under a full tile themselves.
    pub(crate) fn after(tiles: u64, mut levels: Vec<Vec<Hash>>) -> Self {
        levels.insert(0, Vec::new());
        Self { levels, size: tiles * WIDTH }
    }

    /// How many leaves the tree has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and gives the tiles it fills: mostly none, else one of each level from 0 up.
    pub(crate) fn push(&mut self, leaf: Hash) -> Vec<FullTile> {
        let index = self.size / WIDTH;
        self.size += 1;
        let (mut full, mut hash, mut index, mut level) = (Vec::new(), leaf, index, 0);
        loop {
            let position = usize::from(level);
            if self.levels.len() == position {
                self.levels.push(Vec::new());
            }
            self.levels[position].push(hash);
            if self.levels[position].len() < TILE {
                return full;
            }
            let hashes = std::mem::take(&mut self.levels[position]);
            hash = perfect(&hashes);
            full.push(FullTile { level, index, root: hash, hashes });
            index /= WIDTH;
            level += 1;
        }
    }

    /// The root of the tree as it is now. An empty tree has none.
    pub(crate) fn root(&self) -> Option<Hash> {
        let mut subtrees = Vec::new();
        for level in self.levels.iter().rev() {
            let mut rest = level.as_slice();
            while !rest.is_empty() {
                let (subtree, after) = rest.split_at(1 << rest.len().ilog2());
                subtrees.push(perfect(subtree));
                rest = after;
            }
        }
        subtrees.into_iter().rev().reduce(|right, left| node_hash(left, right))
    }
}

/// The root of a perfect subtree: a power of two of hashes.
pub(crate) fn perfect(hashes: &[Hash]) -> Hash {
    match hashes {
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(perfect(left), perfect(right))
        }
    }
}

/// The subtrees of a tree of `size` leaves that stand left and right of the leaves from `first` up to `end`, each as its
/// first leaf and the one after its last: the nodes nearest to the root that have none of those leaves under them.
pub(crate) fn beside(first: u64, end: u64, size: u64) -> (Vec<(u64, u64)>, Vec<(u64, u64)>) {
    fn walk(node: (u64, u64), first: u64, end: u64, sides: &mut (Vec<(u64, u64)>, Vec<(u64, u64)>)) {
        let (low, high) = node;
        if high <= first {
            sides.0.push(node);
        } else if low >= end {
            sides.1.push(node);
        } else if low < first || high > end {
            let middle = low + (high - low).next_power_of_two() / 2;
            walk((low, middle), first, end, sides);
            walk((middle, high), first, end, sides);
        }
    }
    let mut sides = (Vec::new(), Vec::new());
    if size > 0 {
        walk((0, size), first, end, &mut sides);
    }
    sides
}

/// The hashes a proof is made of, by their place in the tree.
///
/// `tlog_tiles` asks for them while it computes, which cannot wait for a database. So everything is computed twice: the
/// first time to learn what is missing, with hashes that mean nothing, and again once it is here.
#[derive(Debug, Default)]
pub(crate) struct Hashes {
    pub(crate) known: HashMap<u64, Hash>,
    missing: RefCell<Vec<u64>>,
}

impl Hashes {
    /// What was asked for and is not known.
    pub(crate) fn missing(&self) -> Vec<u64> {
        self.missing.take()
    }
}

impl HashReader for Hashes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let hash = |index: &u64| {
            self.known.get(index).copied().unwrap_or_else(|| {
                self.missing.borrow_mut().push(*index);
                Hash::default()
            })
        };
        Ok(indexes.iter().map(hash).collect())
    }
}
