//! The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1.1) over the hashes of lines.
//!
//! ```text
//! leaf  = SHA-256(0x00 ‖ hash of the line)
//! node  = SHA-256(0x01 ‖ left ‖ right)
//! empty = SHA-256("")
//! ```
//!
//! | file | noun |
//! |---|---|
//! | `frontier` | a tree that grows: [`Frontier`] |
//! | `prove` | roots and proofs from stored nodes: [`root`], [`prove_inclusion`], [`prove_consistency`] |
//! | `verify` | what an outsider checks: [`verify_inclusion`], [`verify_consistency`] |
//!
//! Invariants: a size is at most [`MAX_SIZE`], so no sum or shift overflows; a complete subtree never
//! changes again, whatever the tree grows to; making a proof costs O(log size) look-ups and checking
//! one O(log size) hashes. Verification shares nothing with the rest but the three hashes above.

mod frontier;
mod prove;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vast;
mod verify;

pub use frontier::{Frontier, TreeFull};
pub use prove::{ProveError, prove_consistency, prove_inclusion, root};
pub use verify::{ProofError, verify_consistency, verify_inclusion};

use sha2::{Digest as _, Sha256};

use crate::Digest;

/// The largest size of a tree: 2^63-1 leaves.
pub const MAX_SIZE: u64 = i64::MAX as u64;

/// The most hashes that an inclusion proof can hold.
pub const MAX_INCLUSION: usize = 63;

/// The most hashes that a consistency proof can hold.
pub const MAX_CONSISTENCY: usize = 64;

/// A complete, aligned subtree: the leaves from `index` · 2^`level`, 2^`level` of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Node {
    /// Its height; 0 for a leaf.
    pub level: u8,
    /// Its number among those of its height, from 0.
    pub index: u64,
}

/// The root of the tree without leaves.
#[must_use]
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

/// The hash of the leaf that holds a line, from the line's hash.
#[must_use]
pub fn leaf(line: &Digest) -> Digest {
    leaf_hash(line.as_bytes())
}

/// The hash of a node, from those of its children.
#[must_use]
pub fn node(left: &Digest, right: &Digest) -> Digest {
    let hash = Sha256::new_with_prefix([1]).chain_update(left.as_bytes()).chain_update(right.as_bytes());
    Digest::new(hash.finalize().into())
}

/// RFC 6962's leaf hash of any data. Ours always has 32 bytes, so no node can pass for it.
fn leaf_hash(data: &[u8]) -> Digest {
    Digest::new(Sha256::new_with_prefix([0]).chain_update(data).finalize().into())
}

/// The root over complete subtrees, the leftmost and largest first.
fn fold(subtrees: &[Digest]) -> Digest {
    let mut right_to_left = subtrees.iter().rev();
    let Some(&last) = right_to_left.next() else {
        return empty_root();
    };
    right_to_left.fold(last, |right, left| node(left, &right))
}
