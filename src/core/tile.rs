//! Tiles (C2SP tlog-tiles): the tree and its leaves as static files.
//!
//! ```text
//! tile/0/x001/x234/067       256 leaf hashes from leaf 1234067 · 256
//! tile/1/000.p/17            17 hashes, each of a full tile of level 0
//! tile/entries/x001/x234/067 the leaves of the first: 0x00 0x20 ‖ hash of the line, each
//! ```
//!
//! Hash `i` of tile `index` at `level` is that of the complete subtree of 256^level leaves numbered
//! index · 256 + i. A full tile never changes; a partial one holds what the tree has so far.

use std::fmt::Write as _;
use std::ops::Range;

use crate::Digest;
use crate::merkle::{MAX_SIZE, Node, node};

/// How many hashes a full tile holds.
pub const WIDTH: u16 = 256;

/// The highest level of a tile that a tree can have.
pub const MAX_LEVEL: u8 = 7;

/// A tile of a tree at some size.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

impl Tile {
    /// The tile at a place in a tree of `size` leaves; `None` if the tree has nothing there yet.
    #[must_use]
    pub fn new(level: u8, index: u64, size: u64) -> Option<Self> {
        if level > MAX_LEVEL || size > MAX_SIZE {
            return None;
        }
        let hashes = size >> (8 * u32::from(level));
        let left = hashes.checked_sub(index.checked_mul(u64::from(WIDTH))?)?;
        let width = u16::try_from(left).unwrap_or(WIDTH).min(WIDTH);
        (width > 0).then_some(Self { level, index, width })
    }

    /// The tile that the hash of a subtree comes from, in a tree of `size` leaves that holds it.
    #[must_use]
    pub fn of(node: Node, size: u64) -> Option<Self> {
        let within = node.level % 8;
        let first = node.index.checked_shl(within.into()).filter(|first| first >> within == node.index)?;
        Self::new(node.level / 8, first / u64::from(WIDTH), size).filter(|tile| tile.range(node).is_some())
    }

    /// How many hashes it holds: 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// The subtrees whose hashes it holds, in their order.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        let Self { level, index, width } = *self;
        let first = index * u64::from(WIDTH);
        (first..first + u64::from(width)).map(move |index| Node { level: level * 8, index })
    }

    /// The hash of a subtree from the hashes of this tile; `None` if it is not in it.
    #[must_use]
    pub fn hash(&self, node: Node, hashes: &[Digest]) -> Option<Digest> {
        let range = self.range(node)?;
        subtree_root(hashes.get(range)?)
    }

    /// Where it is stored: `tile/<level>/<index>`, with `.p/<width>` if it is partial.
    #[must_use]
    pub fn path(&self) -> String {
        self.path_under(&format!("tile/{}", self.level))
    }

    /// Where its leaves are stored, for a tile of level 0.
    #[must_use]
    pub fn entries_path(&self) -> Option<String> {
        (self.level == 0).then(|| self.path_under("tile/entries"))
    }

    fn path_under(&self, folder: &str) -> String {
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        let mut path = folder.to_owned();
        for (left, group) in (0..groups.len()).rev().zip(groups.into_iter().rev()) {
            // Writing to a string cannot fail.
            let _ = write!(path, "/{}{group:03}", if left > 0 { "x" } else { "" });
        }
        if self.width < WIDTH {
            let _ = write!(path, ".p/{}", self.width);
        }
        path
    }

    /// The hashes of this tile that a subtree lies over.
    fn range(&self, node: Node) -> Option<Range<usize>> {
        let within = node.level % 8;
        let first = node.index.checked_shl(within.into()).filter(|first| first >> within == node.index)?;
        let width = u64::from(WIDTH);
        let start = usize::try_from(first % width).ok()?;
        let range = start..start + (1 << within);
        let inside = node.level / 8 == self.level && first / width == self.index;
        (inside && range.end <= usize::from(self.width)).then_some(range)
    }
}

/// Appends a leaf to an entry bundle: its length, 32 in two bytes, and the hash of its line.
pub fn write_entry(out: &mut Vec<u8>, line: &Digest) {
    out.extend_from_slice(&[0x00, 0x20]);
    out.extend_from_slice(line.as_bytes());
}

