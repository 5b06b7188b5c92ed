//! Where do the leaves of a tree differ from what was sealed?
//!
//! Of leaves that were there when protection ended the hashes are kept (`notary.subtree`, level 0); of the others only the
//! hashes of blocks of 256 are remembered. So differences are told leaf by leaf, or block by block.
//!
//! Invariant: what is remembered only says where to look. Whether anything differs is for the root to say.

use crate::error::Error;
use crate::tree::{Tree, store};
use notary_core::Digest;
use notary_core::merkle::{self, Frontier};

const BLOCK: u64 = 256;

/// The leaves of a tree, in their order.
#[derive(Default)]
pub struct Blocks {
    next: u64,
    /// All leaves so far, None once one was neither there nor kept.
    tree: Option<Frontier>,
    block: Vec<Option<Digest>>,
    bad: Vec<(u64, u64)>,
    differing: Vec<(u64, u64)>,
}

/// What the leaves came to.
pub struct Compared {
    /// The root of the leaves as they were kept, or else as rows have them; None if some are neither.
    pub root: Option<Digest>,
    /// Runs of leaves whose blocks have other hashes than are remembered.
    pub bad: Vec<(u64, u64)>,
    /// Runs of leaves that rows do not have as they were kept: what differs, if the root is right.
    pub differing: Vec<(u64, u64)>,
}

impl Blocks {
    pub fn new() -> Self {
        Self { tree: Some(Frontier::new()), ..Self::default() }
    }

    /// How many leaves came so far.
    pub fn at(&self) -> u64 {
        self.next + self.block.len() as u64
    }

    /// The next leaves: the hashes of lines as rows have them, and leaves as they were kept.
    pub fn add(&mut self, tree: &Tree, rows: &[Option<Digest>], kept: &[Option<Digest>]) -> Result<(), Error> {
        for (row, kept) in rows.iter().zip(kept) {
            let there = row.map(|line| merkle::leaf(&line));
            let leaf = kept.or(there);
            if leaf != there || leaf.is_none() {
                let at = self.at();
                extend(&mut self.differing, at);
            }
            self.tree = self.tree.take().zip(leaf).and_then(|(mut all, leaf)| all.append(leaf).ok().map(|_| all));
            self.block.push(leaf);
            if self.block.len() as u64 == BLOCK {
                let stored = store::subtrees(tree, 1, self.next / BLOCK, 1)?.first().copied().flatten();
                self.end_block(|root| stored.is_some() && root != stored);
            }
        }
        Ok(())
    }

    fn end_block(&mut self, differs: impl FnOnce(Option<Digest>) -> bool) {
        let (from, to) = (self.next, self.at());
        let mut subtree = Some(Frontier::new());
        for leaf in self.block.drain(..) {
            subtree = subtree.zip(leaf).and_then(|(mut all, leaf)| all.append(leaf).ok().map(|_| all));
        }
        let root = subtree.map(|all| all.root());
        if root.is_none() || differs(root) {
            match self.bad.last_mut() {
                Some((_, end)) if *end == from => *end = to,
                _ => self.bad.push((from, to)),
            }
        }
        self.next = to;
    }

    pub fn finish(mut self) -> Compared {
        if !self.block.is_empty() {
            // Of the last leaves nothing is remembered. They differ where nothing else does, and where all before them do: a
            // chain that was computed anew goes on to its end.
            let follows = self.bad.last().is_some_and(|(_, end)| *end == self.next);
            let differs = follows || self.bad.is_empty();
            self.end_block(|_| differs);
        }
        Compared { root: self.tree.map(|all| all.root()), bad: self.bad, differing: self.differing }
    }
}

fn extend(runs: &mut Vec<(u64, u64)>, leaf: u64) {
    match runs.last_mut() {
        Some((_, end)) if *end == leaf => *end = leaf + 1,
        _ => runs.push((leaf, leaf + 1)),
    }
}
