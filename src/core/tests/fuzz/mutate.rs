//! What becomes of a text: bits, bytes, lines, numbers, base64 and encodings are changed, in ways that parsers are
//! known to fall for. Tests of the server use it too.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// The longest text that is made.
const LONGEST: usize = 1 << 16;

/// What is put in or written over.
const TOKENS: [&str; 64] = [
    "\r\n",
    "\r",
    "\n",
    "\n\n",
    "\0",
    "\t",
    " ",
    "  ",
    "\u{b}",
    "\u{c}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "\u{301}",
    "é",
    "١",
    "—",
    "— ",
    "-",
    "--",
    "+",
    "=",
    "==",
    "/",
    "//",
    "_",
    "~",
    ".",
    ",",
    ":",
    ": ",
    ", ",
    "\"",
    "\\",
    "\\n",
    "\\/",
    "\\u000a",
    "\\u00e9",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "{}",
    "[",
    "]",
    "[]",
    "true",
    "null",
    "0",
    "00",
    "-0",
    "1e3",
    "1.0",
    "0x1",
    "infinity",
    " BC",
    "Z",
    "extra ",
    "index ",
    "A",
    "AAAA",
    "pg_notary-secret-1+",
];

/// Numbers at the edges of types.
const NUMBERS: [&str; 22] = [
    "0",
    "1",
    "2",
    "9",
    "10",
    "63",
    "64",
    "65",
    "255",
    "256",
    "257",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
];

const BYTES: &[u8] =
    b"\0\x01\t\n\x0b\r\x1f \"+-./09=AZ\\_az{|}~\x7f\x80\x9f\xa0\xbf\xc0\xc2\xc3\xe2\xed\xf0\xf4\xf5\xff";

