//! PostgreSQL's timestamps, written as the format wants them: `2026-11-20T16:07:00.123456Z`.
//!
//! A timestamp is a count of microseconds since 2000-01-01 00:00 (UTC for `timestamptz`) in the
//! proleptic Gregorian calendar, as PostgreSQL stores it; the two ends of `i64` are the infinities.
//! Always six decimals, at least four digits of year, BC years counted from 1 with the suffix ` BC`
//! (after `Z`). Every `i64` has exactly one spelling, and only that one is read.

use crate::decimal::{four, two, write_int};
use std::fmt;
use std::str::FromStr;

/// Microseconds since 2000-01-01 00:00 UTC; `i64::MIN` is `-infinity`, `i64::MAX` is `infinity`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Timestamp(pub i64);

/// A text is not the canonical spelling of a timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotATimestamp;

pub(crate) const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Days from 0000-03-01, where the calendar arithmetic starts, to 2000-01-01.
const EPOCH: i64 = 730_425;
/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;

impl Timestamp {
    /// Neither of the infinities.
    #[must_use]
    pub const fn is_finite(self) -> bool {
        self.0 != i64::MIN && self.0 != i64::MAX
    }
}

/// Appends a `timestamptz` without quotes: `2026-11-20T16:07:00.123456Z`, `0044-03-15T00:00:00.000000Z BC`, `infinity`.
pub fn write_timestamptz(out: &mut Vec<u8>, t: i64) {
    write(out, t, b"Z");
}

/// Appends a `timestamp` without quotes: the same without `Z`.
pub fn write_timestamp(out: &mut Vec<u8>, t: i64) {
    write(out, t, b"");
}

/// Reads what [`write_timestamptz`] writes, and no other spelling of it.
#[must_use]
pub fn parse_timestamptz(text: &str) -> Option<i64> {
    let t = match text {
        "infinity" => i64::MAX,
        "-infinity" => i64::MIN,
        _ => parse_finite(text.as_bytes())?,
    };
    // One check instead of many: whatever was read must be spelt just so.
    let mut canonical = Vec::with_capacity(text.len());
    write_timestamptz(&mut canonical, t);
    (canonical == text.as_bytes()).then_some(t)
}

fn write(out: &mut Vec<u8>, t: i64, zone: &[u8]) {
    match t {
        i64::MIN => return out.extend_from_slice(b"-infinity"),
        i64::MAX => return out.extend_from_slice(b"infinity"),
        _ => {}
    }
    let (year, month, day) = date(t.div_euclid(MICROS_PER_DAY));
    let micros = t.rem_euclid(MICROS_PER_DAY);
    // Less than a day's, and not negative.
    let [seconds, micros] = [micros / 1_000_000, micros % 1_000_000].map(|n| u32::try_from(n).unwrap_or(0));
    let (minutes, millis) = (seconds / 60, micros / 100);
    let before_christ = write_day(out, year, month, day);
    let mut time = *b"T00:00:00.000000";
    time[1..3].copy_from_slice(&two(minutes / 60));
    time[4..6].copy_from_slice(&two(minutes % 60));
    time[7..9].copy_from_slice(&two(seconds % 60));
    time[10..14].copy_from_slice(&four(millis));
    time[14..].copy_from_slice(&two(micros));
    out.extend_from_slice(&time);
    out.extend_from_slice(zone);
    if before_christ {
        out.extend_from_slice(b" BC");
    }
}

/// Appends a `date` without quotes, the days since 2000-01-01 as PostgreSQL stores it: `2026-11-20`, `0044-03-15 BC`,
/// `infinity`.
pub fn write_date(out: &mut Vec<u8>, days: i32) {
    match days {
        i32::MIN => return out.extend_from_slice(b"-infinity"),
        i32::MAX => return out.extend_from_slice(b"infinity"),
        _ => {}
    }
    let (year, month, day) = date(days.into());
    if write_day(out, year, month, day) {
        out.extend_from_slice(b" BC");
    }
}

/// Appends `YYYY-MM-DD`; is it before Christ?
fn write_day(out: &mut Vec<u8>, year: i64, month: i64, day: i64) -> bool {
    let before_christ = year < 1;
    let year = if before_christ { 1 - year } else { year };
    match u32::try_from(year) {
        Ok(year @ ..10_000) => out.extend_from_slice(&four(year)),
        _ => write_int(out, year),
    }
    let mut rest = *b"-00-00";
    // A month and a day of it have two digits at most.
    rest[1..3].copy_from_slice(&two(u32::try_from(month).unwrap_or(0)));
    rest[4..].copy_from_slice(&two(u32::try_from(day).unwrap_or(0)));
    out.extend_from_slice(&rest);
    before_christ
}

