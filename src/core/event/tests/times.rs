//! Times, which have many spellings.

use proptest::prelude::*;

use crate::Timestamp;
use crate::event::parse_time;
use crate::event::when::{Read, UNIX_EPOCH, read_number, read_text};
use crate::time::{MICROS_PER_DAY, parse_timestamptz};

/// The time in its canonical spelling.
fn canonical(read: Read) -> Option<String> {
    read.map(|(micros, _)| Timestamp(micros).to_string())
}

fn time(text: &str) -> Option<String> {
    assert_eq!(read_text(text).map(|(micros, _)| micros), parse_time(text));
    canonical(read_text(text))
}

#[test]
fn times_have_many_spellings() {
    for text in [
        "2026-11-20T16:07:00Z",
        "2026-11-20t16:07:00z",
        "2026-11-20 16:07",
        "2026-11-20T16:07:00.0",
        "2026-11-20T16:07:00,000000000Z",
        "2026-11-20T17:07:00+01",
        "2026-11-20T21:37+0530",
        "2026-11-20T21:37:00.000+05:30",
        "2026-11-20T08:07:00-08:00",
        "2026-11-21T07:06+14:59",
        "2026-11-20T16:06:60Z",
    ] {
        assert_eq!(time(text).as_deref(), Some("2026-11-20T16:07:00.000000Z"), "{text}");
    }
    for (text, expected) in [
        ("2026-11-20", "2026-11-20T00:00:00.000000Z"),
        ("2024-02-29T24:00:00", "2024-03-01T00:00:00.000000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
        ("2016-12-31T12:30:60.5Z", "2016-12-31T12:31:00.500000Z"),
        ("2000-01-01T00:00:00.1234569", "2000-01-01T00:00:00.123456Z"),
        ("1999-12-31T23:59:59.9999999", "1999-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ] {
        assert_eq!(time(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        "Z",
        "2026",
        "2026-11",
        "2026-11-20T",
        "2026-11-20T16",
        "2026-11-20T16Z",
        "2026-11-20T16:07:",
        "2026-11-20Z",
        "2026-11-20T16:07:00.",
        "2026-11-20T16:07:00.Z",
        "2026-11-20T16:07.5",
        "2026-11-20T16:07:00 Z",
        " 2026-11-20",
        "2026-11-20 ",
        "2026-11-20T16:07:00ZZ",
        "2026-11-20T16:07:00+1",
        "2026-11-20T16:07:00+01:",
        "2026-11-20T16:07:00+010",
        "2026-11-20T16:07:00+01:60",
        "2026-11-20T16:07:00+16:00",
        "2026-11-20T16:07:00+",
        "2026-11-20T16:60",
        "2026-11-20T25:00",
        "2026-11-20T24:00:01",
        "2026-11-20T24:00:00.1",
        "2016-12-31T23:59:60.5",
        "2026-11-20T16:07:61",
        "2026-13-01",
        "2026-00-01",
        "2026-02-29",
        "2026-04-31",
        "2026-01-00",
        "2026-01-32",
        "0000-01-01",
        "10000-01-01",
        "26-11-20",
        "+2026-11-20",
        "-2026-11-20",
        "2026-1-20",
        "20261120T160700Z",
        "２０２６-11-20",
        "0001-01-01T00:00+00:01",
        "9999-12-31T24:00",
        "9999-12-31T23:59-00:01",
        "infinity",
        "today",
        "1763654820",
    ] {
        assert_eq!(time(text), None, "{text:?}");
    }
}

#[test]
fn numbers_count_from_1970_in_three_units() {
    for (number, expected, exact) in [
        ("0", "1970-01-01T00:00:00.000000Z", true),
        ("-0", "1970-01-01T00:00:00.000000Z", true),
        ("0e-5", "1970-01-01T00:00:00.000000Z", true),
        ("0.000e99", "1970-01-01T00:00:00.000000Z", true),
        ("1763654820", "2025-11-20T16:07:00.000000Z", true),
        ("1763654820.123456", "2025-11-20T16:07:00.123456Z", true),
        ("1763654820.1234569", "2025-11-20T16:07:00.123456Z", false),
        ("1763654820.1234560", "2025-11-20T16:07:00.123456Z", true),
        ("1763654820123", "2025-11-20T16:07:00.123000Z", true),
        ("1763654820123.4567", "2025-11-20T16:07:00.123456Z", false),
        ("1763654820123456", "2025-11-20T16:07:00.123456Z", true),
        ("1763654820123456.5", "2025-11-20T16:07:00.123456Z", false),
        ("1.76365482e9", "2025-11-20T16:07:00.000000Z", true),
        ("17636548200E-1", "2025-11-20T16:07:00.000000Z", true),
        ("0.0000017e6", "1970-01-01T00:00:01.700000Z", true),
        ("0.01", "1970-01-01T00:00:00.010000Z", true),
        ("-1", "1969-12-31T23:59:59.000000Z", true),
        ("-0.0000001", "1969-12-31T23:59:59.999999Z", false),
        ("1e-400", "1970-01-01T00:00:00.000000Z", false),
        ("99999999999", "5138-11-16T09:46:39.000000Z", true),
        ("100000000000", "1973-03-03T09:46:40.000000Z", true),
        ("99999999999999", "5138-11-16T09:46:39.999000Z", true),
        ("100000000000000", "1973-03-03T09:46:40.000000Z", true),
        ("99999999999999999.9", "5138-11-16T09:46:39.999999Z", false),
        ("-62135596800", "0001-01-01T00:00:00.000000Z", true),
    ] {
        assert_eq!(canonical(read_number(number)).as_deref(), Some(expected), "{number}");
        assert_eq!(read_number(number).map(|(_, exact)| exact), Some(exact), "{number}");
    }
    for number in [
        "1e17",
        "-1e17",
        "1e400",
        "-62135596801",
        "-62135596800.0000001",
        "1e99999999999",
        "123456789012345678901234567890",
    ] {
        assert_eq!(read_number(number), None, "{number}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(days in -730_119_i64..2_921_940, micros in 0..MICROS_PER_DAY) {
        let t = days * MICROS_PER_DAY + micros;
        let text = Timestamp(t).to_string();
        prop_assert_eq!(parse_timestamptz(&text), Some(t));
        prop_assert_eq!(read_text(&text), Some((t, true)));
    }

    #[test]
    fn microseconds_are_exact(micros in -99_999_999_999_999_999_i64..99_999_999_999_999_999) {
        let (sign, all) = (if micros < 0 { "-" } else { "" }, micros.abs());
        let text = format!("{sign}{}.{:06}", all / 1_000_000, all % 1_000_000);
        if let Some(read) = read_number(&text) {
            prop_assert_eq!(read, (micros - UNIX_EPOCH, true));
        }
    }

    #[test]
    fn any_number_is_read_or_refused(number in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,12})?") {
        if let Some((micros, _)) = read_number(&number) {
            prop_assert_eq!(parse_time(&Timestamp(micros).to_string()), Some(micros));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.,+Zz-]{0,20}") {
        if let Some(micros) = parse_time(&text) {
            prop_assert_eq!(parse_time(&Timestamp(micros).to_string()), Some(micros));
        }
    }
}
