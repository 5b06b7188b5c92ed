//! Checking proofs, by the algorithms of RFC 9162 sections 2.1.3.2 and 2.1.4.2 to the letter.
//!
//! A proof that is accepted has exactly the hashes that the two sizes call for: none is left over,
//! none is missing, and each stands in its place.

use std::fmt;

use super::{MAX_SIZE, node};
use crate::Digest;

/// Why a proof shows nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProofError {
    /// A size above [`MAX_SIZE`].
    TooLarge(u64),
    /// The tree of this size has no leaf of this index.
    NoSuchLeaf {
        /// The leaf.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The newer tree is smaller than the older one.
    Shrunk {
        /// The older tree's size.
        old: u64,
        /// The newer tree's size.
        new: u64,
    },
    /// The older tree has no leaves, and is consistent with anything.
    FromNothing,
    /// The proof has fewer hashes than the sizes call for.
    TooShort,
    /// The proof has more hashes than the sizes call for.
    TooLong,
    /// The hashes do not lead from the leaf to the root.
    NotInTree,
    /// The hashes do not lead to the older tree's root.
    WrongOldRoot,
    /// The hashes do not lead to the newer tree's root.
    WrongNewRoot,
    /// Two roots for one size.
    TwoRoots(u64),
}

/// Checks that `leaf`, a leaf's hash, is number `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// Why the proof does not show it.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    checked(size)?;
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let mut walk = Walk { at: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in proof {
        hash = match walk.up().ok_or(ProofError::TooLong)? {
            Side::Left => node(sibling, &hash),
            Side::Right => node(&hash, sibling),
        };
    }
    if walk.last != 0 {
        return Err(ProofError::TooShort);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::NotInTree) }
}

/// Checks that the tree of `old` leaves with `old_root` is what the tree of `new` leaves with
/// `new_root` began as.
///
/// Equal sizes take an empty proof and equal roots. The empty tree is refused as the older one:
/// every tree starts from it, so that nothing would be shown.
///
/// # Errors
/// Why the proof does not show it.
pub fn verify_consistency(
    old: u64,
    old_root: &Digest,
    new: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    checked(new)?;
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    if old == 0 {
        return Err(ProofError::FromNothing);
    }
    if old == new {
        return match (proof.is_empty(), old_root == new_root) {
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::TwoRoots(old)),
            (false, _) => Err(ProofError::TooLong),
        };
    }
    // Where the old tree is a complete subtree of the new one, its root is the first hash.
    let (start, rest) = match proof.split_first() {
        None => return Err(ProofError::TooShort),
        Some(_) if old.is_power_of_two() => (old_root, proof),
        Some(first) => first,
    };
    let complete = (old - 1).trailing_ones();
    let mut walk = Walk { at: (old - 1) >> complete, last: (new - 1) >> complete };
    let (mut old_hash, mut new_hash) = (*start, *start);
    for sibling in rest {
        match walk.up().ok_or(ProofError::TooLong)? {
            Side::Left => {
                old_hash = node(sibling, &old_hash);
                new_hash = node(sibling, &new_hash);
            }
            Side::Right => new_hash = node(&new_hash, sibling),
        }
    }
    if walk.last != 0 {
        return Err(ProofError::TooShort);
    }
    if old_hash != *old_root {
        return Err(ProofError::WrongOldRoot);
    }
    if new_hash == *new_root { Ok(()) } else { Err(ProofError::WrongNewRoot) }
}

/// The RFC's `fn` and `sn`: a node's number within its level, and the last node's.
struct Walk {
    at: u64,
    last: u64,
}

/// On which side of a node its sibling stands.
enum Side {
    Left,
    Right,
}

impl Walk {
    /// Goes up to the next parent with two children and says where the sibling stood; `None` at the root.
    fn up(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let left = self.at & 1 == 1 || self.at == self.last;
        if left {
            // The last node may have no sibling on a level; it is then its own parent.
            while self.at & 1 == 0 && self.at != 0 {
                self.shift();
            }
        }
        self.shift();
        Some(if left { Side::Left } else { Side::Right })
    }

    const fn shift(&mut self) {
        self.at >>= 1;
        self.last >>= 1;
    }
}

const fn checked(size: u64) -> Result<(), ProofError> {
    if size > MAX_SIZE { Err(ProofError::TooLarge(size)) } else { Ok(()) }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(size) => write!(f, "size {size} is above {MAX_SIZE}"),
            Self::NoSuchLeaf { index, size } => write!(f, "a tree of size {size} has no leaf {index}"),
            Self::Shrunk { old, new } => write!(f, "the newer tree has {new} leaves, the older one {old}"),
            Self::FromNothing => f.write_str("the older tree is empty, which shows nothing about the newer one"),
            Self::TooShort => f.write_str("the proof has too few hashes"),
            Self::TooLong => f.write_str("the proof has too many hashes"),
            Self::NotInTree => f.write_str("the line is not at this index of the tree with this root"),
            Self::WrongOldRoot => f.write_str("the proof does not lead to the older root"),
            Self::WrongNewRoot => f.write_str("the proof does not lead to the newer root"),
            Self::TwoRoots(size) => write!(f, "two different roots for size {size}: the log was forked or rewritten"),
        }
    }
}

impl std::error::Error for ProofError {}
