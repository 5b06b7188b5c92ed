//! `docs/check_export.py` says what `notary-verify export` says, of what is right and of what is wrong.

use std::path::Path;

use crate::cases;
use crate::log::Log;
use crate::program::{Dir, Outcome, run};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/check_export.py");

fn python(dir: &Dir) -> Outcome {
    python_with(dir, &["full.note", "export.jsonl"], b"")
}

fn python_with(dir: &Dir, args: &[&str], stdin: &[u8]) -> Outcome {
    run(Path::new("python3"), &[&[SCRIPT], args].concat(), &dir.path(""), stdin)
}

#[test]
fn what_is_right_passes_in_python() {
    let dir = Dir::good();
    python(&dir).expect(0, "12 lines");
    // A bare body will do: it looks at no signature.
    dir.put("full.note", Log::good().checkpoint(crate::log::ORIGIN, 12).to_string());
    python(&dir).expect(0, "12 lines");
    python_with(&dir, &["full.note", "-"], &Log::good().export()).expect(0, "12 lines");
}

#[test]
fn what_is_no_note_or_cannot_be_read_is_2_in_python() {
    let (dir, note) = (Dir::good(), Log::good().note());
    for args in [&[][..], &["full.note"], &["full.note", "export.jsonl", "more"]] {
        python_with(&dir, args, b"").expect(2, "usage: ");
    }
    for args in [["nowhere", "export.jsonl"], ["full.note", "nowhere"], [".", "export.jsonl"], ["full.note", "."]] {
        one_line_and_2(&python_with(&dir, &args, b""), "check_export.py: ");
    }
    for (name, text) in [
        ("nothing", Vec::new()),
        ("CRLF", note.replace('\n', "\r\n").into()),
        ("one CR", note.replacen('\n', "\r\n", 1).into()),
        ("a CR in a signature", note.replace("=\n", "=\r\n").into()),
        ("a byte order mark", format!("\u{feff}{note}").into()),
        ("UTF-16", note.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("not UTF-8", [note.as_bytes(), b"\xff"].concat()),
        ("an empty line at the end", format!("{note}\n").into()),
        ("no newline at the end", note.trim_end().into()),
        ("two lines", note.lines().take(2).flat_map(|line| [line, "\n"]).collect::<String>().into()),
        ("an export", Log::good().export()),
    ] {
        dir.put("full.note", text);
        let outcome = python(&dir);
        assert_ne!(dir.run("note --keys keys full.note").code, 0, "{name}");
        one_line_and_2(&outcome, "check_export.py: full.note is no note: ");
    }
}

#[track_caller]
fn one_line_and_2(outcome: &Outcome, says: &str) {
    outcome.expect(2, says);
    assert!(outcome.stdout.is_empty() && outcome.stderr.lines().count() == 1, "{outcome:?}");
}

#[test]
fn what_is_wrong_fails_in_python() {
    for case in cases::all() {
        let dir = Dir::good();
        dir.put("export.jsonl", &case.export);
        dir.put("full.note", &case.note);
        let outcome = python(&dir);
        let expected = i32::from(case.python_too);
        assert_eq!(outcome.code, expected, "{}: {outcome:?}", case.name);
        if let Some(line) = case.line.filter(|_| case.python_too) {
            outcome.expect(1, &format!("line {line}: "));
        }
        assert!(!outcome.stderr.contains("Traceback"), "{}: {outcome:?}", case.name);
    }
}

#[test]
fn it_is_short_enough_to_be_read() {
    let script = std::fs::read_to_string(SCRIPT).unwrap();
    let code = script.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).count();
    assert!(code <= 70, "{code} lines");
    assert!(script.lines().all(|line| line.chars().count() <= 120));
    let imports: Vec<_> = script.lines().filter(|line| line.contains("import ")).collect();
    assert_eq!(imports, ["import base64, hashlib, json, re, sys"]);
}
