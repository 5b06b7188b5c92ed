//! Clocks that went back: a notice, not damage.

use crate::{Notice, Remark, Timestamp};

/// How many entries are named; the rest are counted.
pub(super) const MAX_REMARKS: usize = 1_000;

/// An entry whose time is before that of the entry before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Backward {
    pub seq: i64,
    pub from: i64,
    pub to: i64,
}

/// The entries at which a clock went back, of many chains.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock(Vec<(u32, Backward)>);

impl Clock {
    /// Remembers an entry, as long as there is room.
    pub fn note(&mut self, chain: u32, backward: Backward) {
        if self.0.len() < MAX_REMARKS {
            self.0.push((chain, backward));
        }
    }

    /// Takes in what another one remembers, as long as there is room.
    pub fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(chain, backward)| self.note(chain, backward));
    }

    /// One remark for each entry remembered in `chains`, and one for how many of `total` were not.
    pub fn remarks(&self, total: u64, chains: impl Fn(u32) -> bool) -> Vec<Remark> {
        let named = self.0.iter().filter(|(chain, _)| chains(*chain));
        let mut remarks: Vec<_> = named.map(|(chain, backward)| remark(*chain, backward)).collect();
        remarks.sort_by_key(|remark| (remark.chain, remark.seq));
        let unnamed = total.saturating_sub(remarks.len() as u64);
        if unnamed > 0 {
            let detail = format!("{unnamed} more entries have a time before that of their predecessor");
            let notice = Notice::ClockBackwards;
            remarks.push(Remark { notice, chain: None, seq: None, detail });
        }
        remarks
    }
}

fn remark(chain: u32, backward: &Backward) -> Remark {
    let Backward { seq, from, to } = *backward;
    let detail = format!("notary_time goes back from {} to {}", Timestamp(from), Timestamp(to));
    Remark { notice: Notice::ClockBackwards, chain: Some(chain.into()), seq: Some(seq), detail }
}
