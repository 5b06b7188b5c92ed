//! The name of a log: a uuid.
//!
//! Its one spelling is the canonical lower-case one, `6f1c2b1e-0000-4000-8000-000000000001`.

use std::fmt;
use std::str::FromStr;

use crate::digest::{hex_pair, nibble};

/// A log's uuid, any version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId([u8; 16]);

/// A text is not a uuid in lower-case canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotALogId;

/// How many bytes stand before each hyphen: `8-4-4-4-12` digits.
const GROUPS: [usize; 5] = [4, 2, 2, 2, 6];

/// Two digits a byte, and the hyphens.
const LENGTH: usize = 2 * 16 + 4;

impl LogId {
    /// The id in network order, as PostgreSQL stores a uuid.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes in network order.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Appends the canonical form.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let mut text = [b'-'; LENGTH];
        let mut bytes = self.0.iter();
        let mut rest = &mut text[..];
        for length in GROUPS {
            let (digits, after) = rest.split_at_mut((2 * length).min(rest.len()));
            for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes.by_ref()) {
                pair.copy_from_slice(&hex_pair(*byte));
            }
            rest = after.get_mut(1..).unwrap_or_default();
        }
        out.extend_from_slice(&text);
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(36);
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({self})")
    }
}

impl FromStr for LogId {
    type Err = NotALogId;

    /// Reads the canonical form only: no braces, no upper case, no missing hyphen.
    fn from_str(text: &str) -> Result<Self, NotALogId> {
        let mut id = [0; 16];
        let mut places = id.iter_mut();
        let mut rest = text.as_bytes();
        for (index, length) in GROUPS.into_iter().enumerate() {
            if index > 0 {
                rest = rest.strip_prefix(b"-").ok_or(NotALogId)?;
            }
            for place in places.by_ref().take(length) {
                let [high, low, tail @ ..] = rest else {
                    return Err(NotALogId);
                };
                *place = nibble(*high).ok_or(NotALogId)? << 4 | nibble(*low).ok_or(NotALogId)?;
                rest = tail;
            }
        }
        if rest.is_empty() { Ok(Self(id)) } else { Err(NotALogId) }
    }
}

impl fmt::Display for NotALogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a uuid in lower-case canonical form")
    }
}

impl std::error::Error for NotALogId {}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb";

    #[test]
    fn canonical_form_is_written_and_read_back() {
        let id: LogId = TEXT.parse().unwrap();
        assert_eq!(id.to_string(), TEXT);
        assert_eq!(id.as_bytes()[..4], [0x6f, 0x1c, 0x2b, 0x1e]);
        assert_eq!(LogId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn any_other_spelling_is_refused() {
        let bare = TEXT.replace('-', "");
        let upper = TEXT.to_uppercase();
        let braces = format!("{{{TEXT}}}");
        let long = format!("{TEXT}0");
        let moved = "6f1c2b1e0-a0b-4c0d-8e0f-00112233aabb";
        for text in ["", &bare, &upper, &braces, &long, &TEXT[..35], moved] {
            assert_eq!(text.parse::<LogId>(), Err(NotALogId), "{text}");
        }
    }
}
