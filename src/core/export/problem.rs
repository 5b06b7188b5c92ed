//! Why a line is not the next one of a well-formed export. No message holds anything of a row.

use std::fmt;

use crate::LogId;
use crate::chain::MAX_CHAIN;
use crate::line::LineError;

/// A problem and the line that has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The line's number, from 1.
    pub line: u64,
    /// The segment, chain and seq that the line names; `None` if it is not a line of the format.
    pub place: Option<(u32, u32, u64)>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a line where it stands. Lines count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// Not a line of the format in its only spelling.
    Line(LineError),
    /// The line is of another log.
    OtherLog {
        /// The log it names.
        found: LogId,
        /// The log of the origin, or of the lines before.
        expected: LogId,
    },
    /// A second header for a segment.
    HeaderAgain {
        /// The line of the first.
        line: u64,
    },
    /// A header that is not the next segment's.
    HeaderOutOfOrder {
        /// The next segment.
        expected: u32,
    },
    /// An entry before the header of its segment, or without one.
    NoHeader,
    /// An entry of a chain that was there before its segment began.
    BelowFirstChain {
        /// The segment's first chain.
        first_chain: u32,
    },
    /// A chain's number above 65,535.
    NoSuchChain,
    /// An entry after the place in its chain where it belongs: it stands there twice, or too late.
    SeqAgain {
        /// The seq that the chain had come to.
        last: u64,
        /// The line of that entry.
        line: u64,
    },
    /// Entries of the chain are missing before this one.
    SeqMissing {
        /// The seq that was due.
        expected: u64,
    },
    /// `prev` is not the hash of the line before it in its chain.
    WrongPrev {
        /// That line: an entry's, or the header's for the first entry.
        line: u64,
    },
}

impl Problem {
    /// The problem's name for programs; it never changes.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Line(_) => "bad_line",
            Self::OtherLog { .. } => "other_log",
            Self::HeaderAgain { .. } => "header_again",
            Self::HeaderOutOfOrder { .. } => "header_out_of_order",
            Self::NoHeader => "no_header",
            Self::BelowFirstChain { .. } => "below_first_chain",
            Self::NoSuchChain => "no_such_chain",
            Self::SeqAgain { .. } => "seq_again",
            Self::SeqMissing { .. } => "seq_missing",
            Self::WrongPrev { .. } => "wrong_prev",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => error.fmt(f),
            Self::OtherLog { found, expected } => write!(f, "the line is of log {found}, not of {expected}"),
            Self::HeaderAgain { line } => write!(f, "a second header; the first is line {line}"),
            Self::HeaderOutOfOrder { expected } => write!(f, "the next header is that of segment {expected}"),
            Self::NoHeader => f.write_str("no header of this segment stands before the entry"),
            Self::BelowFirstChain { first_chain } => write!(f, "the chains of this segment start at {first_chain}"),
            Self::NoSuchChain => write!(f, "chain numbers end at {MAX_CHAIN}"),
            Self::SeqAgain { last, line } => {
                write!(f, "twice or too late: the chain has come to seq {last}, line {line}")
            }
            Self::SeqMissing { expected } => write!(f, "the next entry of this chain is seq {expected}"),
            Self::WrongPrev { line } => {
                write!(f, "prev is not the hash of line {line}, which comes before it: one of the two was changed")
            }
        }
    }
}
