//! Numbers in decimal, two digits at a time: a line holds many of them.

/// The digits of 00 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0_u8;
    while n < 100 {
        pairs[n as usize] = [b'0' + n / 10, b'0' + n % 10];
        n += 1;
    }
    pairs
};

/// The two digits of a number below 100.
#[must_use]
pub const fn two(n: u32) -> [u8; 2] {
    // The remainder is an index of the table, whatever the number.
    PAIRS[(n % 100) as usize]
}

/// The four digits of a number below 10,000.
#[must_use]
pub const fn four(n: u32) -> [u8; 4] {
    let ([a, b], [c, d]) = (two(n / 100), two(n));
    [a, b, c, d]
}

/// Appends a number.
pub fn write_uint(out: &mut Vec<u8>, n: u64) {
    // As many as u64::MAX has.
    let mut digits = [0; 20];
    let (mut start, mut rest) = (digits.len(), n);
    while rest >= 10 {
        // A remainder of a hundred fits any integer; the places suffice for every number, as above.
        let pair = two((rest % 100) as u32);
        start -= 2;
        digits[start..start + 2].copy_from_slice(&pair);
        rest /= 100;
    }
    if rest > 0 || n == 0 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends a number with its sign.
pub fn write_int(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    write_uint(out, n.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(n: i64) -> String {
        let mut out = Vec::new();
        write_int(&mut out, n);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_around_powers_of_ten_are_those_of_the_standard_library() {
        let powers = (0..19).map(|n| 10_i64.pow(n));
        for n in powers.flat_map(|n| [n - 1, n, n + 1, 9 * n]).chain([i64::MAX, i64::MIN]) {
            assert_eq!(written(n), n.to_string());
            assert_eq!(written(n.wrapping_neg()), n.wrapping_neg().to_string());
        }
        let mut out = Vec::new();
        write_uint(&mut out, u64::MAX);
        assert_eq!(out, u64::MAX.to_string().as_bytes());
    }

    #[test]
    fn digits_have_zeros_in_front() {
        for n in 0..10_000 {
            assert_eq!(four(n), *format!("{n:04}").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_number_is_that_of_the_standard_library(n: i64) {
            prop_assert_eq!(written(n), n.to_string());
        }
    }
}
