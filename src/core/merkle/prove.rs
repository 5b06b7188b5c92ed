//! Roots and proofs of a tree at any size, from the hashes of its complete subtrees.
//!
//! Whoever calls says where those hashes come from: stored nodes, tiles, or the lines themselves.
//! Only subtrees complete at that size are asked for, O(log size) of them.

use std::fmt;

use super::{Frontier, MAX_SIZE, Node, fold};
use crate::Digest;

/// Why there is no root or proof. `E` is what the source of hashes says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProveError<E> {
    /// A size above [`MAX_SIZE`].
    TooLarge(u64),
    /// The tree of this size has no leaf of this index.
    NoSuchLeaf {
        /// The leaf.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The older tree is larger than the newer one.
    Shrunk {
        /// The older tree's size.
        old: u64,
        /// The newer tree's size.
        new: u64,
    },
    /// The older tree has no leaves, and is consistent with anything.
    FromNothing,
    /// The hash of a subtree could not be had.
    Source(E),
}

/// The root of the tree of the first `size` leaves.
///
/// # Errors
/// The size is too large, or `source` fails.
pub fn root<E>(size: u64, mut source: impl FnMut(Node) -> Result<Digest, E>) -> Result<Digest, ProveError<E>> {
    range_root(0, checked(size)?, &mut source)
}

/// RFC 9162's `PATH`: the hashes that lead from leaf `index` to the root of the first `size`
/// leaves, the leaf's sibling first.
///
/// # Errors
/// There is no such leaf, the size is too large, or `source` fails.
pub fn prove_inclusion<E>(
    index: u64,
    size: u64,
    mut source: impl FnMut(Node) -> Result<Digest, E>,
) -> Result<Vec<Digest>, ProveError<E>> {
    if index >= checked(size)? {
        return Err(ProveError::NoSuchLeaf { index, size });
    }
    let (mut begin, mut end) = (0, size);
    let mut from_root = Vec::new();
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            from_root.push(range_root(middle, end, &mut source)?);
            end = middle;
        } else {
            from_root.push(range_root(begin, middle, &mut source)?);
            begin = middle;
        }
    }
    from_root.reverse();
    Ok(from_root)
}

/// RFC 9162's `PROOF`: the hashes that show the first `old` leaves to be the same in the tree of
/// `new`. Empty if `old` is `new`.
///
/// # Errors
/// `old` is 0 or above `new`, a size is too large, or `source` fails.
pub fn prove_consistency<E>(
    old: u64,
    new: u64,
    mut source: impl FnMut(Node) -> Result<Digest, E>,
) -> Result<Vec<Digest>, ProveError<E>> {
    if old > checked(new)? {
        return Err(ProveError::Shrunk { old, new });
    }
    if old == 0 {
        return Err(ProveError::FromNothing);
    }
    let (mut begin, mut end) = (0, new);
    let mut from_root = Vec::new();
    while old != end {
        let middle = begin + split(end - begin);
        if old <= middle {
            from_root.push(range_root(middle, end, &mut source)?);
            end = middle;
        } else {
            from_root.push(range_root(begin, middle, &mut source)?);
            begin = middle;
        }
    }
    // Where the old tree is itself a subtree of the new one, the verifier holds its root already.
    if begin > 0 {
        from_root.push(range_root(begin, end, &mut source)?);
    }
    from_root.reverse();
    Ok(from_root)
}

const fn checked<E>(size: u64) -> Result<u64, ProveError<E>> {
    if size > MAX_SIZE { Err(ProveError::TooLarge(size)) } else { Ok(size) }
}

/// The largest power of two below `count`, which is at least 2: how many leaves go left.
const fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root over leaves `begin` to `end`. `begin` is a multiple of a power of two that is at least
/// their number, as every subtree of an RFC 6962 tree begins.
fn range_root<E>(
    begin: u64,
    end: u64,
    source: &mut impl FnMut(Node) -> Result<Digest, E>,
) -> Result<Digest, ProveError<E>> {
    let within = |node: Node| Node { index: node.index + (begin >> node.level), ..node };
    let subtrees: Result<Vec<_>, E> = Frontier::nodes(end - begin).map(|node| source(within(node))).collect();
    subtrees.map(|subtrees| fold(&subtrees)).map_err(ProveError::Source)
}

impl<E: fmt::Display> fmt::Display for ProveError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(size) => write!(f, "size {size} is above {MAX_SIZE}"),
            Self::NoSuchLeaf { index, size } => write!(f, "a tree of size {size} has no leaf {index}"),
            Self::Shrunk { old, new } => write!(f, "old size {old} is above new size {new}"),
            Self::FromNothing => f.write_str("the older tree is empty, which shows nothing about the newer one"),
            Self::Source(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for ProveError<E> {}
