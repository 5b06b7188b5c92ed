//! `docs/auditors.md` shows what the program writes. With `NOTARY_ACCEPT=1` it is written down there: read the
//! diff before you commit it.

use std::path::Path;

use crate::log::{Log, keys};
use crate::program::{Dir, run};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/auditors.md");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/check_export.py");

/// The files that the page speaks of.
fn files() -> Dir {
    let (dir, log) = (Dir::new(), Log::good());
    let changed = |at: usize, from: &str, to: &str| {
        let mut lines = log.lines.clone();
        lines[at] = String::from_utf8_lossy(&lines[at]).replace(from, to).into_bytes();
        Log::from_lines(lines).export()
    };
    dir.put("audit.keys", keys());
    dir.put("app_audit.note", log.note());
    dir.put("app_audit.jsonl", log.export());
    dir.put("changed.jsonl", changed(2, "false", "true"));
    dir.put("last-changed.jsonl", changed(11, "one", "two"));
    dir.put("may.note", log.seal(5).to_string());
    dir.put("may-june.consistency", log.consistency(5, 12).to_string());
    dir.put("order-17.proof", log.proof(3, 12).to_string());
    dir.put("check_export.py", std::fs::read(SCRIPT).unwrap());
    dir.put("evidence/export.jsonl", log.export());
    dir.put("evidence/keys", keys());
    dir.put("evidence/notes/may.note", log.seal(5).to_string());
    dir.put("evidence/notes/june.note", log.note());
    dir.put("evidence/proofs/order-17.proof", log.proof(3, 12).to_string());
    dir.put("evidence/consistency/may..june.consistency", log.consistency(5, 12).to_string());
    dir
}

#[test]
fn the_page_for_auditors_shows_what_the_program_writes() {
    let dir = files();
    let shown = std::fs::read_to_string(PAGE).unwrap();
    let (mut page, mut checked) = (String::new(), 0);
    let mut blocks = shown.split("```sh\n");
    page += blocks.next().unwrap();
    for block in blocks {
        let (commands, rest) = block.split_once("```\n").unwrap();
        page += &format!("```sh\n{commands}```\n");
        // A block whose output is not shown is not run.
        let Some(fence) = ["\n```text\n", "\n```json\n"].into_iter().find(|fence| rest.starts_with(fence)) else {
            page += rest;
            continue;
        };
        let (_, after) = rest[fence.len()..].split_once("```\n").unwrap();
        page += &format!("{fence}{}```\n{after}", output_of(commands, &dir));
        checked += 1;
    }
    if std::env::var_os("NOTARY_ACCEPT").is_some() {
        return std::fs::write(PAGE, &page).unwrap();
    }
    assert_eq!(page, shown, "the page is not what comes out");
    assert_eq!(checked, 10);
}

/// The manual and the page name the same reasons for exit code 3.
#[test]
fn the_page_and_the_manual_have_the_same_reasons_for_exit_code_3() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (_, of_page) = page.split_once("Code 3 comes with these alone").unwrap();
    let help = Dir::new().run("--help").stdout;
    let (_, of_help) = help.split_once("\n  3  ").unwrap();
    let (of_help, _) = of_help.split_once("\n\n").unwrap();
    let reasons = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().replace('`', "")).skip_while(|line| !line.starts_with("- "));
        lines.take_while(|line| line.starts_with("- ")).collect()
    };
    assert_eq!(reasons(of_page), reasons(of_help));
    assert_eq!(reasons(of_page).len(), 6);
}

/// What a shell with the program in its path writes.
fn output_of(commands: &str, dir: &Dir) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_notary-verify")).parent().unwrap().display();
    let script = format!("PATH='{programs}':$PATH\n{{ {commands}}} 2>&1");
    run(Path::new("bash"), &["-c", &script], &dir.path(""), b"").stdout
}
