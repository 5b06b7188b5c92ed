//! What the chains of one segment start from: the header, or all from something else.

use std::collections::BTreeSet;

use super::{Entry, Evidence, MAX_CHAIN, Segments, TallyReport, words};
use crate::{Digest, Finding, Problem};

/// The first entries of one segment's chains. At most one for each chain number.
pub(super) struct Firsts {
    segment: usize,
    /// Some chain starts from the header.
    right: bool,
    /// Consistent first entries that commit to something else.
    wrong: Vec<Entry>,
    /// No row of the segment could be recomputed, and chains start from this.
    foreign: Option<Digest>,
}

impl Firsts {
    /// Nothing seen yet but what the tally knows: a clean chain starts from the header.
    pub fn new(segment: usize, segments: &Segments, tallied: &TallyReport) -> Self {
        let first = |index| segments.get(index).map(|(header, _)| header.first_chain);
        let from = first(segment).filter(|_| segment > 0).unwrap_or(0);
        let to = first(segment + 1).unwrap_or(MAX_CHAIN + 1).max(from);
        let right = tallied.clean.range(from..to).next().is_some();
        Self { segment, right, wrong: Vec::new(), foreign: None }
    }

    pub const fn segment(&self) -> usize {
        self.segment
    }

    /// A chain that starts from the header.
    pub const fn right(&mut self) {
        self.right = true;
    }

    /// A chain whose first entry is consistent and commits to something else.
    pub fn wrong(&mut self, row: Entry) {
        self.wrong.push(row);
    }

    /// A chain that starts from another header, under which its rows were hashed.
    pub const fn foreign(&mut self, prev: Digest) {
        self.foreign = Some(prev);
    }

    /// If no chain starts from the header and all from one other hash, the header was changed;
    /// else the chains that differ were.
    pub fn settle(self, segments: &Segments, evidence: &impl Evidence, report: &mut dyn FnMut(Finding)) {
        let Some((header, hash)) = segments.get(self.segment) else {
            return;
        };
        let prevs: BTreeSet<_> = self.wrong.iter().filter_map(|row| row.prev).collect();
        let common = prevs.first().copied().filter(|_| prevs.len() == 1 && !self.right);
        if let Some(prev) = self.foreign.or(common) {
            let detail = words::header_changed(header, hash, prev);
            return report(Finding::general(Problem::HeaderChanged, detail));
        }
        for row in self.wrong {
            let detail = words::wrong_first(&row, hash, &evidence.locate(row.at));
            report(words::finding(Problem::ValueChanged, &row, detail));
        }
    }
}
