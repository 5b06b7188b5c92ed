//! Pass 2: the rows of the suspect chains, sorted, in one stream and bounded memory: what is wrong, and where.
//!
//! A place (chain, seq) is *anchored* by a row that something besides itself vouches for: its own
//! hash, the entry before it or the entry after it. Rows that nothing vouches for are *strays*: they
//! stand where the chain has no place for them, and do not make a gap before them real. What belongs
//! together across places (rows moved, exchanged, copied) is found at the end, by `matching`.
//!
//! Invariants: `due` is the seq after the last anchored place, and `heads` holds the hashes that the
//! entry there may commit to, corrected for damage that was reported: so one damaged row is one
//! finding and never a flood. All rows up to the pending group have been judged.

use std::collections::BTreeSet;

use super::clock::{Backward, Clock};
use super::first::Firsts;
use super::group::{Around, Group};
use super::judge::{Verdict, judge};
use super::matching::{Kind, Matching, Suspect};
use super::omit::{Check, is_omitted};
use super::places::Hole;
use super::tally::chain_number;
use super::{Entry, Evidence, Segments, TallyReport, words};
use crate::{Digest, Finding, Problem, Remark};

/// Judges the rows of the suspect chains.
///
/// `entries` are the rows whose chain [`super::Suspects::contains`], sorted by (chain, seq, hash),
/// NULLs first or last. Findings come about in that order, those that need the whole picture at the
/// end. The remarks returned are about the walked chains and add to the tally's.
///
/// # Errors
/// What the reader of the entries raised.
pub fn walk<E>(
    segments: &Segments,
    tallied: &TallyReport,
    entries: impl Iterator<Item = Result<Entry, E>>,
    evidence: &mut impl Evidence,
    report: &mut dyn FnMut(Finding),
) -> Result<Vec<Remark>, E> {
    let mut walk = Walk {
        segments,
        tallied,
        foreign: tallied.header_suspects.clone(),
        evidence,
        report,
        pending: None,
        chain: None,
        firsts: None,
        matching: Matching::default(),
        clock: Clock::default(),
        backwards: 0,
    };
    for entry in entries {
        walk.step(entry?);
    }
    Ok(walk.finish())
}

struct Walk<'a, V> {
    segments: &'a Segments,
    tallied: &'a TallyReport,
    /// Segments whose header was changed, so that no row of them can be recomputed.
    foreign: BTreeSet<usize>,
    evidence: &'a mut V,
    report: &'a mut dyn FnMut(Finding),
    /// Read, and to be judged when the group after it is known.
    pending: Option<Group>,
    chain: Option<Chain>,
    firsts: Option<Firsts>,
    matching: Matching,
    clock: Clock,
    /// Entries whose clock went back.
    backwards: u64,
}

/// Where the walk stands in a chain.
struct Chain {
    number: u32,
    due: i64,
    heads: Vec<Digest>,
    /// The row that anchors the place before `due`; `None` if that is the header's.
    last: Option<Last>,
}

struct Last {
    row: Entry,
    reported: bool,
}

