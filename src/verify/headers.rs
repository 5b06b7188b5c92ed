//! The headers that a table's append trigger carries, against those that memory and journal know.
//!
//! What differs is one finding, and the rows are checked by the headers that fit them, so that they are not reported one
//! by one. Where nothing is known, as in a copy that was restored alone, only what the headers say of each other counts.

use super::known::{self, Known};
use crate::error::Error;
use crate::pg::index as chain_index;
use crate::pg::relation::Rel;
use crate::pg::row::NotaryColumns;
use notary_core::chain::Segments;
use notary_core::header::Header;
use notary_core::{Finding, Problem};
use std::collections::BTreeSet;

/// A finding, with the segment that it is about.
type Found = (Option<u32>, Finding);

/// The headers to check the rows by, and what is wrong with those of the trigger.
pub fn compare(rel: &Rel, headers: Vec<Header>, known: &Known) -> Result<(Vec<Header>, Vec<Found>), Error> {
    let mut found = Vec::new();
    // A changed uuid is remembered under another one: look by table, too.
    let of_table = known::of_table(rel)?;
    let mut by = Vec::with_capacity(headers.len());
    for header in &headers {
        let named = of_table.headers.iter().filter(|h| known.headers.is_empty() && h.segment == header.segment);
        let others = known.headers.get(&header.segment).into_iter().flatten().chain(named);
        match others.into_iter().find(|other| *other != header) {
            Some(other) => {
                found.push((Some(header.segment), changed(header, other)));
                by.push(if starts_a_chain(rel, header) { header.clone() } else { other.clone() });
            }
            None => by.push(header.clone()),
        }
    }
    match others(rel, &headers, &of_table, known) {
        Some((finding, fitting)) => {
            found.push((None, finding));
            by = fitting;
        }
        None if found.is_empty() => {
            found.extend(headers.first().and_then(cut_before).map(|finding| (None, finding)));
        }
        None => {}
    }
    Ok((by, found))
}

fn changed(header: &Header, other: &Header) -> Finding {
    let detail = format!(
        "the header of segment {} in the append trigger has hash {}, the one remembered in notary.segment or \
         notary.journal has {}",
        header.segment,
        header.hash(),
        other.hash()
    );
    Finding::general(Problem::HeaderChanged, detail)
}

/// A table's first segment begins with chain 1, the next ones above the highest chain there is.
fn cut_before(first: &Header) -> Option<Finding> {
    let detail = format!(
        "the oldest header in the append trigger is that of segment {}, which begins with chain {}: those before it are gone",
        first.segment, first.first_chain
    );
    (first.first_chain > 1).then(|| Finding::general(Problem::HeaderChanged, detail))
}

/// Other segments than the table's: headers that nobody knows or that are another table's, or not all that it had. With
/// the headers that fit.
fn others(rel: &Rel, headers: &[Header], of_table: &known::OfTable, known: &Known) -> Option<(Finding, Vec<Header>)> {
    if known.headers.is_empty() {
        return None;
    }
    let there: BTreeSet<u32> = headers.iter().map(|h| h.segment).collect();
    let unknown: BTreeSet<u32> = there.iter().copied().filter(|s| !known.headers.contains_key(s)).collect();
    let wanted = wanted(rel, headers, of_table, known);
    let differing = |from: &BTreeSet<u32>, to: &BTreeSet<u32>| from.difference(to).copied().collect::<BTreeSet<u32>>();
    let gone = wanted.as_ref().map(|wanted| differing(wanted, &there)).unwrap_or_default();
    let foreign = wanted.as_ref().map(|wanted| differing(&differing(&there, wanted), &unknown)).unwrap_or_default();
    let said: Vec<_> = [
        ("headers of segments that neither notary.segment nor notary.journal knows", &unknown),
        ("headers of segments that were never on this table", &foreign),
        ("no headers of segments that were on this table", &gone),
    ]
    .into_iter()
    .filter(|(_, segments)| !segments.is_empty())
    .map(|(what, segments)| format!("{what} ({})", list(segments)))
    .collect();
    if said.is_empty() {
        return None;
    }
    let detail = format!("the append trigger carries {}", said.join(", "));
    let finding = Finding::general(Problem::HeaderChanged, detail);
    let doubtful = unknown.union(&foreign).copied().collect();
    Some((finding, fitting(rel, headers, &doubtful, &gone, known)))
}

fn list(segments: &BTreeSet<u32>) -> String {
    segments.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The segments of the table, if they are known: by the journal's entry on the newest, else by the table's OID.
fn wanted(rel: &Rel, headers: &[Header], of_table: &known::OfTable, known: &Known) -> Option<BTreeSet<u32>> {
    let past = |h: &Header| known.protections.get(&h.segment).and_then(|noted| noted.past.as_deref());
    let is_there = |segment: &u32| headers.iter().any(|h| h.segment == *segment);
    let candidates = || headers.iter().rev().filter(|h| known.headers.contains_key(&h.segment));
    // The last one, unless it is a stranger among the others. While protection begins, the journal does not tell of it yet.
    let of_this_table = |h: &&Header| past(h).is_none_or(|past| past.iter().any(is_there)) || starts_a_chain(rel, h);
    let newest = match headers {
        [_] => candidates().next(),
        _ => candidates().find(of_this_table).or_else(|| candidates().next()),
    };
    if let Some((newest, past)) = newest.and_then(|newest| Some((newest, past(newest)?))) {
        return Some(past.iter().copied().chain([newest.segment]).collect());
    }
    let remembered = of_table.headers.iter().map(|h| h.segment).filter(|segment| known.headers.contains_key(segment));
    of_table.by_oid.then(|| remembered.collect())
}

/// The headers by which the rows can be checked: without doubtful ones that no chain begins with, with known ones that are
/// gone, as far as they fit together.
fn fitting(
    rel: &Rel,
    headers: &[Header],
    doubtful: &BTreeSet<u32>,
    gone: &BTreeSet<u32>,
    known: &Known,
) -> Vec<Header> {
    let is_kept = |h: &&Header| !doubtful.contains(&h.segment) || starts_a_chain(rel, h);
    let mut by: Vec<_> = headers.iter().filter(is_kept).cloned().collect();
    by.extend(gone.iter().filter_map(|segment| known.headers.get(segment)?.first().cloned()));
    if by.is_empty() {
        by.extend(known.headers.values().flatten().filter(|h| starts_a_chain(rel, h)).cloned());
    }
    by.sort_by_key(|h| h.segment);
    if Segments::new(by.clone()).is_ok() { by } else { headers.to_vec() }
}

/// Does the first entry of one of the segment's first chains follow this header?
fn starts_a_chain(rel: &Rel, header: &Header) -> bool {
    let Some(at) = NotaryColumns::of(rel) else { return false };
    let Some(index) = chain_index::chain_index(rel, &at) else {
        return false;
    };
    let mut chains = chain_index::ChainIndex::new(rel, index, at);
    (header.first_chain..header.first_chain.saturating_add(64))
        .filter_map(|chain| chains.first_prev(i32::try_from(chain).ok()?))
        .any(|prev| prev == header.hash())
}
