//! The proof file (C2SP tlog-proof): that one line stands in a log, for someone who holds nothing
//! but this file and the log's key.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of the line>
//! index 73894
//! <base64 of a hash, the leaf's sibling first>
//! …
//!
//! <the seal>
//! ```
//!
//! Invariants: what is read is written back byte for byte. Checking takes the line, never a hash:
//! it must be a line of the format, of the log in the seal's origin, and if the file holds a line
//! it must be that one.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::Digest;
use crate::line::{self, Line, LineError, MAX_LINE};
use crate::merkle::{self, MAX_INCLUSION, ProofError};
use crate::note::MAX_NOTE;
use crate::seal::{Seal, SealError, Standing, Trust};
use crate::text::{base64_decode, base64_digest, base64_encode, decimal};

const MAGIC: &str = "c2sp.org/tlog-proof@v1";

/// The longest proof file in bytes: what holds the longest line.
pub const MAX_PROOF: usize = MAX_LINE.div_ceil(3) * 4 + MAX_NOTE + 4096;

/// A proof that a line is in a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The line, if the file holds it.
    pub line: Option<Vec<u8>>,
    /// The index of its leaf, from 0.
    pub index: u64,
    /// The hashes that lead to the root, the leaf's sibling first.
    pub path: Vec<Digest>,
    /// The seal whose root that is.
    pub seal: Seal,
}

/// What a proof showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven<'a, 'k> {
    /// The line, read.
    pub line: Line<'a>,
    /// What stands behind the seal.
    pub standing: Standing<'k>,
}

/// Why a text is not a proof file, or a proof shows nothing. Lines count from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProofFileError {
    /// More than [`MAX_PROOF`] bytes.
    TooLong,
    /// Not UTF-8.
    NotUtf8,
    /// It ends before the index or the empty line.
    CutShort,
    /// The first line is not `c2sp.org/tlog-proof@v1`.
    OtherFormat,
    /// `extra` is not followed by base64 of a line.
    BadExtra,
    /// No `index` with a plain number up to 2^63-1 on this line.
    BadIndex(usize),
    /// Not a hash in base64 on this line.
    BadHash(usize),
    /// More than 63 hashes.
    TooManyHashes,
    /// The seal is wrong; its lines count from the empty line.
    Seal(SealError),
    /// The line is none of the format.
    Line(LineError),
    /// The file holds another line.
    OtherLine,
    /// The line is of another log than the seal.
    OtherLog,
    /// The hashes do not lead from the line to the root.
    Proof(ProofError),
    /// The file holds no line, and none was given.
    NoLine,
}

impl Proof {
    /// Reads a proof file in its only spelling.
    ///
    /// # Errors
    /// Which line is wrong, and how.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofFileError> {
        if bytes.len() > MAX_PROOF {
            return Err(ProofFileError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ProofFileError::NotUtf8)?;
        let (head, seal) = text.split_once("\n\n").ok_or(ProofFileError::CutShort)?;
        let mut lines = (1..).zip(head.split('\n')).peekable();
        if lines.next().is_none_or(|(_, first)| first != MAGIC) {
            return Err(ProofFileError::OtherFormat);
        }
        let extra = lines.next_if(|(_, line)| line.starts_with("extra")).map(|(_, line)| line);
        let line = extra.map(|extra| read_extra(extra).ok_or(ProofFileError::BadExtra)).transpose()?;
        let (number, index) = lines.next().ok_or(ProofFileError::CutShort)?;
        let index = index.strip_prefix("index ").and_then(decimal).ok_or(ProofFileError::BadIndex(number))?;
        let mut path = Vec::new();
        for (number, hash) in lines {
            if path.len() == MAX_INCLUSION {
                return Err(ProofFileError::TooManyHashes);
            }
            path.push(base64_digest(hash).ok_or(ProofFileError::BadHash(number))?);
        }
        let seal = Seal::parse(seal.as_bytes()).map_err(ProofFileError::Seal)?;
        Ok(Self { line, index, path, seal })
    }

    /// Checks that the seal is to be believed and that `line` is in its tree.
    ///
    /// # Errors
    /// Why the proof does not show it.
    pub fn verify<'a, 'k>(&self, line: &'a [u8], trust: Trust<'k>) -> Result<Proven<'a, 'k>, ProofFileError> {
        if self.line.as_ref().is_some_and(|held| held != line) {
            return Err(ProofFileError::OtherLine);
        }
        let read = line::read(line).map_err(ProofFileError::Line)?;
        let standing = self.seal.verify(trust).map_err(ProofFileError::Seal)?;
        let checkpoint = self.seal.checkpoint();
        let log = match &read {
            Line::Header(header) => header.log,
            Line::Entry(entry) => entry.place.log,
        };
        if log != checkpoint.origin().log() {
            return Err(ProofFileError::OtherLog);
        }
        let leaf = merkle::leaf(&Digest::of(line));
        merkle::verify_inclusion(&leaf, self.index, checkpoint.size(), checkpoint.root(), &self.path)
            .map_err(ProofFileError::Proof)?;
        Ok(Proven { line: read, standing })
    }

    /// Checks the line that the file itself holds.
    ///
    /// # Errors
    /// It holds none, or why the proof does not show it.
    pub fn verify_own_line<'k>(&self, trust: Trust<'k>) -> Result<Proven<'_, 'k>, ProofFileError> {
        self.verify(self.line.as_deref().ok_or(ProofFileError::NoLine)?, trust)
    }
}

/// `extra`, a space and base64 of a line that is not empty.
fn read_extra(extra: &str) -> Option<Vec<u8>> {
    let line = base64_decode(extra.strip_prefix("extra ")?)?;
    (!line.is_empty()).then_some(line)
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{MAGIC}")?;
        if let Some(line) = &self.line {
            writeln!(f, "extra {}", base64_encode(line))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", base64_encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.seal)
    }
}

impl fmt::Display for ProofFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "proof is longer than {MAX_PROOF} bytes"),
            Self::NotUtf8 => f.write_str("proof is not UTF-8"),
            Self::CutShort => f.write_str("proof ends before its seal"),
            Self::OtherFormat => write!(f, "line 1: not {MAGIC}"),
            Self::BadExtra => f.write_str("line 2: extra is not followed by base64 of a line"),
            Self::BadIndex(line) => write!(f, "line {line}: not an index, a plain number up to 2^63-1"),
            Self::BadHash(line) => write!(f, "line {line}: not a hash in base64"),
            Self::TooManyHashes => write!(f, "proof has more than {MAX_INCLUSION} hashes"),
            Self::Seal(error) => write!(f, "in the seal: {error}"),
            Self::Line(error) => write!(f, "the line is not one of a log: {error}"),
            Self::OtherLine => f.write_str("the proof holds another line"),
            Self::OtherLog => f.write_str("the line is of another log than the seal"),
            Self::Proof(error) => error.fmt(f),
            Self::NoLine => f.write_str("the proof holds no line, and none was given"),
        }
    }
}

impl std::error::Error for ProofFileError {}
