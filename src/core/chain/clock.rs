//! Clocks that went back: a notice, not damage.

use crate::wire::Wire;
use crate::{Notice, Remark, Timestamp};

/// How many entries are named; the rest are counted.
pub(super) const MAX_REMARKS: usize = 1_000;

/// An entry whose time is before that of the entry before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Backward {
    pub seq: i64,
    pub from: i64,
    pub to: i64,
}

/// The entries at which a clock went back, of many chains: sorted, and of too many the first by chain and seq, so that it
/// does not matter in which order they were met.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock(Vec<(u32, Backward)>);

impl Clock {
    /// Remembers an entry, if there is room or it comes before one that is remembered.
    pub fn note(&mut self, chain: u32, backward: Backward) {
        let noted = (chain, backward);
        let at = self.0.partition_point(|before| *before <= noted);
        if at < MAX_REMARKS {
            self.0.truncate(MAX_REMARKS - 1);
            self.0.insert(at, noted);
        }
    }

    /// Takes in what another one remembers.
    pub fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(chain, backward)| self.note(chain, backward));
    }

    /// One remark for each entry remembered in `chains`, and one for how many of `total` were not.
    pub fn remarks(&self, total: u64, chains: impl Fn(u32) -> bool) -> Vec<Remark> {
        let named = self.0.iter().filter(|(chain, _)| chains(*chain));
        let mut remarks: Vec<_> = named.map(|(chain, backward)| remark(*chain, backward)).collect();
        let unnamed = total.saturating_sub(remarks.len() as u64);
        if unnamed > 0 {
            let detail = format!("{unnamed} more entries have a time before that of their predecessor");
            let notice = Notice::ClockBackwards;
            remarks.push(Remark { notice, chain: None, seq: None, detail });
        }
        remarks
    }
}

impl Wire for Backward {
    fn put(&self, out: &mut Vec<u8>) {
        [self.seq, self.from, self.to].iter().for_each(|number| number.put(out));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Self { seq: i64::take(from)?, from: i64::take(from)?, to: i64::take(from)? })
    }
}

impl Wire for Clock {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Vec::take(from).map(Self)
    }
}

fn remark(chain: u32, backward: &Backward) -> Remark {
    let Backward { seq, from, to } = *backward;
    let detail = format!("notary_time goes back from {} to {}", Timestamp(from), Timestamp(to));
    Remark { notice: Notice::ClockBackwards, chain: Some(chain.into()), seq: Some(seq), detail }
}
