//! `notary-verify export`.

use serde_json::Value;

use crate::cases;
use crate::log::{LOG, Log, ORIGIN, drafts, entry, key, keys};
use crate::program::Dir;

const CHECK: &str = "export --keys keys --note full.note export.jsonl";

#[test]
fn a_well_formed_export_passes() {
    let dir = Dir::good();
    let outcome = dir.run(CHECK);
    outcome.expect(0, "export.jsonl: 12 lines");
    outcome.expect(0, "full.note: note of db.example.com");
    assert!(outcome.stdout.ends_with("\ngood\n") && outcome.stderr.is_empty(), "{outcome:?}");
    let quiet = dir.run(&format!("{CHECK} -q"));
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (0, "", ""));
    dir.run_with("export --keys keys --note full.note", &Log::good().export()).expect(0, "standard input: 12 lines");
    dir.run_with("export --keys keys --note - export.jsonl", Log::good().note().as_bytes()).expect(0, "good");
}

#[test]
fn json_says_what_was_found() {
    let (dir, log) = (Dir::good(), Log::good());
    let value = dir.json(CHECK);
    let export = &value["export"];
    assert_eq!((&value["verdict"], &value["origin"], &value["error"]), (&"good".into(), &ORIGIN.into(), &Value::Null));
    assert_eq!(export["bytes"], log.export().len());
    assert_eq!((&export["lines"], &export["segments"], &export["chains"]), (&12.into(), &3.into(), &4.into()));
    assert_eq!(value["notes"][0]["root"], export["root"]);
    assert_eq!(value["notes"][0]["signers"].as_array().unwrap().len(), 1);
    assert!(value["problems"].as_array().unwrap().is_empty());

    dir.put("export.jsonl", [log.export(), b"x\n".to_vec()].concat());
    let value = dir.json(CHECK);
    assert_eq!((&value["verdict"], &value["problem_count"]), (&"wrong".into(), &2.into()));
    assert_eq!((&value["problems"][0]["problem"], &value["problems"][0]["line"]), (&"bad_line".into(), &13.into()));
    assert_eq!((&value["problems"][1]["problem"], &value["problems"][1]["line"]), (&"uncovered".into(), &13.into()));

    let value = dir.json("export --keys keys --note full.note nowhere.jsonl");
    assert_eq!(value["verdict"], "error");
    assert!(value["error"].as_str().unwrap().contains("nowhere.jsonl"), "{value}");
}

#[test]
fn every_kind_of_tampering_is_found_in_its_line() {
    for case in cases::all() {
        let dir = Dir::good();
        dir.put("export.jsonl", &case.export);
        dir.put("full.note", &case.note);
        let value = dir.json(CHECK);
        let first = &value["problems"][0];
        let line = first["line"].as_u64();
        assert_eq!(value["exit_code"], 1, "{}: {value}", case.name);
        assert_eq!((first["problem"].as_str(), line), (Some(case.problem), case.line), "{}: {value}", case.name);
        let said = dir.run(CHECK).stdout;
        if let Some(line) = line {
            assert!(said.contains(&format!("export.jsonl line {line}: ")), "{}: {said}", case.name);
        }
        for secret in ["usr_a1", "login", "caf", "12.50"] {
            assert!(!said.contains(secret), "{}: {said}", case.name);
        }
    }
}

#[test]
fn one_wrong_line_is_one_problem_beside_the_root() {
    let dir = Dir::good();
    let mut lines = Log::good().lines;
    lines[2][0] = b'[';
    dir.put("export.jsonl", Log::from_lines(lines).export());
    let value = dir.json(CHECK);
    let found: Vec<_> = value["problems"].as_array().unwrap().iter().map(|p| p["problem"].as_str().unwrap()).collect();
    // The entry after the unreadable one misses it.
    assert_eq!(found, ["bad_line", "seq_missing", "wrong_root"], "{value}");
}

#[test]
fn problems_are_counted_beyond_those_that_are_printed() {
    let dir = Dir::good();
    dir.put("export.jsonl", "x\n".repeat(50));
    let value = dir.json(CHECK);
    assert_eq!((value["problems"].as_array().unwrap().len(), &value["problem_count"]), (10, &52.into()));
    let outcome = dir.run(&format!("{CHECK} --max-problems 3"));
    outcome.expect(1, "… and 49 more problems\nWRONG: 52 problems");
    dir.run(&format!("{CHECK} --max-problems 51")).expect(1, "… and 1 more problem\n");
    dir.run(&format!("{CHECK} --max-problems 0")).expect(1, "WRONG: 52 problems");
}

#[test]
fn notes_of_several_sizes_are_checked_in_any_order() {
    let (dir, log) = (Dir::good(), Log::good());
    for size in [1, 5, 8] {
        dir.put(&format!("{size}.note"), log.seal(size).to_string());
    }
    let some = "export --keys keys --note 8.note --note 1.note --note 5.note";
    dir.run(&format!("{some} --note full.note export.jsonl")).expect(0, "good");
    // Without the note of all lines, some are not covered.
    dir.run(&format!("{some} export.jsonl")).expect(1, "line 9: no note covers the lines from 9 to 12");
    dir.run(&format!("{some} export.jsonl --allow-uncovered")).expect(3, "no note covers the lines from 9 to 12");

    dir.put("11.note", log.seal(11).to_string());
    dir.run("export --keys keys --note 11.note export.jsonl").expect(1, "line 12: no note covers line 12");

    // What was changed after line 5 is known to be there.
    let mut lines = log.lines.clone();
    lines.swap(6, 7);
    let changed = Log::from_lines(lines);
    dir.put("export.jsonl", changed.export());
    dir.run(&format!("{some} export.jsonl")).expect(1, "8.note: the first 8 lines are not those it was made of; ");
    dir.run(&format!("{some} export.jsonl")).expect(1, "the first 5 fit 5.note, so the difference is after line 5");
}

