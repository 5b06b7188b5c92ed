//! What is written is read, and nothing else is.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::Header;

const LINES: &str = include_str!("../../../tests/vectors/lines.jsonl");
const BAD_LINES: &str = include_str!("../../../tests/vectors/bad_lines.jsonl");

/// Writes what was read, from its parts.
fn rewrite(line: &Line<'_>) -> Vec<u8> {
    let entry = match line {
        Line::Header(header) => return header.line().into_bytes(),
        Line::Entry(entry) => entry,
    };
    let mut out = Vec::new();
    let Place { log, segment, chain, seq, time, prev } = entry.place;
    write_head(&mut out, log, segment, chain, seq, time);
    out.extend_from_slice(format!(",\"prev\":\"{prev}\"").as_bytes());
    if !entry.redactable.is_empty() {
        out.extend_from_slice(b",\"redactable\":");
        members(&mut out, &entry.redactable, |out, sealed| match sealed {
            Sealed::Value(digest) => write_string(out, &digest.to_string()),
            Sealed::Members(inner) => {
                members(out, inner, |out, digest| write_string(out, &digest.to_string()));
            }
        });
    }
    out.extend_from_slice(b",\"row\":");
    members(&mut out, &entry.row, |out, value| out.extend_from_slice(value));
    out.push(b'}');
    out
}

fn members<T>(out: &mut Vec<u8>, all: &[(Cow<'_, str>, T)], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'{');
    for (index, (name, value)) in all.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_key(out, name);
        write(out, value);
    }
    out.push(b'}');
}

fn vectors(text: &'static str) -> impl Iterator<Item = (String, Value)> {
    text.lines().map(|vector| {
        let vector: Value = serde_json::from_str(vector).unwrap();
        (vector["name"].as_str().unwrap().to_owned(), vector)
    })
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |b| DIGITS.iter().position(|&digit| digit == b);
    let bits = text.bytes().filter_map(value).fold((Vec::new(), 0_u32, 0), |mut state, value| {
        state.1 = state.1 << 6 | u32::try_from(value).unwrap();
        state.2 += 6;
        if state.2 >= 8 {
            state.2 -= 8;
            state.0.push((state.1 >> state.2 & 255).try_into().unwrap());
        }
        state
    });
    bits.0
}

#[test]
fn golden_lines_are_read_and_hash_to_what_others_say() {
    for (name, vector) in vectors(LINES) {
        let line = vector["line"].as_str().unwrap();
        let read = read(line.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(rewrite(&read), line.as_bytes(), "{name}");
        assert_eq!(Digest::of(line.as_bytes()).to_string(), vector["sha256"], "{name}");
    }
}

#[test]
fn golden_bad_lines_are_refused() {
    for (name, vector) in vectors(BAD_LINES) {
        let line = base64(vector["base64"].as_str().unwrap());
        assert!(read(&line).is_err(), "{name}: {}", vector["why"]);
    }
}

#[test]
fn every_golden_line_with_one_byte_changed_is_refused_or_another_canonical_line() {
    for (_, vector) in vectors(LINES) {
        let line = vector["line"].as_str().unwrap().as_bytes();
        for at in 0..line.len().min(1_000) {
            for byte in b"\0\n \"\\,:0-9eE.+azA{}[]\x7f\xc3\xff" {
                let mut changed = line.to_vec();
                changed[at] = *byte;
                if let Ok(read) = read(&changed) {
                    assert_eq!(rewrite(&read), changed);
                }
            }
        }
    }
}

#[test]
fn every_golden_line_cut_short_or_with_a_byte_more_or_less_is_refused_or_another_canonical_line() {
    for (_, vector) in vectors(LINES) {
        let line = vector["line"].as_str().unwrap().as_bytes();
        for at in 0..line.len().min(1_000) {
            assert!(read(&line[..at]).is_err());
            let mut shorter = line.to_vec();
            shorter.remove(at);
            let mut longer = line.to_vec();
            longer.insert(at, line[at]);
            for changed in [shorter, longer] {
                if let Ok(read) = read(&changed) {
                    assert_eq!(rewrite(&read), changed);
                }
            }
        }
    }
}

#[test]
fn a_value_nested_too_deeply_is_refused_and_does_not_overflow_the_stack() {
    let (_, vector) = vectors(LINES).next().unwrap();
    let line = vector["line"].as_str().unwrap();
    let start = &line[..line.find("\"row\":{").unwrap()];
    let nested = |depth| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("{start}\"row\":{{\"a\":{open}{close}}}}}")
    };
    assert!(read(nested(100_000).as_bytes()).is_ok());
    assert!(matches!(read(nested(1 << 21).as_bytes()), Err(LineError::TooDeep(_))));
    assert!(read(format!("{start}\"row\":{{\"a\":{}", "[".repeat(1 << 21)).as_bytes()).is_err());
}

#[test]
fn strings_are_escaped_wherever_in_a_block_the_byte_stands() {
    for length in 0..100 {
        for at in 0..length {
            let mut text = "é".repeat(length / 2) + &"x".repeat(length % 2 + 1);
            let at = (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap();
            text.insert(at, '\u{1}');
            let mut out = Vec::new();
            write_string(&mut out, &text);
            let expected = format!("\"{}\"", text.replace('\u{1}', "\\u0001"));
            assert_eq!(out, expected.as_bytes());
        }
    }
}

fn place() -> impl Strategy<Value = Place> {
    let number = 1..=i32::MAX.cast_unsigned();
    let seq = 1..=i64::MAX.cast_unsigned();
    (any::<[u8; 16]>(), number.clone(), number, seq, i64::MIN + 1..i64::MAX, any::<[u8; 32]>()).prop_map(
        |(log, segment, chain, seq, time, prev)| {
            let (log, prev) = (crate::LogId::from_bytes(log), Digest::new(prev));
            Place { log, segment, chain, seq, time, prev }
        },
    )
}

/// A value as `jsonb` prints it.
fn jsonb() -> impl Strategy<Value = String> {
    let string = any::<String>().prop_map(|s| written(&s));
    let number = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,5})?"
        .prop_filter("one zero", |n| !n.starts_with('-') || n.contains(|c| ('1'..='9').contains(&c)));
    let leaf = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), Just("false".to_owned()), number, string];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let members = prop::collection::btree_map(any::<String>(), inner.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|all| format!("[{}]", all.join(", "))),
            members.prop_map(|members| {
                let mut members: Vec<_> = members.into_iter().collect();
                members.sort_by_key(|(name, _)| (name.len(), name.clone()));
                let member = |(name, value): (String, String)| format!("{}: {value}", written(&name));
                let members: Vec<_> = members.into_iter().map(member).collect();
                format!("{{{}}}", members.join(", "))
            })
        ]
    })
}

