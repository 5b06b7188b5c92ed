//! `docs/check_export.py` says what `notary-verify export` says, of what is right and of what is wrong.

use std::path::Path;

use crate::cases;
use crate::log::Log;
use crate::program::{Dir, Outcome, run};

fn python(dir: &Dir) -> Outcome {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/check_export.py");
    run(Path::new("python3"), &[script, "full.note", "export.jsonl"], &dir.path(""), b"")
}

#[test]
fn what_is_right_passes_in_python() {
    let dir = Dir::good();
    python(&dir).expect(0, "12 lines");
    // A bare body will do: it looks at no signature.
    dir.put("full.note", Log::good().checkpoint(crate::log::ORIGIN, 12).to_string());
    python(&dir).expect(0, "12 lines");
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
    let script = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/check_export.py")).unwrap();
    let code = script.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).count();
    assert!(code <= 62, "{code} lines");
    assert!(script.lines().all(|line| line.chars().count() <= 120));
    let imports: Vec<_> = script.lines().filter(|line| line.contains("import ")).collect();
    assert_eq!(imports, ["import base64, hashlib, json, re, sys"]);
}
