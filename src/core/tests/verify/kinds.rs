//! Files of another kind than was asked for, and texts that a tool has altered on the way: each is said in words.

use crate::log::{Log, ORIGIN, key};
use crate::program::Dir;
use notary_core::Seal;

/// Commands, each with the file that stands for what is not right.
const CHECKS: [(&str, &str); 6] = [
    ("full.note", "note --keys keys full.note"),
    ("full.note", "export --keys keys --note full.note export.jsonl"),
    ("keys", "note --keys keys full.note"),
    ("x.proof", "proof --keys keys x.proof"),
    ("x.consistency", "consistency --keys keys --old 5.note --new full.note x.consistency"),
    ("export.jsonl", "export --keys keys --note full.note export.jsonl"),
];

fn dir() -> Dir {
    let (dir, log) = (Dir::good(), Log::good());
    dir.put("5.note", log.seal(5).to_string());
    dir.put("x.proof", log.proof(3, 12).to_string());
    dir.put("x.consistency", log.consistency(5, 12).to_string());
    dir
}

/// The outcome of each command when its file holds what `change` makes of it.
fn each(change: impl Fn(&[u8]) -> Vec<u8>, code: impl Fn(&str) -> i32, says: &str) {
    for (file, args) in CHECKS {
        let dir = dir();
        dir.run(args).expect(0, "good");
        let good = std::fs::read(dir.path(file)).unwrap();
        dir.put(file, change(&good));
        let outcome = dir.run(args);
        outcome.expect(code(file), &format!("{file}: "));
        outcome.expect(code(file), says);
    }
}

#[test]
fn of_a_file_that_is_compressed_nothing_can_be_said() {
    for (magic, says) in [
        (&b"\x1f\x8b\x08"[..], "looks compressed (gzip): unpack it first"),
        (b"\x28\xb5\x2f\xfd", "looks compressed (zstd): unpack it first"),
        (b"\xfd7zXZ\0", "looks compressed (xz): unpack it first"),
        (b"BZh9", "looks compressed (bzip2): unpack it first"),
        (b"PK\x03\x04", "looks compressed (zip): unpack it first"),
    ] {
        each(|good| [magic, good].concat(), |_| 2, says);
    }
    let dir = dir();
    dir.run_with("export --keys keys --note full.note", b"\x1f\x8b")
        .expect(2, "standard input: looks compressed (gzip)");
    dir.put("x.line", b"\x1f\x8b");
    dir.run("proof --keys keys --line x.line x.proof").expect(2, "x.line: looks compressed");
}

#[test]
fn of_utf_16_nothing_can_be_said() {
    let utf_16 = |text: &[u8]| String::from_utf8_lossy(text).encode_utf16().collect::<Vec<_>>();
    let little =
        |text: &[u8]| utf_16(text).iter().fold(vec![0xff, 0xfe], |all, unit| [all, unit.to_le_bytes().into()].concat());
    let big =
        |text: &[u8]| utf_16(text).iter().fold(vec![0xfe, 0xff], |all, unit| [all, unit.to_be_bytes().into()].concat());
    each(little, |_| 2, "looks like UTF-16");
    each(big, |_| 2, "looks like UTF-16");
}

#[test]
fn an_empty_file_is_no_note_and_an_export_of_no_line() {
    for (file, args) in CHECKS {
        let dir = dir();
        dir.put(file, "");
        let export = file == "export.jsonl";
        let says = if export { "it covers 12 lines, and the export has 0" } else { "the file is empty" };
        dir.run(args).expect(if export { 1 } else { 2 }, says);
    }
}

/// Keys that are none are no problem of what is checked.
fn code(file: &str) -> i32 {
    if file == "keys" { 2 } else { 1 }
}

#[test]
fn a_byte_order_mark_is_said_to_be_one() {
    each(|good| [b"\xef\xbb\xbf", good].concat(), code, "begins with a byte order mark (UTF-8 BOM): remove it");
}

#[test]
fn windows_line_ends_are_said_to_be_such() {
    for (file, args) in CHECKS.into_iter().filter(|(file, _)| *file != "keys") {
        let dir = dir();
        let good = String::from_utf8(std::fs::read(dir.path(file)).unwrap()).unwrap();
        dir.put(file, good.replace('\n', "\r\n"));
        dir.run(args).expect(1, &format!("{file}: Windows line ends (CR LF)"));
    }
    // Keys may have them: what ends a line is no part of a key.
    let dir = dir();
    dir.put("keys", crate::log::keys().replace('\n', "\r\n"));
    dir.run("note --keys keys full.note").expect(0, "good");
}

