//! `notary-verify bundle`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use crate::log::{Log, ORIGIN, keys};
use crate::program::Dir;

const CHECK: &str = "bundle --keys keys evidence";

/// A bundle with all that it may have, and the keys outside of it.
fn dir() -> Dir {
    let (dir, log) = (Dir::new(), Log::good());
    dir.put("keys", keys());
    dir.put("evidence/export.jsonl", log.export());
    dir.put("evidence/keys", keys());
    dir.put("evidence/README.md", "what this is");
    dir.put("evidence/notes/may.note", log.seal(5).to_string());
    dir.put("evidence/notes/june.note", log.note());
    dir.put("evidence/proofs/order.proof", log.proof(3, 8).to_string());
    dir.put("evidence/consistency/may..june.consistency", log.consistency(5, 12).to_string());
    dir
}

#[test]
fn a_bundle_whose_parts_fit_passes() {
    let dir = dir();
    let outcome = dir.run(CHECK);
    for says in
        ["may.note: note", "june.note: note", "leaf 3 is", "of size 12 begins with", "12 lines", "README.md: for"]
    {
        outcome.expect(0, says);
    }
    let value = dir.json(CHECK);
    assert_eq!((value["notes"].as_array().unwrap().len(), &value["export"]["lines"]), (3, &12.into()), "{value}");
}

#[test]
fn keys_of_the_bundle_itself_are_not_enough() {
    let dir = dir();
    dir.run("bundle evidence").expect(3, "warning: the keys are those of the bundle itself");
    dir.run("bundle --state state evidence").expect(3, "");
    assert!(!dir.path("state").exists());
    fs::remove_file(dir.path("evidence/keys")).unwrap();
    dir.run("bundle evidence").expect(2, "no key");
    dir.run("bundle --unsigned evidence").expect(3, "unsigned");
    dir.run(CHECK).expect(0, "good");
}

#[test]
fn a_part_that_does_not_fit_is_found() {
    let log = Log::good();
    let mut lines = log.lines.clone();
    lines.swap(2, 3);
    let forked = Log::from_lines(lines);
    let cases: [(&str, Vec<u8>, &str); 12] = [
        ("export.jsonl", forked.export(), "wrong_root"),
        ("export.jsonl", Vec::new(), "export_too_short"),
        ("notes/june.note", forked.note().into(), "not_consistent"),
        ("notes/june.note", log.checkpoint(ORIGIN, 12).to_string().into(), "unsigned"),
        ("notes/june.note", b"x".to_vec(), "bad_note"),
        ("notes/july.note", forked.note().into(), "two_roots"),
        ("proofs/order.proof", forked.proof(3, 8).to_string().into(), "wrong_root"),
        ("proofs/order.proof", b"x".to_vec(), "bad_proof"),
        ("proofs/more.proof", log.proof(3, 8).to_string().replace("index 3", "index 2").into(), "not_proven"),
        ("consistency/may..june.consistency", b"x\n".to_vec(), "bad_proof"),
        ("consistency/june..may.consistency", log.consistency(5, 12).to_string().into(), "shrunk"),
        ("consistency/april..june.consistency", log.consistency(5, 12).to_string().into(), "no_such_note"),
    ];
    for (file, text, problem) in cases {
        let dir = dir();
        dir.put(&format!("evidence/{file}"), text);
        let value = dir.json(CHECK);
        assert_eq!(value["problems"][0]["problem"], problem, "{file}: {value}");
        assert_eq!(value["exit_code"], 1, "{file}: {value}");
    }
}

#[test]
fn each_file_is_accounted_for() {
    for file in [
        "notes.txt",
        ".hidden",
        "export.jsonl.bak",
        "README.html",
        "notes/may.txt",
        "notes/.note",
        "notes/README",
        "proofs/order.note",
        "consistency/june.consistency",
        "consistency/may-june.consistency",
        "keys.old",
    ] {
        let dir = dir();
        dir.put(&format!("evidence/{file}"), "x");
        let value = dir.json(CHECK);
        assert_eq!(value["problems"][0]["problem"], "unknown_file", "{file}: {value}");
        assert!(value["problems"][0]["file"].as_str().unwrap().ends_with(file), "{file}: {value}");
        assert_eq!(value["exit_code"], 1);
    }
    for file in ["more/x.note", "notes/more/x.note", "keys.d/x"] {
        let dir = dir();
        dir.put(&format!("evidence/{file}"), "x");
        assert_eq!(dir.json(CHECK)["problems"][0]["problem"], "not_a_file", "{file}");
    }
}

