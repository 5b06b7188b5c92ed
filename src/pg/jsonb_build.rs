//! A jsonb object of scalars, made as jsonb_in makes it from their JSON, without a call into PostgreSQL: a captured change is
//! one or two of them, and reading JSON again that was written just now costs more than writing it.
//!
//! Invariant: the bytes are those of jsonb_in, or there are none and jsonb_in is to be asked: containers, strings with escapes,
//! numbers with exponents or very many digits.

use super::jsonb::{FALSE, HAS_OFFSET, NULL, NUMERIC, OBJECT, STRING, TRUE};
use super::numeric;

/// Every so many entries one has its end instead of its length (JB_OFFSET_STRIDE of utils/jsonb.h).
const STRIDE: usize = 32;
/// Larger ones are left to PostgreSQL, which knows the limits.
const MOST: usize = 1 << 24;

/// A member: its key as it is, and its value as JSON.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    pub key: &'a [u8],
    pub json: &'a [u8],
}

/// The object of these members, whose keys are distinct, behind its varlena header of four bytes. Their order changes.
pub fn object(members: &mut [Member<'_>]) -> Option<Vec<u8>> {
    // As PostgreSQL sorts keys.
    members.sort_unstable_by(|a, b| (a.key.len(), a.key).cmp(&(b.key.len(), b.key)));
    let size: usize = members.iter().map(|member| member.key.len() + member.json.len() + 16).sum();
    if size > MOST {
        return None;
    }
    let mut object = Builder { out: Vec::with_capacity(size + 8), start: 8 + members.len() * 8, entries: 0 };
    object.out.resize(object.start, 0);
    object.put(4, OBJECT | u32::try_from(members.len()).ok()?);
    for member in members.iter() {
        object.out.extend_from_slice(member.key);
        object.entry(STRING, member.key.len())?;
    }
    for member in members.iter() {
        object.value(member.json)?;
    }
    let length = u32::try_from(object.out.len()).ok()?;
    object.put(0, length << 2);
    Some(object.out)
}

struct Builder {
    out: Vec<u8>,
    /// Where the entries' bytes start.
    start: usize,
    entries: usize,
}

impl Builder {
    fn put(&mut self, at: usize, word: u32) {
        self.out[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }

    /// Notes an entry of this kind, whose bytes are the last ones of `out`.
    fn entry(&mut self, kind: u32, length: usize) -> Option<()> {
        let number = match self.entries % STRIDE {
            0 => HAS_OFFSET | u32::try_from(self.out.len() - self.start).ok()?,
            _ => u32::try_from(length).ok()?,
        };
        self.put(8 + self.entries * 4, kind | number);
        self.entries += 1;
        Some(())
    }

    fn value(&mut self, json: &[u8]) -> Option<()> {
        let from = self.out.len();
        let kind = match json {
            b"null" => NULL,
            b"true" => TRUE,
            b"false" => FALSE,
            [b'"', string @ .., b'"'] if !string.iter().any(|b| matches!(b, b'"' | b'\\')) => {
                self.out.extend_from_slice(string);
                STRING
            }
            [b'-' | b'0'..=b'9', ..] => {
                // Aligned, counted from the start, which is.
                self.out.resize(from.next_multiple_of(4), 0);
                numeric::read(&mut self.out, json)?;
                NUMERIC
            }
            _ => return None,
        };
        self.entry(kind, self.out.len() - from)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Member, object};
    use crate::pg::jsonb;

    fn built(members: &[(&str, &str)]) -> Option<Vec<u8>> {
        object(
            &mut members
                .iter()
                .map(|(key, json)| Member { key: key.as_bytes(), json: json.as_bytes() })
                .collect::<Vec<_>>(),
        )
    }

    /// What PostgreSQL 15 stored for `'{"b": 1, "a": -120000.05, "long": "x", "n": null}'::jsonb`, read from its page.
    #[test]
    fn an_object_has_the_bytes_that_postgresql_gives_it() {
        let expected = concat!(
            "1401000004000020010000800100000001000000040000000d0000100800001000000040",
            "0100000061626e6c6f6e67003000000001a10c000000f401200000000080010078"
        );
        let bytes = built(&[("b", "1"), ("a", "-120000.05"), ("long", "\"x\""), ("n", "null")]).unwrap();
        assert_eq!(hex::encode(bytes), expected);
    }

    #[test]
    fn what_was_built_reads_as_it_was_given() {
        let keys: Vec<String> = (10..99).map(|n| format!("k{n}")).collect();
        let members: Vec<(&str, &str)> = keys
            .iter()
            .zip(["1", "\"text\"", "true", "0.50", "\"\"", "null", "-9999999999999999"].into_iter().cycle())
            .map(|(key, json)| (key.as_str(), json))
            .collect();
        let bytes = built(&members).unwrap();
        let mut text = Vec::new();
        jsonb::write(&mut text, &bytes[4..]).unwrap();
        let expected: Vec<String> = members.iter().map(|(key, json)| format!("\"{key}\": {json}")).collect();
        assert_eq!(String::from_utf8(text).unwrap(), format!("{{{}}}", expected.join(", ")));
    }

    #[test]
    fn what_is_not_plain_is_left_to_postgresql() {
        for json in ["{}", "[]", "\"a\\n\"", "1e5", "1E5", "01x", "-", ".5", "nul", "\"", "", "1.", "--1", "\"a\"b\""] {
            assert_eq!(built(&[("a", json)]), None, "{json}");
        }
        assert_eq!(built(&[("a", &"9".repeat(200))]), None);
        assert!(built(&[]).is_some());
    }
}
