//! When protection ends, the journal notes where the chains end, and nothing is added to a segment that has ended: so an
//! entry behind such an end shows, though it fits its chain.
//!
//! What comes out does not hang on the order in which rows are seen and findings are reported: several processes may share
//! the rows out.

use super::rows::At;
use crate::tree::ended::Ends;
use notary_core::chain::{Entry, Segments};
use notary_core::digest::Digest;
use notary_core::wire::Wire;
use notary_core::{Finding, Problem};
use std::collections::BTreeMap;

/// What is behind the ends of the chains of ended segments.
pub struct Closed<'a> {
    segments: &'a Segments,
    ends: &'a Ends,
    /// The first chain of the segment that goes on.
    open: i64,
    behind: BTreeMap<i64, Behind>,
}

/// A chain at its end and behind it. Where several rows stand at one place, it is their places in the table that decide.
struct Behind {
    end: i64,
    /// The hash of the last entry before.
    head: Noted,
    /// What the first entry behind it has as prev, if it holds what its hash says.
    goes_on: Noted,
    last: i64,
    /// What the row at `last` hashes to.
    found: Noted,
    reported: bool,
}

/// The hash of a row that was seen, and where that row is; 0: none was seen.
type Noted = (u64, Option<Digest>);

impl Behind {
    /// Do entries follow the end as if they belonged there? What does not fit is reported as that.
    fn is_continued(&self) -> bool {
        self.goes_on.1.is_some() && self.goes_on.1 == self.head.1 && !self.reported
    }

    fn merge(&mut self, other: Self) {
        // Of the rows at one place the last counts, but the first of those behind all others.
        if other.head.0 > self.head.0 {
            self.head = other.head;
        }
        if other.goes_on.0 > self.goes_on.0 {
            self.goes_on = other.goes_on;
        }
        if other.last > self.last || (other.last == self.last && other.found.0 < self.found.0) {
            (self.last, self.found) = (other.last, other.found);
        }
        self.reported |= other.reported;
    }
}

impl<'a> Closed<'a> {
    /// Of a table with these headers.
    pub fn of(segments: &'a Segments, ends: &'a Ends) -> Self {
        let open = segments.headers().last().map_or(0, |header| i64::from(header.first_chain));
        Self { segments, ends, open, behind: BTreeMap::new() }
    }

    /// A row was read.
    pub fn see(&mut self, entry: &Entry) {
        let (Some(chain), Some(seq)) = (entry.chain.map(i64::from), entry.seq) else { return };
        let Some(behind) = self.behind(chain, |end| seq >= end) else { return };
        let end = behind.end;
        let mut seen =
            Behind { end, head: (0, None), goes_on: (0, None), last: end, found: (0, None), reported: false };
        let at = At(entry.at).tid().pack();
        if seq == end {
            seen.head = (at, entry.hash);
        } else {
            (seen.last, seen.found) = (seq, (at, entry.computed));
            if seq.checked_sub(1) == Some(end) {
                let holds = entry.computed.is_some() && entry.computed == entry.hash;
                seen.goes_on = (at, entry.prev.filter(|_| holds));
            }
        }
        behind.merge(seen);
    }

    /// What is known of a chain behind its end, if it has one and that is one of those wanted.
    fn behind(&mut self, chain: i64, wanted: impl FnOnce(i64) -> bool) -> Option<&mut Behind> {
        let (end, start) = self.end(chain).filter(|(end, _)| wanted(*end))?;
        let head = (0, (end == 0).then_some(start));
        let (goes_on, found) = ((0, None), (0, None));
        Some(self.behind.entry(chain).or_insert(Behind { end, head, goes_on, last: end, found, reported: false }))
    }

    /// The end of a chain and what the chain starts from, if its segment has ended and the journal says where. A chain
    /// that it does not name had no entries.
    fn end(&self, chain: i64) -> Option<(i64, Digest)> {
        if chain >= self.open {
            return None;
        }
        let (header, hash) = self.segments.of_chain(u32::try_from(chain).ok()?)?;
        self.ends.get(&header.segment).map(|ends| (ends.get(&chain).copied().unwrap_or(0), hash))
    }

    /// Something was reported: what is said about a place need not be said twice.
    pub fn reported(&mut self, finding: &Finding) {
        let (Some(chain), Some(seq)) = (finding.chain, finding.to_seq.or(finding.seq)) else { return };
        if let Some(behind) = self.behind(chain, |end| seq > end) {
            behind.reported = true;
        }
    }