/// Two such names read as the same one if what is no UTF-8 is replaced: of these two notes one would be left out.
#[test]
fn a_name_that_is_not_utf_8_is_a_problem() {
    let mut lines = Log::good().lines;
    lines.swap(2, 3);
    let (good, forked) = (Log::good().note(), Log::from_lines(lines).note());
    let cases: [&[(&[u8], &str)]; 3] = [
        &[(b"notes/\xfe.note", &forked), (b"notes/\xff.note", &good)],
        &[(b"proofs/\xff.proof", "x")],
        &[(b"\xff", "x")],
    ];
    for files in cases {
        let dir = dir();
        for (name, text) in files {
            fs::write(dir.path("evidence").join(OsStr::from_bytes(name)), text).unwrap();
        }
        let value = dir.json(CHECK);
        assert_eq!((&value["exit_code"], &value["problem_count"]), (&1.into(), &files.len().into()), "{value}");
        for problem in value["problems"].as_array().unwrap() {
            assert_eq!(problem["problem"], "unknown_file", "{value}");
            assert!(problem["why"].as_str().unwrap().starts_with("its name is not UTF-8"), "{value}");
        }
    }
}

#[test]
fn no_link_is_followed() {
    for (at, to) in [
        ("evidence/more", "/etc/passwd"),
        ("evidence/notes/more.note", "june.note"),
        ("evidence/notes/away.note", "../../keys"),
        ("evidence/proofs/nowhere.proof", "nowhere"),
    ] {
        let dir = dir();
        symlink(to, dir.path(at)).unwrap();
        dir.run(CHECK).expect(1, &format!("{at}: a symbolic link"));
    }
    for moved in ["evidence/notes", "evidence/export.jsonl"] {
        let dir = dir();
        fs::rename(dir.path(moved), dir.path("elsewhere")).unwrap();
        symlink(dir.path("elsewhere"), dir.path(moved)).unwrap();
        dir.run(CHECK).expect(1, &format!("{moved}: a symbolic link"));
    }
}

#[test]
fn a_name_cannot_command_the_terminal() {
    for (bad, shown) in [
        ('\u{1b}', r"\u{1b}"),
        ('\u{7f}', r"\u{7f}"),
        ('\u{9b}', r"\u{9b}"),
        ('\u{200f}', r"\u{200f}"),
        ('\u{202e}', r"\u{202e}"),
        ('\u{2066}', r"\u{2066}"),
    ] {
        let dir = dir();
        dir.put(&format!("evidence/{bad}[2J é"), "x");
        let outcome = dir.run(CHECK);
        outcome.expect(1, &format!("evidence/{shown}[2J é"));
        assert!(!outcome.stdout.contains(bad));
    }
}

#[test]
fn a_bundle_may_hold_less() {
    let dir = dir();
    fs::remove_file(dir.path("evidence/export.jsonl")).unwrap();
    // The proof's seal is of a size that nothing links to the notes.
    let outcome = dir.run(CHECK);
    outcome.expect(3, "no export: of the log's lines only those in proofs were checked");
    outcome.expect(3, "order.proof: no consistency proof leads from it, size 8, to the seal of size 5");
    let log = Log::good();
    dir.put("evidence/notes/eight.note", log.seal(8).to_string());
    dir.put("evidence/consistency/eight..june.consistency", log.consistency(8, 12).to_string());
    dir.run(CHECK).expect(0, "good");
    fs::remove_file(dir.path("evidence/consistency/may..june.consistency")).unwrap();
    dir.run(CHECK).expect(3, "nothing shows that they are of one history");
    dir.put("evidence/consistency/may..june.consistency", log.consistency(5, 12).to_string());
    fs::remove_dir_all(dir.path("evidence/notes")).unwrap();
    dir.run(CHECK).expect(1, "there is no notes/");
    fs::remove_dir_all(dir.path("evidence/consistency")).unwrap();
    dir.run(CHECK).expect(0, "leaf 3 is");
    fs::remove_dir_all(dir.path("evidence/proofs")).unwrap();
    dir.run(CHECK).expect(2, "no export, note or proof in it");
    dir.run("bundle --keys keys nowhere").expect(2, "nowhere");
    dir.run("bundle --keys keys keys").expect(2, "cannot read keys");
}

#[test]
fn lines_that_no_note_of_the_bundle_covers_are_a_problem() {
    let dir = dir();
    fs::remove_file(dir.path("evidence/notes/june.note")).unwrap();
    fs::remove_dir_all(dir.path("evidence/consistency")).unwrap();
    dir.run(CHECK).expect(1, "no note covers the lines from 9 to 12");
    dir.run(&format!("{CHECK} --allow-uncovered")).expect(3, "no note covers the lines from 9 to 12");
}
