//! A numeric's text, exactly as numeric_out writes it, without a call into PostgreSQL.

use notary_core::decimal::{four, write_uint};

/// `NumericData` of utils/adt/numeric.c: two bits that say how the rest is to be read.
const KIND: u16 = 0xc000;
const SPECIAL: u16 = 0xc000;
const SHORT: u16 = 0x8000;
const NEGATIVE: u16 = 0x4000;
const SHORT_NEGATIVE: u16 = 0x2000;
const INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;

/// Appends the text of a numeric, given what stands behind its varlena header. None where that is not what PostgreSQL makes;
/// something may have been appended then.
pub fn write(out: &mut Vec<u8>, content: &[u8]) -> Option<()> {
    let header = u16::from_ne_bytes(*content.first_chunk()?);
    if header & KIND == SPECIAL {
        let text: &[u8] = match header {
            INFINITY => b"Infinity",
            MINUS_INFINITY => b"-Infinity",
            _ => b"NaN",
        };
        out.extend_from_slice(text);
        return Some(());
    }
    let (negative, scale, weight, digits);
    if header & KIND == SHORT {
        negative = header & SHORT_NEGATIVE != 0;
        scale = header >> 7 & 0x3f;
        // A sign bit and six bits.
        weight = i32::from(header & 0x3f) - i32::from(header & 0x40);
        digits = content.get(2..)?;
    } else {
        negative = header & KIND == NEGATIVE;
        scale = header & 0x3fff;
        weight = i32::from(i16::from_ne_bytes(*content.get(2..)?.first_chunk()?));
        digits = content.get(4..)?;
    }
    let (digits, []) = digits.as_chunks::<2>() else { return None };
    write_parts(out, negative, scale.into(), weight, digits)
}

/// The digits are to the base 10,000; the first one counts 10,000 to the power of `weight`.
fn write_parts(out: &mut Vec<u8>, negative: bool, scale: usize, weight: i32, digits: &[[u8; 2]]) -> Option<()> {
    let digit = |place: i32| {
        let stored = usize::try_from(place).ok().and_then(|place| digits.get(place));
        let digit = stored.map_or(0, |digit| u16::from_ne_bytes(*digit));
        (digit < 10_000).then_some(u32::from(digit))
    };
    if negative {
        out.push(b'-');
    }
    // The first digit without zeros in front; a zero where there is none before the point.
    write_uint(out, if weight < 0 { 0 } else { digit(0)?.into() });
    for place in 1..=weight {
        out.extend_from_slice(&four(digit(place)?));
    }
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + scale;
        let mut place = weight + 1;
        while out.len() < end {
            out.extend_from_slice(&four(digit(place)?));
            place += 1;
        }
        out.truncate(end);
    }
    Some(())
}