/// The root over a power of two of hashes.
fn subtree_root(hashes: &[Digest]) -> Option<Digest> {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.chunks_exact(2).filter_map(|pair| Some(node(pair.first()?, pair.last()?))).collect();
    }
    level.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{self, Frontier};
    use std::collections::BTreeMap;

    fn tile(level: u8, index: u64, size: u64) -> Tile {
        Tile::new(level, index, size).unwrap()
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let vast = MAX_SIZE;
        assert_eq!(tile(0, 0, vast).path(), "tile/0/000");
        assert_eq!(tile(0, 1_234_067, vast).path(), "tile/0/x001/x234/067");
        assert_eq!(tile(0, 1_000, vast).path(), "tile/0/x001/000");
        assert_eq!(tile(0, 999, vast).entries_path().as_deref(), Some("tile/entries/999"));
        assert_eq!(tile(1, 0, vast).entries_path(), None);
        // "A tree of size 70,000 will be represented by …"
        let whole = |level, index| Tile::new(level, index, 70_000).map(|tile| tile.path());
        assert_eq!(whole(0, 272).as_deref(), Some("tile/0/272"));
        assert_eq!(whole(0, 273).as_deref(), Some("tile/0/273.p/112"));
        assert_eq!(whole(0, 274), None);
        assert_eq!(whole(1, 0).as_deref(), Some("tile/1/000"));
        assert_eq!(whole(1, 1).as_deref(), Some("tile/1/001.p/17"));
        assert_eq!(whole(2, 0).as_deref(), Some("tile/2/000.p/1"));
        assert_eq!(whole(3, 0), None);
        assert_eq!(tile(0, 273, 70_000).entries_path().as_deref(), Some("tile/entries/273.p/112"));
        // "A tree of size 256 will be represented by a full level 0 tile and a partial level 1 tile of width 1."
        assert_eq!(tile(0, 0, 256).path(), "tile/0/000");
        assert_eq!(tile(1, 0, 256).path(), "tile/1/000.p/1");
        assert_eq!(Tile::new(0, 1, 256), None);
    }

    #[test]
    fn places_that_no_tree_has_are_none() {
        for (level, index, size) in [
            (0, 0, 0),
            (8, 0, MAX_SIZE),
            (64, 0, 1),
            (255, 0, 1),
            (0, u64::MAX, MAX_SIZE),
            (0, 0, MAX_SIZE + 1),
            (7, 1, MAX_SIZE),
        ] {
            assert_eq!(Tile::new(level, index, size), None, "{level} {index} {size}");
        }
        for (level, index) in [(63, 0), (63, u64::MAX), (64, 0), (255, u64::MAX), (7, u64::MAX), (0, MAX_SIZE)] {
            assert_eq!(Tile::of(Node { level, index }, MAX_SIZE), None, "{level} {index}");
        }
    }

    #[test]
    fn proofs_from_tiles_are_those_from_the_tree() {
        for size in [1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000] {
            let (mut tree, mut nodes) = (Frontier::new(), BTreeMap::new());
            for number in 0..size {
                let leaf = merkle::leaf(&Digest::of(&u64::to_le_bytes(number)));
                tree.append_noting(leaf, |node, hash| assert_eq!(nodes.insert(node, *hash), None)).unwrap();
            }
            // What is stored: for each tile, its hashes.
            let mut stored: BTreeMap<Tile, Vec<Digest>> = BTreeMap::new();
            for level in 0..=MAX_LEVEL {
                for tile in (0..).map_while(|index| Tile::new(level, index, size)) {
                    stored.insert(tile, tile.nodes().map(|node| nodes[&node]).collect());
                }
            }
            for (node, hash) in &nodes {
                let tile = Tile::of(*node, size).unwrap();
                assert_eq!(tile.hash(*node, &stored[&tile]), Some(*hash), "{node:?} in {tile:?}");
            }
            let lookup = |node| {
                let tile = Tile::of(node, size).ok_or("no tile")?;
                tile.hash(node, &stored[&tile]).ok_or("not in the tile")
            };
            assert_eq!(merkle::root(size, lookup), Ok(tree.root()));
            let proof = merkle::prove_inclusion(size / 2, size, lookup).unwrap();
            let leaf = nodes[&Node { level: 0, index: size / 2 }];
            assert_eq!(merkle::verify_inclusion(&leaf, size / 2, size, &tree.root(), &proof), Ok(()));
            // The subtree after the last is in no tile.
            assert_eq!(Tile::of(Node { level: 0, index: size }, size), None);
        }
    }

    #[test]
    fn a_tile_gives_no_hash_that_it_does_not_hold() {
        let hashes = vec![Digest::of(b""); 256];
        let tile = tile(0, 1, 300);
        assert_eq!(tile.width(), 44);
        let held = |level, index| tile.hash(Node { level, index }, &hashes).is_some();
        assert!(held(0, 256) && held(0, 299) && held(5, 8) && held(2, 74));
        assert!(!held(0, 255) && !held(0, 300) && !held(5, 9) && !held(6, 4) && !held(8, 1) && !held(2, 75));
        assert_eq!(tile.hash(Node { level: 0, index: 256 }, &[]), None);
    }

    #[test]
    fn an_entry_is_its_length_and_the_hash_of_its_line() {
        let mut bundle = Vec::new();
        write_entry(&mut bundle, &Digest::of(b"abc"));
        write_entry(&mut bundle, &Digest::of(b"d"));
        assert_eq!(bundle.len(), 68);
        assert_eq!((&bundle[..2], &bundle[2..34]), (&[0, 32][..], &Digest::of(b"abc").as_bytes()[..]));
        assert_eq!((&bundle[34..36], &bundle[36..]), (&[0, 32][..], &Digest::of(b"d").as_bytes()[..]));
    }
}
