//! Where verification has said something already: what seals show of the same entries is not said again.

use super::known::Changes;
use crate::tree::segments::Segments;
use crate::tree::store::signed;
use notary_core::Finding;
use notary_core::stretch::Stretches;
use pgrx::pg_sys;
use std::collections::{BTreeMap, HashMap};

/// What was found before: where something is wrong, or was changed while the log was not protected.
#[derive(Default)]
pub struct Places {
    chains: HashMap<(u32, i64), Chain>,
    count: usize,
    /// There are more than are told apart.
    pub overflowed: bool,
}

/// Stretches of a chain, from seq to seq, about which something was said.
#[derive(Default)]
struct Chain {
    findings: Stretches,
    notices: Stretches,
}

/// More stretches than these are not told apart from what the seals show: 16 bytes each.
const MAX_PLACES: usize = 2_000_000;

impl Places {
    /// Something was said about an entry, or a range of them: as a finding, or as a notice.
    pub fn note(&mut self, table: pg_sys::Oid, finding: &Finding, is_finding: bool) {
        let (Some(chain), Some(from)) = (finding.chain, finding.seq) else { return };
        if self.count == MAX_PLACES {
            self.overflowed = true;
            return;
        }
        let chain = self.chains.entry((table.to_u32(), chain)).or_default();
        let stretches = if is_finding { &mut chain.findings } else { &mut chain.notices };
        self.count += stretches.add(from, finding.to_seq.unwrap_or(from));
    }

    /// What was said of the entries `first` to `last` of a chain: stretches in their order that do not meet, cut to these.
    pub fn within(&mut self, table: Option<pg_sys::Oid>, chain: u32, first: u64, last: u64) -> Vec<(i64, i64)> {
        let Some(known) = self.of(table, chain) else { return Vec::new() };
        let (first, last) = (signed(first), signed(last));
        let mut both = Stretches::default();
        for (from, to) in known.findings.within(first, last).into_iter().chain(known.notices.within(first, last)) {
            both.add(from, to);
        }
        both.within(first, last)
    }

    /// Was there a finding among these entries?
    pub fn any_finding_in(&mut self, table: Option<pg_sys::Oid>, chain: u32, first: u64, last: u64) -> bool {
        self.of(table, chain).is_some_and(|known| !known.findings.within(signed(first), signed(last)).is_empty())
    }

    fn of(&mut self, table: Option<pg_sys::Oid>, chain: u32) -> Option<&mut Chain> {
        self.chains.get_mut(&(table?.to_u32(), i64::from(chain)))
    }
}

/// What the journal says cannot be compared with seals any more: stretches by segment and chain, in their order.
pub struct Incomparable(BTreeMap<(i64, i64), Stretches>);

impl Incomparable {
    /// Of all tables of a log.
    pub fn of(segments: &Segments, changes: Option<&Changes>) -> Self {
        let mut all: BTreeMap<(i64, i64), Stretches> = BTreeMap::new();
        for table in segments.tables().into_keys() {
            let Some(changes) = changes else { continue };
            let on = changes.on(&segments.headers_on(Some(table.into())));
            for of in changes.incomparable(&on) {
                all.entry((of.segment, of.chain)).or_default().add(of.seq, of.to_seq);
            }
        }
        Self(all)
    }

    /// Those among the entries `first` to `last` of a chain, cut to these.
    pub fn within(&mut self, segment: u32, chain: u32, first: u64, last: u64) -> Vec<(i64, i64)> {
        let of = self.0.get_mut(&(i64::from(segment), i64::from(chain)));
        of.map_or_else(Vec::new, |stretches| stretches.within(signed(first), signed(last)))
    }
}