const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Makes texts from texts, the same for the same seed.
pub struct Mutator {
    random: StdRng,
}

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed) }
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end)
    }

    /// One of several; there is at least one.
    pub fn pick<'t, T>(&mut self, several: &'t [T]) -> &'t T {
        several.choose(&mut self.random).expect("there is one")
    }

    /// `text` with one to four changes; `other` lends it pieces.
    pub fn mutate(&mut self, text: &[u8], other: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        for _ in 0..=[0, 0, 0, 1, 2, 3][self.below(6)] {
            self.change(&mut text, other);
            text.truncate(LONGEST);
        }
        text
    }

    fn change(&mut self, text: &mut Vec<u8>, other: &[u8]) {
        match self.below(24) {
            0 => self.at_byte(text, |byte, random| *byte ^= 1 << random.below(8)),
            1 | 2 => self.at_byte(text, |byte, random| *byte = *random.pick(BYTES)),
            3 => self.at_byte(text, |byte, random| *byte = *random.pick(DIGITS)),
            // The letters of ASCII differ in case by this bit.
            4 => self.at_byte(text, |byte, _| *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 1 }),
            5 => self.put(text, 0, other),
            6 | 7 => self.token(text, 0),
            8 => self.token(text, 1),
            9 => {
                let piece = self.range(text.len(), 8);
                text.drain(piece);
            }
            10 => {
                let piece = self.range(text.len(), usize::MAX);
                text.drain(piece);
            }
            11 => {
                let piece = self.range(text.len(), 64);
                let copy = text[piece].to_vec();
                self.put(text, 0, &copy);
            }
            12 => text.truncate(self.position(text.len())),
            13..=16 => self.lines(text, other),
            17 | 18 => self.number(text),
            19 | 20 => self.base64(text),
            21 => self.string(text),
            22 => self.encoding(text),
            _ => {
                // The tail of another.
                let (at, from) = (self.position(text.len()), self.position(other.len()));
                text.truncate(at);
                text.extend_from_slice(&other[from..]);
            }
        }
    }

    fn position(&mut self, length: usize) -> usize {
        self.below(length + 1)
    }

    fn range(&mut self, length: usize, longest: usize) -> std::ops::Range<usize> {
        let start = self.position(length);
        start..start + self.position(longest.min(length - start))
    }

    fn at_byte(&mut self, text: &mut [u8], change: impl FnOnce(&mut u8, &mut Self)) {
        if !text.is_empty() {
            let at = self.below(text.len());
            change(&mut text[at], self);
        }
    }

    /// A piece of `other` in the place of up to `over` bytes.
    fn put(&mut self, text: &mut Vec<u8>, over: usize, other: &[u8]) {
        let piece = self.range(other.len(), 256);
        let place = self.range(text.len(), over);
        text.splice(place, other[piece].iter().copied());
    }

    fn token(&mut self, text: &mut Vec<u8>, over: usize) {
        let token = *self.pick(&TOKENS);
        let place = self.range(text.len(), over);
        text.splice(place, token.bytes());
    }

    /// A line twice, away, elsewhere, joined with the next, with another end, or of the other text.
    fn lines(&mut self, text: &mut Vec<u8>, other: &[u8]) {
        let mut lines: Vec<Vec<u8>> = text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        let (at, to) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(8) {
            0 => lines.insert(to, lines[at].clone()),
            1 => drop(lines.remove(at)),
            2 => lines.swap(at, to),
            3 => drop(lines[at].pop()),
            4 => {
                lines[at].pop();
                lines[at].extend_from_slice(self.pick(&TOKENS).as_bytes());
                lines[at].push(b'\n');
            }
            5 => lines.insert(to, b"\n".to_vec()),
            6 => {
                let theirs: Vec<&[u8]> = other.split_inclusive(|&byte| byte == b'\n').collect();
                if !theirs.is_empty() {
                    lines.insert(to, self.pick(&theirs).to_vec());
                }
            }
            _ => {
                let theirs: Vec<&[u8]> = other.split_inclusive(|&byte| byte == b'\n').collect();
                if !theirs.is_empty() {
                    lines[at] = self.pick(&theirs).to_vec();
                }
            }
        }
        *text = lines.concat();
    }

    /// Another number in the place of one, or the same spelt otherwise.
    fn number(&mut self, text: &mut Vec<u8>) {
        let Some(place) = self.run(text, |byte| byte.is_ascii_digit(), 1) else {
            return;
        };
        let old = text[place.clone()].to_vec();
        let new = match self.below(6) {
            0 => [b"0", &old[..]].concat(),
            1 => [b"+", &old[..]].concat(),
            2 => [b"-", &old[..]].concat(),
            3 => [&old[..], b"0"].concat(),
            _ => self.pick(&NUMBERS).as_bytes().to_vec(),
        };
        text.splice(place, new);
    }

    /// Another spelling of base64: a bit that nobody reads, padding, the other alphabet.
    fn base64(&mut self, text: &mut Vec<u8>) {
        let digit = |byte: u8| DIGITS.contains(&byte) || byte == b'=';
        let Some(place) = self.run(text, digit, 20) else {
            return;
        };
        let mut new = text[place.clone()].to_vec();
        let digits = new.iter().take_while(|&&byte| byte != b'=').count();
        match self.below(6) {
            0 if digits > 0 => {
                let value = DIGITS.iter().position(|&digit| digit == new[digits - 1]);
                new[digits - 1] = DIGITS[value.unwrap_or(0) ^ 1];
            }
            1 => new.truncate(digits),
            2 => new.push(b'='),
            3 => new.iter_mut().for_each(|byte| *byte = if *byte == b'/' { b'_' } else { *byte }),
            4 => {
                let at = self.position(new.len());
                new.splice(at..at, *b"AAAA");
            }
            _ => {
                let at = self.position(new.len());
                new.insert(at, *self.pick(b" \n\r="));
            }
        }
        text.splice(place, new);
    }

    /// A letter as the escape that JSON also allows for it.
    fn string(&mut self, text: &mut Vec<u8>) {
        let Some(place) = self.run(text, |byte| byte.is_ascii_alphabetic(), 1) else {
            return;
        };
        let escape = match self.below(3) {
            0 => format!("\\u{:04x}", text[place.start]),
            1 => format!("\\u{:04X}", text[place.start]),
            _ => format!("\\{}", char::from(text[place.start])),
        };
        text.splice(place.start..=place.start, escape.bytes());
    }

    /// All of it in another encoding, or with other ends of lines.
    fn encoding(&mut self, text: &mut Vec<u8>) {
        let spelt = String::from_utf8_lossy(text).into_owned();
        *text = match self.below(7) {
            0 => spelt.replace('\n', "\r\n").into_bytes(),
            1 => format!("\u{feff}{spelt}").into_bytes(),
            2 => spelt.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            // Latin-1, where it can be; then UTF-8 taken for Latin-1.
            3 => spelt.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
            4 => text.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes(),
            5 => spelt.to_uppercase().into_bytes(),
            _ => spelt.trim_end().as_bytes().to_vec(),
        };
    }

    /// One of the stretches of at least `shortest` such bytes.
    fn run(&mut self, text: &[u8], is: impl Fn(u8) -> bool, shortest: usize) -> Option<std::ops::Range<usize>> {
        let mut runs = Vec::new();
        let mut start = 0;
        for at in 0..=text.len() {
            if text.get(at).is_none_or(|&byte| !is(byte)) {
                if at - start >= shortest {
                    runs.push(start..at);
                }
                start = at + 1;
            }
        }
        (!runs.is_empty()).then(|| self.pick(&runs).clone())
    }
}
