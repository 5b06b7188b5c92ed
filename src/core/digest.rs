//! A digest: 32 bytes of SHA-256, the only hash in the log.
//!
//! Its one spelling is 64 lower-case hex digits; every other spelling is refused.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// SHA-256 of something: a line, a header line, later a node of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// SHA-256 of texts while they are written: each block as soon as it is whole. A block takes its time because each round waits
/// for the one before it; meanwhile the processor goes on with what is written next. And lines of a log begin alike: what their
/// first block came to is kept.
#[derive(Default)]
pub struct Hasher {
    first: Option<([u8; BLOCK], Sha256)>,
    running: Sha256,
    /// How many bytes of the text it has.
    taken: usize,
}

/// SHA-256 takes 64 bytes at a time.
const BLOCK: usize = 64;

/// A text is not 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotADigest;

const HEX: &[u8; 16] = b"0123456789abcdef";

impl Digest {
    /// Wraps 32 bytes that are a digest already.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest that a `bytea` holds; `None` unless it has exactly 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Appends the 64 lower-case hex digits.
    pub fn write_hex(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hex());
    }

    fn hex(self) -> [u8; 64] {
        let mut hex = [0; 64];
        // Computed and not looked up: that compiles to vector instructions.
        let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        for (pair, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        hex
    }
}

impl Hasher {
    /// Begins a text anew with what there is of it, whatever became of the one before.
    pub fn begin(&mut self, text: &[u8]) {
        self.taken = 0;
        self.feed(text);
    }

    /// What there is of the text, which began with what was there before.
    #[inline]
    pub fn feed(&mut self, text: &[u8]) {
        if text.len() - self.taken >= BLOCK {
            self.take(text);
        }
    }

    fn take(&mut self, text: &[u8]) {
        let (blocks, _) = text.as_chunks::<BLOCK>();
        if let (0, Some(first)) = (self.taken, blocks.first()) {
            let begun = match &self.first {
                Some((block, begun)) if block == first => begun,
                _ => &self.first.insert((*first, Sha256::new_with_prefix(first))).1,
            };
            self.running.clone_from(begun);
            self.taken = BLOCK;
        }
        self.running.update(&text[self.taken..blocks.len() * BLOCK]);
        self.taken = blocks.len() * BLOCK;
    }

    /// [`Digest::of`] the whole text.
    #[must_use]
    pub fn end(&mut self, text: &[u8]) -> Digest {
        self.feed(text);
        if self.taken == 0 {
            return Digest::of(text);
        }
        self.running.update(&text[self.taken..]);
        self.taken = 0;
        Digest(self.running.finalize_reset().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.hex()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    /// Reads 64 lower-case hex digits, nothing else.
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return Err(NotADigest);
        }
        let mut all = 0;
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            // A chunk has exactly 2 bytes, and the table has a place for each.
            let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
            all |= high | low;
            *byte = high << 4 | low;
        }
        // A digit has no bit above the fourth.
        if all < 16 { Ok(Self(bytes)) } else { Err(NotADigest) }
    }
}

impl fmt::Display for NotADigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a digest of 64 lower-case hex digits")
    }
}

impl std::error::Error for NotADigest {}

/// The two lower-case hex digits of a byte.
pub(crate) const fn hex_pair(byte: u8) -> [u8; 2] {
    // A nibble is at most 15.
    [HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]
}

/// The value of one lower-case hex digit.
pub(crate) const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The values of all bytes as hex digits, [`NO_DIGIT`] for what is none: a line has at least 64 to look up.
const NIBBLES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0_u8;
    while value < 16 {
        values[HEX[value as usize] as usize] = value;
        value += 1;
    }
    values
};

const NO_DIGIT: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn sha_256_of_abc_is_the_published_one() {
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
    }

    #[test]
    fn what_was_hashed_before_changes_nothing() {
        let mut hasher = Hasher::default();
        for length in [200, 64, 63, 65, 0, 128, 1, 64, 200] {
            for first in [b'a', b'b', b'b', b'a'] {
                let mut text = vec![b'x'; length];
                text.iter_mut().take(1).for_each(|byte| *byte = first);
                hasher.begin(&[]);
                assert_eq!(hasher.end(&text), Digest::of(&text), "{length} bytes from {first}");
            }
        }
    }

    #[test]
    fn a_text_may_come_in_any_pieces_and_be_given_up() {
        let text: Vec<u8> = (0..=250_u8).cycle().take(400).collect();
        let mut hasher = Hasher::default();
        for step in [1, 7, 63, 64, 65, 128, 129, 399] {
            for length in [0, 63, 64, 65, 127, 128, 200, 400] {
                // One that does not come to its end.
                hasher.begin(&text[..300]);
                hasher.begin(&[]);
                for end in (0..length).step_by(step) {
                    hasher.feed(&text[..end]);
                }
                assert_eq!(hasher.end(&text[..length]), Digest::of(&text[..length]), "{length} bytes, {step} at once");
            }
        }
    }

    #[test]
    fn hex_is_written_and_read_back() {
        let mut out = Vec::new();
        Digest::of(b"abc").write_hex(&mut out);
        assert_eq!(out, ABC.as_bytes());
        assert_eq!(ABC.parse(), Ok(Digest::of(b"abc")));
    }

    #[test]
    fn any_other_spelling_is_refused() {
        let long = format!("{ABC}0");
        let upper = ABC.to_uppercase();
        let prefixed = format!("\\x{}", &ABC[2..]);
        for text in ["", &ABC[1..], &long, &upper, &prefixed, &ABC.replace('b', "é")] {
            assert_eq!(text.parse::<Digest>(), Err(NotADigest), "{text}");
        }
    }

    #[test]
    fn only_32_bytes_are_a_digest() {
        assert_eq!(Digest::from_slice(&[7; 31]), None);
        assert_eq!(Digest::from_slice(&[7; 33]), None);
        assert_eq!(Digest::from_slice(&[7; 32]), Some(Digest::new([7; 32])));
    }
}
