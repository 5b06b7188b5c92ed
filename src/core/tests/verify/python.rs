//! `docs/check_export.py` says what `notary-verify export` says, of what is right and of what is wrong.

use std::path::Path;

use crate::cases;
use crate::log::{LOG, Log, ORIGIN, entry, header};
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
    dir.put("full.note", Log::good().checkpoint(ORIGIN, 12).to_string());
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
        assert_eq!(outcome.code, 1, "{}: {outcome:?}", case.name);
        if let Some(line) = case.line {
            outcome.expect(1, &format!("line {line}: "));
        }
        assert!(!outcome.stderr.contains("Traceback"), "{}: {outcome:?}", case.name);
    }
}

// ---- a signer who is not honest: lines of another kind, every hash and the note right ----

/// The members of line 1, a header, and of line 2, an entry, in their order.
const HEADER: [&str; 13] = [
    "v",
    "log",
    "segment",
    "chain",
    "seq",
    "time",
    "by",
    "schema",
    "table",
    "first_chain",
    "adopted",
    "columns",
    "redactable",
];
const ENTRY: [&str; 8] = ["v", "log", "segment", "chain", "seq", "time", "prev", "row"];

/// What any member may be made to hold.
const VALUES: [&str; 27] = [
    "null",
    "true",
    "false",
    r#""x""#,
    r#""""#,
    r#""1""#,
    "0",
    "1",
    "2",
    "5",
    "-1",
    "1.0",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "[]",
    "{}",
    r#"["a"]"#,
    r#"["b","a"]"#,
    r#"["a","a"]"#,
    "[5]",
    r#"{"a":"x"}"#,
    r#"{"a":5}"#,
    r#"{"a":null}"#,
];

const TIMES: [&str; 29] = [
    "2026-13-20T16:00:00.000000Z",
    "2026-00-20T16:00:00.000000Z",
    "2026-11-00T16:00:00.000000Z",
    "2026-11-31T16:00:00.000000Z",
    "2026-02-29T16:00:00.000000Z",
    "2024-02-29T16:00:00.000000Z",
    "1900-02-29T16:00:00.000000Z",
    "2000-02-29T16:00:00.000000Z",
    "2026-11-20T24:00:00.000000Z",
    "2026-11-20T23:60:00.000000Z",
    "2026-11-20T23:59:60.000000Z",
    "2026-11-20T23:59:59.999999Z",
    "2026-11-20T23:59:59.99999Z",
    "2026-11-20T23:59:59.999999",
    "2026-11-20 23:59:59.999999Z",
    "0000-01-01T00:00:00.000000Z",
    "0000-01-01T00:00:00.000000Z BC",
    "0001-02-29T00:00:00.000000Z BC",
    "0004-02-29T00:00:00.000000Z BC",
    "02026-11-20T16:00:00.000000Z",
    "10000-11-20T16:00:00.000000Z",
    "999999-11-20T16:00:00.000000Z",
    "294277-01-09T04:00:54.775806Z",
    "294277-01-09T04:00:54.775807Z",
    "290279-12-22T19:59:05.224193Z BC",
    "290279-12-22T19:59:05.224192Z BC",
    "٢٠٢٦-11-20T16:00:00.000000Z",
    "infinity",
    "",
];

/// A line with another value for a member.
fn with(line: &str, members: &[&str], name: &str, value: &str) -> String {
    let start = line.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
    let next = members.iter().skip_while(|member| **member != name).nth(1);
    let end = next.map_or(line.len() - 1, |next| line.find(&format!(",\"{next}\":")).unwrap());
    format!("{}{value}{}", &line[..start], &line[end..])
}

/// Two lines of which one is changed.
fn changed(at: usize, change: impl Fn(&str) -> String) -> Log {
    Log::of(&[header(1, 1), entry(1, 1, 1)], |index, line| {
        if index == at {
            *line = change(line);
        }
    })
}

/// Runs the script for each export of a directory, and writes its exit codes: one Python for all is faster.
const FOR_EACH: &str = r#"
import io, runpy, sys
script, count, out = sys.argv[1], int(sys.argv[2]), sys.stdout
for number in range(count):
    sys.argv, sys.stdout = [script, f"{number}.note", f"{number}.jsonl"], io.StringIO()
    try:
        runpy.run_path(script)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    print(code, file=out)
"#;

/// Exports of which the two programs say the same; how many are right.
fn alike(cases: &[(String, Log)]) -> usize {
    let dir = Dir::good();
    for (number, (_, log)) in cases.iter().enumerate() {
        dir.put(&format!("{number}.jsonl"), log.export());
        dir.put(&format!("{number}.note"), log.note());
    }
    let count = cases.len().to_string();
    let outcome = run(Path::new("python3"), &["-c", FOR_EACH, SCRIPT, &count], &dir.path(""), b"");
    // An exception would end it.
    assert_eq!((outcome.code, outcome.stdout.lines().count()), (0, cases.len()), "{outcome:?}");
    for (number, ((name, _), code)) in cases.iter().zip(outcome.stdout.lines()).enumerate() {
        let other = dir.run(&format!("export --keys keys --note {number}.note {number}.jsonl"));
        assert!(matches!(other.code, 0 | 1), "{name}: {other:?}");
        assert_eq!(code, other.code.to_string(), "{name}: {other:?}");
    }
    outcome.stdout.lines().filter(|code| *code == "0").count()
}

