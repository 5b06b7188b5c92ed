//! The first step of a seal: which committed lines that are not in the tree yet become which leaves.
//!
//! Invariants: in the order of the leaves headers come as segment 1, 2, 3 …, each before its entries, and a chain's
//! entries in the order of seq. Only what is committed is planned; a chain's entries are committed in order, so that all
//! before the last one are. What was planned and never signed is planned anew.

use super::{damaged, first_origin, not_at_home};
use crate::error::Error;
use crate::journal;
use crate::pg::index::{ChainIndex, Last, chain_index};
use crate::pg::relation::Rel;
use crate::pg::row::NotaryColumns;
use crate::pg::{context, spi};
use crate::tree::ended::Ended;
use crate::tree::nodes::{NoNode, Nodes};
use crate::tree::segments::Segments;
use crate::tree::store::{self, Range, StoredSeal};
use crate::tree::{Tree, timeline};
use notary_core::Digest;
use notary_core::merkle;
use pgrx::pg_sys;
use std::collections::BTreeMap;

/// Plans the new leaves.
pub fn grow(rel: &Rel, segments: &Segments) -> Result<(), Error> {
    let tree = match Tree::newest(segments.log)? {
        Some(tree) if tree.is_at_home()? => tree,
        Some(tree) => {
            return Err(not_at_home(
                rel,
                format!(
                    "It was sealed last in the database {} on timeline {}, and this is {} on timeline {}: a restored copy, \
                     or a server after a failover.",
                    tree.home,
                    tree.timeline,
                    journal::home()?,
                    timeline()?
                ),
            ));
        }
        None => first_tree(rel, segments)?,
    };
    let last = store::newest_seal(&tree)?;
    store::drop_ranges(&tree, last.as_ref().map_or(0, |seal| seal.size))?;
    let ranges = plan(rel, segments, &tree, last.as_ref())?;
    store::put_ranges(&tree, &ranges)
}

/// The tree of a log that was never sealed in this database. It may have been elsewhere, so that it is begun only where
/// the log's first segment began.
fn first_tree(rel: &Rel, segments: &Segments) -> Result<Tree, Error> {
    if !began_here(segments)? {
        return Err(not_at_home(
            rel,
            "It was not protected first in this database and on this timeline, so that it may have been sealed elsewhere."
                .into(),
        ));
    }
    let (home, timeline) = (journal::home()?, timeline()?);
    let tree = Tree { log: segments.log, incarnation: 1, origin: first_origin(segments)?, home, timeline, size: 0 };
    store::put_tree(&tree)?;
    Ok(tree)
}

/// Was the log protected first in this very database, and on this timeline?
pub fn began_here(segments: &Segments) -> Result<bool, Error> {
    let first = segments.headers().next().map_or(0, |header| header.segment);
    let sql = "SELECT FROM notary.journal WHERE log = $1 AND segment = $2 AND action = 'protect'
               AND details ->> 'home' = $3 AND (details ->> 'timeline')::int8 = $4";
    let (home, timeline) = (journal::home()?, timeline()?);
    let log = pgrx::Uuid::from_bytes(*segments.log.as_bytes());
    let args = [log.into(), i64::from(first).into(), home.as_str().into(), timeline.into()];
    Ok(journal::exists()? && !context::as_superuser(|| spi::rows(sql, &args, |_| Ok(())))?.is_empty())
}

