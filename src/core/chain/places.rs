//! Places that are free: holes and the ends of chains, found by the hashes beside them.
//!
//! Invariant: the indexes hold every free place under its current neighbours' hashes; what they hold
//! beyond that is stale and is skipped when it is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::matching::Suspect;
use super::words::{self, Spot};
use super::{Entry, MAX_CHAIN, Segments, TallyReport};
use crate::{Digest, Finding, Problem};

/// How many chain numbers without any entry are tried as the place of a lost first entry.
const MAX_ABSENT: usize = 64;

/// How many holes are tried for a row that has lost its prev or its hash.
const MAX_BLIND: usize = 64;

/// Entries that are not where they should be, up to one that shows that they were there.
pub(super) struct Hole {
    pub chain: u32,
    pub from: i64,
    pub to: i64,
    /// The hashes that the first of them may commit to.
    pub before: Vec<Digest>,
    /// The hash of the last of them.
    pub after: Option<Digest>,
    /// The suspect that stands here: it is a hole only if that belongs elsewhere.
    pub owner: Option<usize>,
}

/// A free place that a row may belong at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Candidate {
    pub chain: u32,
    pub seq: i64,
    /// The prev that the row would have there.
    pub prev: Digest,
    /// The hash that the entry there has, if the one after it tells.
    pub hash: Option<Digest>,
    slot: Slot,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slot {
    Front(usize),
    Back(usize),
    End,
}

/// All free places.
pub(super) struct Places {
    holes: Vec<Hole>,
    by_before: HashMap<Digest, Vec<usize>>,
    by_after: HashMap<Digest, Vec<usize>>,
    /// The place after the last entry of a chain, by that entry's hash.
    ends: HashMap<Digest, Vec<(u32, i64)>>,
}

impl Hole {
    /// The entries are missing.
    pub fn finding(&self) -> Finding {
        Finding {
            problem: Problem::Missing,
            chain: Some(self.chain.into()),
            seq: Some(self.from),
            to_seq: Some(self.to),
            found: None,
            detail: words::missing(self),
        }
    }

    const fn is_filled(&self) -> bool {
        self.from > self.to
    }
}

impl Places {
    /// The holes found, the ends of the chains walked, and the ends of the clean ones.
    pub fn new(
        holes: Vec<Hole>,
        tails: &BTreeMap<u32, (i64, Vec<Digest>)>,
        tallied: &TallyReport,
        segments: &Segments,
    ) -> Self {
        let (by_before, by_after, ends) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut places = Self { holes: Vec::new(), by_before, by_after, ends };
        holes.into_iter().for_each(|hole| places.add(hole));
        for (&chain, (last, heads)) in tails {
            heads.iter().for_each(|&head| places.add_end(head, chain, last + 1));
        }
        for (&chain, &(last, head)) in &tallied.clean {
            places.add_end(head, chain, last + 1);
        }
        let seen = |chain: &u32| tails.contains_key(chain) || tallied.clean.contains_key(chain);
        let last = |chain: Option<&u32>| chain.copied().unwrap_or(0);
        let highest = last(tails.keys().next_back()).max(last(tallied.clean.keys().next_back()));
        let absent = (1..=MAX_CHAIN.min(highest + 1)).filter(|chain| !seen(chain));
        for chain in absent.take(MAX_ABSENT) {
            if let Some((_, header)) = segments.of_chain(chain) {
                places.add_end(header, chain, 1);
            }
        }
        places
    }

    /// Adds a hole.
    pub fn add(&mut self, hole: Hole) {
        let index = self.holes.len();
        self.holes.push(hole);
        self.index(index);
    }

    /// Where a row may belong, by what its neighbours' hashes would be there.
    pub fn candidates(&self, row: &Entry) -> Vec<Candidate> {
        let mut found = Vec::new();
        if let Some(prev) = row.prev {
            let fronts = self.by_before.get(&prev).into_iter().flatten();
            found.extend(fronts.filter_map(|&index| self.front(index, prev)));
            let ends = self.ends.get(&prev).into_iter().flatten();
            found.extend(ends.map(|&(chain, seq)| Candidate { chain, seq, prev, hash: None, slot: Slot::End }));
        }
        if let Some(hash) = row.hash {
            for &index in self.by_after.get(&hash).into_iter().flatten() {
                let Some(hole) = self.holes.get(index) else {
                    continue;
                };
                if hole.is_filled() || hole.after != Some(hash) {
                    continue;
                }
                let (chain, seq) = (hole.chain, hole.to);
                let back = |&prev| Candidate { chain, seq, prev, hash: Some(hash), slot: Slot::Back(index) };
                found.extend(row.prev.iter().map(back));
                if hole.from == hole.to {
                    found.extend(hole.before.iter().map(back));
                }
            }
        }
        if row.prev.is_none() || row.hash.is_none() {
            for (index, hole) in self.holes.iter().enumerate().take(MAX_BLIND) {
                found.extend(hole.before.iter().filter_map(|&prev| self.front(index, prev)));
            }
        }
        found
    }

    /// A row with this prev and hash is known to belong there.
    pub fn fill(&mut self, candidate: &Candidate, hash: Digest) {
        match candidate.slot {
            Slot::Front(index) | Slot::Back(index) => {
                let Some(hole) = self.holes.get_mut(index) else {
                    return;
                };
                if candidate.seq == hole.from {
                    hole.from += 1;
                    hole.before = vec![hash];
                } else {
                    hole.to -= 1;
                    hole.after = Some(candidate.prev);
                }
                self.index(index);
            }
            Slot::End => {
                let ends = self.ends.entry(candidate.prev).or_default();
                ends.retain(|&end| end != (candidate.chain, candidate.seq));
                self.add_end(hash, candidate.chain, candidate.seq + 1);
            }
        }
    }

    /// Suspects whose place turned out to be another row's.
    pub fn displaced(&self) -> BTreeSet<usize> {
        self.holes.iter().filter(|hole| hole.is_filled()).filter_map(|hole| hole.owner).collect()
    }

    /// Holes that are left. Where a stray stands in the only missing place, that is said already.
    pub fn missing<'a>(
        &'a self,
        suspects: &'a [Suspect],
        strays: &'a BTreeSet<Spot>,
    ) -> impl Iterator<Item = &'a Hole> {
        self.holes.iter().filter(|hole| !hole.is_filled()).filter(|hole| match hole.owner {
            Some(owner) => {
                let left = suspects.get(owner).is_some_and(|owner| owner.belongs.is_some());
                left && hole.after.is_some()
            }
            None => {
                let spot = (Some(hole.chain.cast_signed()), Some(hole.from));
                hole.from != hole.to || !strays.contains(&spot)
            }
        })
    }

    fn front(&self, index: usize, prev: Digest) -> Option<Candidate> {
        let hole = self.holes.get(index)?;
        let open = !hole.is_filled() && hole.before.contains(&prev);
        let hash = hole.after.filter(|_| hole.from == hole.to);
        let (chain, seq) = (hole.chain, hole.from);
        open.then_some(Candidate { chain, seq, prev, hash, slot: Slot::Front(index) })
    }

    fn index(&mut self, index: usize) {
        let Some(hole) = self.holes.get(index).filter(|hole| !hole.is_filled()) else {
            return;
        };
        for &before in &hole.before {
            self.by_before.entry(before).or_default().push(index);
        }
        if let Some(after) = hole.after {
            self.by_after.entry(after).or_default().push(index);
        }
    }

    fn add_end(&mut self, hash: Digest, chain: u32, next: i64) {
        self.ends.entry(hash).or_default().push((chain, next));
    }
}
