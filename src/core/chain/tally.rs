//! Pass 1: every row once, in any order, in bounded memory.
//!
//! A chain is clean if and only if all its rows are consistent and form one run from seq 1 that
//! starts from its segment's header. Anything else makes it a suspect, and of a suspect nothing more
//! is kept than that. The tally names no problem: that is the walk's business.
//!
//! Several processes may share the rows out, in any way: each has a tally of its own, and one takes in the others'. What comes
//! out is what a single tally of all rows says. So nothing here may hang on the order of rows: of hashes and clocks the lowest
//! are remembered, not the first. (Which ones are named of more than a thousand clocks may differ, where chains are damaged
//! too; and where one process gives up, all do.)
//!
//! Memory: about 200 bytes for each chain number up to [`MAX_CHAIN`], and as much for each run
//! that stands open; when more than `max_runs` do, everything is suspect and nothing is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::Clock;
use super::omit::{Check, is_omitted};
use super::run::{Added, Run, Runs};
use super::{Entry, MAX_CHAIN, Segments};
use crate::wire::Wire;
use crate::{Digest, Header, Notice, Remark, Timestamp};

/// How many hashes of inconsistent rows are remembered, the lowest, to say what they are copies of.
pub(super) const MAX_WANTED: usize = 4_096;

/// The first pass over a log.
#[derive(Clone, Debug)]
pub struct Tally {
    segments: Segments,
    max_runs: usize,
    /// By chain number less 1; as long as the highest seen.
    chains: Vec<Chain>,
    /// Rows seen.
    entries: u64,
    /// Runs open in all chains beyond each one's first.
    open: usize,
    /// More than `max_runs` were open.
    disordered: bool,
    /// Rows without a chain that can be.
    outside: bool,
    clock: Clock,
    wanted: Wanted,
}

/// The lowest hashes of inconsistent rows, up to [`MAX_WANTED`].
#[derive(Clone, Debug, Default)]
struct Wanted(BTreeSet<Digest>);

/// What is known of one chain.
#[derive(Clone, Debug, Default)]
struct Chain {
    runs: Runs,
    /// How many of its runs are counted in [`Tally::open`].
    extra: usize,
    seen: bool,
    suspect: bool,
    /// Some row in it is consistent.
    consistent: bool,
    /// Entries whose clock went back.
    backwards: u64,
    odd: Option<Box<OddStart>>,
}

/// The first two rows of a chain, where they are not consistent.
#[derive(Clone, Debug, Default)]
struct OddStart {
    prev: Option<Digest>,
    hash: Option<Digest>,
    /// `prev` of the second.
    link: Option<Digest>,
}

/// What the first pass says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TallyReport {
    /// Rows seen.
    pub entries: u64,
    /// Chain numbers seen, of those that can be.
    pub chains: u32,
    /// Which rows have to be sorted and walked.
    pub suspects: Suspects,
    /// Segments, counted from 0, in which no row at all is consistent and every chain starts from one and
    /// the same other hash and goes on from there: it is the header that was changed, not the rows.
    pub header_suspects: BTreeSet<usize>,
    /// Rows adopted, and clocks that went back in clean chains.
    pub remarks: Vec<Remark>,
    /// Chains that are clean: seq and hash of the last entry.
    pub(super) clean: BTreeMap<u32, (i64, Digest)>,
    /// Hashes of rows that are not consistent: perhaps copies.
    pub(super) wanted: BTreeSet<Digest>,
}

/// Which rows the second pass has to see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Suspects {
    /// Every row: the table is too disordered to say.
    All,
    /// The rows of these chains, and, if `outside`, those whose chain none can have.
    Chains {
        /// Chain numbers from 1 to [`MAX_CHAIN`].
        numbers: BTreeSet<i32>,
        /// Rows whose chain is NULL, below 1 or above [`MAX_CHAIN`].
        outside: bool,
    },
}

impl Tally {
    /// A tally that has seen nothing, of a table with these segments.
    #[must_use]
    pub fn new(segments: &Segments, max_runs: usize) -> Self {
        Self {
            segments: segments.clone(),
            max_runs,
            chains: Vec::new(),
            entries: 0,
            open: 0,
            disordered: false,
            outside: false,
            clock: Clock::default(),
            wanted: Wanted::default(),
        }
    }

    /// Counts one row.
    #[inline]
    pub fn add(&mut self, e: &Entry) {
        self.entries += 1;
        let Some(number) = e.chain.and_then(chain_number) else {
            self.outside = !is_omitted(Check::Outside);
            return e.hash.into_iter().for_each(|hash| self.wanted.add(hash));
        };
        let Some(chain) = chain_at(&mut self.chains, number) else {
            return;
        };
        chain.seen = true;
        match (e.seq, e.time, e.prev, e.hash) {
            (Some(seq @ 1..), Some(time), Some(prev), Some(hash)) if e.is_consistent() => {
                chain.consistent = true;
                if chain.suspect || self.disordered {
                    return;
                }
                let run = Run { first: seq, last: seq, prev, hash, first_time: time, last_time: time };
                match chain.runs.add(&run) {
                    Added::Extended => {}
                    added => self.settle(number, added),
                }
            }
            _ => self.suspect_row(number, e),
        }
    }

