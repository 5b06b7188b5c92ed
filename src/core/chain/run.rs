//! Runs: stretches of one chain without a gap, whose every link was compared.
//!
//! Invariants of [`Runs`]: runs are disjoint and never adjacent, because adjacent ones are joined at
//! once; a link is compared exactly when two rows become neighbours; all rows in a run are
//! consistent. Rows mostly come in physical order, where each one extends the run that was extended
//! last (`hot`), so that run is kept out of the map.

use std::collections::BTreeMap;

use super::clock::Backward;
use super::omit::{Check, is_omitted};
use crate::Digest;
use crate::wire::Wire;

/// Entries `first` to `last` of a chain, linked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub first: i64,
    pub last: i64,
    /// `prev` of the first.
    pub prev: Digest,
    /// Hash of the last.
    pub hash: Digest,
    pub first_time: i64,
    pub last_time: i64,
}

/// The runs of one chain; empty only before the first row.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    hot: Option<Run>,
    /// All others, by their first seq.
    rest: BTreeMap<i64, Run>,
    /// The first seq of the next run above `hot`; `i64::MAX` if there is none.
    ceiling: i64,
}

/// What adding a run did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Added {
    /// The usual case: it goes on where the last one ended, and there are as many runs as before.
    Extended,
    /// There may be more runs or fewer than before, or time went back.
    Changed(Backwards),
    /// A place is taken already, or two neighbours are not linked: the chain is damaged.
    Damaged,
}

/// The entries at which time goes back: at most one at each end of a run that is joined.
pub(super) type Backwards = [Option<Backward>; 2];

impl Run {
    /// The link from this run to the one that starts right after it: `Err` if it is broken.
    fn link(&self, next: &Self) -> Result<Option<Backward>, ()> {
        if self.hash != next.prev && !is_omitted(Check::Link) {
            return Err(());
        }
        let backward = Backward { seq: next.first, from: self.last_time, to: next.first_time };
        Ok((next.first_time < self.last_time).then_some(backward))
    }

    fn join(&mut self, next: &Self) {
        self.last = next.last;
        self.hash = next.hash;
        self.last_time = next.last_time;
    }
}

impl Runs {
    /// Adds a row or a whole run.
    #[inline]
    pub fn add(&mut self, new: &Run) -> Added {
        if let Some(hot) = &mut self.hot
            && hot.last.checked_add(1) == Some(new.first)
            && new.last < self.ceiling.saturating_sub(1)
        {
            let Ok(backward) = hot.link(new) else {
                return Added::Damaged;
            };
            hot.join(new);
            return match backward {
                None => Added::Extended,
                backward => Added::Changed([backward, None]),
            };
        }
        self.add_anywhere(*new)
    }

    /// The only run, if there is but one.
    pub fn whole(&self) -> Option<&Run> {
        self.hot.as_ref().filter(|_| self.rest.is_empty() || is_omitted(Check::OneRun))
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.rest.len() + usize::from(self.hot.is_some())
    }

    /// All runs, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Run> {
        self.rest.values().chain(&self.hot)
    }

    #[cold]
    fn add_anywhere(&mut self, mut new: Run) -> Added {
        if let Some(hot) = self.hot.take() {
            self.rest.insert(hot.first, hot);
        }
        let below = self.rest.range(..=new.first).next_back().map(|(_, run)| *run);
        let above = self.rest.range(new.first..).next().map(|(_, run)| *run);
        let overlaps =
            below.is_some_and(|below| below.last >= new.first) || above.is_some_and(|above| above.first <= new.last);
        if overlaps && !is_omitted(Check::Overlap) {
            return Added::Damaged;
        }
        let mut backwards = [None, None];
        if let Some(mut below) = below.filter(|below| below.last + 1 == new.first) {
            let Ok(backward) = below.link(&new) else {
                return Added::Damaged;
            };
            self.rest.remove(&below.first);
            below.join(&new);
            new = below;
            backwards[0] = backward;
        }
        self.ceiling = above.map_or(i64::MAX, |above| above.first);
        if let Some(above) = above.filter(|above| above.first - 1 == new.last) {
            let Ok(backward) = new.link(&above) else {
                return Added::Damaged;
            };
            self.rest.remove(&above.first);
            new.join(&above);
            let next = self.rest.range(new.first..).next();
            self.ceiling = next.map_or(i64::MAX, |(&first, _)| first);
            backwards[1] = backward;
        }
        self.hot = Some(new);
        Added::Changed(backwards)
    }
}

impl Wire for Run {
    fn put(&self, out: &mut Vec<u8>) {
        [self.first, self.last, self.first_time, self.last_time].iter().for_each(|number| number.put(out));
        (self.prev, self.hash).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let [first, last, first_time, last_time] = [(); 4].map(|()| i64::take(from));
        let (prev, hash) = Wire::take(from)?;
        Some(Self { first: first?, last: last?, prev, hash, first_time: first_time?, last_time: last_time? })
    }
}

impl Wire for Runs {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        self.iter().for_each(|run| run.put(out));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let runs = Vec::<Run>::take(from)?;
        Some(Self { rest: runs.into_iter().map(|run| (run.first, run)).collect(), ..Self::default() })
    }
}
