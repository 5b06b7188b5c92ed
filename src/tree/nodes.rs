//! The hash of any subtree of a log's tree: of 256 leaves and more from what is stored, below that from the rows.

use super::Tree;
use super::segments::{Damage, Segments};
use super::store;
use crate::error::Error;
use notary_core::Digest;
use notary_core::merkle::{self, Node, ProveError};
use notary_core::tile::Tile;
use std::collections::HashMap;

/// Hashes of subtrees are looked for here; what was looked up is kept.
pub struct Nodes<'a> {
    tree: &'a Tree,
    segments: &'a Segments,
    size: u64,
    tiles: HashMap<Tile, Vec<Option<Digest>>>,
}

/// Tiles that are kept: two megabytes at most.
const MAX_TILES: usize = 256;

/// Why a hash cannot be had.
#[derive(Debug)]
pub enum NoNode {
    /// The log, or what is remembered of its tree, is damaged.
    Damage(Damage),
    /// Reading failed.
    Failed(Error),
}

impl<'a> Nodes<'a> {
    /// The nodes of the tree of the first `size` leaves.
    pub fn of(tree: &'a Tree, segments: &'a Segments, size: u64) -> Self {
        Self { tree, segments, size, tiles: HashMap::new() }
    }

    /// The hash of a subtree that is complete at that size.
    pub fn get(&mut self, node: Node) -> Result<Digest, NoNode> {
        let unknown = || NoNode::Damage(format!("no subtree {} of level {} is stored", node.index, node.level));
        let tile = Tile::of(node, self.size).ok_or_else(unknown)?;
        if !self.tiles.contains_key(&tile) {
            if self.tiles.len() >= MAX_TILES {
                self.tiles.clear();
            }
            let hashes = self.load(&tile)?;
            self.tiles.insert(tile, hashes);
        }
        let hashes = self.tiles.get(&tile).map_or(&[][..], Vec::as_slice);
        // A hash that is missing from the tile leaves the others as they are.
        let known: Vec<_> = hashes.iter().map(|hash| hash.unwrap_or(Digest::new([0; 32]))).collect();
        let first = (node.index << (node.level % 8)) % u64::from(notary_core::tile::WIDTH);
        let (start, count) = (usize::try_from(first).unwrap_or(0), 1 << (node.level % 8));
        let needed = hashes.iter().skip(start).take(count);
        match needed.clone().position(Option::is_none) {
            // The first leaf of the subtree is so many leaves behind 0.
            Some(at) if node.level < 8 => {
                Err(NoNode::Damage(format!("the line of leaf {} is missing", (node.index << node.level) + at as u64)))
            }
            None if needed.count() == count => tile.hash(node, &known).ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }

    /// The path from a leaf to this root; None where the leaf is not under it, as the stored hashes have it.
    pub fn path(&mut self, leaf: &Digest, index: u64, root: &Digest) -> Result<Option<Vec<Digest>>, NoNode> {
        let size = self.size;
        let path = merkle::prove_inclusion(index, size, |node| self.get(node))?;
        Ok(merkle::verify_inclusion(leaf, index, size, root, &path).is_ok().then_some(path))
    }

    fn load(&self, tile: &Tile) -> Result<Vec<Option<Digest>>, NoNode> {
        let nodes: Vec<Node> = tile.nodes().collect();
        let Some(first) = nodes.first() else { return Ok(Vec::new()) };
        let count = nodes.len() as u64;
        if first.level > 0 {
            return store::subtrees(self.tree, first.level / 8, first.index, count).map_err(NoNode::Failed);
        }
        let (from, to) = (first.index, first.index + count);
        // Kept leaves first: they are what was sealed, whatever happened to rows since.
        let kept = store::subtrees(self.tree, 0, from, count).map_err(NoNode::Failed)?;
        if kept.iter().all(Option::is_some) {
            return Ok(kept);
        }
        let rows = self.leaves_of_rows(from, to)?;
        Ok(kept.into_iter().zip(rows).map(|(kept, row)| kept.or(row)).collect())
    }

    /// The leaves `from` to `to`, as the rows have them; None where there is no row.
    pub fn leaves_of_rows(&self, from: u64, to: u64) -> Result<Vec<Option<Digest>>, NoNode> {
        let mut hashes = Vec::new();
        let mut next = from;
        for range in store::ranges(self.tree, from, to).map_err(NoNode::Failed)? {
            if range.first_leaf > next {
                break;
            }
            let end = to.min(range.end());
            let of_lines = match self.segments.hashes_there(&range, next, end) {
                Ok(hashes) => hashes,
                // The table is not here any more.
                Err(_) => vec![None; usize::try_from(end.saturating_sub(next)).unwrap_or(0)],
            };
            next += of_lines.len() as u64;
            hashes.extend(of_lines.iter().map(|hash| hash.map(|hash| merkle::leaf(&hash))));
        }
        if next == to {
            Ok(hashes)
        } else {
            Err(NoNode::Damage(format!("what is remembered of the tree does not say which line is leaf {next}")))
        }
    }
}

impl From<ProveError<Self>> for NoNode {
    fn from(why: ProveError<Self>) -> Self {
        match why {
            ProveError::Source(why) => why,
            other => Self::Damage(other.to_string()),
        }
    }
}

impl std::fmt::Display for NoNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damage(why) => f.write_str(why),
            Self::Failed(error) => error.fmt(f),
        }
    }
}
