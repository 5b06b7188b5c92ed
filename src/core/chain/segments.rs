//! The segments of one table: which chain starts from which header.

use std::fmt;

use super::MAX_CHAIN;
use crate::line::Place;
use crate::{Digest, Header, Timestamp};

/// The headers of a table, oldest first, with their hashes.
///
/// Invariants: at least one; `first_chain` never falls, and of two with the same one the older has
/// no entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segments(Vec<(Header, Digest)>);

/// Headers that cannot be those of one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentsError {
    /// There is none.
    Empty,
    /// This one, counted from 0, starts below the one before it.
    OutOfOrder(usize),
}

impl Segments {
    /// The segments that a table's headers describe, oldest first.
    ///
    /// # Errors
    /// No header, or headers out of order.
    pub fn new(headers: impl IntoIterator<Item = Header>) -> Result<Self, SegmentsError> {
        let mut segments: Vec<(Header, Digest)> = Vec::new();
        for header in headers {
            if segments.last().is_some_and(|(last, _)| last.first_chain > header.first_chain) {
                return Err(SegmentsError::OutOfOrder(segments.len()));
            }
            let hash = header.hash();
            segments.push((header, hash));
        }
        if segments.is_empty() { Err(SegmentsError::Empty) } else { Ok(Self(segments)) }
    }

    /// The headers, oldest first.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = &Header> {
        self.0.iter().map(|(header, _)| header)
    }

    /// The header of the segment that a chain belongs to, with its hash. A chain below the first belongs to the first
    /// segment: none can be there, so that it is the header which was changed, and that is one finding.
    #[must_use]
    pub fn of_chain(&self, chain: u32) -> Option<(&Header, Digest)> {
        self.get(self.index_of(chain)?)
    }

    /// Where an entry of this chain and seq stands; `None` if no line can say so: a chain or seq that
    /// cannot be, or a time of infinity.
    #[must_use]
    pub fn place(&self, chain: i32, seq: i64, time: i64, prev: Digest) -> Option<Place> {
        let chain = u32::try_from(chain).ok().filter(|chain| (1..=MAX_CHAIN).contains(chain))?;
        let seq = u64::try_from(seq).ok().filter(|&seq| seq > 0)?;
        let (header, _) = self.of_chain(chain)?;
        if !Timestamp(time).is_finite() {
            return None;
        }
        Some(Place { log: header.log, segment: header.segment, chain, seq, time, prev })
    }

    /// The segment that a chain belongs to, counted from 0.
    pub(super) fn index_of(&self, chain: u32) -> Option<usize> {
        let after = self.0.partition_point(|(header, _)| header.first_chain <= chain);
        (chain > 0).then(|| after.saturating_sub(1))
    }

    /// A segment, counted from 0.
    pub(super) fn get(&self, index: usize) -> Option<(&Header, Digest)> {
        self.0.get(index).map(|(header, hash)| (header, *hash))
    }
}

impl fmt::Display for SegmentsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a log has at least one header"),
            Self::OutOfOrder(index) => {
                write!(f, "header {} starts below the one before it", index + 1)
            }
        }
    }
}

impl std::error::Error for SegmentsError {}
