//! What the pass over a table's rows keeps of them.
//!
//! Several processes may share the rows out: each gathers its own, and one takes in what the others have. It comes to the same
//! as if one had seen all.

use super::adopted::Adopted;
use super::closed::Closed;
use super::index::{Key, Sum};
use super::rows::At;
use crate::tree::ended::Ends;
use notary_core::Finding;
use notary_core::chain::{Entry, Segments, Tally, TallyReport};
use notary_core::wire::Wire as _;

/// Runs of consecutive entries that may stand open, in all processes together, before they give up and everything is
/// sorted: about 10 MB.
const MAX_RUNS: usize = 100_000;

/// What is known of the rows that were seen.
pub struct Gathered<'a> {
    key: &'a Key,
    tally: Tally,
    sum: Sum,
    adopted: Adopted,
    closed: Closed<'a>,
}

/// What it came to.
pub struct Whole<'a> {
    pub tallied: TallyReport,
    /// Over chain, seq and place of all rows.
    pub sum: Sum,
    adopted: Adopted,
    closed: Closed<'a>,
}

impl<'a> Gathered<'a> {
    /// Nothing yet, in one of so many processes.
    pub fn new(segments: &'a Segments, ends: &'a Ends, key: &'a Key, processes: u32) -> Self {
        let share = MAX_RUNS / usize::try_from(processes).unwrap_or(MAX_RUNS).max(1);
        Self {
            key,
            tally: Tally::new(segments, share),
            sum: Sum::default(),
            adopted: Adopted::of(segments),
            closed: Closed::of(segments, ends),
        }
    }

    /// A row was read.
    pub fn see(&mut self, entry: &Entry) {
        self.tally.add(entry);
        self.sum.add(self.key, entry.chain, entry.seq, At(entry.at).root());
        self.adopted.see(entry);
        self.closed.see(entry);
    }

    /// Something was reported: what is said about a place need not be said twice.
    pub fn reported(&mut self, finding: &Finding) {
        self.adopted.reported(finding);
        self.closed.reported(finding);
    }

    /// What was seen, for `merge_bytes` in another process.
    pub fn put(&self, out: &mut Vec<u8>) {
        self.tally.put(out);
        self.sum.put(out);
        self.adopted.put(out);
        self.closed.put(out);
    }

    /// Takes in what `put` of another process wrote, which saw other rows of the same table. None if that is not what it is;
    /// nothing is to be concluded then.
    pub fn merge_bytes(&mut self, from: &mut &[u8]) -> Option<()> {
        self.tally.merge_bytes(from)?;
        self.sum.merge(Sum::take(from)?);
        self.adopted.merge_bytes(from)?;
        self.closed.merge_bytes(from)
    }

    /// All rows were seen.
    pub fn finish(self) -> Whole<'a> {
        let Self { tally, sum, adopted, closed, .. } = self;
        Whole { tallied: tally.finish(), sum, adopted, closed }
    }
}

impl Whole<'_> {
    /// Something was reported.
    pub fn reported(&mut self, finding: &Finding) {
        self.adopted.reported(finding);
        self.closed.reported(finding);
    }

    /// What headers and journal say of the ends of chains, and the rows do not.
    pub fn at_the_ends(self) -> impl Iterator<Item = Finding> {
        self.adopted.missing().chain(self.closed.inserted())
    }
}