impl<V: Evidence> Walk<'_, V> {
    fn step(&mut self, mut row: Entry) {
        let place = row.chain.and_then(chain_number).zip(row.seq.filter(|&seq| seq > 0));
        let segment = place.and_then(|(chain, _)| self.segments.index_of(chain));
        let (Some((chain, seq)), Some(segment)) = (place, segment) else {
            return self.outside(row);
        };
        if self.foreign.contains(&segment) {
            self.take_as_is(segment, &mut row);
        }
        match &mut self.pending {
            Some(group) if group.is_at(chain, seq) => {
                if let Some(surplus) = group.push(row) {
                    let detail = words::surplus(&self.evidence.locate(surplus.at));
                    self.tell(Problem::Inserted, &surplus, detail);
                }
            }
            _ => self.turn(Some(Group::new(chain, seq, row))),
        }
    }

    fn finish(mut self) -> Vec<Remark> {
        self.turn(None);
        self.settle_firsts();
        self.matching.finish(self.segments, self.tallied, self.evidence, self.report);
        self.clock.remarks(self.backwards, |_| true)
    }

    /// A row that has no place in any chain of the table.
    fn outside(&mut self, row: Entry) {
        let blank = row.chain.is_none() && row.seq.is_none() && row.prev.is_none();
        if blank && row.hash.is_none() && !row.odd {
            if !is_omitted(Check::Unchained) {
                let detail = words::unchained(&self.evidence.locate(row.at));
                self.tell(Problem::Unchained, &row, detail);
            }
        } else {
            self.hold(Kind::Stray, row, Vec::new(), None);
        }
    }

    /// A row under a header that was changed: its hash cannot be checked, its links can.
    fn take_as_is(&mut self, segment: usize, row: &mut Entry) {
        if row.seq == Some(1)
            && let Some((_, header)) = self.segments.get(segment)
            && let Some(hash) = row.hash
            && self.rehash(row, header) == Some(hash)
        {
            // The row was hashed under this very header, and only its prev is wrong.
            self.foreign.remove(&segment);
        } else {
            row.computed = row.hash;
        }
    }

    /// Judges the pending group, now that the one after it is known.
    fn turn(&mut self, next: Option<Group>) {
        if let Some(group) = self.pending.take() {
            if self.chain.is_none() {
                self.enter(group.chain);
            }
            let after =
                next.as_ref().filter(|next| group.seq.checked_add(1).is_some_and(|seq| next.is_at(group.chain, seq)));
            self.resolve(group, after.map_or(&[], |next| next.rows.as_slice()));
        }
        let goes_on = |chain: &Chain| next.as_ref().is_some_and(|next| next.chain == chain.number);
        if let Some(chain) = self.chain.take_if(|chain| !goes_on(chain)) {
            self.matching.end_of_chain(chain.number, chain.due - 1, &chain.heads);
        }
        self.pending = next;
    }

    fn enter(&mut self, number: u32) {
        let segment = self.segments.index_of(number);
        if self.firsts.as_ref().map(Firsts::segment) != segment {
            self.settle_firsts();
            self.firsts = segment.map(|segment| Firsts::new(segment, self.segments, self.tallied));
        }
        let header = self.segments.of_chain(number).map(|(_, hash)| hash);
        let heads = header.into_iter().collect();
        self.chain = Some(Chain { number, due: 1, heads, last: None });
    }

    fn settle_firsts(&mut self) {
        if let Some(firsts) = self.firsts.take() {
            firsts.settle(self.segments, self.evidence, self.report);
        }
    }

    fn resolve(&mut self, mut group: Group, next: &[Entry]) {
        let Some(mut chain) = self.chain.take() else {
            return;
        };
        if group.seq == 1 {
            self.start(&mut chain, &group);
        }
        let heads = (group.seq == chain.due).then_some(chain.heads.as_slice());
        let around = Around { heads, next };
        let valid = group.take_valid(&around);
        if group.seq < chain.due {
            // The stream is not sorted as promised: nothing can be said of this place.
            group.rows.extend(valid);
        } else if valid.len() > 1 {
            let (known, next) = (heads.is_some(), next.first().and_then(|next| next.prev));
            self.branch(&mut chain, valid, known, next);
        } else if let Some(row) = valid.into_iter().next() {
            self.keep(&mut chain, row);
        } else if let Some(row) = group.take_best(&around) {
            let verdict = judge(&row, &around, self.segments, self.evidence);
            let expected = around.expected();
            self.conclude(&mut chain, row, verdict, expected);
        }
        let others = group.rows.into_iter().filter(|_| !is_omitted(Check::Beside));
        for row in others {
            if row.is_consistent() {
                let detail = words::beside(&row, &self.evidence.locate(row.at));
                self.tell(Problem::Inserted, &row, detail);
            } else {
                self.hold(Kind::Stray, row, Vec::new(), None);
            }
        }
        self.chain = Some(chain);
    }

    /// Notes what a chain starts from.
    fn start(&mut self, chain: &mut Chain, group: &Group) {
        let Some(firsts) = &mut self.firsts else {
            return;
        };
        let prevs = || group.rows.iter().filter_map(|row| row.prev);
        if self.foreign.contains(&firsts.segment()) {
            prevs().for_each(|prev| firsts.foreign(prev));
            chain.heads = prevs().collect();
        } else if prevs().any(|prev| chain.heads.contains(&prev)) {
            firsts.right();
        }
    }

    /// Several valid rows at one place: a fork starts, or goes on.
    fn branch(&mut self, chain: &mut Chain, branches: Vec<Entry>, known: bool, next: Option<Digest>) {
        let parents: BTreeSet<_> = branches.iter().map(|row| row.prev).collect();
        let is_new = !known || parents.len() < branches.len();
        if let Some(row) = branches.first().filter(|_| is_new && !is_omitted(Check::Fork)) {
            let detail = words::fork(&branches, next, self.evidence);
            self.tell(Problem::Fork, row, detail);
        }
        let heads = branches.iter().filter_map(|row| row.hash).collect();
        if let Some(row) = branches.into_iter().next() {
            self.anchor(chain, row, heads, true);
        }
    }

    /// A row that is as it should be.
    fn keep(&mut self, chain: &mut Chain, row: Entry) {
        if let (Some(seq), Some(to)) = (row.seq, row.time)
            && seq == chain.due
            && let Some(from) = chain.last.as_ref().and_then(|last| last.row.time)
            && to < from
        {
            self.backwards += 1;
            self.clock.note(chain.number, Backward { seq, from, to });
        }
        if let Some(hash) = row.hash.filter(|hash| self.tallied.wanted.contains(hash)) {
            self.matching.original(hash, (row.chain, row.seq));
        }
        let heads = row.hash.into_iter().collect();
        self.anchor(chain, row, heads, false);
    }

    fn conclude(&mut self, chain: &mut Chain, row: Entry, verdict: Verdict, expected: Option<Digest>) {
        let (kind, head) = match verdict {
            Verdict::Sound => return self.keep(chain, row),
            Verdict::BreaksBefore => {
                self.blame_before(chain, &row);
                return self.keep(chain, row);
            }
            Verdict::Damaged { problem, why, head, breaks_before } => {
                if breaks_before {
                    self.blame_before(chain, &row);
                }
                let detail = words::damaged(&row, &why, head, &self.evidence.locate(row.at));
                self.tell(problem, &row, detail);
                return self.anchor(chain, row, head.into_iter().collect(), true);
            }
            Verdict::Changed { head } => (Kind::Changed, head),
            Verdict::Doubtful { head } => (Kind::Doubtful, head),
            Verdict::Stray => return self.hold(Kind::Stray, row, Vec::new(), None),
        };
        let before = chain.heads.clone();
        self.anchor(chain, row.clone(), head.into_iter().collect(), true);
        self.hold(kind, row, before, expected);
    }

    /// The link before a consistent row is broken, and the damage is on the other side of it.
    fn blame_before(&mut self, chain: &mut Chain, row: &Entry) {
        match &mut chain.last {
            Some(last) if !last.reported && !is_omitted(Check::Rehashed) => {
                last.reported = true;
                let at = self.evidence.locate(last.row.at);
                let detail = words::rehashed(&last.row, row.prev, &at);
                (self.report)(words::finding(Problem::ValueChanged, &last.row, detail));
            }
            Some(_) => {}
            None => {
                if let Some(firsts) = self.firsts.as_mut().filter(|_| !is_omitted(Check::WrongFirst)) {
                    firsts.wrong(row.clone());
                }
            }
        }
    }

    /// Goes on after a row that anchors its place; a gap before it is real.
    fn anchor(&mut self, chain: &mut Chain, row: Entry, heads: Vec<Digest>, reported: bool) {
        let Some(seq) = row.seq else { return };
        let before = std::mem::replace(&mut chain.heads, heads);
        if seq > chain.due && !is_omitted(Check::Gap) {
            let (number, from, to) = (chain.number, chain.due, seq - 1);
            let hole = Hole { chain: number, from, to, before, after: row.prev, owner: None };
            if let Some(hole) = self.matching.hole(hole) {
                (self.report)(hole.finding());
            }
        }
        chain.due = seq.saturating_add(1);
        chain.last = Some(Last { row, reported });
    }

    /// Keeps a row to be matched with others, or reports it if there are too many.
    fn hold(&mut self, kind: Kind, row: Entry, before: Vec<Digest>, after: Option<Digest>) {
        let suspect = Suspect { kind, row, before, after, belongs: None };
        if let Some(suspect) = self.matching.suspect(suspect) {
            (self.report)(suspect.finding(None, self.evidence));
        }
    }

    fn tell(&mut self, problem: Problem, row: &Entry, detail: String) {
        (self.report)(words::finding(problem, row, detail));
    }

    fn rehash(&mut self, row: &Entry, prev: Digest) -> Option<Digest> {
        let place = self.segments.place(row.chain?, row.seq?, row.time?, prev)?;
        self.evidence.rehash(row.at, &place)
    }
}
