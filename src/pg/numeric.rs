//! A numeric's text, exactly as numeric_out writes it, and back, as numeric_in reads it, without a call into PostgreSQL.

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

/// Digits, before and behind the point, up to which a number is read here: any such number has a header of two bytes.
const MAX_DIGITS: usize = 60;

/// Appends the numeric, with a varlena header of four bytes, that numeric_in makes of a JSON number. None where that is to be
/// asked: for numbers with exponents or very many digits, and for what is no number; nothing was appended then.
pub fn read(out: &mut Vec<u8>, json: &[u8]) -> Option<()> {
    let (negative, text) = json.strip_prefix(b"-").map_or((false, json), |text| (true, text));
    let (whole, fraction) = match text.iter().position(|b| *b == b'.') {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &[][..]),
    };
    let is_number = !whole.is_empty()
        && (fraction.is_empty() == (whole.len() == text.len()))
        && whole.len() + fraction.len() <= MAX_DIGITS
        && whole.iter().chain(fraction).all(u8::is_ascii_digit);
    if !is_number {
        return None;
    }
    // Digits to the base 10,000, counted from the point to both sides.
    let mut digits = [0_u16; MAX_DIGITS / 4 + 2];
    let before = whole.len().div_ceil(4);
    let behind = fraction.len().div_ceil(4);
    let decimal = |digits: &mut [u16], at: usize, digit: u8| digits[at] = digits[at] * 10 + u16::from(digit - b'0');
    let missing = before * 4 - whole.len();
    for (i, digit) in whole.iter().enumerate() {
        decimal(&mut digits, (missing + i) / 4, *digit);
    }
    for i in 0..behind * 4 {
        decimal(&mut digits, before + i / 4, fraction.get(i).copied().unwrap_or(b'0'));
    }
    let digits = &digits[..before + behind];
    let first = digits.iter().position(|digit| *digit != 0);
    let (first, last) = (first.unwrap_or(0), digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1));
    let is_zero = last == 0;
    let weight = if is_zero { 0 } else { i32::try_from(before).ok()? - 1 - i32::try_from(first).ok()? };
    let sign = if negative && !is_zero { SHORT_NEGATIVE } else { 0 };
    let scale = u16::try_from(fraction.len()).ok()?;
    let below = if weight < 0 { 0x40 } else { 0 };
    let stored = if is_zero { &[][..] } else { &digits[first..last] };
    let length = u32::try_from(4 + 2 + stored.len() * 2).ok()?;
    out.extend_from_slice(&(length << 2).to_ne_bytes());
    out.extend_from_slice(&(SHORT | sign | scale << 7 | below | (weight as u16 & 0x3f)).to_ne_bytes());
    stored.iter().for_each(|digit| out.extend_from_slice(&digit.to_ne_bytes()));
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{read, write};

    #[test]
    fn a_number_is_read_as_it_is_written() {
        let longest = "1234567890".repeat(6);
        for text in [
            "0",
            "0.00",
            "1",
            "-1",
            "9999",
            "10000",
            "10001",
            "100000000",
            "123456789012345678",
            "0.5",
            "0.0001",
            "0.00001",
            "-0.000000005",
            "12345.678900",
            "1000.1000",
            "99999999.99999999",
            &longest,
        ] {
            let (mut bytes, mut again) = (Vec::new(), Vec::new());
            read(&mut bytes, text.as_bytes()).unwrap();
            write(&mut again, &bytes[4..]).unwrap();
            assert_eq!(String::from_utf8(again).unwrap(), text);
        }
        let (mut zero, mut negative) = (Vec::new(), Vec::new());
        read(&mut zero, b"0.0").unwrap();
        read(&mut negative, b"-0.0").unwrap();
        assert_eq!(zero, negative, "a zero has no sign");
    }

    #[test]
    fn no_digit_is_stored_that_is_a_zero_at_an_end() {
        let stored = |text: &[u8]| {
            let mut bytes = Vec::new();
            read(&mut bytes, text).unwrap();
            (bytes.len() - 6) / 2
        };
        assert_eq!(
            [stored(b"0"), stored(b"10000"), stored(b"0.00010000"), stored(b"1.0000"), stored(b"10000.0001")],
            [0, 1, 1, 1, 3]
        );
    }

    #[test]
    fn what_is_no_plain_number_is_not_read() {
        for text in ["", "-", ".", "1.", ".5", "1e3", "--1", "1-", "1.2.3", "0x1", &"1".repeat(61)] {
            let mut bytes = Vec::new();
            assert_eq!(read(&mut bytes, text.as_bytes()), None, "{text}");
            assert!(bytes.is_empty());
        }
    }
}
