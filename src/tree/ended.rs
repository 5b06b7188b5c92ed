//! Where a log's chains ended when its protection did, and how far they were sealed then, as the journal says.
//!
//! Invariants: nothing is added to a segment that has ended; what may be missing of one that has left the log is what was
//! sealed when it ended, no more.

use crate::error::Error;
use crate::journal;
use crate::pg::context::as_superuser;
use crate::pg::spi;
use notary_core::id::LogId;
use pgrx::JsonB;
use serde_json::Value;
use std::collections::BTreeMap;

/// The seq of the last entry by segment and chain.
pub type Ends = BTreeMap<u32, BTreeMap<i64, i64>>;

/// The ends of a log's chains.
#[derive(Default)]
pub struct Ended {
    /// The lowest that was noted of each: nothing came later.
    pub chains: Ends,
    /// The last sealed entry, the highest that was noted: what was sealed stays sealed.
    pub sealed: Ends,
}

impl Ended {
    /// Reads the journal.
    pub fn of(log: LogId) -> Result<Self, Error> {
        let mut ended = Self::default();
        if !journal::exists()? {
            return Ok(ended);
        }
        let sql = format!(
            "SELECT details -> 'chain_ends', details -> 'sealed_ends', {} FROM notary.journal AS u
             WHERE log = $1::pg_catalog.uuid AND action = 'unprotect'",
            journal::in_order("u")
        );
        let noted = as_superuser(|| {
            spi::rows(&sql, &[log.to_string().into()], |row| {
                let list = |i| spi::get::<JsonB>(row, i).map(|list| list.map_or(Value::Null, |list| list.0));
                Ok((list(1)?, list(2)?, spi::get::<bool>(row, 3)?.unwrap_or(false)))
            })
        })?;
        for (chains, sealed, in_order) in noted {
            each(&chains, |segment, chain, seq| {
                let lowest = ended.chains.entry(segment).or_default().entry(chain).or_insert(seq);
                *lowest = seq.min(*lowest);
            });
            if in_order {
                each(&sealed, |segment, chain, seq| {
                    let highest = ended.sealed.entry(segment).or_default().entry(chain).or_insert(seq);
                    *highest = seq.max(*highest);
                });
            }
        }
        Ok(ended)
    }

    /// The last entry that a chain can have, if its segment has ended: 0 for a chain that had none.
    pub fn end(&self, segment: u32, chain: u32) -> Option<u64> {
        let of_segment = self.chains.get(&segment)?;
        let end = of_segment.get(&i64::from(chain)).copied().unwrap_or(0);
        Some(u64::try_from(end).unwrap_or(0))
    }

    /// The last entry of a chain that was sealed when its segment ended.
    pub fn sealed_end(&self, segment: u32, chain: u32) -> Option<u64> {
        let end = self.sealed.get(&segment)?.get(&i64::from(chain)).copied()?;
        u64::try_from(end).ok()
    }
}

fn each(list: &Value, mut see: impl FnMut(u32, i64, i64)) {
    for end in list.as_array().map_or(&[][..], Vec::as_slice) {
        let segment = end[0].as_u64().and_then(|n| u32::try_from(n).ok());
        if let (Some(segment), Some(chain), Some(seq)) = (segment, end[1].as_i64(), end[2].as_i64()) {
            see(segment, chain, seq);
        }
    }
}
