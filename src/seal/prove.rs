//! Proofs that an outsider checks: one entry in a seal's tree, and one seal's tree in another's.
//!
//! Invariant: a proof is handed out only after it was checked against the root in the seal, as its reader will.

use super::{damaged, never_sealed, sealed_tree};
use crate::access;
use crate::error::{Error, OrRaise as _};
use crate::log;
use crate::pg::relation::Rel;
use crate::tree::Tree;
use crate::tree::nodes::Nodes;
use crate::tree::segments::Segments;
use crate::tree::store::{self, StoredSeal};
use notary_core::Digest;
use notary_core::consistency::ConsistencyProof;
use notary_core::merkle;
use notary_core::proof::Proof;
use pgrx::{pg_extern, pg_sys};

/// `notary.proof(segment, chain, seq, size)`: with the caller's rights and row-level security.
#[pg_extern(sql = false)]
fn proof(segment: Option<pg_sys::Oid>, chain: Option<i32>, seq: Option<i64>, size: Option<i64>) -> Option<String> {
    let (Some(segment), Some(chain), Some(seq)) = (segment, chain, seq) else {
        missing("segment, chain and seq", "SELECT notary.proof(tableoid, notary_chain, notary_seq) FROM the_log")
            .raise()
    };
    Some(proof_of(segment, chain, seq, size).or_raise())
}

fn missing(arguments: &str, hint: &str) -> Error {
    Error::BadArgument {
        message: format!("{arguments} must not be NULL"),
        detail: "Without them nothing is proved.".into(),
        hint: format!("{hint}."),
    }
}

fn proof_of(segment: pg_sys::Oid, chain: i32, seq: i64, size: Option<i64>) -> Result<String, Error> {
    let functions = access::trigger_functions()?;
    let rel = Rel::open(segment, pg_sys::AccessShareLock);
    if !log::is_log(&rel, &functions) {
        return Err(Error::NotALog { table: rel.qualified() });
    }
    access::has_rows(&rel)?;
    let no_entry = || Error::NoEntry { table: rel.qualified(), chain, seq };
    access::visible_to_caller(&rel, chain, seq)?.ok_or_else(no_entry)?;
    let root = Rel::open(log::root(&rel), pg_sys::AccessShareLock);
    let segments = Segments::of(&root, &functions)?;
    let tree = sealed_tree(&root, &segments)?;
    let seal = seal_of(&root, &tree, size)?;
    let numbers = u32::try_from(chain).ok().zip(u64::try_from(seq).ok()).ok_or_else(no_entry)?;
    let refuse = |why: String| damaged(&root, "this entry cannot be proved", why);
    let table = segments.open_table(segment).map_err(refuse)?;
    let number = table.headers.of_chain(numbers.0).map(|(header, _)| header.segment).ok_or_else(no_entry)?;
    let left_out = !segments.is_current(number);
    let not_sealed = || Error::NotSealed { table: rel.qualified(), chain, seq, size: seal.size, left_out };
    let range = store::range_of(&tree, number, numbers.0, numbers.1)?.ok_or_else(not_sealed)?;
    let index = range.first_leaf + (numbers.1 - range.first_seq);
    if index >= seal.size {
        return Err(not_sealed());
    }
    let mut line = None;
    table
        .lines(numbers.0, numbers.1, numbers.1, |found| {
            line = Some(found.bytes.to_vec());
            Ok(())
        })
        .map_err(refuse)?;
    let line = line.ok_or_else(no_entry)?;
    let mut nodes = Nodes::of(&tree, &segments, seal.size);
    let path = nodes
        .path(&merkle::leaf(&Digest::of(&line)), index, &seal.root)
        .map_err(|why| refuse(why.to_string()))?
        .ok_or_else(|| refuse("it does not lead to the root in the seal: the log is not what was sealed".into()))?;
    let note = seal.read(&tree).map_err(|why| refuse(format!("the seal in notary.seals is damaged: {why}")))?;
    Ok(Proof { line: Some(line), index, path, seal: note }.to_string())
}

/// The seal of this size, or the newest.
fn seal_of(rel: &Rel, tree: &Tree, size: Option<i64>) -> Result<StoredSeal, Error> {
    let Some(size) = size else { return store::newest_seal(tree)?.ok_or_else(|| never_sealed(rel)) };
    let found = u64::try_from(size).ok().map(|size| store::seal_of_size(tree, size)).transpose()?.flatten();
    found.ok_or_else(|| Error::BadArgument {
        message: format!("{} has no seal of size {size}", rel.qualified()),
        detail: format!("Its seals are those of {}.", tree.origin),
        hint: format!(
            "SELECT size FROM notary.seals WHERE log = '{}'::regclass AND incarnation = {} shows the sizes.",
            rel.qualified().replace('\'', "''"),
            tree.incarnation
        ),
    })
}

/// `notary.consistency_proof(log, old_size, new_size)`.
#[pg_extern(sql = false)]
fn consistency_proof(log: Option<pg_sys::Oid>, old_size: Option<i64>, new_size: Option<i64>) -> Option<String> {
    let (Some(log), Some(old_size)) = (log, old_size) else {
        missing("log and old_size", "SELECT notary.consistency_proof('the_log', 1000)").raise()
    };
    Some(consistency_of(log, old_size, new_size).or_raise())
}

fn consistency_of(log: pg_sys::Oid, old_size: i64, new_size: Option<i64>) -> Result<String, Error> {
    let functions = access::trigger_functions()?;
    let rel = access::open_log(Some(log), &functions)?;
    let segments = Segments::of(&rel, &functions)?;
    let tree = sealed_tree(&rel, &segments)?;
    let (old, new) = (seal_of(&rel, &tree, Some(old_size))?, seal_of(&rel, &tree, new_size)?);
    if old.size > new.size {
        return Err(Error::BadArgument {
            message: format!("old_size {} is above new_size {}", old.size, new.size),
            detail: "A log only grows.".into(),
            hint: "Give the smaller size first.".into(),
        });
    }
    let refuse = |why: String| damaged(&rel, "its history cannot be proved", why);
    let mut nodes = Nodes::of(&tree, &segments, new.size);
    let path =
        merkle::prove_consistency(old.size, new.size, |node| nodes.get(node)).map_err(|why| refuse(why.to_string()))?;
    merkle::verify_consistency(old.size, &old.root, new.size, &new.root, &path)
        .map_err(|why| refuse(format!("the tree does not lead from one root to the other: {why}")))?;
    Ok(ConsistencyProof(path).to_string())
}