#[test]
fn of_members_of_another_kind_both_say_the_same() {
    let mut cases = Vec::new();
    for (at, members) in [(0, &HEADER[..]), (1, &ENTRY[..])] {
        for name in members {
            for value in VALUES {
                cases.push((format!("{name}: {value}"), changed(at, |line| with(line, members, name, value))));
            }
        }
    }
    let right = alike(&cases);
    assert!(right > 20 && right < cases.len() / 4, "{right} of {}", cases.len());
}

#[test]
fn of_times_both_say_the_same() {
    let time = |time: &str| changed(1, |line| with(line, &ENTRY, "time", &format!("\"{time}\"")));
    let cases = TIMES.map(|text| (text.to_owned(), time(text)));
    assert_eq!(alike(&cases), 7);
}

#[test]
fn of_values_in_a_row_both_say_the_same() {
    let rows = [
        r#"{"a":null}"#,
        r#"{"":1}"#,
        r#"{"a":1.0}"#,
        r#"{"a":1e5}"#,
        r#"{"a":-0.0}"#,
        r#"{"a":-0.1}"#,
        r#"{"a":[1,2]}"#,
        r#"{"a":[1, 2]}"#,
        r#"{"a":{"b": 1, "aa": 2}}"#,
        r#"{"a":{"aa": 2, "b": 1}}"#,
        r#"{"b":1,"a":2}"#,
        "{\"a\":\"\u{7f}\u{85}\u{2028}\u{feff}\u{ffff}\"}",
        r#"{"a":"\u0000"}"#,
        r#"{"a":"\u007f"}"#,
        r#"{"a":"\u001F"}"#,
        "{\"\u{ff61}\":1,\"\u{10000}\":2}",
        "{\"\u{10000}\":2,\"\u{ff61}\":1}",
        "{\"a\":{\"\u{e9}\": 1, \"zz\": 2}}",
        "{\"a\":{\"zz\": 2, \"\u{e9}\": 1}}",
        r#"{"a":Infinity}"#,
        r#"{"a":01}"#,
        r#"{"a":+1}"#,
        r#"{"a":.5}"#,
    ];
    let cases = rows.map(|row| (row.to_owned(), changed(1, |line| with(line, &ENTRY, "row", row))));
    assert_eq!(alike(&cases), 10);
}

/// Of a note that is none one says 1 and the other 2, and neither 0.
#[test]
fn what_is_no_note_of_a_log_is_none_in_python() {
    let (dir, log) = (Dir::good(), Log::good());
    let note = log.checkpoint(ORIGIN, 12).to_string();
    let of = |origin: &str| note.replace(ORIGIN, origin);
    let long = |length: usize| of(&format!("{}/{LOG}", "a".repeat(length - 37)));
    for (text, right) in [
        (note.clone(), true),
        (of(&format!("{ORIGIN}/2")), true),
        (of(&format!("{ORIGIN}/10")), true),
        (of(&format!("{ORIGIN}/2147483647")), true),
        (of(&format!("~a_/b-c.d/{LOG}/2/{LOG}")), true),
        (long(255), true),
        (long(256), false),
        (of(&format!("{ORIGIN}/0")), false),
        (of(&format!("{ORIGIN}/1")), false),
        (of(&format!("{ORIGIN}/02")), false),
        (of(&format!("{ORIGIN}/2147483648")), false),
        (of(&format!("{ORIGIN}/")), false),
        (of(&format!("a b/{LOG}")), false),
        (of(&format!("a//{LOG}")), false),
        (of(&format!("/{LOG}")), false),
        (of(LOG), false),
        (of(&format!("a+b/{LOG}")), false),
        (of(&format!("é/{LOG}")), false),
        (of(&ORIGIN.to_uppercase()), false),
        (of(&ORIGIN.replace('-', "")), false),
        (of(&format!("db.example.com/{}", &LOG.replace('-', "0"))), false),
        (note.replace("\n12\n", "\n012\n"), false),
        (note.replace("\n12\n", "\n+12\n"), false),
        (note.replace("\n12\n", "\n13\n"), false),
        (note.trim_end().to_owned(), false),
        (format!("{note}extension\n"), false),
        (format!("{note}\next\n"), false),
        (format!("{note}\n"), false),
        (format!("{note}\n— a\u{1}b AAAAAAA=\n"), false),
    ] {
        dir.put("full.note", &text);
        let (outcome, other) = (python(&dir), dir.run("export --unsigned --note full.note export.jsonl"));
        assert_eq!((outcome.code == 0, other.code == 3), (right, right), "{text}: {outcome:?} {other:?}");
        assert!(!outcome.stderr.contains("Traceback"), "{text}: {outcome:?}");
    }
}

#[test]
fn it_is_short_enough_to_be_read() {
    let script = std::fs::read_to_string(SCRIPT).unwrap();
    let code = script.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).count();
    assert!(code <= 80, "{code} lines");
    assert!(script.lines().all(|line| line.chars().count() <= 120));
    let imports: Vec<_> = script.lines().filter(|line| line.contains("import ")).collect();
    assert_eq!(imports, ["import base64, datetime, hashlib, json, re, sys"]);
}
