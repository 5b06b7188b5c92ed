//! Where do the leaves of a tree differ from what was sealed? Told by blocks of 256 leaves, whose hashes are remembered.
//!
//! Invariant: what is remembered only says where to look. Whether anything differs is for the root to say.

use crate::error::Error;
use crate::tree::{Tree, store};
use notary_core::Digest;
use notary_core::merkle::{self, Frontier};

/// The leaves of a tree in blocks of 256, compared with the hashes that are remembered of these.
pub struct Blocks {
    size: u64,
    next: u64,
    /// All leaves so far, None once one was not there.
    tree: Option<Frontier>,
    block: Vec<Option<Digest>>,
    left: bool,
    /// Runs of leaves that differ.
    bad: Vec<(u64, u64)>,
    unknown: bool,
}

const BLOCK: u64 = 256;

impl Blocks {
    pub fn new(size: u64) -> Self {
        Self {
            size,
            next: 0,
            tree: Some(Frontier::new()),
            block: Vec::new(),
            left: false,
            bad: Vec::new(),
            unknown: false,
        }
    }

    pub fn is_at(&self, leaf: u64) -> bool {
        self.next + self.block.len() as u64 == leaf
    }

    pub fn add(&mut self, tree: &Tree, lines: &[Option<Digest>], left: bool) -> Result<(), Error> {
        for line in lines {
            let leaf = line.map(|line| merkle::leaf(&line));
            self.left |= left;
            self.tree = self.tree.take().zip(leaf).and_then(|(mut all, leaf)| all.append(leaf).ok().map(|_| all));
            self.block.push(leaf);
            if self.block.len() as u64 == BLOCK {
                let stored = store::subtrees(tree, 1, self.next / BLOCK, 1)?.first().copied().flatten();
                self.end_block(stored);
            }
        }
        Ok(())
    }

    fn end_block(&mut self, stored: Option<Digest>) {
        let (from, to) = (self.next, self.next + self.block.len() as u64);
        let mut subtree = Some(Frontier::new());
        for leaf in self.block.drain(..) {
            subtree = subtree.zip(leaf).and_then(|(mut all, leaf)| all.append(leaf).ok().map(|_| all));
        }
        let root = subtree.map(|all| all.root());
        if root.is_none() && self.left {
            self.unknown = true;
        } else if root.is_none() || stored.is_some_and(|stored| root != Some(stored)) {
            match self.bad.last_mut() {
                Some((_, end)) if *end == from => *end = to,
                _ => self.bad.push((from, to)),
            }
        }
        self.left = false;
        self.next = to;
    }

    /// The root of all leaves, if all were there; the runs that differ; and whether any could not be compared.
    pub fn finish(mut self) -> (Option<Digest>, Vec<(u64, u64)>, bool) {
        if !self.block.is_empty() {
            // Of the last leaves nothing is remembered. They differ where nothing else does, and where all before them do: a
            // chain that was computed anew goes on to its end.
            let follows = self.bad.last().is_some_and(|(_, end)| *end == self.next);
            let differs = follows || self.bad.is_empty() && !self.unknown;
            self.end_block(differs.then(|| Digest::new([0; 32])));
        }
        debug_assert!(self.next <= self.size);
        (self.tree.map(|all| all.root()), self.bad, self.unknown)
    }
}
