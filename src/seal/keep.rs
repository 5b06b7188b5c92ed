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
    match keep_of(&segments) {
        // What somebody changed in the extension's tables: verification says so, and nothing can be kept.
        Err(Error::Remembered { .. }) => Ok(()),
        other => other,
    }
}

fn keep_of(segments: &Segments) -> Result<(), Error> {
    let Some(tree) = Tree::newest(segments.log)? else { return Ok(()) };
    let Some(seal) = store::newest_seal(&tree)? else { return Ok(()) };
    let complete = store::kept_tiles(&tree)?;
    for tile in 0..seal.size.div_ceil(TILE) {
        let from = tile * TILE;
        context::check_for_interrupts();
        let to = seal.size.min(from + TILE);
        if complete.get(&from).is_some_and(|count| *count >= to - from) {
            continue;
        }
        // What was kept before is what was sealed, whatever its rows have come to since; the rest is as rows have it.
        let kept = store::subtrees(&tree, 0, from, to - from)?;
        let Ok(rows) = Nodes::of(&tree, segments, seal.size).leaves_of_rows(from, to) else { continue };
        let leaves: Option<Vec<_>> = kept.into_iter().zip(rows).map(|(kept, row)| kept.or(row)).collect();
        // What is not what was sealed is not kept: it stays a finding.
        if let Some(leaves) = leaves
            && is_sealed(&tree, segments, &seal, from, &leaves)?
        {
            store::put_subtrees(&tree, 0, from, &leaves)?;
        }
    }
    Ok(())
}

/// Are exactly these the leaves that were sealed? Those of a full tile by its remembered hash, those of the last one by the
/// seal's root.
fn is_sealed(tree: &Tree, segments: &Segments, seal: &StoredSeal, from: u64, leaves: &[Digest]) -> Result<bool, Error> {
    let is_full = leaves.len() as u64 == TILE;
    let mut nodes = Nodes::of(tree, segments, seal.size);
    // Before the last tile all are full, so that no leaf is looked up.
    let before = if is_full { Ok(Frontier::new()) } else { Frontier::load(from, |node: Node| nodes.get(node)) };
    let Ok(mut grown) = before else { return Ok(false) };
    for leaf in leaves {
        if grown.append(*leaf).is_err() {
            return Ok(false);
        }
    }
    if is_full {
        return Ok(store::subtrees(tree, 1, from / TILE, 1)?.first() == Some(&Some(grown.root())));
    }
    Ok(grown.root() == seal.root)
}