fn plan(rel: &Rel, segments: &Segments, tree: &Tree, last: Option<&StoredSeal>) -> Result<Vec<Range>, Error> {
    let sealed = last.map_or(0, |seal| seal.size);
    let known: BTreeMap<(u32, u32), Range> =
        store::last_ranges(tree, sealed)?.into_iter().map(|r| ((r.segment, r.chain), r)).collect();
    let ended = Ended::of(segments.log)?;
    // Once for each beginning of protection, not every hour.
    let is_first = segments.headers().last().is_some_and(|newest| !known.contains_key(&(newest.segment, 0)));
    let mut heads = BTreeMap::new();
    for segment in segments.headers() {
        heads.insert((segment.segment, 0), 0);
    }
    if let Some(gap) = segments.gap() {
        return Err(damaged(rel, "was not sealed", format!("the header of segment {gap} is nowhere to be found")));
    }
    for table in segments.tables().into_keys() {
        heads_of(table.into(), segments, &mut heads).map_err(|why| damaged(rel, "was not sealed", why))?;
    }
    let mut next = sealed;
    let mut ranges = Vec::new();
    for ((segment, chain), last_seq) in heads {
        let first_seq = match known.get(&(segment, chain)) {
            Some(sealed) if sealed.last_seq >= last_seq => continue,
            Some(sealed) => sealed.last_seq + 1,
            None => u64::from(chain > 0),
        };
        let last_seq = match segments.is_current(segment) || chain == 0 {
            true => last_seq,
            // Behind the end that the journal noted nothing came lawfully.
            false => {
                let last_seq = ended.end(segment, chain).map_or(last_seq, |end| last_seq.min(end));
                let before = match (known.get(&(segment, chain)), last) {
                    (Some(range), Some(seal)) => proved_end(tree, segments, range, seal)?,
                    _ => segments.header(segment).map(notary_core::header::Header::hash),
                };
                whole_until(segments, (segment, chain), (first_seq, last_seq), before, is_first)
            }
        };
        if last_seq < first_seq {
            continue;
        }
        let range = Range { first_leaf: next, segment, chain, first_seq, last_seq };
        next = range.end();
        ranges.push(range);
    }
    Ok(ranges)
}

/// How far the entries of a segment that ended are whole, from the first of `range`. What was changed or went while it was
/// not protected ends its chain: nothing follows there, and a seal holds what comes before. Left out, and said the first time.
///
/// `prev`: the hash of what comes before the first; None where that is not what was sealed.
fn whole_until(
    segments: &Segments,
    (segment, chain): (u32, u32),
    (first, last): (u64, u64),
    mut prev: Option<Digest>,
    say: bool,
) -> u64 {
    let mut whole = first - 1;
    if last < first {
        return whole;
    }
    let read = segments.open(segment).and_then(|table| {
        table.lines(chain, first, last, |line| {
            let hash = Digest::of(line.bytes);
            if line.hash != Some(hash) || prev != Some(line.place.prev) {
                return Err("is not what it was".into());
            }
            (whole, prev) = (line.place.seq, Some(hash));
            Ok(())
        })
    });
    if read.is_err() && say {
        pgrx::warning!(
            "segment {segment}, chain {chain}: entries from {} on are in no seal, since they were changed or are gone",
            whole + 1
        );
    }
    whole
}

/// The hash of the last sealed entry of a chain, if it is in the tree that was sealed.
fn proved_end(tree: &Tree, segments: &Segments, end: &Range, seal: &StoredSeal) -> Result<Option<Digest>, Error> {
    let leaf = end.last_leaf();
    let Some(hash) = segments.hashes(end, leaf, leaf + 1).ok().and_then(|hashes| hashes.first().copied()) else {
        return Ok(None);
    };
    match Nodes::of(tree, segments, seal.size).path(&merkle::leaf(&hash), leaf, &seal.root) {
        Ok(path) => Ok(path.map(|_| hash)),
        Err(NoNode::Damage(_)) => Ok(None),
        Err(NoNode::Failed(why)) => Err(why),
    }
}

/// The last committed entry of each chain of a table.
fn heads_of(table: pg_sys::Oid, segments: &Segments, heads: &mut BTreeMap<(u32, u32), u64>) -> Result<(), String> {
    let rel = Rel::open(table, pg_sys::AccessShareLock);
    let name = rel.qualified();
    let index = NotaryColumns::of(&rel).and_then(|columns| Some((columns, chain_index(&rel, &columns)?)));
    let (columns, index) =
        index.ok_or_else(|| format!("the unique index of {name} over (notary_chain, notary_seq) is missing"))?;
    let headers = segments.headers_of(&rel)?;
    let mut chains = ChainIndex::new(&rel, index, columns);
    let mut before = i32::MIN;
    while let Some(chain) = chains.next_chain(before) {
        context::check_for_interrupts();
        before = chain;
        let Last::Entry(last) = chains.last(chain, u32::MAX) else { continue };
        let number = u32::try_from(chain).ok().filter(|number| *number > 0);
        let place = number.and_then(|number| Some((number, headers.of_chain(number)?.0.segment)));
        let seq = u64::try_from(last.seq).ok().filter(|seq| *seq > 0);
        match place.zip(seq) {
            Some(((chain, segment), seq)) => heads.insert((segment, chain), seq),
            None => return Err(format!("{name}: chain {chain}, seq {} is no place of an entry", last.seq)),
        };
    }
    Ok(())
}
