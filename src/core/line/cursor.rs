//! A cursor over the bytes of a line: each method reads one thing in its only spelling.
//!
//! Invariants: the text is UTF-8, `at` is a character boundary within it, and nothing is ever read
//! twice or skipped. No recursion: nesting costs heap, and is limited.

use std::borrow::Cow;

use super::{LineError, MAX_LINE, VERSION, escaped};
use crate::time::{Timestamp, parse_timestamptz};
use crate::{Digest, LogId};

/// How deep a value may nest. PostgreSQL's own limit is its stack, some ten thousand levels.
const MAX_DEPTH: usize = 1 << 20;

/// The members that header lines and entry lines share.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub log: LogId,
    pub segment: u32,
    pub chain: u32,
    pub seq: u64,
    pub time: i64,
}

/// Where reading has come to.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// A value that is not closed yet, with what closes it.
enum Open<'a> {
    Array,
    /// With the name read last, to compare the next one with.
    Object(Cow<'a, str>),
}

impl Head {
    pub(crate) const fn is_header(self) -> bool {
        self.chain == 0 && self.seq == 0
    }
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(line: &'a [u8]) -> Result<Self, LineError> {
        if line.len() > MAX_LINE {
            return Err(LineError::TooLong);
        }
        let text = std::str::from_utf8(line).map_err(|e| LineError::NotUtf8(e.valid_up_to()))?;
        Ok(Self { text, at: 0 })
    }

    /// `{"v":1,"log":"…","segment":1,"chain":3,"seq":42,"time":"…"`; chain and seq are both 0 or neither.
    pub(crate) fn head(&mut self) -> Result<Head, LineError> {
        self.expect("{\"v\":")?;
        let at = self.at;
        if self.uint()? != u64::from(VERSION) {
            return Err(LineError::Expected(at, "version 1"));
        }
        self.expect(",\"log\":\"")?;
        let at = self.at;
        let log: LogId = self.take(36)?.parse().map_err(|_| LineError::BadLogId(at))?;
        self.expect("\",\"segment\":")?;
        let segment = self.positive_u32()?;
        self.expect(",\"chain\":")?;
        let at = self.at;
        let chain = self.uint()?;
        let chain = u32::try_from(chain).ok().filter(|&chain| chain <= i32::MAX as u32);
        let chain = chain.ok_or(LineError::BadNumber(at))?;
        self.expect(",\"seq\":")?;
        let at = self.at;
        let seq = self.uint()?;
        if (chain == 0) != (seq == 0) {
            return Err(LineError::BadNumber(at));
        }
        self.expect(",\"time\":")?;
        let time = self.time()?;
        Ok(Head { log, segment, chain, seq, time })
    }

    /// Exactly this token.
    pub(crate) fn expect(&mut self, token: &'static str) -> Result<(), LineError> {
        if self.eat(token) { Ok(()) } else { Err(LineError::Expected(self.at, token)) }
    }

