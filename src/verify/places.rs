//! Where verification has said something already: what seals show of the same entries is not said again.

use crate::tree::store::signed;
use notary_core::Finding;
use pgrx::pg_sys;

/// What was found before, so that it is not said twice: where something is wrong, or was changed while the log was not
/// protected.
#[derive(Default)]
pub struct Places(Vec<Place>);

/// Entries of a chain about which something was said.
pub struct Place {
    table: u32,
    chain: i64,
    pub from: i64,
    pub to: i64,
    /// As a finding; otherwise as a notice.
    is_finding: bool,
}

/// More places than these are not told apart from what the seals show.
const MAX_PLACES: usize = 100_000;

impl Places {
    /// Something was said about an entry, or a range of them: as a finding, or as a notice.
    pub fn note(&mut self, table: pg_sys::Oid, finding: &Finding, is_finding: bool) {
        if let (Some(chain), Some(from)) = (finding.chain, finding.seq)
            && self.0.len() < MAX_PLACES
        {
            let to = finding.to_seq.unwrap_or(from);
            self.0.push(Place { table: table.to_u32(), chain, from, to, is_finding });
        }
    }

    /// What was said of a chain, in any order.
    pub fn of_chain(&self, table: Option<pg_sys::Oid>, chain: u32) -> impl Iterator<Item = &Place> {
        let table = table.map(pg_sys::Oid::to_u32);
        self.0.iter().filter(move |place| Some(place.table) == table && place.chain == i64::from(chain))
    }

    /// Was there a finding among these entries?
    pub fn any_finding_in(&self, table: Option<pg_sys::Oid>, chain: u32, first: u64, last: u64) -> bool {
        let mut places = self.of_chain(table, chain).filter(|place| place.is_finding);
        places.any(|place| place.from <= signed(last) && place.to >= signed(first))
    }
}
