//! The export: the lines of all leaves in the order of the tree, and whether they are well-formed.
//!
//! ```text
//! {"v":1,"log":"6f1c…","segment":1,"chain":0,"seq":0,…}     a header: leaf 0
//! {"v":1,"log":"6f1c…","segment":1,"chain":1,"seq":1,…}     an entry: leaf 1
//! …
//! ```
//!
//! | file | noun |
//! |---|---|
//! | `leaf` | a line, read and hashed: [`Leaf`]. Needs nothing but the line, so that many can be read at once |
//! | `problem` | why a line is not the next one of a well-formed export: [`Problem`] |
//!
//! Invariants: each line is looked at once and forgotten. What is kept is one place for each chain, one for
//! each segment and the right edge of the tree, so that memory does not grow with the entries. After a
//! problem the check goes on from what the line says of itself, so that one wrong line is reported once and
//! not with all that follow; it never becomes well-formed again by that.

mod leaf;
mod problem;
#[cfg(test)]
mod tests;

pub use leaf::{Kind, Leaf};
pub use problem::{Finding, Problem};

use std::collections::{BTreeMap, HashMap};

use crate::chain::MAX_CHAIN;
use crate::line::Place;
use crate::merkle::{self, Frontier, TreeFull};
use crate::{Digest, LogId};

/// What is known of an export after the lines so far.
#[derive(Clone, Debug)]
pub struct ExportCheck {
    log: Option<LogId>,
    segments: HashMap<u32, Opened>,
    last_segment: u32,
    /// By segment and chain: the partitions of a log number their chains each for itself.
    chains: HashMap<(u32, u32), Last>,
    tree: Frontier,
    /// The sizes at which a root was asked for, and the roots of those that were reached.
    roots: BTreeMap<u64, Option<Digest>>,
}

/// A segment's header.
#[derive(Clone, Copy, Debug)]
struct Opened {
    hash: Digest,
    first_chain: u32,
    line: u64,
}

/// The last entry of a chain.
#[derive(Clone, Copy, Debug)]
struct Last {
    seq: u64,
    hash: Digest,
    line: u64,
}

impl ExportCheck {
    /// Nothing read yet. `log` is the uuid in the origin; without it the first line's counts. The root will be
    /// known at each of these sizes that is reached, and at the end.
    #[must_use]
    pub fn new(log: Option<LogId>, sizes: impl IntoIterator<Item = u64>) -> Self {
        let tree = Frontier::new();
        let roots = sizes.into_iter().map(|size| (size, (size == 0).then(|| tree.root()))).collect();
        Self { log, segments: HashMap::new(), last_segment: 0, chains: HashMap::new(), tree, roots }
    }

    /// The next line; what is wrong with it goes to `report`.
    ///
    /// # Errors
    /// The tree is full.
    pub fn add(&mut self, leaf: &Leaf, mut report: impl FnMut(Finding)) -> Result<(), TreeFull> {
        let line = self.tree.append(merkle::leaf(&leaf.hash))? + 1;
        let size = self.tree.size();
        if let Some(root) = self.roots.get_mut(&size) {
            *root = Some(self.tree.root());
        }
        match &leaf.kind {
            Err(error) => report(Finding { line, place: None, problem: Problem::Line(*error) }),
            Ok(Kind::Header { log, segment, first_chain }) => {
                let mut report = |problem| report(Finding { line, place: Some((*segment, 0, 0)), problem });
                self.check_log(*log).into_iter().for_each(&mut report);
                let opened = Opened { hash: leaf.hash, first_chain: *first_chain, line };
                self.open(*segment, opened).into_iter().for_each(report);
            }
            Ok(Kind::Entry(place)) => {
                let at = Some((place.segment, place.chain, place.seq));
                let mut report = |problem| report(Finding { line, place: at, problem });
                self.check_log(place.log).into_iter().for_each(&mut report);
                self.append(place, leaf.hash, line).into_iter().for_each(report);
            }
        }
        Ok(())
    }

    /// How many lines there were.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The root of the tree over all lines so far.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The root that the tree had at a size which was asked for in the beginning; `None` if there are fewer lines.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<Digest> {
        self.roots.get(&size).copied().flatten()
    }

    /// The log that the lines are of, if there is any line or it was given.
    #[must_use]
    pub const fn log(&self) -> Option<LogId> {
        self.log
    }

    /// How many segments were opened.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// How many chains there are.
    #[must_use]
    pub fn chains(&self) -> usize {
        self.chains.len()
    }

    fn check_log(&mut self, log: LogId) -> Option<Problem> {
        let of = *self.log.get_or_insert(log);
        (of != log).then_some(Problem::OtherLog { found: log, expected: of })
    }

    fn open(&mut self, segment: u32, opened: Opened) -> Option<Problem> {
        if let Some(before) = self.segments.get(&segment) {
            return Some(Problem::HeaderAgain { line: before.line });
        }
        let expected = self.last_segment.saturating_add(1);
        self.segments.insert(segment, opened);
        self.last_segment = self.last_segment.max(segment);
        (segment != expected).then_some(Problem::HeaderOutOfOrder { expected })
    }

    fn append(&mut self, place: &Place, hash: Digest, line: u64) -> Option<Problem> {
        let Place { segment, chain, seq, prev, .. } = *place;
        // Not kept, so that no file makes us remember more chains than there can be.
        if chain > MAX_CHAIN {
            return Some(Problem::NoSuchChain);
        }
        let now = Last { seq, hash, line };
        let Some(last) = self.chains.get_mut(&(segment, chain)) else {
            self.chains.insert((segment, chain), now);
            return self.check_first(place);
        };
        if seq <= last.seq {
            return Some(Problem::SeqAgain { last: last.seq, line: last.line });
        }
        let before = std::mem::replace(last, now);
        if seq != before.seq + 1 {
            return Some(Problem::SeqMissing { expected: before.seq + 1 });
        }
        (prev != before.hash).then_some(Problem::WrongPrev { line: before.line })
    }

    fn check_first(&self, place: &Place) -> Option<Problem> {
        let Some(header) = self.segments.get(&place.segment) else {
            return Some(Problem::NoHeader);
        };
        if place.chain < header.first_chain {
            return Some(Problem::BelowFirstChain { first_chain: header.first_chain });
        }
        if place.seq != 1 {
            return Some(Problem::SeqMissing { expected: 1 });
        }
        (place.prev != header.hash).then_some(Problem::WrongPrev { line: header.line })
    }
}
