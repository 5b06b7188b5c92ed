//! Which logs there are, and in what state: for `notary.logs` and for checks of all.

use super::{guard_state, known};
use crate::error::Error;
use crate::log::{self, Functions, Mark};
use crate::pg::index::{self, ChainIndex, Last};
use crate::pg::relation::Rel;
use crate::pg::results::datum;
use crate::pg::row::NotaryColumns;
use crate::pg::{catalog, context, spi};
use crate::tree::{Tree, store};
use notary_core::header::Header;
use notary_core::id::LogId;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use std::collections::{BTreeSet, HashSet};

/// The tables that were protected as logs: plain ones, and the tops of partitioned ones.
pub fn roots(functions: &Functions) -> Result<Vec<pg_sys::Oid>, Error> {
    let sql = "SELECT DISTINCT tgrelid FROM pg_catalog.pg_trigger WHERE tgfoid IN ($1, $2) ORDER BY 1";
    let tables =
        catalog::rows(sql, &[functions.append.into(), functions.refuse.into()], |row| spi::get::<pg_sys::Oid>(row, 1))?;
    let mut roots = BTreeSet::new();
    for table in tables.into_iter().flatten() {
        let Some(rel) = Rel::try_open(table, pg_sys::AccessShareLock) else {
            continue;
        };
        // Also when the table at the top lost its trigger: that is for the check to report.
        roots.insert(log::root(&rel).to_u32());
    }
    let present: HashSet<_> = roots.iter().filter_map(|root| log_id((*root).into(), functions)).collect();
    for (log, table) in known::remembered_tables()? {
        // A table that lost all its triggers is still that log, unless another table is (it was renamed, say).
        let Some(rel) = Rel::try_open(table, pg_sys::AccessShareLock).filter(|_| !present.contains(&log)) else {
            continue;
        };
        if NotaryColumns::of(&rel).is_some() {
            roots.insert(log::root(&rel).to_u32());
        }
    }
    Ok(roots.into_iter().map(pg_sys::Oid::from).collect())
}

/// The uuid of a log, if its triggers can be read.
pub fn log_id(root: pg_sys::Oid, functions: &Functions) -> Option<LogId> {
    let of_table = |rel: &Rel| match log::mark_in_catalog(rel, functions) {
        Ok(Some(Mark::Segment(segment))) => Some(segment.log()),
        Ok(Some(Mark::Partitioned { log, .. })) => Some(log),
        Ok(None) | Err(_) => None,
    };
    let rel = Rel::open(root, pg_sys::AccessShareLock);
    // A partitioned table that lost its trigger is still the log that its partitions are.
    let of_leaves = || {
        let leaves = log::leaves(&rel, pg_sys::AccessShareLock);
        leaves.into_iter().find_map(|leaf| of_table(&Rel::open(leaf, pg_sys::AccessShareLock)))
    };
    let remembered = || known::headers_of_table(&rel).ok()?.last().map(|header| header.log);
    of_table(&rel).or_else(of_leaves).or_else(remembered)
}

/// A row of notary.logs: log, uuid, segments, chains, entries (estimate), last_entry, last_seal, max_chains, guard.
pub fn describe(root: pg_sys::Oid, functions: &Functions) -> Result<Vec<Option<pg_sys::Datum>>, Error> {
    let rel = Rel::open(root, pg_sys::AccessShareLock);
    let mut missing: Vec<String> = guard_state::of_database()?.into_iter().map(|f| f.detail).collect();
    let (mut segments, mut chains, mut entries) = (0_i32, 0_i32, 0_i64);
    let mut last: Option<i64> = None;
    let mut max_chains = None;
    if rel.is_partitioned() {
        missing.extend(guard_state::of_partitioned(&rel, functions)?.into_iter().map(|f| f.detail));
    }
    for leaf in log::leaves(&rel, pg_sys::AccessShareLock) {
        let leaf = Rel::open(leaf, pg_sys::AccessShareLock);
        missing.extend(guard_state::of_segment(&leaf, functions)?.into_iter().map(|f| f.detail));
        if let Ok(Some(Mark::Segment(segment))) = log::mark_in_catalog(&leaf, functions) {
            segments += i32::try_from(segment.headers.len()).unwrap_or(0);
            max_chains = segment.max_chains;
            missing.extend(guard_state::columns(&leaf, segment.current()).into_iter().map(|f| f.detail));
            let ends = ends(&leaf, &segment.headers);
            chains += i32::try_from(ends.chains).unwrap_or(0);
            entries += ends.entries;
            last = last.max(ends.last);
        }
    }
    let log = log_id(root, functions);
    // How much others write is not for those to know from whom their rows are hidden.
    let hidden = context::rows_are_hidden(root);
    let guard = if missing.is_empty() { "complete".to_owned() } else { missing.join("; ") };
    Ok(vec![
        datum(root),
        log.and_then(|log| datum(pgrx::Uuid::from_bytes(*log.as_bytes()))),
        datum(segments),
        datum(chains).filter(|_| !hidden),
        datum(entries).filter(|_| !hidden),
        last.filter(|_| !hidden).and_then(|t| TimestampWithTimeZone::try_from(t).ok()).and_then(datum),
        log.map_or(Ok(None), last_seal)?.and_then(|t| TimestampWithTimeZone::try_from(t).ok()).and_then(datum),
        max_chains.and_then(|n| i32::try_from(n).ok()).and_then(datum),
        datum(guard),
    ])
}

/// When a log was last sealed. What is damaged of that, is for a check to report.
fn last_seal(log: LogId) -> Result<Option<i64>, Error> {
    match Tree::newest(log) {
        Ok(Some(tree)) => match store::newest_seal(&tree) {
            Ok(seal) => Ok(seal.map(|seal| seal.at)),
            Err(Error::Remembered { .. }) => Ok(None),
            Err(other) => Err(other),
        },
        Ok(None) | Err(Error::Remembered { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

#[derive(Default)]
struct Ends {
    chains: u32,
    entries: i64,
    last: Option<i64>,
}

/// The ends of a table's chains, by the index alone: a chain's last seq is its number of entries.
fn ends(rel: &Rel, headers: &[Header]) -> Ends {
    let mut ends = Ends::default();
    let Some(columns) = NotaryColumns::of(rel) else {
        return ends;
    };
    let Some(oid) = index::chain_index(rel, &columns) else {
        return ends;
    };
    let first = headers.first().map_or(1, |h| h.first_chain);
    let mut chains = ChainIndex::new(rel, oid, columns);
    // From one chain that is there to the next: numbers may have gaps, and somebody may have written any.
    let mut before = i32::try_from(first).unwrap_or(1).saturating_sub(1);
    while let Some(chain) = chains.next_chain(before) {
        context::check_for_interrupts();
        if let Last::Entry(found) = chains.last(chain, u32::MAX) {
            ends.chains += 1;
            ends.entries = ends.entries.saturating_add(found.seq);
            ends.last = ends.last.max(found.time);
        }
        before = chain;
    }
    ends
}
