//! Notes, as `notary-verify note` and `export` see them: who signed, and for which log.

use notary_core::Seal;

use crate::log::{LOG, Log, ORIGIN, key, keys};
use crate::program::Dir;

#[test]
fn a_signed_note_passes() {
    let dir = Dir::good();
    dir.run("note --keys keys full.note").expect(0, "size 12, signed by key ");
    dir.run_with("note --keys keys", Log::good().note().as_bytes()).expect(0, "standard input: note");
    dir.run(&format!("note --keys keys --origin {ORIGIN} full.note")).expect(0, "good");
}

#[test]
fn a_note_that_is_not_vouched_for_is_refused() {
    let (dir, log) = (Dir::good(), Log::good());
    let note = log.note();
    let body = log.checkpoint(ORIGIN, 12);
    let by_other = Seal::sign(body.clone(), &[&key(2, ORIGIN)]).unwrap().to_string();
    let second = format!("{ORIGIN}/2");
    let incarnation = Seal::sign(log.checkpoint(&second, 12), &[&key(1, &second)]).unwrap().to_string();
    let cases = [
        ("signature stripped", body.to_string(), "unsigned"),
        ("signature stripped, empty line kept", format!("{body}\n"), "bad_note"),
        ("by another key of that name", by_other.clone(), "no_known_key"),
        ("another incarnation", incarnation, "no_known_key"),
        ("another size", note.replace("\n12\n", "\n13\n"), "bad_signature"),
        ("another origin", note.replacen("db.", "da.", 1), "bad_signature"),
        ("cut short", note[..note.len() - 10].to_owned(), "bad_note"),
        ("CRLF", note.replace('\n', "\r\n"), "bad_note"),
        ("no newline at the end", note.trim_end().to_owned(), "bad_note"),
        ("a line too many", note.replacen("\n\n", "\nmore\n\n", 1), "bad_note"),
    ];
    for (name, text, problem) in cases {
        dir.put("x.note", &text);
        for args in ["note --keys keys x.note", "export --keys keys --note x.note export.jsonl"] {
            let value = dir.json(args);
            assert_eq!(value["problems"][0]["problem"], problem, "{name}: {value}");
            assert_eq!(value["exit_code"], 1, "{name}: {value}");
        }
    }
    // With --unsigned it is as good as no signature, unless one fails.
    dir.put("x.note", by_other);
    dir.run("note --keys keys --unsigned x.note").expect(3, "unsigned, as far as the keys go");
    dir.put("x.note", body.to_string());
    dir.run("note --unsigned x.note").expect(3, "unsigned");
    dir.run("export --unsigned --note x.note export.jsonl").expect(3, "12 lines");
    dir.put("x.note", note.replace("\n12\n", "\n13\n"));
    dir.run("note --keys keys --unsigned x.note").expect(1, "does not fit");
}

#[test]
fn an_unsigned_note_still_has_to_fit() {
    let (dir, log) = (Dir::good(), Log::good());
    let mut lines = log.lines.clone();
    lines.swap(2, 3);
    dir.put("x.note", Log::from_lines(lines).checkpoint(ORIGIN, 12).to_string());
    dir.run("export --unsigned --note x.note export.jsonl").expect(1, "the first 12 lines are not those");
}

#[test]
fn a_retired_key_speaks_for_no_larger_tree() {
    let dir = Dir::good();
    let key = keys();
    for (last, code) in [(11, 1), (12, 0), (13, 0)] {
        dir.put("retired", format!("{} {last}\n", key.trim()));
        assert_eq!(dir.run("note --keys retired full.note").code, code, "{last}");
        assert_eq!(dir.run("export --keys retired --note full.note export.jsonl").code, code, "{last}");
    }
    dir.put("retired", format!("{} 11\n", key.trim()));
    dir.run("note --keys retired full.note").expect(1, "counts up to size 11, and this is size 12");
}

#[test]
fn a_note_of_another_log_is_no_note_of_this_export() {
    let (dir, log) = (Dir::good(), Log::good());
    let other = ORIGIN.replace(LOG, crate::log::OTHER_LOG);
    let signer = key(1, &other);
    dir.put("other.note", Seal::sign(log.checkpoint(&other, 12), &[&signer]).unwrap().to_string());
    dir.put("both", format!("{}{}\n", keys(), signer.verifier()));
    // The key is known and the root fits: the lines tell that they are of another log.
    dir.run("export --keys both --note other.note export.jsonl").expect(1, "line 1: header of segment 1: the line is");
    let value = dir.json("export --keys both --note full.note --note other.note export.jsonl");
    assert_eq!(value["problems"][0]["problem"], "other_origin", "{value}");
    let value = dir.json(&format!("note --keys both --origin {ORIGIN} other.note"));
    assert_eq!(value["problems"][0]["problem"], "other_origin", "{value}");
}

#[test]
fn two_signed_roots_for_one_size_are_said_to_be_a_fork() {
    let (dir, log) = (Dir::good(), Log::good());
    let mut lines = log.lines.clone();
    lines.swap(2, 3);
    dir.put("fork.note", Log::from_lines(lines).note());
    let value = dir.json("export --keys keys --note full.note --note fork.note export.jsonl");
    assert_eq!(value["problems"][0]["problem"], "two_roots", "{value}");
    assert_eq!(value["problems"][1]["problem"], "wrong_root", "{value}");
}
