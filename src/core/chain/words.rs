//! The details of findings: what was expected and what was found, in hashes and places, never values.

use super::places::Hole;
use super::{Entry, Evidence};
use crate::{Digest, Finding, Header, Problem, Timestamp};

/// What speaks for a verdict.
pub(super) enum Why {
    /// Only `notary_hash` was changed.
    Hash,
    /// Only `notary_prev` was changed.
    Prev,
    /// Both were changed, the values were not.
    PrevAndHash,
    /// The entry after it commits to the stored hash, but neither the values nor prev are right.
    ValuesAndPrev,
    /// It was changed and hashed again; the entry after it commits to this hash.
    Rehashed(Option<Digest>),
}

/// A place as findings name it.
pub(super) type Spot = (Option<i32>, Option<i64>);

/// A finding at the place where a row stands.
pub(super) fn finding(problem: Problem, row: &Entry, detail: String) -> Finding {
    Finding { problem, chain: row.chain.map(i64::from), seq: row.seq, to_seq: None, found: row.computed, detail }
}

/// A row whose damage is certain.
pub(super) fn damaged(row: &Entry, why: &Why, head: Option<Digest>, at: &str) -> String {
    let stored = hash(row.hash);
    match why {
        Why::Hash => format!("notary_hash was changed: it is {stored}, the row hashes to {}; {at}", hash(row.computed)),
        Why::Prev => format!(
            "notary_prev was changed: it is {}, with that of the entry before it the row hashes to its notary_hash {stored}; {at}",
            hash(row.prev)
        ),
        Why::PrevAndHash => format!(
            "notary_prev and notary_hash were changed: notary_hash is {stored}, with the hash of the entry before it the row hashes to {}; {at}",
            hash(head)
        ),
        Why::ValuesAndPrev => format!(
            "the next entry commits to its notary_hash {stored}, the row hashes to {} and notary_prev is {}{}; {at}",
            hash(row.computed),
            hash(row.prev),
            time(row)
        ),
        Why::Rehashed(expected) => rehashed(row, *expected, at),
    }
}

/// A row that was edited and hashed again.
pub(super) fn rehashed(row: &Entry, expected: Option<Digest>, at: &str) -> String {
    format!(
        "the row was changed and hashed again: the next entry commits to {}, the row hashes to {}; {at}",
        hash(expected),
        hash(row.computed)
    )
}

/// A row that stands where it should and holds something else.
pub(super) fn changed(row: &Entry, expected: Option<Digest>, at: &str) -> String {
    let (stored, found) = (hash(row.hash), hash(row.computed));
    let time = time(row);
    match expected.filter(|_| expected != row.hash) {
        None => format!("notary_hash is {stored}, the row hashes to {found}{time}; {at}"),
        Some(expected) => format!(
            "the next entry commits to {expected}, notary_hash is {stored}, the row hashes to {found}{time}; {at}"
        ),
    }
}

/// A row that belongs elsewhere.
pub(super) fn moved(row: &Entry, stands: Spot, at: &str) -> String {
    format!("the row with this entry's hash {} stands at {} now; {at}", hash(row.hash), spot(stands))
}

/// A row in another one's place or with another one's values.
pub(super) fn swapped(row: &Entry, with: Spot, what: &str, at: &str) -> String {
    format!(
        "{what} exchanged with {}: notary_hash is {}, the row hashes to {}; {at}",
        spot(with),
        hash(row.hash),
        hash(row.computed)
    )
}

/// A row that its chain has no place for.
pub(super) fn inserted(row: &Entry, copy_of: Option<Spot>, at: &str) -> String {
    let what = match copy_of {
        Some(place) => format!("a copy of the entry at {}", spot(place)),
        None => "no neighbour commits to this row".to_owned(),
    };
    format!(
        "{what}: notary_prev is {}, notary_hash is {}, the row hashes to {}; {at}",
        hash(row.prev),
        hash(row.hash),
        hash(row.computed)
    )
}

/// A row beside the right one at the same place.
pub(super) fn beside(row: &Entry, at: &str) -> String {
    format!(
        "another row stands at this place and is the right one: notary_prev is {}, notary_hash is {}, the row hashes to {}; {at}",
        hash(row.prev),
        hash(row.hash),
        hash(row.computed)
    )
}

/// One of more rows at one place than are looked at together.
pub(super) fn surplus(at: &str) -> String {
    format!("one of many rows at one place; {at}")
}

/// Several valid entries at one place.
pub(super) fn fork(branches: &[Entry], next: Option<Digest>, evidence: &impl Evidence) -> String {
    let branch = |row: &Entry| format!("{} ({})", hash(row.hash), evidence.locate(row.at));
    let branches: Vec<_> = branches.iter().map(branch).collect();
    let mut words = format!("valid entries with different hashes: {}", branches.join(", "));
    if let Some(next) = next {
        words += &format!("; the next entry commits to {next}");
    }
    words
}

/// Entries that are gone.
pub(super) fn missing(hole: &Hole) -> String {
    let count = hole.to - hole.from + 1;
    let what = match count {
        1 => format!("entry {} is missing", hole.from),
        _ => format!("entries {} to {} ({count}) are missing", hole.from, hole.to),
    };
    let before = match hole.from {
        1 => "the header".to_owned(),
        from => format!("entry {}", from - 1),
    };
    format!(
        "{what}: {before} has hash {}, entry {} commits to {}",
        hash(hole.before.first().copied()),
        hole.to + 1,
        hash(hole.after)
    )
}

/// A row without any place.
pub(super) fn unchained(at: &str) -> String {
    format!("the row's notary columns are null; {at}")
}

/// A header that is not the one that chains were started from.
pub(super) fn header_changed(header: &Header, own: Digest, prev: Digest) -> String {
    format!("the chains of segment {} start from {prev}, its header hashes to {own}", header.segment)
}

/// A first entry that does not start from the header, where others do.
pub(super) fn wrong_first(row: &Entry, header: Digest, at: &str) -> String {
    format!(
        "the first entry commits to {}, the segment's header hashes to {header}, where other chains start; the row hashes to {}; {at}",
        hash(row.prev),
        hash(row.computed)
    )
}

fn hash(digest: Option<Digest>) -> String {
    digest.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string())
}

fn time(row: &Entry) -> &'static str {
    match row.time {
        None => ", notary_time is null",
        Some(time) if !Timestamp(time).is_finite() => ", notary_time is infinite",
        Some(_) => "",
    }
}

fn spot((chain, seq): Spot) -> String {
    let number = |n: Option<i64>| n.map_or_else(|| "null".to_owned(), |n| n.to_string());
    format!("chain {} seq {}", number(chain.map(i64::from)), number(seq))
}