#[test]
fn a_note_of_more_lines_than_there_are_is_a_problem() {
    let dir = Dir::good();
    let mut longer = drafts();
    longer.push(entry(1, 1, 5));
    dir.put("longer.note", Log::of(&longer, |_, _| ()).note());
    dir.run("export --keys keys --note longer.note export.jsonl")
        .expect(1, "it covers 13 lines, and the export has 12");
    dir.run("export --keys keys --note longer.note --note full.note export.jsonl").expect(1, "it covers 13 lines");
}

#[test]
fn an_empty_log_is_what_it_is() {
    let (dir, none) = (Dir::good(), Log::from_lines(Vec::new()));
    dir.put("none.note", none.note());
    dir.put("none.jsonl", "");
    dir.run("export --keys keys --note none.note none.jsonl").expect(0, "0 lines");
    dir.run("export --keys keys --note none.note export.jsonl").expect(1, "from 1 to 12");
}

#[test]
fn without_notes_only_the_form_is_checked_and_0_is_never_said() {
    let dir = Dir::good();
    dir.run("export --keys keys export.jsonl").expect(2, "no note");
    dir.run("export --unsigned export.jsonl").expect(3, "no note to compare with");
    dir.put("export.jsonl", "x\n");
    dir.run("export --unsigned export.jsonl").expect(1, "line 1");
    // The log is then the first line's.
    let of_two = Log::of(&drafts(), |index, line| {
        if index == 11 {
            *line = line.replace(LOG, crate::log::OTHER_LOG);
        }
    });
    dir.put("export.jsonl", of_two.export());
    dir.run("export --unsigned export.jsonl").expect(1, "line 12: segment 1 chain 1 seq 4: the line is of log");
}

#[test]
fn what_cannot_be_read_is_2() {
    let dir = Dir::good();
    for args in [
        "export --keys keys --note full.note nowhere",
        "export --keys keys --note full.note .",
        "export --keys keys --note nowhere export.jsonl",
        "export --keys nowhere --note full.note export.jsonl",
        "export --keys export.jsonl --note full.note export.jsonl",
        "export --note full.note export.jsonl",
        "export --key x --note full.note export.jsonl",
        "export --keys keys --note - -",
        "export --keys keys --keys keys --note full.note export.jsonl",
        "export --keys keys --note full.note --max-problems -1 export.jsonl",
        "export --keys keys --note full.note --origin x export.jsonl",
        "export --keys keys --note full.note --nonsense export.jsonl",
        "nonsense",
        "",
    ] {
        let outcome = dir.run(args);
        assert!(outcome.code == 2 && outcome.stdout.is_empty() && !outcome.stderr.is_empty(), "{args}: {outcome:?}");
    }
    dir.put("empty.keys", "\n");
    dir.run("export --keys empty.keys --note full.note export.jsonl").expect(2, "no key in it");
}

#[test]
fn a_key_may_be_given_itself() {
    let dir = Dir::good();
    let key = keys();
    dir.run(&format!("export --key {} --note full.note export.jsonl", key.trim())).expect(0, "good");
    let other = key_of_other();
    dir.run(&format!("export --key {other} --note full.note export.jsonl")).expect(1, "no known key");
}

fn key_of_other() -> String {
    key(2, ORIGIN).verifier().to_string()
}

#[test]
fn help_is_a_manual() {
    let dir = Dir::new();
    for (args, says) in [
        ("--help", "EXIT CODES"),
        ("--help", "--state FILE remembers"),
        ("--help", "retired"),
        ("export --help", "--allow-uncovered"),
        ("proof --help", "--show-line"),
        ("consistency --help", "--old"),
        ("note --help", "who signed"),
        ("bundle --help", "consistency/OLD..NEW.consistency"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        dir.run(args).expect(0, says);
    }
    for command in ["export", "proof", "consistency", "note", "bundle"] {
        dir.run(&format!("{command} --help")).expect(0, "EXIT CODES");
        let help = dir.run(&format!("{command} --help")).stdout;
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}

#[test]
fn long_lines_pass_and_batches_meet_within_lines() {
    let mut drafts = drafts();
    drafts.extend((5..9_000).map(|seq| entry(1, 1, seq)));
    let log = Log::of(&drafts, |index, line| {
        // Around 300 bytes mostly, and one line of 5 MB.
        let length = if index == 4_000 { 5_000_000 } else { index % 600 };
        if index >= 12 {
            *line = line.replace(r#""row":{"#, &format!(r#""row":{{"Long":"{}","#, "é".repeat(length)));
        }
    });
    let dir = Dir::good();
    dir.put("export.jsonl", log.export());
    dir.put("full.note", log.note());
    dir.run(CHECK).expect(0, "9007 lines");
    let mut changed = log.lines.clone();
    changed[8_000][300] ^= 1;
    dir.put("export.jsonl", Log::from_lines(changed).export());
    let line = dir.json(CHECK)["problems"][0]["line"].as_u64().unwrap();
    assert!((8_001..=8_002).contains(&line), "{line}");
}

#[test]
fn a_line_that_never_ends_is_not_kept() {
    let dir = Dir::good();
    let endless = vec![b'x'; (256 << 20) + (3 << 20)];
    let outcome = dir.run_with("export --keys keys --note full.note", &endless);
    outcome.expect(1, "line 1: line is longer than 268435456");
    outcome.expect(1, "what follows line 1 was not read");
}
