//! The checkpoint (C2SP tlog-checkpoint): what a seal says, in three lines and no more.
//!
//! ```text
//! db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb
//! 1048576
//! <base64 of the 32-byte root>
//! ```
//!
//! Invariants: the size is at most 2^63-1; size 0 goes with the root of the empty tree. Each line
//! ends in a newline, and a checkpoint has exactly one spelling. Extension lines are refused: no
//! reader of ours would know what was signed with them.

use std::fmt;
use std::str::FromStr;

use crate::merkle::{MAX_SIZE, empty_root};
use crate::origin::OriginError;
use crate::text::{base64_digest, base64_encode, decimal};
use crate::{Digest, Origin};

/// The state of a log's tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    origin: Origin,
    size: u64,
    root: Digest,
}

/// Why a text is not a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckpointError {
    /// The first line is not an origin of ours.
    BadOrigin(OriginError),
    /// The second line is not a number from 0 to 2^63-1 in its only spelling.
    BadSize,
    /// The third line is not 32 bytes in base64.
    BadRoot,
    /// Size 0 with a root that is not the empty tree's.
    NotEmpty,
    /// Fewer than three lines, or no newline after the third.
    CutShort,
    /// A fourth line.
    ExtensionLine,
}

impl Checkpoint {
    /// A checkpoint of a tree.
    ///
    /// # Errors
    /// The size is above 2^63-1, or is 0 with the root of another tree.
    pub fn new(origin: Origin, size: u64, root: Digest) -> Result<Self, CheckpointError> {
        if size > MAX_SIZE {
            return Err(CheckpointError::BadSize);
        }
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::NotEmpty);
        }
        Ok(Self { origin, size, root })
    }

    /// Whose tree it is.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    #[must_use]
    pub const fn root(&self) -> &Digest {
        &self.root
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// Reads the three lines.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let (origin, rest) = text.split_once('\n').ok_or(CheckpointError::CutShort)?;
        let origin = origin.parse().map_err(CheckpointError::BadOrigin)?;
        let (size, rest) = rest.split_once('\n').ok_or(CheckpointError::CutShort)?;
        let size = decimal(size).ok_or(CheckpointError::BadSize)?;
        let (root, rest) = rest.split_once('\n').ok_or(CheckpointError::CutShort)?;
        let root = base64_digest(root).ok_or(CheckpointError::BadRoot)?;
        if !rest.is_empty() {
            return Err(CheckpointError::ExtensionLine);
        }
        Self::new(origin, size, root)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, base64_encode(self.root.as_bytes()))
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadOrigin(error) => write!(f, "line 1: {error}"),
            Self::BadSize => f.write_str("line 2: size is not a plain number up to 2^63-1"),
            Self::BadRoot => f.write_str("line 3: root is not 32 bytes in base64"),
            Self::NotEmpty => f.write_str("line 3: a tree without leaves has another root"),
            Self::CutShort => f.write_str("fewer than three whole lines"),
            Self::ExtensionLine => f.write_str("line 4: nothing may follow the root"),
        }
    }
}

impl std::error::Error for CheckpointError {}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb\n1048576\nungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\n";

    fn parse(text: &str) -> Result<Checkpoint, CheckpointError> {
        text.parse()
    }

    #[test]
    fn three_lines_are_read_and_written_back() {
        let checkpoint = parse(TEXT).unwrap();
        assert_eq!(checkpoint.size(), 1 << 20);
        assert_eq!(*checkpoint.root(), Digest::of(b"abc"));
        assert_eq!(checkpoint.to_string(), TEXT);
    }

    #[test]
    fn any_other_spelling_is_refused() {
        for at in 0..TEXT.len() {
            assert!(parse(&TEXT[..at]).is_err(), "cut at {at}");
        }
        for size in ["", "01", "+1", "-1", "1 ", " 1", "1e3", "0x1", "9223372036854775808", "99999999999999999999"] {
            assert_eq!(parse(&TEXT.replace("1048576", size)), Err(CheckpointError::BadSize), "{size:?}");
        }
        for (from, to) in
            [("0=\n", "1=\n"), ("=\n", "\n"), ("=\n", "==\n"), ("=\n", "= \n"), ("ungW", "ung\u{a0}"), ("ungW", "")]
        {
            assert_eq!(parse(&TEXT.replace(from, to)), Err(CheckpointError::BadRoot), "{to:?}");
        }
        for more in ["\n", " ", "x\n", "extension", "\r\n"] {
            assert_eq!(parse(&format!("{TEXT}{more}")), Err(CheckpointError::ExtensionLine), "{more:?}");
        }
        assert!(parse(&TEXT.replace('\n', "\r\n")).is_err());
        assert!(parse(&format!("\u{feff}{TEXT}")).is_err());
        assert!(parse(&format!("\n{TEXT}")).is_err());
    }

    #[test]
    fn the_empty_tree_has_one_root() {
        assert_eq!(parse(&TEXT.replace("1048576", "0")), Err(CheckpointError::NotEmpty));
        let empty = Checkpoint::new(parse(TEXT).unwrap().origin().clone(), 0, empty_root()).unwrap();
        assert_eq!(parse(&empty.to_string()), Ok(empty));
    }

    #[test]
    fn an_error_names_the_line() {
        assert_eq!(parse("a b\n").unwrap_err().to_string(), "line 1: origin has the character ' ' at byte 1");
        assert!(parse(&TEXT.replace("1048576", "01")).unwrap_err().to_string().starts_with("line 2: "));
    }
}
