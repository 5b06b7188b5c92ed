//! What belongs together across places: rows that stand elsewhere, exchanged rows, copies.
//!
//! A row belongs at a place if its values hash to its stored hash there; candidates are the places
//! whose neighbours have the hashes that the row has. Bounded: so many rows and holes are held, and so
//! many hashes recomputed; what is left gets the more general words.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::omit::{Check, is_omitted};
use super::places::{Candidate, Hole, Places};
use super::words::{self, Spot};
use super::{Entry, Evidence, Segments, TallyReport};
use crate::{Digest, Finding, Problem};

/// How many rows, and how many holes, are held.
const MAX_HELD: usize = 4_096;

/// How many hashes are recomputed to match rows with places and with one another.
const MAX_REHASHES: usize = 200_000;

/// How much speaks for a row's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Both neighbours: its values were changed, perhaps exchanged with another row's.
    Changed,
    /// The entry before it only: its values were changed, or it belongs elsewhere.
    Doubtful,
    /// Nothing.
    Stray,
}

/// A row that is not as it should be.
pub(super) struct Suspect {
    pub kind: Kind,
    pub row: Entry,
    /// The hashes of the entry before its place.
    pub before: Vec<Digest>,
    /// What the entry after its place commits to.
    pub after: Option<Digest>,
    /// Where it belongs.
    pub belongs: Option<(u32, i64)>,
}

/// All that is held until the end of the walk.
#[derive(Default)]
pub(super) struct Matching {
    suspects: Vec<Suspect>,
    holes: Vec<Hole>,
    /// Last seq and hashes of the walked chains.
    tails: BTreeMap<u32, (i64, Vec<Digest>)>,
    /// Entries whose hash is also that of a row that is not consistent.
    originals: HashMap<Digest, Spot>,
}

impl Matching {
    /// Holds a row; gives it back if there is no room.
    pub fn suspect(&mut self, suspect: Suspect) -> Option<Suspect> {
        if self.suspects.len() == MAX_HELD {
            return Some(suspect);
        }
        self.suspects.push(suspect);
        None
    }

    /// Holds a hole; gives it back if there is no room.
    pub fn hole(&mut self, hole: Hole) -> Option<Hole> {
        if self.holes.len() == MAX_HELD {
            return Some(hole);
        }
        self.holes.push(hole);
        None
    }

    /// Remembers where an entry stands that some other row may be a copy of.
    pub fn original(&mut self, hash: Digest, place: Spot) {
        self.originals.insert(hash, place);
    }

    /// Remembers where a chain ends.
    pub fn end_of_chain(&mut self, chain: u32, last: i64, heads: &[Digest]) {
        self.tails.insert(chain, (last, heads.to_vec()));
    }

    /// Matches what is held and reports it.
    pub fn finish(
        self,
        segments: &Segments,
        tallied: &TallyReport,
        evidence: &mut impl Evidence,
        report: &mut dyn FnMut(Finding),
    ) {
        let Self { suspects, holes, tails, mut originals } = self;
        if suspects.is_empty() {
            return holes.iter().for_each(|hole| report(hole.finding()));
        }
        for (chain, (last, hash)) in &tallied.clean {
            if tallied.wanted.contains(hash) {
                originals.insert(*hash, (Some(chain.cast_signed()), Some(*last)));
            }
        }
        let mut places = Places::new(holes, &tails, tallied, segments);
        let told = vec![false; suspects.len()];
        let mut solver = Solver { segments, evidence, suspects, told, budget: MAX_REHASHES };
        if !is_omitted(Check::Moved) {
            solver.place_all(&mut places);
        }
        let mut findings = Vec::new();
        solver.tell_placed(&mut findings);
        if !is_omitted(Check::ExchangedValues) {
            solver.tell_exchanged(&mut findings);
        }
        let strays = solver.tell_rest(&places.displaced(), originals, &mut findings);
        findings.extend(places.missing(&solver.suspects, &strays).map(Hole::finding));
        findings.sort_by_key(|finding| (finding.chain, finding.seq));
        findings.into_iter().for_each(report);
    }
}