/// Year (0 is 1 BC), month and day of a day number counted from 2000-01-01.
///
/// Years are counted from March here, so that the leap day is the last of its year.
pub(crate) const fn date(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let january_or_february = month <= 2;
    (era * 400 + year_of_era + january_or_february as i64, month, day)
}

/// The inverse of [`date`]; days and months out of range give some day, which the caller refuses.
pub(crate) const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - (month <= 2) as i64;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH
}

/// Reads `YYYY-MM-DDTHH:MM:SS.ffffffZ` with an optional ` BC`, loosely: the caller compares spellings.
fn parse_finite(text: &[u8]) -> Option<i64> {
    let (text, before_christ) = match text.strip_suffix(b" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut numbers = text.strip_suffix(b"Z")?.split(|b| !b.is_ascii_digit()).map(number);
    let mut next = || numbers.next().flatten();
    let year = next()?;
    let (month, day) = (next()?, next()?);
    let (hour, minute, second, micros) = (next()?, next()?, next()?, next()?);
    let year = if before_christ { 1 - year } else { year };
    // Wider than 64 bits: the first day of all begins before what they hold.
    let of_day = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros;
    i64::try_from(i128::from(days(year, month, day)) * i128::from(MICROS_PER_DAY) + i128::from(of_day)).ok()
}

/// A number of at most six digits, so that no arithmetic on it can overflow.
fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 6 {
        return None;
    }
    Some(digits.iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0')))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(32);
        write_timestamptz(&mut out, self.0);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        parse_timestamptz(text).map(Self).ok_or(NotATimestamp)
    }
}

impl fmt::Display for NotATimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a timestamp in canonical form")
    }
}

impl std::error::Error for NotATimestamp {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VECTORS: &str = include_str!("../../tests/vectors/timestamps.jsonl");

    #[test]
    fn golden_timestamps_are_those_of_postgresql() {
        for vector in VECTORS.lines() {
            let vector: serde_json::Value = serde_json::from_str(vector).unwrap();
            let t = vector["micros"].as_i64().unwrap();
            let (mut with_zone, mut without) = (Vec::new(), Vec::new());
            write_timestamptz(&mut with_zone, t);
            write_timestamp(&mut without, t);
            assert_eq!(with_zone, vector["timestamptz"].as_str().unwrap().as_bytes());
            assert_eq!(without, vector["timestamp"].as_str().unwrap().as_bytes());
            assert_eq!(parse_timestamptz(vector["timestamptz"].as_str().unwrap()), Some(t));
        }
    }

    #[test]
    fn days_are_the_inverse_of_dates_through_leap_years_and_centuries() {
        for day in (-2_500_000..2_500_000).step_by(7) {
            let (year, month, day_of_month) = date(day);
            assert_eq!(days(year, month, day_of_month), day);
        }
    }

    #[test]
    fn the_first_and_the_last_day_are_read_as_they_are_written() {
        for t in [i64::MIN, i64::MIN + 1, i64::MIN + MICROS_PER_DAY, i64::MAX - MICROS_PER_DAY, i64::MAX - 1, i64::MAX]
        {
            assert_eq!(Timestamp(t).to_string().parse(), Ok(Timestamp(t)));
        }
    }

    #[test]
    fn a_date_is_what_its_midnight_begins_with() {
        for days in (-2_451_545..3_000_000).step_by(13) {
            let (mut date, mut midnight) = (Vec::new(), Vec::new());
            write_date(&mut date, days);
            write_timestamp(&mut midnight, i64::from(days) * MICROS_PER_DAY);
            let midnight = String::from_utf8(midnight).unwrap();
            assert_eq!(String::from_utf8(date).unwrap(), midnight.replace("T00:00:00.000000", ""));
        }
    }

    #[test]
    fn no_text_overflows() {
        for text in [
            "999999-12-31T23:59:59.999999Z",
            "999999-12-31T23:59:59.999999Z BC",
            "294277-01-09T04:00:54.775807Z",
            "999999-999999-999999T999999:999999:999999.999999Z",
            "9223372036854775807-01-01T00:00:00.000000Z",
            "----::.Z",
            "Z",
            " BC",
        ] {
            assert_eq!(parse_timestamptz(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_timestamp_has_one_spelling(t: i64) {
            let text = Timestamp(t).to_string();
            prop_assert_eq!(text.parse(), Ok(Timestamp(t)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9]{1,7}-[0-9]{1,3}-[0-9]{1,3}[T ][0-9]{1,3}:[0-9]{1,2}:[0-9]{1,2}[.,][0-9]{1,7}Z?( BC)?") {
            if let Some(t) = parse_timestamptz(&text) {
                prop_assert_eq!(Timestamp(t).to_string(), text);
            }
        }
    }
}
