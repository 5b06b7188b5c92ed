//! The verdict on one row between its neighbours.
//!
//! Three hashes tell the cases apart: the stored one, the one recomputed where the row stands, and
//! the one it would have if it committed to the entry before it; each either is or is not what the
//! entry after it commits to. Two rows never agree on a hash by chance.

use super::group::Around;
use super::omit::{Check, is_omitted};
use super::words::Why;
use super::{Entry, Evidence, Segments};
use crate::{Digest, Problem};

/// What a row is, as far as its neighbours tell.
pub(super) enum Verdict {
    /// Consistent, and linked to the entry before it if that is there.
    Sound,
    /// Consistent, but it commits to another entry before it than the one that is there.
    BreaksBefore,
    /// It anchors its place and is damaged.
    Damaged {
        problem: Problem,
        why: Why,
        /// The hash that the entry has for the one after it.
        head: Option<Digest>,
        /// The entry before it is not the one that it rightly commits to.
        breaks_before: bool,
    },
    /// Its values are not what both neighbours commit to; perhaps they are another row's.
    Changed { head: Option<Digest> },
    /// Only the entry before it speaks for its place; perhaps it belongs elsewhere.
    Doubtful { head: Option<Digest> },
    /// Nothing speaks for its place.
    Stray,
}

/// Judges a row; if several stand at its place, the one that most speaks for.
pub(super) fn judge(row: &Entry, around: &Around<'_>, segments: &Segments, evidence: &mut impl Evidence) -> Verdict {
    let linked = around.precede(row);
    if row.is_consistent() && (linked || around.heads.is_none()) {
        return Verdict::Sound;
    }
    if linked {
        return judge_linked(row, around);
    }
    // What the row hashes to if only its prev is put right: at most one of these is of interest.
    let mut repaired = around.heads.unwrap_or_default().iter().filter_map(|&head| {
        let place = segments.place(row.chain?, row.seq?, row.time?, head)?;
        evidence.rehash(row.at, &place)
    });
    let repaired = match around.heads {
        Some([_]) => repaired.next(),
        _ => repaired.find(|&hash| row.hash == Some(hash) || around.commit_to(Some(hash))),
    };
    if row.is_consistent() {
        return judge_consistent(row, around, repaired);
    }
    let restored = repaired.is_some() && repaired == row.hash && !is_omitted(Check::PrevAlone);
    let damaged = |problem, why, head| Verdict::Damaged { problem, why, head, breaks_before: false };
    let expected = around.expected().filter(|_| !around.commit_to(row.hash));
    if restored && expected.is_some() {
        damaged(Problem::ValueChanged, Why::Rehashed(expected), expected)
    } else if restored {
        damaged(Problem::HashChanged, Why::Prev, row.hash)
    } else if around.commit_to(row.hash) {
        damaged(Problem::ValueChanged, Why::ValuesAndPrev, row.hash)
    } else if around.commit_to(row.computed) {
        let (problem, why, head) = (Problem::HashChanged, Why::Hash, row.computed);
        Verdict::Damaged { problem, why, head, breaks_before: around.heads.is_some() }
    } else if around.commit_to(repaired)
        || (row.hash.is_none() && row.prev.is_none() && repaired.is_some() && around.next.is_empty())
    {
        damaged(Problem::HashChanged, Why::PrevAndHash, repaired)
    } else {
        Verdict::Stray
    }
}

/// Not consistent, but it commits to the entry before it.
fn judge_linked(row: &Entry, around: &Around<'_>) -> Verdict {
    let only_hash =
        around.commit_to(row.computed) || (row.hash.is_none() && row.computed.is_some() && around.expected().is_none());
    if around.commit_to(row.hash) {
        Verdict::Changed { head: row.hash }
    } else if only_hash && !is_omitted(Check::HashAlone) {
        let (problem, why, head) = (Problem::HashChanged, Why::Hash, row.computed);
        Verdict::Damaged { problem, why, head, breaks_before: false }
    } else {
        Verdict::Doubtful { head: around.expected().or(row.hash) }
    }
}

/// Consistent, but it does not commit to the entry before it. Which of the two was re-hashed? The
/// one that the entry after it does not commit to either; where none does, the one before.
fn judge_consistent(row: &Entry, around: &Around<'_>, repaired: Option<Digest>) -> Verdict {
    let (problem, why, head) = match around.expected() {
        Some(_) if around.commit_to(row.hash) => return Verdict::BreaksBefore,
        None => return Verdict::BreaksBefore,
        Some(_) if around.commit_to(repaired) => (Problem::HashChanged, Why::PrevAndHash, repaired),
        expected => (Problem::ValueChanged, Why::Rehashed(expected), expected),
    };
    Verdict::Damaged { problem, why, head, breaks_before: false }
}
