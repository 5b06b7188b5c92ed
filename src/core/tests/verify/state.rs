//! `--state`: the newest note of each origin is remembered, and a smaller one refused.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use notary_core::Seal;

use crate::log::{Log, ORIGIN, drafts, entry, key};
use crate::program::Dir;

fn dir() -> Dir {
    let (dir, log) = (Dir::good(), Log::good());
    for size in [5, 8] {
        dir.put(&format!("{size}.note"), log.seal(size).to_string());
    }
    dir
}

fn state(dir: &Dir) -> String {
    fs::read_to_string(dir.path("state")).unwrap_or_default()
}

fn line(log: &Log, size: u64) -> String {
    format!("{}\n", log.checkpoint(ORIGIN, size).to_string().trim_end().replace('\n', " "))
}

#[test]
fn a_smaller_note_is_refused() {
    let (dir, log) = (dir(), Log::good());
    dir.run("note --keys keys --state state 8.note").expect(0, "good");
    assert_eq!(state(&dir), line(&log, 8));
    let value = dir.json("note --keys keys --state state 5.note");
    assert_eq!(value["problems"][0]["problem"], "smaller_than_remembered", "{value}");
    assert_eq!(value["exit_code"], 1);
    assert_eq!(state(&dir), line(&log, 8));
    dir.run("note --keys keys --state state 8.note").expect(0, "good");
    dir.run("note --keys keys --state state full.note").expect(0, "good");
    assert_eq!(state(&dir), line(&log, 12));
    dir.run("note --keys keys --state state 8.note").expect(1, "its size is 8, and state remembers a note of size 12");
    // An older note beside the newest is not what is handed out as the newest.
    let both = "export --keys keys --state state --note 5.note --note full.note export.jsonl";
    dir.run(both).expect(0, "good");
    dir.run("export --keys keys --state state --note full.note --note 5.note export.jsonl").expect(0, "good");
    assert_eq!(state(&dir), line(&log, 12));
    dir.run("export --keys keys --state fresh --note full.note --note 5.note export.jsonl").expect(0, "good");
    dir.run("note --keys keys --state fresh 8.note").expect(1, "fresh remembers a note of size 12");
    dir.put("x.proof", log.proof(3, 8).to_string());
    dir.run("proof --keys keys --state state x.proof").expect(1, "remembers a note of size 12");
    dir.run("proof --keys keys x.proof").expect(0, "good");
}

#[test]
fn another_root_than_remembered_is_refused() {
    let (dir, log) = (dir(), Log::good());
    dir.put("state", line(&log, 8));
    let mut lines = log.lines.clone();
    lines.swap(2, 3);
    let forked = Log::from_lines(lines);
    dir.put("fork8.note", forked.seal(8).to_string());
    dir.put("fork.note", forked.note());
    dir.put("fork.jsonl", forked.export());
    let value = dir.json("note --keys keys --state state fork8.note");
    assert_eq!(value["problems"][0]["problem"], "other_root_than_remembered", "{value}");
    // The larger note agrees with its export, and neither with what is remembered.
    let args = "export --keys keys --note fork.note fork.jsonl";
    dir.run(args).expect(0, "good");
    dir.run(&format!("{args} --state state")).expect(1, "the first 8 lines are not those of the note that state rem");
    assert_eq!(state(&dir), line(&log, 8));
    dir.run("export --keys keys --state state --note full.note export.jsonl").expect(0, "good");
    assert_eq!(state(&dir), line(&log, 12));
}

#[test]
fn only_what_a_key_signed_and_what_is_right_is_remembered() {
    let (dir, log) = (dir(), Log::good());
    dir.put("body", log.checkpoint(ORIGIN, 12).to_string());
    dir.run("note --unsigned --state state body").expect(3, "");
    assert_eq!(state(&dir), "");
    dir.put("export.jsonl", "x\n");
    dir.run("export --keys keys --state state --note full.note export.jsonl").expect(1, "");
    assert_eq!(state(&dir), "");
    dir.run("note --keys keys --state state 8.note").expect(0, "");
    dir.put("body", log.checkpoint(ORIGIN, 5).to_string());
    dir.run("note --unsigned --state state body").expect(1, "remembers a note of size 8");
}

