//! A leaf: what an export's check needs of one line, and the only part of it that costs time.

use crate::line::{self, Line, LineError, MAX_LINE, Place};
use crate::{Digest, LogId};

/// A line, read and hashed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// SHA-256 of the line's bytes, whatever they are.
    pub hash: Digest,
    /// What the line says, or why it is none of the format.
    pub kind: Result<Kind, LineError>,
}

/// What a line says of its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The line that opens a segment.
    Header {
        /// The log's uuid.
        log: LogId,
        /// The segment's number.
        segment: u32,
        /// The segment's first chain.
        first_chain: u32,
    },
    /// An entry of a chain.
    Entry(Place),
}

impl Leaf {
    /// Reads a line without its newline, in its only spelling.
    #[must_use]
    pub fn read(line: &[u8]) -> Self {
        let kind = line::read(line).map(|line| match line {
            Line::Header(header) => {
                Kind::Header { log: header.log, segment: header.segment, first_chain: header.first_chain }
            }
            Line::Entry(entry) => Kind::Entry(entry.place),
        });
        // What is too long is not worth hashing: the line may not even be whole.
        let hashed = if line.len() > MAX_LINE { &[] } else { line };
        Self { hash: Digest::of(hashed), kind }
    }
}
