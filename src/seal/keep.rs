//! What is kept of a sealed log when its protection ends: the hash of every sealed leaf. Rows may be changed and may go
//! then; with the leaves kept, verification still tells which, and the tree goes on.

use crate::access;
use crate::error::{Error, OrRaise as _};
use crate::pg::context;
use crate::pg::relation::Rel;
use crate::tree::Tree;
use crate::tree::nodes::Nodes;
use crate::tree::segments::Segments;
use crate::tree::store::{self, StoredSeal};
use notary_core::Digest;
use notary_core::merkle::{Frontier, Node};
use pgrx::{pg_extern, pg_sys};

const TILE: u64 = 256;

/// `notary.keep_leaves(log)`: of a log that was never sealed, or that is damaged, as far as there is something to keep.
#[pg_extern(sql = false)]
fn keep_leaves(log: pg_sys::Oid) {
    keep(log).or_raise();
}

fn keep(log: pg_sys::Oid) -> Result<(), Error> {
    let functions = access::trigger_functions()?;
    let rel = Rel::open(log, pg_sys::AccessShareLock);
    let Ok(segments) = Segments::of(&rel, &functions) else { return Ok(()) };
    let Some(tree) = Tree::newest(segments.log)? else { return Ok(()) };
    let Some(seal) = store::newest_seal(&tree)? else { return Ok(()) };
    let kept = store::kept_tiles(&tree)?;
    let nodes = Nodes::of(&tree, &segments, seal.size);
    for tile in 0..seal.size.div_ceil(TILE) {
        let from = tile * TILE;
        context::check_for_interrupts();
        let to = seal.size.min(from + TILE);
        if kept.get(&from).is_some_and(|count| *count >= to - from) {
            continue;
        }
        let leaves = nodes.leaves_of_rows(from, to).map(|leaves| leaves.into_iter().collect::<Option<Vec<_>>>());
        // What is not what was sealed is not kept: it stays a finding.
        if let Ok(Some(leaves)) = leaves
            && is_sealed(&tree, &segments, &seal, from, &leaves)?
        {
            store::put_subtrees(&tree, 0, from, &leaves)?;
        }
    }
    Ok(())
}

/// Are these the leaves that were sealed? A full tile by its remembered hash, the last one by the seal's root.
fn is_sealed(tree: &Tree, segments: &Segments, seal: &StoredSeal, from: u64, leaves: &[Digest]) -> Result<bool, Error> {
    if leaves.len() as u64 == TILE {
        let mut subtree = Frontier::new();
        for leaf in leaves {
            if subtree.append(*leaf).is_err() {
                return Ok(false);
            }
        }
        return Ok(store::subtrees(tree, 1, from / TILE, 1)?.first() == Some(&Some(subtree.root())));
    }
    let mut nodes = Nodes::of(tree, segments, seal.size);
    let source = |node: Node| nodes.get(node);
    Ok(Frontier::load(seal.size, source).is_ok_and(|frontier| frontier.root() == seal.root))
}