#[test]
fn each_origin_is_remembered_by_itself() {
    let (dir, log) = (dir(), Log::good());
    let second = format!("{ORIGIN}/2");
    let signer = key(1, &second);
    dir.put("second.note", Seal::sign(log.checkpoint(&second, 5), &[&signer]).unwrap().to_string());
    dir.put("second", format!("{}\n", signer.verifier()));
    dir.run("note --keys keys --state state full.note").expect(0, "");
    // A name that the server may choose does not wipe out what is remembered: it is said, once.
    dir.run("note --keys second --state state second.note").expect(3, "the log was begun anew as");
    dir.run("note --keys second --state state second.note").expect(0, "good");
    assert_eq!(state(&dir).lines().count(), 2);
    assert!(state(&dir).starts_with(&line(&log, 12)));
    dir.run("note --keys keys --state state 8.note").expect(1, "remembers");
    dir.run("note --keys keys --state state full.note").expect(1, "remembers a later incarnation of the log");
}

#[test]
fn a_state_that_is_none_or_cannot_be_written_is_2() {
    let (dir, log) = (dir(), Log::good());
    let good = line(&log, 8);
    for bad in ["x\n", good.trim_end(), &good.repeat(2), &good.replace(' ', "  "), "\n"] {
        dir.put("state", bad);
        assert_eq!(dir.run("note --keys keys --state state full.note").code, 2, "{bad:?}");
        assert_eq!(state(&dir), bad);
    }
    dir.run("note --keys keys --state nowhere/state full.note").expect(2, "nowhere");
    dir.run("note --keys keys --state . full.note").expect(2, "not a plain file");
    symlink("elsewhere", dir.path("link")).unwrap();
    dir.put("elsewhere", "");
    dir.run("note --keys keys --state link full.note").expect(2, "not a plain file");
    dir.run("note --keys keys --state /dev/null full.note").expect(2, "not a plain file");
}

#[test]
fn two_runs_at_once_forget_nothing() {
    let dir = dir();
    let mut longer = drafts();
    longer.extend((5..25).map(|seq| entry(1, 1, seq)));
    let longer = Log::of(&longer, |_, _| ());
    for size in 12..=longer.size() {
        dir.put(&format!("{size}.note"), longer.seal(size).to_string());
    }
    std::thread::scope(|scope| {
        for size in 12..=longer.size() {
            let dir = &dir;
            scope.spawn(move || {
                let code = dir.run(&format!("note --keys keys --state state {size}.note")).code;
                assert!(code == 0 || code == 1);
            });
        }
    });
    assert_eq!(state(&dir), line(&longer, longer.size()));
}

#[test]
fn a_file_that_stands_where_the_new_state_is_written_is_replaced_and_no_link_followed() {
    let (dir, log) = (dir(), Log::good());
    dir.put("precious", "kept");
    symlink("precious", dir.path("state.new")).unwrap();
    dir.run("note --keys keys --state state 5.note").expect(0, "good");
    assert_eq!(fs::read_to_string(dir.path("precious")).unwrap(), "kept");
    assert_eq!(state(&dir), line(&log, 5));
    assert!(fs::symlink_metadata(dir.path("state")).unwrap().is_file());
    // What a run left that was cut short.
    dir.put("state.new", line(&log, 12).repeat(9));
    dir.run("note --keys keys --state state 8.note").expect(0, "good");
    assert_eq!(state(&dir), line(&log, 8));
    fs::create_dir(dir.path("state.new")).unwrap();
    dir.run("note --keys keys --state state full.note").expect(2, "cannot write state");
    assert_eq!(state(&dir), line(&log, 8));
}

/// An export that ends when its pipe is closed, and the pipe, open once the program reads.
fn slow(dir: &Dir) -> (mpsc::Receiver<File>, impl Fn() -> crate::program::Outcome) {
    let pipe = dir.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (opened, receiver) = mpsc::channel();
    // Opening waits for the other end.
    std::thread::spawn(move || opened.send(OpenOptions::new().write(true).open(pipe).unwrap()));
    (receiver, || dir.run("export --keys keys --state state --note fork.note pipe"))
}

/// The export is compared with what was remembered when it began. Of two forks only one is remembered.
#[test]
fn what_another_run_remembers_meanwhile_is_not_passed_over() {
    let log = Log::good();
    let mut longer = drafts();
    longer.swap(6, 7);
    longer.push(entry(1, 1, 5));
    let forked = Log::of(&longer, |_, _| ());
    for before in ["", &line(&log, 5)] {
        let dir = dir();
        dir.put("fork.note", forked.note());
        dir.put("state", before);
        let (opened, run) = slow(&dir);
        std::thread::scope(|scope| {
            let run = scope.spawn(run);
            let mut pipe = opened.recv_timeout(Duration::from_secs(60)).expect("the program opens its export");
            dir.run("export --keys keys --state state --note full.note export.jsonl").expect(0, "good");
            pipe.write_all(&forked.export()).unwrap();
            drop(pipe);
            run.join().unwrap().expect(2, "state: the state changed meanwhile: run it again");
        });
        assert_eq!(state(&dir), line(&log, 12));
    }
}
