//! `notary-verify proof` and `notary-verify consistency`.

use notary_core::proof::Proof;

use crate::log::{LOG, Log, ORIGIN, OTHER_LOG, drafts, key};
use crate::program::Dir;

#[test]
fn every_line_of_every_size_is_proved() {
    let (dir, log) = (Dir::good(), Log::good());
    for (index, size) in [(0, 1), (0, 12), (3, 7), (11, 12)] {
        dir.put("x.proof", log.proof(index, size).to_string());
        dir.run("proof --keys keys x.proof").expect(0, &format!("leaf {index} is "));
    }
    dir.put("x.proof", log.proof(3, 12).to_string());
    let outcome = dir.run("proof --keys keys x.proof");
    outcome.expect(0, "segment 1 chain 2 seq 1, chained at 2026-11-20T16:07:00.000003Z");
    assert!(!outcome.stdout.contains("one"), "{outcome:?}");
    dir.run("proof --keys keys --show-line x.proof").expect(0, r#""text":"one\ntwo"}}"#);
    dir.run_with("proof --keys keys", log.proof(3, 12).to_string().as_bytes()).expect(0, "good");
    let value = dir.json("proof --keys keys x.proof");
    assert_eq!((&value["proofs"][0]["index"], &value["proofs"][0]["chain"]), (&3.into(), &2.into()));
    assert!(value["proofs"][0]["line"].is_null());
}

/// A line's JSON keeps its meaning, and a program that reads `--json` gets the line itself.
#[test]
fn a_line_cannot_command_the_terminal() {
    let bad = ['\u{7f}', '\u{80}', '\u{9b}', '\u{61c}', '\u{200e}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}'];
    let text: String = bad.iter().collect();
    let log = Log::of(&drafts(), |_, line| *line = line.replace("one", &text));
    let dir = Dir::good();
    dir.put("x.proof", log.proof(3, 12).to_string());
    let outcome = dir.run("proof --keys keys --show-line x.proof");
    outcome.expect(0, r#""text":"\u007f\u0080\u009b\u061c\u200e\u202a\u202e\u2066\u2069\ntwo"}}"#);
    assert!(!outcome.stdout.contains(bad), "{outcome:?}");
    let outcome = dir.run("proof --keys keys --show-line --json x.proof");
    assert!(!outcome.stdout.contains(bad), "{outcome:?}");
    let value: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(value["proofs"][0]["line"], std::str::from_utf8(&log.lines[3]).unwrap());
}

#[test]
fn the_line_may_come_in_a_file() {
    let (dir, log) = (Dir::good(), Log::good());
    dir.put("x.proof", Proof { line: None, ..log.proof(3, 12) }.to_string());
    dir.put("line", &log.lines[3]);
    dir.put("line.nl", [&log.lines[3][..], b"\n"].concat());
    dir.put("line.nl2", [&log.lines[3][..], b"\n\n"].concat());
    dir.put("other", &log.lines[2]);
    dir.run("proof --keys keys --line line x.proof").expect(0, "good");
    dir.run("proof --keys keys --line line.nl x.proof").expect(0, "good");
    dir.run("proof --keys keys --line line.nl2 x.proof").expect(1, "line goes on after its end");
    dir.run("proof --keys keys --line other x.proof").expect(1, "not at this index");
    dir.run("proof --keys keys x.proof").expect(1, "the proof holds no line, and none was given");
    dir.put("x.proof", log.proof(3, 12).to_string());
    dir.run("proof --keys keys --line line x.proof").expect(0, "good");
    dir.run("proof --keys keys --line other x.proof").expect(1, "the proof holds another line");
    dir.run("proof --keys keys --line nowhere x.proof").expect(2, "nowhere");
    dir.run("proof --keys keys --line - -").expect(2, "only once");
}

#[test]
fn a_proof_of_something_else_is_refused() {
    let (dir, log) = (Dir::good(), Log::good());
    let good = log.proof(3, 12);
    let text = good.to_string();
    let second = format!("{ORIGIN}/2");
    let resealed = |seal| Proof { seal, ..good.clone() }.to_string();
    let other_log = Log::of(&drafts(), |_, line| *line = line.replace(LOG, OTHER_LOG));
    let cases = [
        ("another index", text.replace("index 3", "index 2"), "not_proven"),
        ("an index that is not there", text.replace("index 3", "index 12"), "not_proven"),
        ("another line", Proof { line: log.proof(2, 12).line, ..good.clone() }.to_string(), "not_proven"),
        ("no line of a log", Proof { line: Some(b"x".into()), ..good.clone() }.to_string(), "bad_line"),
        ("a line of another log", other_log.proof(3, 12).to_string(), "other_log"),
        ("a hash too few", Proof { path: good.path[1..].to_vec(), ..good.clone() }.to_string(), "not_proven"),
        ("unsigned", resealed(notary_core::Seal::unsigned(log.checkpoint(ORIGIN, 12))), "unsigned"),
        (
            "another incarnation",
            resealed(notary_core::Seal::sign(log.checkpoint(&second, 12), &[&key(1, &second)]).unwrap()),
            "no_known_key",
        ),
        ("another size", text.replace("\n12\n", "\n13\n"), "bad_signature"),
        ("CRLF", text.replace('\n', "\r\n"), "bad_proof"),
        ("cut short", text[..100].to_owned(), "bad_proof"),
    ];
    for (name, text, problem) in cases {
        dir.put("x.proof", &text);
        let value = dir.json("proof --keys keys x.proof");
        assert_eq!(value["problems"][0]["problem"], problem, "{name}: {value}");
        assert_eq!((&value["exit_code"], &value["problem_count"]), (&1.into(), &1.into()), "{name}: {value}");
    }
    dir.put("x.proof", resealed(notary_core::Seal::unsigned(log.checkpoint(ORIGIN, 12))));
    dir.run("proof --unsigned x.proof").expect(3, "leaf 3");
}

#[test]
fn two_notes_are_consistent_by_a_proof() {
    let (dir, log) = (Dir::good(), Log::good());
    for (old, new) in [(1, 12), (5, 8), (8, 12), (12, 12)] {
        dir.put("old", log.seal(old).to_string());
        dir.put("new", log.seal(new).to_string());
        dir.put("proof", log.consistency(old, new).to_string());
        let says = format!("the log of size {new} begins with the one of size {old}");
        dir.run("consistency --keys keys --old old --new new proof").expect(0, &says);
    }
    let value = dir.json("consistency --keys keys --old old --new new proof");
    assert_eq!(value["consistency"][0]["old_size"], 12);
}

#[test]
fn what_does_not_grow_out_of_the_older_note_is_refused() {
    let (dir, log) = (Dir::good(), Log::good());
    let mut lines = log.lines.clone();
    lines.swap(2, 3);
    let forked = Log::from_lines(lines);
    dir.put("5", log.seal(5).to_string());
    dir.put("12", log.note());
    dir.put("fork5", forked.seal(5).to_string());
    dir.put("fork12", forked.note());
    dir.put("body", log.checkpoint(ORIGIN, 5).to_string());
    dir.put("proof", log.consistency(5, 12).to_string());
    dir.put("none", "");
    dir.put("bad", "x\n");
    dir.put("binary", b"\xff");
    let cases = [
        ("--old 12 --new 5 proof", "shrunk"),
        ("--old fork5 --new 12 proof", "not_consistent"),
        ("--old 5 --new fork12 proof", "not_consistent"),
        ("--old fork12 --new 12 none", "two_roots"),
        // That the newer note is the smaller one convicts, with or without a proof.
        ("--old 12 --new 5 none", "shrunk"),
        ("--old 5 --new 12 bad", "bad_proof"),
        ("--old 5 --new 12 binary", "bad_proof"),
        ("--old body --new 12 proof", "unsigned"),
        ("--old 5 --new export.jsonl proof", "bad_note"),
    ];
    for (args, problem) in cases {
        let value = dir.json(&format!("consistency --keys keys {args}"));
        assert_eq!(value["problems"][0]["problem"], problem, "{args}: {value}");
        assert_eq!((&value["exit_code"], &value["problem_count"]), (&1.into(), &1.into()), "{args}: {value}");
    }
    dir.run("consistency --keys keys --old 5 --new 12 nowhere").expect(2, "nowhere");
    dir.run("consistency --keys keys --old 5 --new 12 none").expect(2, "none: the file is empty");
    dir.run("consistency --keys keys --old 12 --new 12 none").expect(0, "good");
    dir.run("consistency --keys keys --old - --new 12 -").expect(2, "only once");
    dir.run("consistency --keys keys --unsigned --old body --new 12 proof").expect(3, "begins with");
}
