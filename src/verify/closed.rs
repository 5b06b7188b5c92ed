//! When protection ends, the journal notes where the chains end, and nothing is added to a segment that has ended: so an
//! entry behind such an end shows, though it fits its chain.

use crate::tree::ended::Ends;
use notary_core::chain::{Entry, Segments};
use notary_core::digest::Digest;
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

/// A chain at its end and behind it.
struct Behind {
    end: i64,
    /// The hash of the last entry before.
    head: Option<Digest>,
    /// What the first entry behind it has as prev, if it holds what its hash says.
    goes_on: Option<Digest>,
    last: i64,
    found: Option<Digest>,
    reported: bool,
}

impl Behind {
    /// Do entries follow the end as if they belonged there? What does not fit is reported as that.
    fn is_continued(&self) -> bool {
        self.goes_on.is_some() && self.goes_on == self.head && !self.reported
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
        let Some((end, start)) = self.end(chain).filter(|(end, _)| seq >= *end) else { return };
        let behind = self.behind.entry(chain).or_insert(Behind {
            end,
            head: (end == 0).then_some(start),
            goes_on: None,
            last: end,
            found: None,
            reported: false,
        });
        if seq == end {
            behind.head = entry.hash;
        } else if seq.checked_sub(1) == Some(end) {
            behind.goes_on = entry.prev.filter(|_| entry.computed.is_some() && entry.computed == entry.hash);
        }
        if seq > behind.last {
            behind.last = seq;
            behind.found = entry.computed;
        }
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
        if let Some(behind) = self.behind.get_mut(&chain) {
            behind.reported |= seq > behind.end;
        }
    }

    /// What was added.
    pub fn inserted(self) -> impl Iterator<Item = Finding> {
        let added = self.behind.into_iter().filter(|(_, behind)| behind.is_continued());
        added.map(|(chain, Behind { end, last, found, .. })| Finding {
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
