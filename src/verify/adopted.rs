//! A header says how many rows were adopted, and they stand in the segment's first chain: so a cut from the end of that
//! chain shows as long as it reaches into them, though nothing after it commits to what is gone.

use notary_core::chain::{Entry, Segments};
use notary_core::wire::Wire;
use notary_core::{Finding, Problem};

/// How far each segment's first chain reaches.
pub struct Adopted(Vec<Reach>);

struct Reach {
    chain: u32,
    adopted: u64,
    /// The highest seq that a row or a finding speaks of.
    last: u64,
}

impl Adopted {
    /// The segments that adopted rows.
    pub fn of(segments: &Segments) -> Self {
        let adopting = segments.headers().filter(|header| header.adopted > 0);
        Self(adopting.map(|h| Reach { chain: h.first_chain, adopted: h.adopted, last: 0 }).collect())
    }

    /// A row was read.
    pub fn see(&mut self, entry: &Entry) {
        self.note(entry.chain.map(i64::from), entry.seq);
    }

    /// Something was reported: what is said about a place need not be said twice.
    pub fn reported(&mut self, finding: &Finding) {
        self.note(finding.chain, finding.to_seq.or(finding.seq));
    }

    fn note(&mut self, chain: Option<i64>, seq: Option<i64>) {
        let (Some(chain), Some(seq)) = (chain, seq.and_then(|s| u64::try_from(s).ok())) else { return };
        for reach in self.0.iter_mut().filter(|reach| i64::from(reach.chain) == chain) {
            reach.last = reach.last.max(seq);
        }
    }

    /// What it has seen, for `merge_bytes` in another process.
    pub fn put(&self, out: &mut Vec<u8>) {
        self.0.iter().map(|reach| reach.last).collect::<Vec<_>>().put(out);
    }

    /// Takes in what `put` of another one of the same table wrote.
    pub fn merge_bytes(&mut self, from: &mut &[u8]) -> Option<()> {
        let lasts = Vec::take(from).filter(|lasts| lasts.len() == self.0.len())?;
        self.0.iter_mut().zip(lasts).for_each(|(reach, last)| reach.last = reach.last.max(last));
        Some(())
    }

    /// What was cut.
    pub fn missing(self) -> impl Iterator<Item = Finding> {
        let cut = self.0.into_iter().filter(|reach| reach.last < reach.adopted);
        cut.map(|Reach { chain, adopted, last }| Finding {
            chain: Some(i64::from(chain)),
            seq: i64::try_from(last + 1).ok(),
            to_seq: i64::try_from(adopted).ok(),
            ..Finding::general(
                Problem::Missing,
                format!(
                    "entries {} to {adopted} are missing: the header says that {adopted} rows were adopted in this chain",
                    last + 1
                ),
            )
        })
    }
}