    /// What it has seen, for [`Tally::merge_bytes`] in another process.
    pub fn put(&self, out: &mut Vec<u8>) {
        let seen = (1_u32..).zip(&self.chains).filter(|(_, chain)| chain.seen);
        (self.entries, (self.disordered, self.outside)).put(out);
        (seen.clone().count() as u64).put(out);
        for (number, chain) in seen {
            number.put(out);
            chain.put(out);
        }
        self.clock.put(out);
        self.wanted.0.put(out);
    }

    /// Takes in what [`Tally::put`] of another tally of the same table wrote; each row is added to one of the two. `None`,
    /// and nothing happens, if it did not.
    #[must_use]
    pub fn merge_bytes(&mut self, from: &mut &[u8]) -> Option<()> {
        let mut other = Self::new(&self.segments, self.max_runs);
        (other.entries, (other.disordered, other.outside)) = Wire::take(from)?;
        for (number, chain) in Vec::<(u32, Chain)>::take(from)? {
            let number = Some(number).filter(|&number| number <= MAX_CHAIN)?;
            *chain_at(&mut other.chains, number)? = chain;
        }
        other.clock = Wire::take(from)?;
        other.wanted.0 = Wire::take(from)?;
        self.merge(other);
        Some(())
    }

    /// Takes in what another tally of the same table has seen: each row is added to one of the two.
    pub fn merge(&mut self, other: Self) {
        self.entries += other.entries;
        self.outside |= other.outside;
        self.clock.merge(other.clock);
        other.wanted.0.into_iter().for_each(|hash| self.wanted.add(hash));
        if other.disordered {
            self.give_up();
        }
        for (number, theirs) in (1..).zip(other.chains) {
            let Some(chain) = chain_at(&mut self.chains, number) else {
                return;
            };
            chain.seen |= theirs.seen;
            chain.consistent |= theirs.consistent;
            chain.backwards += theirs.backwards;
            if let Some(theirs) = theirs.odd {
                chain.odd.get_or_insert_default().merge(*theirs);
            }
            if theirs.suspect && !is_omitted(Check::WorkersDamage) {
                self.settle(number, Added::Damaged);
            }
            for run in theirs.runs.iter() {
                let Some(chain) = chain_at(&mut self.chains, number) else {
                    return;
                };
                if chain.suspect || self.disordered || is_omitted(Check::WorkersRuns) {
                    break;
                }
                let added = chain.runs.add(run);
                self.settle(number, added);
            }
        }
    }

    /// Ends the pass.
    #[must_use]
    pub fn finish(self) -> TallyReport {
        let header_suspects = self.header_suspects();
        let mut clean = BTreeMap::new();
        let mut numbers = BTreeSet::new();
        let mut chains = 0;
        for (number, chain) in (1..).zip(&self.chains).filter(|(_, chain)| chain.seen) {
            chains += 1;
            let header = self.segments.of_chain(number).map(|(_, hash)| hash);
            let starts = |run: &Run| run.first == 1 || is_omitted(Check::Start);
            let follows = |run: &Run| Some(run.prev) == header || is_omitted(Check::Header);
            let run = chain.runs.whole().filter(|run| starts(run) && follows(run));
            match run.filter(|_| !chain.suspect && !self.disordered) {
                Some(run) => drop(clean.insert(number, (run.last, run.hash))),
                None => drop(numbers.insert(number.cast_signed())),
            }
        }
        let suspects =
            if self.disordered { Suspects::All } else { Suspects::Chains { numbers, outside: self.outside } };
        let mut remarks = self.adopted();
        let counts = (1..).zip(&self.chains).filter(|(number, _)| clean.contains_key(number));
        let total = counts.map(|(_, chain)| chain.backwards).sum();
        remarks.extend(self.clock.remarks(total, |chain| clean.contains_key(&chain)));
        let Self { entries, wanted, .. } = self;
        TallyReport { entries, chains, suspects, header_suspects, remarks, clean, wanted: wanted.0 }
    }

    /// A row that cannot be part of any run.
    #[cold]
    fn suspect_row(&mut self, number: u32, e: &Entry) {
        let odd = match e.seq {
            Some(1) => Some(OddStart { prev: e.prev, hash: e.hash, link: None }),
            Some(2) => Some(OddStart { link: e.prev, ..OddStart::default() }),
            _ => None,
        };
        if let Some((odd, chain)) = odd.zip(chain_at(&mut self.chains, number)) {
            chain.odd.get_or_insert_default().merge(odd);
        }
        e.hash.into_iter().for_each(|hash| self.wanted.add(hash));
        self.settle(number, Added::Damaged);
    }