    /// What it has seen, for `merge_bytes` in another process.
    pub fn put(&self, out: &mut Vec<u8>) {
        self.behind.put(out);
    }

    /// Takes in what `put` of another one of the same table wrote.
    pub fn merge_bytes(&mut self, from: &mut &[u8]) -> Option<()> {
        for (chain, theirs) in BTreeMap::<i64, Behind>::take(from)? {
            self.behind(chain, |end| end == theirs.end)?.merge(theirs);
        }
        Some(())
    }

    /// What was added.
    pub fn inserted(self) -> impl Iterator<Item = Finding> {
        let added = self.behind.into_iter().filter(|(_, behind)| behind.is_continued());
        added.map(|(chain, Behind { end, last, found: (_, found), .. })| Finding {
            chain: Some(chain),
            seq: Some(end.saturating_add(1)),
            to_seq: Some(last),
            found,
            ..Finding::general(
                Problem::Inserted,
                format!(
                    "the chain ended with entry {end} when its segment did, as notary.journal says, and now ends with entry \
                     {last}"
                ),
            )
        })
    }
}

impl Wire for Behind {
    fn put(&self, out: &mut Vec<u8>) {
        ((self.end, self.last), self.reported).put(out);
        (self.head, (self.goes_on, self.found)).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let ((end, last), reported) = Wire::take(from)?;
        let (head, (goes_on, found)) = Wire::take(from)?;
        Some(Self { end, head, goes_on, last, found, reported })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use notary_core::header::Header;
    use notary_core::id::LogId;
    use std::collections::BTreeSet;

    fn segments() -> Segments {
        let header = |segment, first_chain| Header {
            log: LogId::from_bytes([7; 16]),
            segment,
            time: 1_000,
            by: "alice".into(),
            schema: "public".into(),
            table: "audit".into(),
            first_chain,
            adopted: 0,
            columns: BTreeMap::new(),
            redactable: BTreeSet::new(),
        };
        Segments::new([header(1, 1), header(2, 3)]).unwrap()
    }

    /// Entries of chain 1, which ended with entry 2, some of them twice, and of chain 2, which had none.
    fn entries(segments: &Segments) -> Vec<Entry> {
        let hash = |text: &str| Some(Digest::of(text.as_bytes()));
        let start = segments.of_chain(2).map(|(_, hash)| hash);
        let rows = [
            (1, 2, None, hash("2")),
            (1, 3, hash("other"), hash("3 with another prev")),
            (1, 3, hash("2"), hash("3")),
            (1, 4, hash("3"), hash("4")),
            (1, 4, hash("3"), hash("4 once more")),
            (2, 1, start, hash("first")),
        ];
        let entry = |(at, (chain, seq, prev, hash)): (u64, (i32, i64, Option<Digest>, Option<Digest>))| Entry {
            chain: Some(chain),
            seq: Some(seq),
            prev,
            hash,
            computed: hash,
            at,
            ..Entry::default()
        };
        (1..).zip(rows).map(entry).collect()
    }

    #[test]
    fn what_is_behind_an_end_does_not_hang_on_the_order_nor_on_who_saw_it() {
        let (segments, ends) = (segments(), Ends::from([(1, BTreeMap::from([(1, 2)]))]));
        let entries = entries(&segments);
        let mut all = Closed::of(&segments, &ends);
        entries.iter().for_each(|entry| all.see(entry));
        let expected: Vec<_> = all.inserted().collect();
        let places: Vec<_> = expected.iter().map(|found| (found.chain, found.seq, found.to_seq, found.found)).collect();
        let [third, first] = [3, 5].map(|at| entries[at].hash);
        assert_eq!(places, [(Some(1), Some(3), Some(4), third), (Some(2), Some(1), Some(1), first)]);
        // Every way to give each to one of two processes, each meeting its own backwards.
        for owners in 0..1 << entries.len() {
            let mut whole = Closed::of(&segments, &ends);
            for owner in [0, 1] {
                let mut part = Closed::of(&segments, &ends);
                let own = entries.iter().enumerate().filter(|(at, _)| owners >> at & 1 == owner);
                own.rev().for_each(|(_, entry)| part.see(entry));
                let mut bytes = Vec::new();
                part.put(&mut bytes);
                assert_eq!(whole.merge_bytes(&mut bytes.as_slice()), Some(()));
            }
            assert_eq!(whole.inserted().collect::<Vec<_>>(), expected, "{owners:b}");
        }
    }
}
