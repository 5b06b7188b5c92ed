//! A tree that grows at its right edge, in memory that grows with the logarithm of its size.
//!
//! Invariant: `subtrees` holds one hash for each bit of `size`, the highest first: the complete
//! subtrees that the leaves so far fall into.

use std::fmt;

use super::{MAX_SIZE, Node, ProveError, fold, node};
use crate::Digest;

/// The right edge of a tree: all that is needed to append leaves and to give the root.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    subtrees: Vec<Digest>,
}

/// A tree cannot hold more than [`MAX_SIZE`] leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TreeFull;

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, subtrees: Vec::new() }
    }

    /// The edge of a tree that is stored, from the hashes of [`Frontier::nodes`]; at most 63 look-ups.
    ///
    /// # Errors
    /// The size is too large, or `source` fails.
    pub fn load<E>(size: u64, source: impl FnMut(Node) -> Result<Digest, E>) -> Result<Self, ProveError<E>> {
        if size > MAX_SIZE {
            return Err(ProveError::TooLarge(size));
        }
        let subtrees: Result<_, E> = Self::nodes(size).map(source).collect();
        Ok(Self { size, subtrees: subtrees.map_err(ProveError::Source)? })
    }

    /// The complete subtrees that make up a tree of `size` leaves, the leftmost and largest first.
    pub fn nodes(size: u64) -> impl Iterator<Item = Node> {
        (0..64_u8).rev().filter(move |level| size >> level & 1 == 1).map(move |level| {
            // Above this bit, `size` counts the leaves to the left, a multiple of 2^(level+1).
            Node { level, index: (size >> level) - 1 }
        })
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root at this size.
    #[must_use]
    pub fn root(&self) -> Digest {
        fold(&self.subtrees)
    }

    /// Appends a leaf, given by its leaf hash, and returns its index.
    ///
    /// # Errors
    /// The tree is full.
    pub fn append(&mut self, leaf: Digest) -> Result<u64, TreeFull> {
        self.append_noting(leaf, |_, _| ())
    }

    /// Appends a leaf and names each subtree that it completes, the leaf itself first: what a store
    /// of nodes has to keep.
    ///
    /// # Errors
    /// The tree is full.
    pub fn append_noting(&mut self, leaf: Digest, mut note: impl FnMut(Node, &Digest)) -> Result<u64, TreeFull> {
        if self.size >= MAX_SIZE {
            return Err(TreeFull);
        }
        let index = self.size;
        let mut completed = leaf;
        let mut place = Node { level: 0, index };
        note(place, &completed);
        // An odd number is the right child of two, whose left one stands last.
        while place.index & 1 == 1
            && let Some(left) = self.subtrees.pop()
        {
            completed = node(&left, &completed);
            place = Node { level: place.level + 1, index: place.index >> 1 };
            note(place, &completed);
        }
        self.subtrees.push(completed);
        self.size += 1;
        Ok(index)
    }
}

impl fmt::Display for TreeFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a tree holds at most {MAX_SIZE} leaves")
    }
}

impl std::error::Error for TreeFull {}