fn written(text: &str) -> String {
    let mut out = Vec::new();
    write_string(&mut out, text);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_byte_is_escaped_or_not_wherever_it_stands() {
    for byte in 0..=u8::MAX {
        for len in 0..80 {
            for at in 0..len {
                let mut bytes = vec![b'x'; len];
                bytes[at] = byte;
                let (mut out, mut expected) = (Vec::new(), vec![b'"']);
                write_bytes(&mut out, &bytes);
                for byte in bytes {
                    if escaped(byte) { write_escape(&mut expected, byte) } else { expected.push(byte) }
                }
                expected.push(b'"');
                assert_eq!(out, expected);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_string_reads_as_itself_for_any_json_parser(text: String) {
        prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else(
        place in place(),
        row in prop::collection::btree_map(any::<String>(), jsonb(), 0..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 32),
    ) {
        let mut line = Vec::new();
        begin(&mut line, &place);
        for (index, (name, value)) in row.iter().enumerate() {
            if index > 0 {
                line.push(b',');
            }
            write_key(&mut line, name);
            line.extend_from_slice(value.as_bytes());
        }
        end(&mut line);

        let read_row = row.iter().map(|(name, value)| (Cow::from(name), value.as_bytes())).collect();
        let expected = EntryLine { place, redactable: Vec::new(), row: read_row };
        prop_assert_eq!(read(&line), Ok(Line::Entry(expected)));
        prop_assert!(Header::parse(std::str::from_utf8(&line).unwrap()).is_err());

        // Another parser reads the same story.
        let other: Value = serde_json::from_slice(&line).unwrap();
        let names: Vec<_> = other["row"].as_object().unwrap().keys().cloned().collect();
        prop_assert!(names.iter().eq(row.keys()));

        for (at, byte) in changes {
            let mut changed = line.clone();
            let at = at.index(changed.len());
            changed[at] = byte;
            if let Ok(read) = read(&changed) {
                prop_assert_eq!(rewrite(&read), changed);
            }
        }
    }

    #[test]
    fn an_opening_that_is_kept_begins_lines_as_begin_does(
        id: [u8; 16], segment: u32, chain: u32, seq: u64, time: i64, prev: [u8; 32],
    ) {
        let (log, prev) = (LogId::from_bytes(id), Digest::new(prev));
        let (mut one, mut other, mut another) = (Vec::new(), Vec::new(), Vec::new());
        let place = Place { log, segment, chain, seq, time, prev };
        begin(&mut one, &place);
        Opening::of(log, segment).begin(&mut other, chain, seq, time, &prev);
        prop_assert_eq!(&one, &other);
        // Of one that was kept for another segment, and for this one.
        let mut kept = Opening::of(log, segment.wrapping_add(1));
        for _ in 0..2 {
            another.clear();
            kept.begin_at(&mut another, &place);
            prop_assert_eq!(&one, &another);
        }
    }
}
