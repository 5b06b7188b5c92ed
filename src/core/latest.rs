//! The newest checkpoint of each origin that somebody has believed: what `notary-verify --state` keeps.
//!
//! ```text
//! db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb 1048576 <base64 of the 32-byte root>
//! ```
//!
//! The three lines of a checkpoint as one, for each origin, each with its newline. Read in any order, printed in that of
//! origins.
//!
//! Invariant: a size never falls, and the root of a size never changes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::{Checkpoint, Origin};

/// The newest checkpoints.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Latest(BTreeMap<Origin, Checkpoint>);

/// Why a text is not such a list. Lines count from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LatestError {
    /// This line is not origin, size and root.
    NotACheckpoint(usize),
    /// This line's origin stood there before.
    Twice(usize),
    /// The last line does not end in a newline.
    NoFinalNewline(usize),
}

impl LatestError {
    /// The line.
    #[must_use]
    pub const fn line(&self) -> usize {
        match self {
            Self::NotACheckpoint(line) | Self::Twice(line) | Self::NoFinalNewline(line) => *line,
        }
    }
}

impl Latest {
    /// The newest of an origin.
    #[must_use]
    pub fn get(&self, origin: &Origin) -> Option<&Checkpoint> {
        self.0.get(origin)
    }

    /// The newest of the newest other incarnation of the same log.
    #[must_use]
    pub fn other_incarnation(&self, seen: &Checkpoint) -> Option<&Checkpoint> {
        let (log, this) = (seen.origin().log(), seen.origin().incarnation());
        let others = self.0.values().filter(|known| known.origin().log() == log);
        others.filter(|known| known.origin().incarnation() != this).max_by_key(|known| known.origin().incarnation())
    }

    /// Takes a checkpoint in if it is newer than what is known of its origin. True if it was.
    pub fn update(&mut self, seen: &Checkpoint) -> bool {
        let is_newer = self.get(seen.origin()).is_none_or(|known| known.size() < seen.size());
        if is_newer {
            self.0.insert(seen.origin().clone(), seen.clone());
        }
        is_newer
    }
}

impl FromStr for Latest {
    type Err = LatestError;

    fn from_str(text: &str) -> Result<Self, LatestError> {
        let mut latest = Self::default();
        if !(text.is_empty() || text.ends_with('\n')) {
            return Err(LatestError::NoFinalNewline(text.lines().count()));
        }
        for (number, line) in (1..).zip(text.split_terminator('\n')) {
            let checkpoint = format!("{}\n", line.replace(' ', "\n"));
            let checkpoint: Checkpoint = checkpoint.parse().map_err(|_| LatestError::NotACheckpoint(number))?;
            if latest.0.insert(checkpoint.origin().clone(), checkpoint).is_some() {
                return Err(LatestError::Twice(number));
            }
        }
        Ok(latest)
    }
}

impl fmt::Display for Latest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.values().try_for_each(|known| writeln!(f, "{}", known.to_string().trim_end().replace('\n', " ")))
    }
}

impl fmt::Display for LatestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotACheckpoint(_) => "not origin, size and root",
            Self::Twice(_) => "this origin stands there twice",
            Self::NoFinalNewline(_) => "it does not end in a newline",
        })
    }
}

impl std::error::Error for LatestError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    fn checkpoint(origin: &str, size: u64, root: u8) -> Checkpoint {
        Checkpoint::new(origin.parse().unwrap(), size, Digest::new([root; 32])).unwrap()
    }

    const A: &str = "a.example/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";

    #[test]
    fn only_newer_checkpoints_are_taken_in() {
        let mut latest = Latest::default();
        assert!(latest.update(&checkpoint(A, 5, 1)));
        assert!(!latest.update(&checkpoint(A, 5, 2)), "the root of a size never changes");
        assert!(!latest.update(&checkpoint(A, 4, 1)), "a size never falls");
        assert!(latest.update(&checkpoint(A, 6, 3)));
        let second = format!("{A}/2");
        assert!(latest.update(&checkpoint(&second, 1, 4)));
        assert_eq!(latest.other_incarnation(&checkpoint(A, 7, 0)).unwrap().size(), 1);
        assert_eq!(latest.get(&A.parse().unwrap()).unwrap().size(), 6);
        assert_eq!(latest.to_string().parse::<Latest>().unwrap(), latest);
        assert_eq!(latest.to_string().lines().count(), 2);
    }

    #[test]
    fn what_is_no_such_list_is_refused_with_its_line() {
        let line = Latest([checkpoint(A, 5, 1)].map(|c| (c.origin().clone(), c)).into()).to_string();
        let refused = |text: &str| text.parse::<Latest>().unwrap_err();
        assert_eq!(refused(&format!("{line}{line}")), LatestError::Twice(2));
        assert_eq!(refused(&format!("{line}\n")), LatestError::NotACheckpoint(2));
        assert_eq!(refused(&line.replace(" 5 ", " 05 ")), LatestError::NotACheckpoint(1));
        assert_eq!(refused(line.trim_end()), LatestError::NoFinalNewline(1));
        assert_eq!("".parse::<Latest>().unwrap(), Latest::default());
    }
}