    /// This token, if it is next.
    pub(crate) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token.as_bytes());
        if found {
            self.at += token.len();
        }
        found
    }

    /// The end of the text.
    pub(crate) fn end(&self) -> Result<(), LineError> {
        if self.at == self.text.len() { Ok(()) } else { Err(LineError::TrailingBytes(self.at)) }
    }

    /// An integer from 0 to `i64::MAX`.
    pub(crate) fn uint(&mut self) -> Result<u64, LineError> {
        let at = self.at;
        let digits = self.digits();
        let canonical = digits == "0" || !digits.starts_with('0');
        let n = digits.parse().ok().filter(|&n: &u64| canonical && n <= i64::MAX as u64);
        n.ok_or(LineError::BadNumber(at))
    }

    /// An integer from 1 to `i32::MAX`.
    pub(crate) fn positive_u32(&mut self) -> Result<u32, LineError> {
        let at = self.at;
        let n = u32::try_from(self.uint()?).ok();
        n.filter(|&n| n > 0 && n <= i32::MAX as u32).ok_or(LineError::BadNumber(at))
    }

    /// A string in canonical form, unescaped.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, LineError> {
        self.expect("\"")?;
        let first = plain_run(self.rest());
        let mut whole = Cow::Borrowed(self.take(first)?);
        loop {
            if self.eat("\"") {
                return Ok(whole);
            }
            let escaped = self.escape()?;
            let run = plain_run(self.rest());
            let whole = whole.to_mut();
            whole.push(escaped);
            whole.push_str(self.take(run)?);
        }
    }

    /// A string of 64 hex digits.
    pub(crate) fn digest(&mut self) -> Result<Digest, LineError> {
        self.expect("\"")?;
        let at = self.at;
        let digest = self.take(64)?.parse().map_err(|_| LineError::BadDigest(at))?;
        self.expect("\"")?;
        Ok(digest)
    }

    /// A value of a row: `true`, a number, a string, `null` or what `jsonb` prints, as raw bytes.
    pub(crate) fn value(&mut self) -> Result<&'a str, LineError> {
        let start = self.at;
        let mut open = Vec::new();
        loop {
            if self.eat("{") {
                if !self.eat("}") {
                    let name = self.string()?;
                    self.expect(": ")?;
                    self.nest(&mut open, Open::Object(name))?;
                    continue;
                }
            } else if self.eat("[") {
                if !self.eat("]") {
                    self.nest(&mut open, Open::Array)?;
                    continue;
                }
            } else {
                self.scalar()?;
            }
            if !self.close(&mut open)? {
                // `start` and `at` are character boundaries, and `at` only grows.
                return Ok(&self.text[start..self.at]);
            }
        }
    }

    /// `"name":<member>,…` up to `close`, names strictly ascending by bytes.
    pub(crate) fn members(
        &mut self,
        close: &'static str,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), LineError>,
    ) -> Result<(), LineError> {
        let mut last: Option<Cow<'a, str>> = None;
        while !self.eat(close) {
            let name = self.next_name(last.as_ref())?;
            self.expect(":")?;
            member(self, name.clone())?;
            last = Some(name);
        }
        Ok(())
    }

    /// `"name",…` up to `close`, strictly ascending by bytes.
    pub(crate) fn names(&mut self, close: &'static str, mut each: impl FnMut(Cow<'a, str>)) -> Result<(), LineError> {
        let mut last: Option<Cow<'a, str>> = None;
        while !self.eat(close) {
            let name = self.next_name(last.as_ref())?;
            each(name.clone());
            last = Some(name);
        }
        Ok(())
    }

    fn next_name(&mut self, last: Option<&Cow<'a, str>>) -> Result<Cow<'a, str>, LineError> {
        if last.is_some() {
            self.expect(",")?;
        }
        let at = self.at;
        let name = self.string()?;
        if last.is_some_and(|last| *last >= name) {
            return Err(LineError::NamesOutOfOrder(at));
        }
        Ok(name)
    }

    fn time(&mut self) -> Result<i64, LineError> {
        let at = self.at;
        let time = parse_timestamptz(&self.string()?);
        time.filter(|&t| Timestamp(t).is_finite()).ok_or(LineError::BadTime(at))
    }

    fn nest(&self, open: &mut Vec<Open<'a>>, value: Open<'a>) -> Result<(), LineError> {
        if open.len() == MAX_DEPTH {
            return Err(LineError::TooDeep(self.at));
        }
        open.push(value);
        Ok(())
    }

    /// After a value: closes what ends here; true if another value is due.
    ///
    /// `jsonb` keeps its names by length and then by bytes, so strictly ascending means that none
    /// stands twice, without remembering them.
    fn close(&mut self, open: &mut Vec<Open<'a>>) -> Result<bool, LineError> {
        while let Some(value) = open.last_mut() {
            let comma = self.eat(", ");
            match value {
                Open::Array if comma => return Ok(true),
                Open::Object(last) if comma => {
                    let at = self.at;
                    let name = self.string()?;
                    if (last.len(), &*last) >= (name.len(), &name) {
                        return Err(LineError::NamesOutOfOrder(at));
                    }
                    *last = name;
                    self.expect(": ")?;
                    return Ok(true);
                }
                Open::Array => self.expect("]")?,
                Open::Object(_) => self.expect("}")?,
            }
            open.pop();
        }
        Ok(false)
    }

    fn scalar(&mut self) -> Result<(), LineError> {
        match self.rest().first() {
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.expect("true"),
            Some(b'f') => self.expect("false"),
            Some(b'n') => self.expect("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(LineError::Expected(self.at, "a value")),
        }
    }

    /// A number as integers and `numeric` print it: `-12.50`; no exponent, no `-0`.
    fn number(&mut self) -> Result<(), LineError> {
        let at = self.at;
        let negative = self.eat("-");
        let whole = self.digits();
        let fraction = if self.eat(".") { Some(self.digits()) } else { None };
        let zero = !whole.contains(|c| c != '0') && !fraction.is_some_and(|f| f.contains(|c| c != '0'));
        let canonical = !whole.is_empty()
            && (whole == "0" || !whole.starts_with('0'))
            && fraction != Some("")
            && !(negative && zero);
        if canonical { Ok(()) } else { Err(LineError::BadNumber(at)) }
    }

    fn digits(&mut self) -> &'a str {
        let count = self.rest().iter().take_while(|b| b.is_ascii_digit()).count();
        // Digits are ASCII, so both ends are character boundaries.
        let digits = &self.text[self.at..self.at + count];
        self.at += count;
        digits
    }

    fn escape(&mut self) -> Result<char, LineError> {
        let error = LineError::BadString(self.at);
        let [b'\\', kind, rest @ ..] = self.rest() else {
            return Err(error);
        };
        let (unescaped, length) = match kind {
            b'"' => ('"', 2),
            b'\\' => ('\\', 2),
            b'b' => ('\u{8}', 2),
            b't' => ('\t', 2),
            b'n' => ('\n', 2),
            b'f' => ('\u{c}', 2),
            b'r' => ('\r', 2),
            b'u' => match rest {
                [b'0', b'0', high @ (b'0' | b'1'), low, ..] => {
                    let low = crate::digest::nibble(*low).ok_or(error)?;
                    let control = (high - b'0') << 4 | low;
                    if matches!(control, 0x08 | 0x09 | 0x0a | 0x0c | 0x0d) {
                        return Err(error);
                    }
                    (char::from(control), 6)
                }
                _ => return Err(error),
            },
            _ => return Err(error),
        };
        self.at += length;
        Ok(unescaped)
    }

    /// The next `length` bytes, if they are there and end at a character boundary.
    fn take(&mut self, length: usize) -> Result<&'a str, LineError> {
        let taken = self.text.get(self.at..self.at + length);
        let taken = taken.ok_or(LineError::Expected(self.at, "more"))?;
        self.at += length;
        Ok(taken)
    }

    fn rest(&self) -> &'a [u8] {
        // `at` never passes the end.
        &self.text.as_bytes()[self.at..]
    }
}

/// How many bytes at the start stand for themselves in a string. Whole blocks are tested without an early
/// exit, which compiles to vector instructions.
fn plain_run(bytes: &[u8]) -> usize {
    const BLOCK: usize = 16;
    let plain = |block: &&[u8]| !block.iter().fold(false, |any, &b| any | escaped(b));
    let start = bytes.chunks_exact(BLOCK).take_while(plain).count() * BLOCK;
    // `start` counts whole blocks inside of `bytes`.
    start + bytes[start..].iter().take_while(|&&b| !escaped(b)).count()
}
