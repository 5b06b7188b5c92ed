//! A row as a verifier read it, and what else a verifier may ask about it.

use super::omit::{Check, is_omitted};
use crate::line::Place;
use crate::{Digest, Timestamp};

/// One stored row, as the verifier read it from the heap. A superuser may have put anything there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// `notary_chain`.
    pub chain: Option<i32>,
    /// `notary_seq`.
    pub seq: Option<i64>,
    /// `notary_time`: microseconds since 2000-01-01 UTC.
    pub time: Option<i64>,
    /// `notary_prev`, if it has 32 bytes.
    pub prev: Option<Digest>,
    /// `notary_hash`, if it has 32 bytes.
    pub hash: Option<Digest>,
    /// SHA-256 of the line recomputed from the row with its stored chain, seq, time and prev; `None`
    /// if it cannot be formed, as with a NULL in one of them or a chain of no segment.
    pub computed: Option<Digest>,
    /// Where the row is, in the verifier's own terms.
    pub at: u64,
    /// `notary_prev` or `notary_hash` is there with another length than 32 bytes.
    pub odd: bool,
}

/// What a walk asks about rows that it cannot place.
pub trait Evidence {
    /// The hash that the values of the row stored at `at` would have at `place`; `None` if the row
    /// cannot be read any more.
    fn rehash(&mut self, at: u64, place: &Place) -> Option<Digest>;

    /// Where the row at `at` is, for people: `ctid (3,17)`.
    fn locate(&self, at: u64) -> String;
}

impl Entry {
    /// The stored hash is that of the row where it stands.
    ///
    /// No clock says infinity, and no line has it as its time.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.hash.is_some()
            && (self.hash == self.computed || is_omitted(Check::Hash))
            && !self.odd
            && self.time.is_some_and(|time| Timestamp(time).is_finite())
    }
}
