//! Times as applications write them: ISO 8601 and RFC 3339, and numbers since 1970.
//!
//! Invariants: no floating point; what is finer than a microsecond is cut off, towards the past, and told; every time
//! lies in the years 0001 to 9999 of UTC.

use crate::time::{MICROS_PER_DAY, date, days};

/// Microseconds from 1970-01-01 to 2000-01-01.
pub(super) const UNIX_EPOCH: i64 = 946_684_800_000_000;

/// Microseconds since 2000-01-01 UTC in the years that an event may be of: 0001 to 9999.
pub const TIMES: std::ops::Range<i64> = days(1, 1, 1) * MICROS_PER_DAY..days(10_000, 1, 1) * MICROS_PER_DAY;

/// A time, and whether it is all that the text said: false if digits other than 0 were cut off.
pub(super) type Read = Option<(i64, bool)>;

/// Microseconds since 2000-01-01 UTC of a text such as `2026-11-20T16:07:00.123+01:00`.
///
/// `YYYY-MM-DD`, then nothing (midnight) or `T`, `t` or a space and `hh:mm`, `hh:mm:ss` or `hh:mm:ss.f` with any number
/// of decimals after a point or a comma, then nothing (UTC), `Z`, `z`, `±hh`, `±hhmm` or `±hh:mm`. As in PostgreSQL,
/// `24:00:00` ends the day, second 60 is the next minute, and zones reach to ±15:59. Decimals after the sixth are cut
/// off.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    read_text(text).map(|(micros, _)| micros)
}

/// What [`parse_time`] reads.
pub(super) fn read_text(text: &str) -> Read {
    let mut rest = text.as_bytes();
    let rest = &mut rest;
    let date = read_date(rest)?;
    if rest.is_empty() {
        return in_range(date, true);
    }
    eat(rest, b"Tt ").then_some(())?;
    let (hour, minute) = (number(rest, 2)?, after(rest, b":", 2)?);
    let mut second = 0;
    let (mut micros, mut exact) = (0, true);
    if rest.starts_with(b":") {
        second = after(rest, b":", 2)?;
        if eat(rest, b".,") {
            (micros, exact) = decimals(rest)?;
        }
    }
    if hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let time = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros;
    if time > MICROS_PER_DAY {
        return None;
    }
    let zone = read_zone(rest)?;
    if rest.is_empty() { in_range(date + time - zone, exact) } else { None }
}

/// A number since 1970: seconds below 10^11, milliseconds below 10^14, microseconds below 10^17.
pub(super) fn read_number(number: &str) -> Read {
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |number| (true, number));
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let zeros = whole.bytes().chain(fraction.bytes()).take_while(|&digit| digit == b'0').count();
    let mut digits = whole.bytes().chain(fraction.bytes()).skip(zeros).map(|digit| i64::from(digit) - i64::from(b'0'));
    // How many of the digits stand before the point: fewer than none if zeros follow it.
    let before = i64::try_from(whole.len()).ok()? - i64::try_from(zeros).ok()? + i64::from(exponent);
    let zero = zeros == whole.len() + fraction.len();
    let decimals = match before {
        _ if zero => 0,
        ..=11 => 6,
        12..=14 => 3,
        15..=17 => 0,
        _ => return None,
    };
    let count = if zero { 0 } else { before + decimals };
    let micros = (0..count).fold(0, |micros, _| micros * 10 + digits.next().unwrap_or(0));
    let exact = !digits.any(|digit| digit != 0);
    let micros = if negative { -micros - i64::from(!exact) } else { micros };
    in_range(micros - UNIX_EPOCH, exact)
}

fn in_range(micros: i64, exact: bool) -> Read {
    TIMES.contains(&micros).then_some((micros, exact))
}

/// The microseconds of a date's midnight.
fn read_date(rest: &mut &[u8]) -> Option<i64> {
    let (year, month, day) = (number(rest, 4)?, after(rest, b"-", 2)?, after(rest, b"-", 2)?);
    if !(1..=12).contains(&month) {
        return None;
    }
    // The thirtieth of February is another day.
    let day_number = days(year, month, day);
    (date(day_number) == (year, month, day)).then_some(day_number * MICROS_PER_DAY)
}

/// The first six decimals as microseconds, and whether the others are all 0.
fn decimals(rest: &mut &[u8]) -> Option<(i64, bool)> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (decimals, after) = rest.split_at(digits);
    *rest = after;
    let digit = |at: usize| decimals.get(at).map_or(0, |digit| i64::from(digit - b'0'));
    let micros = (0..6).fold(0, |micros, at| micros * 10 + digit(at));
    let exact = decimals.iter().skip(6).all(|&digit| digit == b'0');
    (digits > 0).then_some((micros, exact))
}

/// How far a zone is ahead of UTC, in microseconds.
fn read_zone(rest: &mut &[u8]) -> Option<i64> {
    if rest.is_empty() || eat(rest, b"Zz") {
        return Some(0);
    }
    let west = rest.starts_with(b"-");
    eat(rest, b"+-").then_some(())?;
    let hours = number(rest, 2)?;
    let minutes = match rest {
        [] => 0,
        [b':', ..] => after(rest, b":", 2)?,
        _ => number(rest, 2)?,
    };
    let ahead = (hours * 60 + minutes) * 60_000_000;
    (hours <= 15 && minutes <= 59).then_some(if west { -ahead } else { ahead })
}

/// One of these bytes, if it is next.
fn eat(rest: &mut &[u8], any: &[u8]) -> bool {
    match rest {
        [first, after @ ..] if any.contains(first) => {
            *rest = after;
            true
        }
        _ => false,
    }
}

fn after(rest: &mut &[u8], separator: &[u8], width: usize) -> Option<i64> {
    eat(rest, separator).then_some(())?;
    number(rest, width)
}

/// A number of just so many digits.
fn number(rest: &mut &[u8], width: usize) -> Option<i64> {
    let (digits, after) = rest.split_at_checked(width)?;
    *rest = after;
    let decimal = digits.iter().all(u8::is_ascii_digit);
    decimal.then(|| digits.iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0')))
}