#[test]
fn an_empty_line_at_the_end_is_said_to_be_psql_s() {
    let (dir, says) = (dir(), "an empty line at the end (psql adds one): remove it");
    for (file, args, line) in [
        ("full.note", "note --keys keys full.note", "full.note: line 6: "),
        ("x.proof", "proof --keys keys x.proof", "x.proof: in the seal: line 6: "),
        ("x.consistency", "consistency --keys keys --old 5.note --new full.note x.consistency", "x.consistency: line "),
    ] {
        let good = std::fs::read(dir.path(file)).unwrap();
        dir.put(file, [&good[..], b"\n"].concat());
        let outcome = dir.run(args);
        outcome.expect(1, line);
        outcome.expect(1, says);
        dir.put(file, good);
    }
    // A bare body has no signature and no empty line either.
    dir.put("bare.note", Log::good().checkpoint(ORIGIN, 12).to_string() + "\n");
    dir.run("note --unsigned bare.note").expect(1, says);
}

#[test]
fn what_was_given_in_the_place_of_something_else_is_named() {
    let dir = dir();
    dir.run("note --keys keys export.jsonl").expect(1, "export.jsonl: this looks like an export, not a note");
    dir.run("export --keys keys --note export.jsonl export.jsonl").expect(1, "this looks like an export, not a note");
    dir.run("note --keys keys x.proof").expect(1, "x.proof: this looks like a proof, not a note");
    dir.run("proof --keys keys export.jsonl").expect(1, "this looks like an export, not a proof");
    dir.run("consistency --keys keys --old 5.note --new full.note x.proof")
        .expect(1, "this looks like a proof, not a consistency proof");
}

#[test]
fn who_signed_is_said_where_no_key_is_theirs() {
    let (dir, log) = (dir(), Log::good());
    let other = |secret| key(secret, ORIGIN).verifier().to_string();
    let id = |secret| key(secret, ORIGIN).verifier().id();
    dir.put("one", other(2));
    dir.put("three", [2, 3, 4].map(other).join("\n"));
    let by = format!("full.note: no known key signed the note: it bears a signature by {}; ", id(1));
    dir.run("note --keys one full.note").expect(1, &format!("{by}the 1 key given is not that one\n"));
    dir.run("note --keys three full.note").expect(1, &format!("{by}none of the 3 keys given is that one\n"));
    let both = Seal::sign(log.checkpoint(ORIGIN, 12), &[&key(1, ORIGIN), &key(5, ORIGIN)]).unwrap();
    dir.put("both.note", both.to_string());
    let mut ids = [1, 5].map(|secret| id(secret).to_string());
    ids.sort();
    dir.run("note --keys one both.note")
        .expect(1, &format!("by {}; the 1 key given is not one of them", ids.join(" and ")));
}

#[test]
fn a_note_that_will_not_do_is_said_once() {
    let dir = dir();
    dir.put("one", key(2, ORIGIN).verifier().to_string());
    for args in
        ["export --keys one --note full.note export.jsonl", "export --keys keys --note export.jsonl export.jsonl"]
    {
        let outcome = dir.run(args);
        outcome.expect(1, "WRONG: 1 problem\n");
        assert!(!outcome.stdout.contains("no note to compare with"), "{outcome:?}");
    }
    dir.put("evidence/export.jsonl", Log::good().export());
    dir.run("bundle --keys keys evidence").expect(3, "no note to compare with");
    dir.put("evidence/notes/a.note", Log::good().note());
    let outcome = dir.run("bundle --keys one evidence");
    outcome.expect(1, "WRONG: 1 problem\n");
    assert!(!outcome.stdout.contains("no note to compare with"), "{outcome:?}");
}

#[test]
fn an_option_that_is_none_is_not_taken_for_a_file() {
    let dir = dir();
    let outcome = dir.run("export --keys keys --frob export.jsonl");
    outcome.expect(2, "unexpected argument '--frob'");
    assert!(!outcome.stderr.contains("-- --frob"), "{outcome:?}");
    dir.run("export --keys keys --nto full.note export.jsonl").expect(2, "a similar argument exists: '--note'");
}
