//! The rows that stand at one place (chain, seq): one, unless something is wrong.

use super::Entry;
use crate::Digest;

/// How many rows at one place are looked at together. Without a unique index there may be millions.
const MAX_ROWS: usize = 16;

/// Rows at one place, at least one.
pub(super) struct Group {
    pub chain: u32,
    pub seq: i64,
    pub rows: Vec<Entry>,
}

/// What surrounds a place.
pub(super) struct Around<'a> {
    /// The hashes that the entry before has, more than one after a fork; `None` if that is missing.
    pub heads: Option<&'a [Digest]>,
    /// The rows at the next place; none if that is missing or the chain ends.
    pub next: &'a [Entry],
}

impl Group {
    pub fn new(chain: u32, seq: i64, row: Entry) -> Self {
        Self { chain, seq, rows: vec![row] }
    }

    pub fn is_at(&self, chain: u32, seq: i64) -> bool {
        self.chain == chain && self.seq == seq
    }

    /// Adds a row; gives one back if there are too many, rather one that is damaged anyway.
    pub fn push(&mut self, row: Entry) -> Option<Entry> {
        if self.rows.len() < MAX_ROWS {
            self.rows.push(row);
            return None;
        }
        let damaged = self.rows.iter_mut().find(|row| !row.is_consistent());
        match damaged.filter(|_| row.is_consistent()) {
            Some(damaged) => Some(std::mem::replace(damaged, row)),
            None => Some(row),
        }
    }

    /// Splits off the rows that are as they should be, one for each hash.
    pub fn take_valid(&mut self, around: &Around<'_>) -> Vec<Entry> {
        let mut valid: Vec<Entry> = Vec::new();
        let mut others = Vec::new();
        for row in self.rows.drain(..) {
            let good = row.is_consistent() && (around.heads.is_none() || around.precede(&row));
            if good && valid.iter().all(|other| other.hash != row.hash) {
                valid.push(row);
            } else {
                others.push(row);
            }
        }
        self.rows = others;
        valid
    }

    /// Splits off the row that most speaks for.
    pub fn take_best(&mut self, around: &Around<'_>) -> Option<Entry> {
        let score = |row: &Entry| {
            u8::from(around.commit_to(row.hash)) * 8
                + u8::from(around.commit_to(row.computed)) * 4
                + u8::from(around.precede(row)) * 2
                + u8::from(row.is_consistent())
        };
        let best = (0..self.rows.len()).max_by_key(|&index| self.rows.get(index).map(score))?;
        Some(self.rows.swap_remove(best))
    }
}

impl Around<'_> {
    /// The row commits to the entry before it.
    pub fn precede(&self, row: &Entry) -> bool {
        self.heads.is_some_and(|heads| row.prev.is_some_and(|prev| heads.contains(&prev)))
    }

    /// Some row after it commits to this hash.
    pub fn commit_to(&self, hash: Option<Digest>) -> bool {
        hash.is_some() && self.next.iter().any(|next| next.prev == hash)
    }

    /// What a row after it, itself consistent, commits to.
    pub fn expected(&self) -> Option<Digest> {
        self.next.iter().find(|next| next.is_consistent()).and_then(|next| next.prev)
    }
}
