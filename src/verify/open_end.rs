//! What no seal holds yet, and chains that claim to be older than they can be.

use super::sealed::{Comparison, Sealed};
use crate::error::Error;
use crate::pg::context;
use crate::pg::index::{ChainIndex, Last};
use crate::tree::segments::Segments;
use crate::tree::store::{self, Range, StoredSeal, signed};
use notary_core::seal::Seal;
use notary_core::{Notice, Remark, Timestamp};
use std::collections::BTreeMap;

impl Comparison<'_> {
    /// What is not sealed yet, and chains that claim to be older than they can be.
    pub fn open_end(&mut self, newest: Option<&StoredSeal>, note: Option<&Seal>) -> Result<(), Error> {
        let note = note.map(Seal::checkpoint);
        let size = newest.map(|seal| seal.size).max(note.map(notary_core::Checkpoint::size));
        let Some(size) = size else { return Ok(()) };
        let ends: BTreeMap<(u32, u32), Range> =
            store::last_ranges(self.tree, size)?.into_iter().map(|end| ((end.segment, end.chain), end)).collect();
        let (mut unsealed, mut oldest) = (0_u64, None);
        for table in self.segments.tables().into_values() {
            let Some(any) = table.first().copied() else { continue };
            let late =
                self.with_chains(any, |chains| late_entries(chains, &ends, &table, self.segments)).unwrap_or_default();
            for (count, time, chain) in late {
                unsealed += count;
                if oldest.is_none_or(|(oldest, _, _)| time < oldest) {
                    oldest = Some((time, any, chain));
                }
            }
        }
        if let (Some((time, segment, chain)), Some(seal)) = (oldest, newest)
            && time < seal.at
        {
            let detail = format!(
                "{unsealed} entries are in no seal, the oldest from {}, before the newest seal from {}: they were not committed \
                 yet when it was made, or were kept out of it",
                Timestamp(time),
                Timestamp(seal.at)
            );
            let table = self.segments.table_of(segment).unwrap_or(self.root);
            self.outcome
                .remarks
                .push((table, Remark { notice: Notice::Unsealed, chain: Some(i64::from(chain)), seq: None, detail }));
        }
        self.backdated(&ends)?;
        let signed =
            newest.is_none_or(|seal| Seal::parse(seal.note.as_bytes()).is_ok_and(|seal| seal.note().is_some()));
        let at = newest.filter(|seal| seal.size == size).map(|seal| seal.at);
        self.outcome.sealed = Some(Sealed {
            size,
            at,
            signed,
            unsealed,
            oldest: oldest.map(|(time, _, _)| time),
            left: self.left,
            partly: self.partly,
        });
        Ok(())
    }

    /// Chains whose first entry claims a time before a seal that does not hold it.
    fn backdated(&mut self, ends: &BTreeMap<(u32, u32), Range>) -> Result<(), Error> {
        for (segment, chain) in ends.keys().filter(|(_, chain)| *chain > 0) {
            let Some(first) = store::range_of(self.tree, *segment, *chain, 1)? else { continue };
            let Some(before) = store::seal_before(self.tree, first.first_leaf)? else { continue };
            let number = i32::try_from(*chain).unwrap_or(0);
            let time =
                self.with_chains(*segment, |chains| chains.get(number, 1)).flatten().and_then(|found| found.time);
            if let Some(time) = time.filter(|time| *time < before.at) {
                let detail = format!(
                    "the chain's first entry claims to be from {}, and the seal of size {} from {} does not hold it",
                    Timestamp(time),
                    before.size,
                    Timestamp(before.at)
                );
                let table = self.segments.table_of(*segment).unwrap_or(self.root);
                let notice = Notice::Backdated;
                self.outcome
                    .remarks
                    .push((table, Remark { notice, chain: Some(i64::from(*chain)), seq: Some(1), detail }));
            }
        }
        Ok(())
    }
}

/// For each chain of a table with entries that are not sealed: how many, the time of the first, and the chain.
fn late_entries(
    chains: &mut ChainIndex<'_>,
    ends: &BTreeMap<(u32, u32), Range>,
    numbers: &[u32],
    segments: &Segments,
) -> Vec<(u64, i64, u32)> {
    let of_chain = |chain: u32| {
        let headers = numbers.iter().filter_map(|number| segments.header(*number));
        headers.filter(|header| header.first_chain <= chain).map(|header| header.segment).max()
    };
    let mut late = Vec::new();
    let mut before = 0;
    while let Some(chain) = chains.next_chain(before) {
        context::check_for_interrupts();
        before = chain;
        let Some(number) = u32::try_from(chain).ok() else { continue };
        let sealed = of_chain(number).and_then(|segment| ends.get(&(segment, number))).map_or(0, |end| end.last_seq);
        let Last::Entry(last) = chains.last(chain, u32::MAX) else { continue };
        let Some(count) = u64::try_from(last.seq).ok().and_then(|last| last.checked_sub(sealed)).filter(|n| *n > 0)
        else {
            continue;
        };
        let first = chains.get(chain, signed(sealed + 1)).and_then(|found| found.time);
        late.push((count, first.or(last.time).unwrap_or(i64::MAX), number));
    }
    late
}