    /// Draws the conclusions from a row or a run that was added.
    #[cold]
    fn settle(&mut self, number: u32, added: Added) {
        let Some(chain) = chain_at(&mut self.chains, number) else {
            return;
        };
        match added {
            Added::Extended => {}
            Added::Changed(backwards) => {
                for backward in backwards.into_iter().flatten() {
                    chain.backwards += 1;
                    self.clock.note(number, backward);
                }
            }
            Added::Damaged => {
                chain.suspect = true;
                chain.runs = Runs::default();
            }
        }
        let extra = chain.runs.len().saturating_sub(1);
        self.open = self.open - chain.extra + extra;
        chain.extra = extra;
        if self.open > self.max_runs {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.disordered = true;
        self.open = 0;
        for chain in &mut self.chains {
            chain.runs = Runs::default();
            chain.extra = 0;
        }
    }

    fn header_suspects(&self) -> BTreeSet<usize> {
        let mut suspects = BTreeMap::new();
        for (number, chain) in (1..).zip(&self.chains).filter(|(_, chain)| chain.seen) {
            let Some(index) = self.segments.index_of(number) else {
                continue;
            };
            let segment: &mut Firsts = suspects.entry(index).or_default();
            segment.consistent |= chain.consistent;
            if let Some(odd) = &chain.odd {
                segment.prevs.extend(odd.prev);
                segment.linked |= odd.hash.is_some() && odd.hash == odd.link;
            }
        }
        let header = |index| self.segments.get(index).map(|(_, hash)| hash);
        let changed = |(index, segment): (usize, Firsts)| {
            let same = segment.prevs.len() == 1 && segment.prevs.first().copied() != header(index);
            (same && segment.linked && !segment.consistent).then_some(index)
        };
        suspects.into_iter().filter_map(changed).collect()
    }

    fn adopted(&self) -> Vec<Remark> {
        let adopted = self.segments.headers().filter(|header| header.adopted > 0);
        let remark = |header: &Header| Remark {
            notice: Notice::Adopted,
            chain: Some(header.first_chain.into()),
            seq: None,
            detail: format!(
                "{} row(s) that were there before segment {} began were chained at {}",
                header.adopted,
                header.segment,
                Timestamp(header.time)
            ),
        };
        adopted.map(remark).collect()
    }
}

/// What the chains of one segment start from, where that is not as it should be.
#[derive(Default)]
struct Firsts {
    consistent: bool,
    /// Some chain goes on from its first row as it should.
    linked: bool,
    prevs: BTreeSet<Digest>,
}

impl Wanted {
    fn add(&mut self, hash: Digest) {
        if self.0.len() >= MAX_WANTED && self.0.last().is_some_and(|highest| *highest <= hash) {
            return;
        }
        self.0.insert(hash);
        if self.0.len() > MAX_WANTED {
            self.0.pop_last();
        }
    }
}

impl OddStart {
    /// Of several rows at one place the lowest hashes count.
    fn merge(&mut self, other: Self) {
        let lowest = |one: Option<Digest>, other| one.into_iter().chain(other).min();
        self.prev = lowest(self.prev, other.prev);
        self.hash = lowest(self.hash, other.hash);
        self.link = lowest(self.link, other.link);
    }
}

impl Wire for Chain {
    fn put(&self, out: &mut Vec<u8>) {
        let odd = self.odd.as_ref().map(|odd| ((odd.prev, odd.hash), odd.link));
        ((self.seen, self.suspect), (self.consistent, (self.backwards, odd))).put(out);
        self.runs.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let ((seen, suspect), (consistent, (backwards, odd))) = Wire::take(from)?;
        let odd: Option<((_, _), _)> = odd;
        let odd = odd.map(|((prev, hash), link)| Box::new(OddStart { prev, hash, link }));
        Some(Self { runs: Runs::take(from)?, extra: 0, seen, suspect, consistent, backwards, odd })
    }
}

impl Suspects {
    /// Nothing is left to walk: the log is intact as far as its chains go.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Chains { numbers, outside: false } if numbers.is_empty())
    }

    /// A row with this chain has to be walked.
    #[must_use]
    pub fn contains(&self, chain: Option<i32>) -> bool {
        match self {
            Self::All => true,
            Self::Chains { numbers, outside } => match chain.filter(|&chain| chain_number(chain).is_some()) {
                Some(chain) => numbers.contains(&chain),
                None => *outside,
            },
        }
    }
}

/// A chain number that can be: from 1 to [`MAX_CHAIN`].
pub(super) fn chain_number(chain: i32) -> Option<u32> {
    u32::try_from(chain).ok().filter(|chain| (1..=MAX_CHAIN).contains(chain))
}

/// What is known of a chain; always there for a number from 1.
#[inline]
fn chain_at(chains: &mut Vec<Chain>, number: u32) -> Option<&mut Chain> {
    let index = (number as usize).checked_sub(1)?;
    if index >= chains.len() {
        chains.resize_with(index + 1, Chain::default);
    }
    chains.get_mut(index)
}
