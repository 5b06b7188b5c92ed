//! `make demo` does what it says and leaves nothing behind, and the README shows what it writes.

use notary_tests::pages::{Page, differs, top};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn demo(seconds: &str) -> Command {
    // Whoever runs this in the background may have it ignore SIGINT, which a shell script cannot undo itself.
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", "bash"]);
    command.arg(top().join("tests/demo.sh")).env("NOTARY_DEMO_SECONDS", seconds);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The directory of the demo with this process id, while it is there.
fn home(pid: u32) -> Option<PathBuf> {
    let stage = std::env::var_os("NOTARY_STAGE").expect("NOTARY_STAGE is not set: `. tests/env.sh` first");
    let run = fs::read_dir(PathBuf::from(stage).join("run")).unwrap();
    let prefix = format!("demo.{pid}.");
    run.map(|entry| entry.unwrap()).find(|e| e.file_name().to_string_lossy().starts_with(&prefix)).map(|e| e.path())
}

#[test]
fn the_demo_does_what_it_says_and_the_readme_shows_it() {
    let child = demo("3").spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{complaints}", output.status);
    assert_eq!(complaints, "");
    assert!(!said.contains('\u{1b}'), "colours belong on a terminal only:\n{said}");
    assert_eq!(home(pid), None, "the demo left its directory behind");

    // The row that was forged is the one that is named.
    let forged = number_after(&said, "SET who = 'mallory' WHERE notary_chain = 1 AND notary_seq = ");
    let deleted = number_after(&said, "DELETE FROM changes WHERE notary_chain = 1 AND notary_seq = ");
    let findings = said.split("7. What verification says of that").nth(1).unwrap();
    assert_eq!(number_after(findings, "problem | value_changed\n    chain   | 1\n    seq     | "), forged);
    assert_eq!(number_after(findings, "problem | missing\n    chain   | 1\n    seq     | "), deleted);

    let readme = Page::read("README.md");
    // Without git the demo says that it shows a sample.
    let said = said.replace("a sample, as there is no git history here", "this repository's own history");
    let shown = readme.blocks().into_iter().find(|b| b.is("text", "demo")).expect("the README shows the demo");
    if let Some(difference) = differs(&shown.text, &said) {
        panic!("README.md line {}: {difference}\nin all of\n{said}", shown.line);
    }
}

fn number_after<'a>(text: &'a str, before: &str) -> &'a str {
    let after = text.split_once(before).unwrap_or_else(|| panic!("\"{before}\" is not in\n{text}")).1;
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    assert!(end > 0, "no number after \"{before}\" in\n{text}");
    &after[..end]
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let mut command = demo("60");
    // As a terminal's Ctrl-C: to the whole group.
    let mut child = command.process_group(0).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("pgbench --client") {
        line.clear();
        let read = out.read_line(&mut line).unwrap();
        if read == 0 {
            let mut why = String::new();
            child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("the demo ended before pgbench began: {why}");
        }
    }
    let home = home(child.id()).expect("the demo's directory is there while it runs");
    let pid = fs::read_to_string(home.join("data/postmaster.pid")).unwrap();
    // A process that has ended has none, even while nobody has asked for its exit code.
    let postmaster = PathBuf::from(format!("/proc/{}/cwd", pid.lines().next().unwrap()));
    assert!(postmaster.read_link().is_ok());
    kill_process_group(Pid::from_child(&child), Signal::INT).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
            panic!("the demo did not end when it was interrupted");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!home.exists(), "{} is still there", home.display());
    while postmaster.read_link().is_ok() {
        assert!(Instant::now() < deadline, "the server still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}
