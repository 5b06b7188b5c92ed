//! The hash of any subtree of a log's tree: of 256 leaves and more from what is stored, below that from the rows.

use super::Tree;
use super::segments::{Damage, Segments};
use super::store;
use crate::error::Error;
use notary_core::Digest;
use notary_core::merkle::{self, Node};
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
        let needed = usize::try_from(first).unwrap_or(0)..;
        let missing =
            hashes.get(needed).is_none_or(|rest| rest.iter().take(1 << (node.level % 8)).any(Option::is_none));
        if missing { Err(unknown()) } else { tile.hash(node, &known).ok_or_else(unknown) }
    }

    fn load(&self, tile: &Tile) -> Result<Vec<Option<Digest>>, NoNode> {
        let nodes: Vec<Node> = tile.nodes().collect();
        let Some(first) = nodes.first() else { return Ok(Vec::new()) };
        let count = nodes.len() as u64;
        if first.level > 0 {
            return store::subtrees(self.tree, first.level / 8, first.index, count).map_err(NoNode::Failed);
        }
        let (from, to) = (first.index, first.index + count);
        let mut leaves = self.leaves_of_rows(from, to)?;
        if leaves.iter().any(Option::is_none) {
            self.fill(from, to, &mut leaves).map_err(NoNode::Failed)?;
        }
        Ok(leaves)
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

    /// Leaves whose rows left the log, as far as they are remembered: to be believed only as far as they lead to a root.
    fn fill(&self, from: u64, to: u64, leaves: &mut [Option<Digest>]) -> Result<(), Error> {
        let stored = store::subtrees(self.tree, 0, from, to - from)?;
        let edge = store::edge(self.tree)?;
        let size = store::newest_seal(self.tree)?.map_or(0, |seal| seal.size);
        let edge_from = size.saturating_sub(edge.len() as u64);
        for (index, (leaf, stored)) in (from..).zip(leaves.iter_mut().zip(stored)) {
            let at_edge = || index.checked_sub(edge_from).and_then(|i| edge.get(usize::try_from(i).ok()?).copied());
            *leaf = leaf.or(stored).or_else(at_edge);
        }
        Ok(())
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
