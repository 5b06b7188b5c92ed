//! How many rows this transaction has stored in a table, as PostgreSQL counts them for its statistics.
//!
//! A count says nothing of which rows these are. Together with a look at who could have stored one it tells, without asking the
//! index, whether the row that a trigger let go was stored.

use super::compat;
use super::relation::Rel;
use pgrx::pg_sys;

/// The counts of one (sub)transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    nest_level: i32,
    stored: i64,
    taken_back: i64,
}

impl Counts {
    /// Those of now; None where PostgreSQL does not count (track_counts is off).
    pub fn of(table: &Rel) -> Option<Self> {
        // SAFETY: an open table's entry, null where it is not counted; its newest record, null before the first change.
        unsafe {
            let nest_level = compat::nest_level();
            let info = (*table.raw()).pgstat_info;
            if info.is_null() || !pg_sys::pgstat_track_counts {
                return None;
            }
            let newest = (*info).trans;
            if newest.is_null() || (*newest).nest_level != nest_level {
                return Some(Self { nest_level, stored: 0, taken_back: 0 });
            }
            Some(Self { nest_level, stored: (*newest).tuples_inserted, taken_back: (*newest).tuples_deleted })
        }
    }

    /// Is exactly one row more stored by now, and none taken back, within the same (sub)transaction?
    pub fn has_one_more(self, now: Self) -> bool {
        now == Self { stored: self.stored + 1, ..self }
    }
}
