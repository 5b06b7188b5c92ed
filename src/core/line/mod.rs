//! The canonical line: one JSON object an entry, and the only bytes that are hashed.
//!
//! ```text
//! {"v":1,"log":"6f1c…","segment":1,"chain":3,"seq":42,"time":"2026-11-20T16:07:00.123456Z","prev":"9b0e…","row":{"action":"customer.pii.export","actor":"usr_a1b2c3"}}
//! ```
//!
//! This file writes; `read` and `cursor` read strictly and share nothing with the writer but the
//! spelling of times. A line is written in the order [`begin`], then for each value that is not
//! NULL, sorted by name, a comma (but for the first), [`write_key`] and the value's bytes, then [`end`].

pub(crate) mod cursor;
mod error;
mod read;
#[cfg(test)]
mod tests;

pub use error::LineError;
pub use read::{EntryLine, Line, Sealed, read};

use crate::decimal::write_uint;
use crate::digest::hex_pair;
use crate::time::write_timestamptz;
use crate::{Digest, LogId};

/// The version that stands in `v`.
pub const VERSION: u32 = 1;

/// The longest line in bytes: 256 MiB. A row whose line would pass it is refused.
pub const MAX_LINE: usize = 256 << 20;

/// Where an entry stands: everything in its line but the row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The log's uuid.
    pub log: LogId,
    /// The segment's number, from 1.
    pub segment: u32,
    /// The chain's number, from 1.
    pub chain: u32,
    /// The entry's number in its chain, from 1.
    pub seq: u64,
    /// Microseconds since 2000-01-01 UTC.
    pub time: i64,
    /// The hash of the line before it: an entry's or the header's.
    pub prev: Digest,
}

/// Starts an entry's line: `{"v":1,…,"prev":"9b0e…","row":{`.
pub fn begin(out: &mut Vec<u8>, place: &Place) {
    write_head(out, place.log, place.segment, place.chain, place.seq, place.time);
    write_prev(out, &place.prev);
}

/// What the lines of all entries of a segment begin with, `{"v":1,"log":"6f1c…","segment":1,"chain":`, for a writer of many.
pub struct Opening {
    log: LogId,
    segment: u32,
    text: Vec<u8>,
}

impl Opening {
    /// That of a segment of a log.
    #[must_use]
    pub fn of(log: LogId, segment: u32) -> Self {
        let mut text = Vec::new();
        write_opening(&mut text, log, segment);
        Self { log, segment, text }
    }

    /// As [`begin`] does, whose ever line it is: what it was made for last is kept for the next.
    pub fn begin_at(&mut self, out: &mut Vec<u8>, place: &Place) {
        if (self.log, self.segment) != (place.log, place.segment) {
            *self = Self::of(place.log, place.segment);
        }
        self.begin(out, place.chain, place.seq, place.time, &place.prev);
    }

    /// As [`begin`] does.
    pub fn begin(&self, out: &mut Vec<u8>, chain: u32, seq: u64, time: i64, prev: &Digest) {
        out.extend_from_slice(&self.text);
        write_chain(out, chain, seq, time);
        write_prev(out, prev);
    }
}

/// Appends a member's name with its colon: `"name":`.
pub fn write_key(out: &mut Vec<u8>, name: &str) {
    write_string(out, name);
    out.push(b':');
}

/// Appends a string in quotes, escaped as in RFC 8785: `\"` `\\` `\b` `\f` `\n` `\r` `\t`, other
/// controls as `\u001f`, everything else as it is.
pub fn write_string(out: &mut Vec<u8>, s: &str) {
    write_bytes(out, s.as_bytes());
}

/// The same for a caller who sees to it afterwards that what was appended is UTF-8: it is if the bytes are.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut rest = bytes;
    loop {
        let (run, after) = rest.split_at(plain_prefix(rest));
        out.extend_from_slice(run);
        let Some((&byte, after)) = after.split_first() else {
            break;
        };
        write_escape(out, byte);
        rest = after;
    }
    out.push(b'"');
}

/// Ends an entry's line: `}}`.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}}");
}

/// The members that header lines and entry lines share: `{"v":1,"log":…,"time":"…"`.
pub(crate) fn write_head(out: &mut Vec<u8>, log: LogId, segment: u32, chain: u32, seq: u64, time: i64) {
    write_opening(out, log, segment);
    write_chain(out, chain, seq, time);
}

fn write_opening(out: &mut Vec<u8>, log: LogId, segment: u32) {
    out.extend_from_slice(b"{\"v\":");
    write_uint(out, VERSION.into());
    out.extend_from_slice(b",\"log\":\"");
    log.write(out);
    out.extend_from_slice(b"\",\"segment\":");
    write_uint(out, segment.into());
    out.extend_from_slice(b",\"chain\":");
}

fn write_chain(out: &mut Vec<u8>, chain: u32, seq: u64, time: i64) {
    write_uint(out, chain.into());
    out.extend_from_slice(b",\"seq\":");
    write_uint(out, seq);
    out.extend_from_slice(b",\"time\":\"");
    write_timestamptz(out, time);
    out.push(b'"');
}

fn write_prev(out: &mut Vec<u8>, prev: &Digest) {
    out.extend_from_slice(b",\"prev\":\"");
    prev.write_hex(out);
    out.extend_from_slice(b"\",\"row\":{");
}

/// How many bytes from the start can be copied as they are.
///
/// Whole blocks are tested without an early exit, which compiles to vector instructions.
fn plain_prefix(bytes: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let blocks = bytes.chunks_exact(BLOCK);
    let plain = blocks.take_while(|block| !block.iter().fold(false, |any, &b| any | escaped(b)));
    let start = plain.count() * BLOCK;
    // `start` counts whole blocks inside of `bytes`.
    let (words, _) = bytes[start..].as_chunks();
    let start = start + words.iter().take_while(|word| !any_escaped(**word)).count() * size_of::<u64>();
    start + bytes[start..].iter().take_while(|&&b| !escaped(b)).count()
}

/// Is any of these bytes [`escaped`]? Borrows of the subtractions reach beyond a byte only where that one is.
const fn any_escaped(bytes: [u8; 8]) -> bool {
    const fn each(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    let word = u64::from_le_bytes(bytes);
    let (quote, backslash) = (word ^ each(b'"'), word ^ each(b'\\'));
    let control = word.wrapping_sub(each(0x20)) & !word;
    let quote = quote.wrapping_sub(each(1)) & !quote;
    let backslash = backslash.wrapping_sub(each(1)) & !backslash;
    (control | quote | backslash) & each(0x80) != 0
}

/// A byte that a JSON string cannot hold as it is.
pub(crate) const fn escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            out.extend_from_slice(b"\\u00");
            return out.extend_from_slice(&hex_pair(byte));
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