impl Suspect {
    /// What is said of it by itself.
    pub fn finding(&self, copy_of: Option<Spot>, evidence: &impl Evidence) -> Finding {
        let at = evidence.locate(self.row.at);
        match self.kind {
            Kind::Stray => words::finding(Problem::Inserted, &self.row, words::inserted(&self.row, copy_of, &at)),
            Kind::Changed | Kind::Doubtful => {
                let detail = words::changed(&self.row, self.after, &at);
                words::finding(Problem::ValueChanged, &self.row, detail)
            }
        }
    }

    const fn stands(&self) -> Spot {
        (self.row.chain, self.row.seq)
    }

    fn belongs(&self) -> Option<Spot> {
        self.belongs.map(|(chain, seq)| (Some(chain.cast_signed()), Some(seq)))
    }
}

struct Solver<'a, V> {
    segments: &'a Segments,
    evidence: &'a mut V,
    suspects: Vec<Suspect>,
    /// Which of the suspects have been reported.
    told: Vec<bool>,
    /// How many hashes may still be recomputed.
    budget: usize,
}

impl<V: Evidence> Solver<'_, V> {
    /// Finds where rows belong, until no row that was placed opens a place for another.
    fn place_all(&mut self, places: &mut Places) {
        for (index, suspect) in self.suspects.iter().enumerate() {
            if suspect.kind == Kind::Doubtful
                && let (Some(chain), Some(seq)) = suspect.stands()
            {
                let (chain, before) = (chain.cast_unsigned(), suspect.before.clone());
                let owner = Some(index);
                places.add(Hole { chain, from: seq, to: seq, before, after: suspect.after, owner });
            }
        }
        let mut tried = BTreeSet::new();
        let mut placed = true;
        while placed {
            placed = false;
            for index in 0..self.suspects.len() {
                placed |= self.place(index, places, &mut tried).is_some();
            }
        }
    }

    fn place(
        &mut self,
        index: usize,
        places: &mut Places,
        tried: &mut BTreeSet<(usize, u32, i64, Digest)>,
    ) -> Option<()> {
        let suspect = self.suspects.get(index)?;
        if suspect.kind == Kind::Changed || suspect.belongs.is_some() {
            return None;
        }
        let (row, time) = (suspect.row.clone(), suspect.row.time?);
        for candidate in places.candidates(&row) {
            let Candidate { chain, seq, prev, hash, .. } = candidate;
            let Some(expected) = row.hash.or(hash) else {
                continue;
            };
            if !tried.insert((index, chain, seq, prev)) {
                continue;
            }
            if self.rehash(&row, chain.cast_signed(), seq, time, prev) == Some(expected) {
                places.fill(&candidate, expected);
                self.suspects.get_mut(index)?.belongs = Some((chain, seq));
                return Some(());
            }
        }
        None
    }

    /// Rows whose place was found: exchanged with another one, or moved.
    fn tell_placed(&mut self, findings: &mut Vec<Finding>) {
        let stands = |suspect: &Suspect| suspect.belongs().map(|place| (place, suspect.stands()));
        let standing: HashMap<Spot, Spot> = self.suspects.iter().filter_map(stands).collect();
        for (suspect, told) in self.suspects.iter().zip(&mut self.told) {
            let (row, stands) = (&suspect.row, suspect.stands());
            let Some(place) = suspect.belongs() else {
                continue;
            };
            *told = true;
            let at = self.evidence.locate(row.at);
            findings.push(if place == stands {
                let why = words::Why::Prev;
                words::finding(Problem::HashChanged, row, words::damaged(row, &why, None, &at))
            } else if standing.get(&stands) == Some(&place) && !is_omitted(Check::ExchangedPlaces) {
                let what = "notary_chain and notary_seq were";
                words::finding(Problem::Swapped, row, words::swapped(row, place, what, &at))
            } else {
                let finding = words::finding(Problem::ValueChanged, row, words::moved(row, stands, &at));
                Finding { chain: place.0.map(i64::from), seq: place.1, ..finding }
            });
        }
    }

    /// Pairs of rows that hold each other's values, neighbours first.
    fn tell_exchanged(&mut self, findings: &mut Vec<Finding>) {
        let open = |&index: &usize| {
            let changed = self.suspects.get(index).is_some_and(|suspect| suspect.kind != Kind::Stray);
            changed && self.told.get(index) == Some(&false)
        };
        let open: Vec<usize> = (0..self.suspects.len()).filter(open).collect();
        for distance in 1..open.len() {
            for (&one, &two) in open.iter().zip(open.iter().skip(distance)) {
                if self.budget == 0 {
                    return;
                }
                let _ = self.tell_if_exchanged(one, two, findings);
            }
        }
    }

    fn tell_if_exchanged(&mut self, one: usize, two: usize, findings: &mut Vec<Finding>) -> Option<()> {
        if self.told.get(one) != Some(&false) || self.told.get(two) != Some(&false) {
            return None;
        }
        let (x, y) = (self.suspects.get(one)?.row.clone(), self.suspects.get(two)?.row.clone());
        let exchanged = self.holds_values_of(&x, &y, y.time?) && self.holds_values_of(&y, &x, x.time?)
            || self.holds_values_of(&x, &y, x.time?) && self.holds_values_of(&y, &x, y.time?);
        if !exchanged {
            return None;
        }
        for (index, row, other) in [(one, &x, &y), (two, &y, &x)] {
            let at = self.evidence.locate(row.at);
            let detail = words::swapped(row, (other.chain, other.seq), "the values were", &at);
            findings.push(words::finding(Problem::Swapped, row, detail));
            *self.told.get_mut(index)? = true;
        }
        Some(())
    }

    /// With the values of the row `x`, the entry `y` has the hash that it stores.
    fn holds_values_of(&mut self, x: &Entry, y: &Entry, time: i64) -> bool {
        let (Some(chain), Some(seq), Some(prev)) = (y.chain, y.seq, y.prev) else {
            return false;
        };
        y.hash.is_some() && self.rehash(x, chain, seq, time, prev) == y.hash
    }

    /// Reports what could not be matched; returns where the rows among it stand that have no place.
    fn tell_rest(
        &mut self,
        displaced: &BTreeSet<usize>,
        mut originals: HashMap<Digest, Spot>,
        findings: &mut Vec<Finding>,
    ) -> BTreeSet<Spot> {
        for suspect in &self.suspects {
            let in_place = (suspect.kind == Kind::Changed).then(|| suspect.stands());
            if let (Some(hash), Some(place)) = (suspect.row.hash, suspect.belongs().or(in_place)) {
                originals.insert(hash, place);
            }
        }
        let mut strays = BTreeSet::new();
        for (index, suspect) in self.suspects.iter_mut().enumerate() {
            if self.told.get(index) != Some(&false) {
                continue;
            }
            let hash = suspect.row.hash;
            let original = hash.and_then(|hash| originals.get(&hash).copied());
            let copy_of = original.filter(|place| *place != suspect.stands());
            let doubtful = suspect.kind == Kind::Doubtful;
            if displaced.contains(&index) || (doubtful && copy_of.is_some()) {
                suspect.kind = Kind::Stray;
            }
            findings.push(suspect.finding(copy_of, self.evidence));
            if suspect.kind == Kind::Stray {
                strays.insert(suspect.stands());
            }
        }
        strays
    }

    fn rehash(&mut self, row: &Entry, chain: i32, seq: i64, time: i64, prev: Digest) -> Option<Digest> {
        self.budget = self.budget.checked_sub(1)?;
        let place = self.segments.place(chain, seq, time, prev)?;
        self.evidence.rehash(row.at, &place)
    }
}
