//! The origin: the name of a log's tree, in its seals and as the name of its key.
//!
//! ```text
//! db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb
//! db.example.com/6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb/2
//! ```
//!
//! The base stands first (the setting `notary.origin`), then the log's uuid, then the incarnation
//! if it is not the first. Invariants: at most 255 bytes of `[A-Za-z0-9._~/-]`; no segment between
//! slashes is empty; an origin has exactly one spelling, and reading one from the right is
//! unambiguous, for no uuid is a number.

use std::fmt;
use std::str::FromStr;

use crate::LogId;
use crate::text::decimal;

/// The longest origin in bytes.
pub const MAX_ORIGIN: usize = 255;

/// A log's origin.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    text: String,
    log: LogId,
    incarnation: u32,
}

/// Why a text is not an origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OriginError {
    /// Longer than [`MAX_ORIGIN`].
    TooLong(usize),
    /// A character other than `[A-Za-z0-9._~/-]`, and the byte where it stands.
    BadCharacter(char, usize),
    /// Nothing between two slashes, before the first or after the last.
    EmptySegment,
    /// No uuid in lower-case canonical form after the base, or no base before it.
    NoLog,
    /// An incarnation of 0 or above 2^31-1.
    BadIncarnation,
}

impl Origin {
    /// The origin of a log under `base`, for an incarnation from 1.
    ///
    /// # Errors
    /// The base has other characters or an empty segment, or all of it is too long.
    pub fn new(base: &str, log: LogId, incarnation: u32) -> Result<Self, OriginError> {
        let text = match incarnation {
            1 => format!("{base}/{log}"),
            _ => format!("{base}/{log}/{incarnation}"),
        };
        check(&text)?;
        if incarnation == 0 || incarnation > i32::MAX as u32 {
            return Err(OriginError::BadIncarnation);
        }
        Ok(Self { text, log, incarnation })
    }

    /// The log's uuid.
    #[must_use]
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// The incarnation, from 1.
    #[must_use]
    pub const fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// The whole of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn check(text: &str) -> Result<(), OriginError> {
    if text.len() > MAX_ORIGIN {
        return Err(OriginError::TooLong(text.len()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._~/-".contains(c);
    if let Some((at, c)) = text.char_indices().find(|&(_, c)| !allowed(c)) {
        return Err(OriginError::BadCharacter(c, at));
    }
    if text.split('/').any(str::is_empty) { Err(OriginError::EmptySegment) } else { Ok(()) }
}

impl FromStr for Origin {
    type Err = OriginError;

    /// Reads an origin in its only spelling.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        check(text)?;
        let (front, last) = text.rsplit_once('/').ok_or(OriginError::NoLog)?;
        let (log, incarnation) = if let Ok(log) = last.parse() {
            (log, 1)
        } else {
            let log = front.rsplit_once('/').and_then(|(_, log)| log.parse().ok()).ok_or(OriginError::NoLog)?;
            // The first incarnation is not written.
            let number = decimal(last).and_then(|n| i32::try_from(n).ok()).filter(|&n| n >= 2);
            (log, number.ok_or(OriginError::BadIncarnation)?.unsigned_abs())
        };
        Ok(Self { text: text.to_owned(), log, incarnation })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => write!(f, "origin has {length} bytes, more than {MAX_ORIGIN}"),
            Self::BadCharacter(c, at) => write!(f, "origin has the character {c:?} at byte {at}"),
            Self::EmptySegment => f.write_str("origin has an empty part before, between or after slashes"),
            Self::NoLog => f.write_str("origin does not end in a base and a log's uuid"),
            Self::BadIncarnation => f.write_str("origin's incarnation is not a number from 2"),
        }
    }
}

impl std::error::Error for OriginError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOG: &str = "6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";

    #[test]
    fn base_log_and_incarnation_make_an_origin() {
        let log = LOG.parse().unwrap();
        let first = Origin::new("db.example.com", log, 1).unwrap();
        assert_eq!(first.as_str(), format!("db.example.com/{LOG}"));
        let second = Origin::new("db.example.com", log, 2).unwrap();
        assert_eq!(second.as_str(), format!("db.example.com/{LOG}/2"));
        for origin in [first, second] {
            assert_eq!(origin.as_str().parse(), Ok(origin));
        }
    }

    #[test]
    fn a_base_that_looks_like_an_origin_is_read_from_the_right() {
        let base = format!("a/{LOG}");
        for incarnation in [1, 2] {
            let origin = Origin::new(&base, LogId::from_bytes([7; 16]), incarnation).unwrap();
            let read: Origin = origin.as_str().parse().unwrap();
            assert_eq!((read.log(), read.incarnation()), (LogId::from_bytes([7; 16]), incarnation));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "/", "a", LOG, "a/b", "a/b/2", &format!("{LOG}/2"), &format!("a/{}", LOG.to_uppercase())] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
        for bad in ["/0", "/1", "/02", "/+2", "/2147483648", "/", "/2/", "/x", " ", "\n", "\r"] {
            assert!(format!("a/{LOG}{bad}").parse::<Origin>().is_err(), "{bad:?}");
        }
        for bad in ["", "/", "a/", "/a", "a//b", "a b", "a+b", "https://a", "ä", "a\n", "a\0"] {
            assert!(Origin::new(bad, LogId::from_bytes([7; 16]), 1).is_err(), "{bad:?}");
            assert!(format!("{bad}/{LOG}").parse::<Origin>().is_err(), "{bad:?}");
        }
        assert_eq!(Origin::new("a", LogId::from_bytes([7; 16]), 0), Err(OriginError::BadIncarnation));
        assert_eq!(Origin::new("a", LogId::from_bytes([7; 16]), 1 << 31), Err(OriginError::BadIncarnation));
    }

    #[test]
    fn the_longest_origin_has_255_bytes() {
        let log = LOG.parse().unwrap();
        assert!(Origin::new(&"a".repeat(255 - 37), log, 1).is_ok());
        assert_eq!(Origin::new(&"a".repeat(255 - 36), log, 1), Err(OriginError::TooLong(256)));
        assert_eq!(Origin::new(&"a".repeat(255 - 38), log, 2), Err(OriginError::TooLong(256)));
    }

    proptest! {
        #[test]
        fn what_is_made_is_read_back(base in "[a-z0-9._~-]{1,9}(/[a-f0-9.-]{1,9}){0,3}", log: [u8; 16], n in 1..=i32::MAX.cast_unsigned()) {
            let origin = Origin::new(&base, LogId::from_bytes(log), n).unwrap();
            prop_assert_eq!(origin.as_str().parse(), Ok(origin));
        }
    }
}
