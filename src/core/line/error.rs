//! Why a text is not a canonical line.

use std::fmt;

/// The first thing in a text that no writer would have written. Places are byte offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineError {
    /// More than [`super::MAX_LINE`] bytes.
    TooLong,
    /// Not UTF-8 from here on.
    NotUtf8(usize),
    /// Another token was due: the wrong member, a space, a missing comma.
    Expected(usize, &'static str),
    /// A string that is not closed, or escaped in another way than RFC 8785's.
    BadString(usize),
    /// A number with a sign, a zero in front, an exponent, or out of its range.
    BadNumber(usize),
    /// Not 64 lower-case hex digits.
    BadDigest(usize),
    /// Not a uuid in lower-case canonical form.
    BadLogId(usize),
    /// Not a finite timestamp in canonical form.
    BadTime(usize),
    /// A name that does not come after the one before it: out of order, or twice.
    NamesOutOfOrder(usize),
    /// A name in `redactable` and in `row`.
    NameInBoth,
    /// A value nested deeper than any that PostgreSQL writes.
    TooDeep(usize),
    /// Bytes after the end of the line.
    TrailingBytes(usize),
    /// An entry where a header line was due.
    NotAHeader,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "line is longer than {} bytes", super::MAX_LINE),
            Self::NotUtf8(at) => write!(f, "invalid UTF-8 at byte {at}"),
            Self::Expected(at, token) => write!(f, "expected {token} at byte {at}"),
            Self::BadString(at) => write!(f, "string is not in canonical form at byte {at}"),
            Self::BadNumber(at) => write!(f, "number is not in canonical form at byte {at}"),
            Self::BadDigest(at) => write!(f, "not 64 lower-case hex digits at byte {at}"),
            Self::BadLogId(at) => write!(f, "not a canonical uuid at byte {at}"),
            Self::BadTime(at) => write!(f, "not a canonical finite timestamp at byte {at}"),
            Self::NamesOutOfOrder(at) => write!(f, "name out of order or twice at byte {at}"),
            Self::NameInBoth => f.write_str("a name stands in \"redactable\" and in \"row\""),
            Self::TooDeep(at) => write!(f, "value is nested too deeply at byte {at}"),
            Self::TrailingBytes(at) => write!(f, "line goes on after its end at byte {at}"),
            Self::NotAHeader => f.write_str("an entry's line, not a header line"),
        }
    }
}

impl std::error::Error for LineError {}
