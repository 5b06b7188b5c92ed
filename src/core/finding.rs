//! What verification reports: findings, which mean damage, and remarks, which do not.
//!
//! A detail holds hashes, places and column names, never a value of a row.

use std::fmt;

use crate::Digest;

/// What is wrong. Where several causes look alike, the more general one is named.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Problem {
    /// A row does not hold what its chain commits to.
    ValueChanged,
    /// A row holds its values, but its stored hash or prev was changed.
    HashChanged,
    /// Entries are gone from the middle of a chain.
    Missing,
    /// A row stands where its chain has no place for it.
    Inserted,
    /// Two rows stand in each other's place, or hold each other's values.
    Swapped,
    /// Two valid entries claim one place.
    Fork,
    /// A row has no place in any chain.
    Unchained,
    /// The chains of a segment start from another header than the table's.
    HeaderChanged,
    /// A trigger, constraint or event trigger that guards the log is off or altered.
    GuardOff,
    /// A column is not the one that the header tells of.
    ColumnChanged,
    /// The unique index does not hold what the table holds.
    IndexMismatch,
    /// A page or a value cannot be read.
    Unreadable,
    /// Rows come into or out of the table another way: rules, inheritance children.
    ForeignRows,
    /// Entries that a seal commits to are gone from the end of a chain.
    TailCut,
    /// Entries that a seal commits to are not the ones that were sealed.
    Rewritten,
}

/// What is worth knowing and is not damage.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Notice {
    /// An entry's time is before that of the entry before it.
    ClockBackwards,
    /// Rows that were there before protection were chained by it.
    Adopted,
    /// The table was not protected between two segments.
    NotProtectedBetween,
    /// A chain's first entry claims to be older than a seal that does not hold it.
    Backdated,
    /// Entries are older than the newest seal and not in it.
    Unsealed,
}

/// One problem, exactly where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// The chain, if the problem is in one.
    pub chain: Option<i64>,
    /// The entry, or the first of a missing range.
    pub seq: Option<i64>,
    /// The last entry of a range that is missing, or that was put behind the end of a chain.
    pub to_seq: Option<i64>,
    /// The hash recomputed from the row that the finding is about, where there is one.
    pub found: Option<Digest>,
    /// What was expected and what was found: hashes, places, column names.
    pub detail: String,
}

/// One notice, and what it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark {
    /// What is worth knowing.
    pub notice: Notice,
    /// The chain, if it is about one.
    pub chain: Option<i64>,
    /// The entry, if it is about one.
    pub seq: Option<i64>,
    /// The facts: places, times, counts.
    pub detail: String,
}

impl Finding {
    /// A problem of the whole log or segment, at no entry.
    #[must_use]
    pub const fn general(problem: Problem, detail: String) -> Self {
        Self { problem, chain: None, seq: None, to_seq: None, found: None, detail }
    }
}

impl Problem {
    /// Every problem, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::ValueChanged,
        Self::HashChanged,
        Self::Missing,
        Self::Inserted,
        Self::Swapped,
        Self::Fork,
        Self::Unchained,
        Self::HeaderChanged,
        Self::GuardOff,
        Self::ColumnChanged,
        Self::IndexMismatch,
        Self::Unreadable,
        Self::ForeignRows,
        Self::TailCut,
        Self::Rewritten,
    ];

    /// The name that SQL users see: `value_changed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ValueChanged => "value_changed",
            Self::HashChanged => "hash_changed",
            Self::Missing => "missing",
            Self::Inserted => "inserted",
            Self::Swapped => "swapped",
            Self::Fork => "fork",
            Self::Unchained => "unchained",
            Self::HeaderChanged => "header_changed",
            Self::GuardOff => "guard_off",
            Self::ColumnChanged => "column_changed",
            Self::IndexMismatch => "index_mismatch",
            Self::Unreadable => "unreadable",
            Self::ForeignRows => "foreign_rows",
            Self::TailCut => "tail_cut",
            Self::Rewritten => "rewritten",
        }
    }
}

impl Notice {
    /// Every notice, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::ClockBackwards, Self::Adopted, Self::NotProtectedBetween, Self::Backdated, Self::Unsealed];

    /// The name that SQL users see: `clock_backwards`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClockBackwards => "clock_backwards",
            Self::Adopted => "adopted",
            Self::NotProtectedBetween => "not_protected_between",
            Self::Backdated => "backdated",
            Self::Unsealed => "unsealed",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_words_and_none_stands_twice() {
        let names = Problem::ALL.map(Problem::as_str).into_iter().chain(Notice::ALL.map(Notice::as_str));
        let names: Vec<_> = names.collect();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase())));
    }
}
