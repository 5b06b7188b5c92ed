//! A jsonb's text, exactly as jsonb_out writes it, without a call into PostgreSQL.
//!
//! Nothing is read beyond the value, and no byte of it is written twice, whatever it holds. What PostgreSQL would not have made is
//! left to PostgreSQL.

use super::numeric;
use notary_core::line;

/// `JsonbContainer` of utils/jsonb.h: a word with count and kind, a word for each entry, the entries' bytes.
pub const COUNT: u32 = 0x0fff_ffff;
pub const SCALAR: u32 = 0x1000_0000;
pub const OBJECT: u32 = 0x2000_0000;
pub const ARRAY: u32 = 0x4000_0000;
pub const HAS_OFFSET: u32 = 0x8000_0000;
pub const ENTRY_TYPE: u32 = 0x7000_0000;
pub const STRING: u32 = 0x0000_0000;
pub const NUMERIC: u32 = 0x1000_0000;
pub const FALSE: u32 = 0x2000_0000;
pub const TRUE: u32 = 0x3000_0000;
pub const NULL: u32 = 0x4000_0000;
pub const CONTAINER: u32 = 0x5000_0000;

/// Appends the text of a jsonb, given what stands behind its varlena header; strings as they are stored, be they UTF-8 or not.
/// None where that is not what PostgreSQL makes; something may have been appended then.
pub fn write(out: &mut Vec<u8>, content: &[u8]) -> Option<()> {
    let header = word(content, 0)?;
    if header == ARRAY | SCALAR | 1 {
        let mut scalar = Container::of(content, 1, false)?;
        let entry = scalar.values.next(content)?;
        return write_entry(out, content, scalar.start, entry)?.is_none().then_some(());
    }
    // Those that the innermost one stands in: nesting has no limit, a stack has.
    let mut outer = Vec::new();
    let mut inner = Container::begin(out, content)?;
    loop {
        if let Some(nested) = inner.write(out)? {
            let nested = Container::begin(out, nested)?;
            outer.push(std::mem::replace(&mut inner, nested));
            continue;
        }
        out.push(if inner.is_object { b'}' } else { b']' });
        match outer.pop() {
            Some(container) => inner = container,
            None => return Some(()),
        }
    }
}

/// A container, and how far it is written.
struct Container<'a> {
    bytes: &'a [u8],
    is_object: bool,
    /// Where the entries' bytes start.
    start: usize,
    keys: Entries,
    values: Entries,
}

/// Entries that follow one another.
struct Entries {
    next: usize,
    end: usize,
    /// Where the next one's bytes start.
    at: usize,
}

/// What an entry is, and where its bytes are.
struct Entry {
    kind: u32,
    start: usize,
    end: usize,
}

impl<'a> Container<'a> {
    /// Appends its bracket.
    fn begin(out: &mut Vec<u8>, bytes: &'a [u8]) -> Option<Self> {
        let header = word(bytes, 0)?;
        let is_object = match header & !COUNT {
            OBJECT => true,
            ARRAY => false,
            _ => return None,
        };
        out.push(if is_object { b'{' } else { b'[' });
        Self::of(bytes, (header & COUNT) as usize, is_object)
    }

    fn of(bytes: &'a [u8], count: usize, is_object: bool) -> Option<Self> {
        let keys = if is_object { count } else { 0 };
        let start = 4 + (keys + count) * 4;
        let at = if keys == 0 { 0 } else { end_of(bytes, keys - 1)? };
        let (keys, values) = (Entries { next: 0, end: keys, at: 0 }, Entries { next: keys, end: keys + count, at });
        (start <= bytes.len()).then_some(Self { bytes, is_object, start, keys, values })
    }

    /// Appends entries up to the first one that is a container and is given back, or to the end.
    fn write(&mut self, out: &mut Vec<u8>) -> Option<Option<&'a [u8]>> {
        let mut first = self.values.next == self.keys.end;
        while self.values.next < self.values.end {
            // What only grows in print is refused before it takes all memory.
            if out.len() > line::MAX_LINE {
                return None;
            }
            if !std::mem::take(&mut first) {
                out.extend_from_slice(b", ");
            }
            if self.is_object {
                let key = self.keys.next(self.bytes)?;
                if key.kind != STRING {
                    return None;
                }
                write_entry(out, self.bytes, self.start, key)?;
                out.extend_from_slice(b": ");
            }
            let value = self.values.next(self.bytes)?;
            if let Some(nested) = write_entry(out, self.bytes, self.start, value)? {
                return Some(Some(nested));
            }
        }
        Some(None)
    }
}

impl Entries {
    fn next(&mut self, bytes: &[u8]) -> Option<Entry> {
        let entry = word(bytes, 4 + self.next * 4)?;
        let number = (entry & COUNT) as usize;
        let start = self.at;
        let end = if entry & HAS_OFFSET == 0 { start + number } else { number };
        (self.next, self.at) = (self.next + 1, end);
        Some(Entry { kind: entry & ENTRY_TYPE, start, end })
    }
}

/// Where the bytes of the entry with this index end: lengths are added up to one that has an end and no length.
fn end_of(bytes: &[u8], index: usize) -> Option<usize> {
    let mut end = 0;
    for index in (0..=index).rev() {
        let entry = word(bytes, 4 + index * 4)?;
        end += (entry & COUNT) as usize;
        if entry & HAS_OFFSET != 0 {
            break;
        }
    }
    Some(end)
}

/// Appends an entry, unless it is a container, which is given back.
fn write_entry<'a>(out: &mut Vec<u8>, container: &'a [u8], start: usize, entry: Entry) -> Option<Option<&'a [u8]>> {
    let value = container.get(start + entry.start..start + entry.end)?;
    // Numbers and containers are aligned, counted from the start of all entries.
    let aligned = || value.get(entry.start.next_multiple_of(4) - entry.start..);
    match entry.kind {
        STRING => line::write_bytes(out, value),
        NUMERIC => numeric::write(out, content(aligned()?)?)?,
        FALSE => out.extend_from_slice(b"false"),
        TRUE => out.extend_from_slice(b"true"),
        NULL => out.extend_from_slice(b"null"),
        CONTAINER => return Some(Some(aligned()?)),
        _ => return None,
    }
    Some(None)
}

/// What stands behind the header of a varlena that is neither compressed nor in TOAST.
fn content(value: &[u8]) -> Option<&[u8]> {
    match *value.first()? {
        0x01 => None,
        first if first & 1 == 1 => value.get(1..usize::from(first >> 1)),
        first if first & 3 == 0 => value.get(4..(word(value, 0)? >> 2) as usize),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
