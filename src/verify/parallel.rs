//! The long parts of a check shared out among processes: the rows, and the index.
//!
//! Invariants:
//! * What is said is what one process says. Workers only gather or confirm; all that is reported comes from the leader, which
//!   looks again, in the ordinary way, at whatever was not as it should be.
//! * Everything is seen once. A piece is taken from a shared counter by one process, and the pages that all processes have
//!   read are counted. Where anything raises, in any of them, nothing that they did counts, and one process does it all.
//! * All see the same rows: the leader's snapshot, its number of pages, its header lines.

pub use super::parallel_index::confirms;
pub use super::parallel_rows::rows;

use super::gathered::Gathered;
use super::index::Key;
use crate::pg::parallel;
use crate::pg::relation::Rel;
use crate::tree::ended::Ends;
use notary_core::chain::Segments;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Who is to share a check of one table, and what they have to know.
pub struct Workers<'a> {
    /// How many besides the leader; 0: nobody.
    pub count: u32,
    pub ends: &'a Ends,
    pub key: &'a Key,
}

impl<'a> Workers<'a> {
    /// For this table: `wanted`, or as many as it is worth.
    pub fn of(table: &Rel, wanted: Option<u32>, ends: &'a Ends, key: &'a Key) -> Self {
        Self { count: parallel::workers(table, wanted), ends, key }
    }

    /// Nothing gathered yet, in one of so many processes.
    pub fn gathered(&self, segments: &'a Segments, processes: u32) -> Gathered<'a> {
        Gathered::new(segments, self.ends, self.key, processes)
    }

    /// With the leader.
    pub fn processes(&self) -> u32 {
        self.count.saturating_add(1)
    }
}

/// Takes the next pages from a counter: many at first, so that few chains are cut, and few at the end, so that all processes
/// end together. None when all are taken.
pub fn next_pages(next: &AtomicU64, pages: u32, processes: u32) -> Option<Range<u32>> {
    let mut taken = None;
    let all = u64::from(pages);
    let take = |start: u64| {
        let left = all.checked_sub(start).filter(|left| *left > 0)?;
        let end = start + (left / (3 * u64::from(processes))).max(1);
        taken = u32::try_from(start).ok().zip(u32::try_from(end).ok());
        Some(end)
    };
    next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
    taken.map(|(start, end)| start..end)
}

#[cfg(test)]
mod tests {
    use super::next_pages;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn every_page_is_taken_once_in_not_too_many_pieces() {
        for (pages, processes) in [(0, 1), (1, 3), (7, 3), (1_000, 1), (25_000, 3), (u32::MAX, 9)] {
            let next = AtomicU64::new(0);
            let (mut end, mut pieces) = (0, 0);
            while let Some(taken) = next_pages(&next, pages, processes) {
                assert!(taken.start == end && taken.end > end, "{taken:?}");
                (end, pieces) = (taken.end, pieces + 1);
            }
            assert_eq!(end, pages);
            assert!(pieces < 30 * (3 * processes), "{pieces} pieces of {pages} pages");
        }
    }
}
