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

impl FullTile {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        bytes(&self.hashes)
    }
}

/// Hashes side by side, as tiles are stored.
pub(crate) fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
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

    /// The leaves behind the last full tile.
    pub(crate) fn untiled(&self) -> &[Hash] {
        self.levels.first().map_or(&[], Vec::as_slice)
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
fn perfect(hashes: &[Hash]) -> Hash {
    if let [hash] = hashes {
        return *hash;
    }
    let (left, right) = hashes.split_at(hashes.len() / 2);
    node_hash(perfect(left), perfect(right))
}

/// A node of a tree, by its first leaf and the one after its last.
pub(crate) type Node = (u64, u64);

/// What of a tree stands left and right of some of its leaves: the nodes nearest to the root that have none of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) left: Vec<Node>,
    pub(crate) right: Vec<Node>,
}

impl Beside {
    /// What stands beside the leaves from `first` up to `end` in a tree of `size`.
    pub(crate) fn of(first: u64, end: u64, size: u64) -> Self {
        let mut beside = Self::default();
        if size > 0 {
            beside.walk((0, size), first, end);
        }
        beside
    }

    fn walk(&mut self, node: Node, first: u64, end: u64) {
        let (low, high) = node;
        if high <= first {
            self.left.push(node);
        } else if low >= end {
            self.right.push(node);
        } else if low < first || high > end {
            let middle = low + (high - low).next_power_of_two() / 2;
            self.walk((low, middle), first, end);
            self.walk((middle, high), first, end);
        }
    }
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

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2::Sha256;
    use tlog_tiles::{Tile, check_record, check_tree, prove_record, prove_tree, stored_hash_index, tree_hash};

    use super::*;

    /// The leaves of the known answers that accompany RFC 6962.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    /// The roots of the trees of their first 1, 2, 3 … leaves.
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn hex(hash: Hash) -> String {
        let digits: Vec<String> = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.concat()
    }

    #[test]
    fn the_known_answers_of_rfc_6962_come_out() {
        let mut edge = Edge::default();
        assert_eq!(edge.root(), None);
        for (leaf, root) in LEAVES.iter().zip(ROOTS) {
            edge.push(record_hash(leaf));
            assert_eq!(edge.root().map(hex).as_deref(), Some(root));
        }
    }

    #[test]
    fn what_stands_beside_some_leaves_is_as_near_to_the_root_as_can_be() {
        assert_eq!(Beside::of(2, 5, 7), Beside { left: vec![(0, 2)], right: vec![(5, 6), (6, 7)] });
        assert_eq!(Beside::of(3, 4, 7), Beside { left: vec![(0, 2), (2, 3)], right: vec![(4, 7)] });
        assert_eq!(Beside::of(0, 7, 7), Beside::default());
    }

    /// A tree by ours, with every hash that can be asked for, from tiles as they would be stored.
    fn ours(leaves: &[Vec<u8>]) -> (Edge, Hashes) {
        let (mut edge, mut hashes, mut rows) = (Edge::default(), Hashes::default(), Vec::new());
        for leaf in leaves {
            let hash = record_hash(leaf);
            rows.push(hash);
            edge.push(hash);
        }
        for level in 0.. {
            for (index, hash) in (0..).zip(&rows) {
                hashes.known.insert(stored_hash_index(level, index), *hash);
            }
            if rows.len() < 2 {
                return (edge, hashes);
            }
            rows = rows.chunks_exact(2).map(|pair| node_hash(pair[0], pair[1])).collect();
        }
        unreachable!("a level has half the hashes of the one below")
    }

    fn theirs(leaves: &[Vec<u8>]) -> MemoryBackedTree<Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        for leaf in leaves {
            tree.push(leaf.clone());
        }
        tree
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn another_implementation_agrees_on_random_trees(
            leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..700),
            at in any::<prop::sample::Index>(),
            before in any::<prop::sample::Index>(),
        ) {
            let (size, at, before) = (leaves.len(), at.index(leaves.len()), before.index(leaves.len()) + 1);
            let (edge, hashes) = ours(&leaves);
            let tree = theirs(&leaves);
            let root = edge.root().expect("there are leaves");
            let their_root = tree.root();
            prop_assert_eq!(their_root.as_bytes().as_slice(), &root.0[..]);
            prop_assert_eq!(tree_hash(size as u64, &hashes).expect("all hashes are there"), root);

            let path = prove_record(size as u64, at as u64, &hashes).expect("all hashes are there");
            let their_path = tree.prove_inclusion(at);
            prop_assert_eq!(their_path.as_bytes(), bytes(&path));
            prop_assert!(check_record(&path, size as u64, root, at as u64, record_hash(&leaves[at])).is_ok());

            let proof = prove_tree(size as u64, before as u64, &hashes).expect("all hashes are there");
            let old = ours(&leaves[..before]).0.root().expect("there are leaves");
            if before < size {
                let their_proof = tree.prove_consistency(size - before);
                prop_assert_eq!(their_proof.as_bytes(), bytes(&proof));
            }
            prop_assert!(check_tree(&proof, size as u64, root, before as u64, old).is_ok());
        }

        #[test]
        fn tiles_are_what_a_log_has_in_their_places(count in 256_usize..70_000) {
            let mut edge = Edge::default();
            let mut full = Vec::new();
            for nth in 0..count {
                full.extend(edge.push(leaf(nth as u64 + 1, &[7; 32])));
            }
            let expected = |level: u32| count as u64 / WIDTH.pow(level + 1);
            for level in 0..2 {
                let indexes: Vec<u64> =
                    full.iter().filter(|tile| u32::from(tile.level) == level).map(|tile| tile.index).collect();
                prop_assert_eq!(indexes, (0..expected(level)).collect::<Vec<_>>());
            }
            for tile in &full {
                prop_assert_eq!(Tile::subtree_hash(&tile.bytes()), tile.root);
            }
            for (below, above) in full.iter().flat_map(|below| full.iter().map(move |above| (below, above))) {
                if below.level + 1 == above.level && below.index / WIDTH == above.index {
                    let at = usize::try_from(below.index % WIDTH).expect("below 256");
                    prop_assert_eq!(above.hashes[at], below.root);
                }
            }
        }
    }
}
