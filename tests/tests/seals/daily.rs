//! The script of docs/seals.md that cron runs: it seals, compares with the note before, takes the new one away, and fails
//! loudly.

use crate::scene;
use notary_tests::Database;
use notary_tests::pages::Page;
use notary_tests::talk::run;
use notary_tests::verdict::behind_the_guard;
use std::path::Path;
use std::process::{Command, Output};

fn script() -> String {
    let page = Page::read("docs/seals.md");
    let block = page.blocks().into_iter().find(|block| block.is("sh", "run") && block.text.contains("COPY_AWAY"));
    block.expect("the page has the script").text.replace("log=app_audit", "log=audit")
}

/// Runs the script as cron would, in a folder of its own; `away` is the command that takes notes away.
fn hourly(db: &Database<'_>, folder: &Path, away: &str) -> Output {
    let psql = db.cluster().command("psql");
    let programs = Path::new(psql.get_program()).parent().unwrap().display();
    Command::new("sh")
        .args(["-c", &script()])
        .envs(psql.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()))
        .env("PGDATABASE", db.name())
        .env("COPY_AWAY", away)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn it_keeps_every_note_and_says_nothing_while_all_is_well() {
    let db = scene("daily", 10);
    let folder = tempfile::tempdir().unwrap();
    let away = tempfile::tempdir().unwrap();
    let copy = format!("cp -t {}", away.path().display());
    for round in 0..3 {
        let said = hourly(&db, folder.path(), &copy);
        assert!(said.status.success(), "{said:?}");
        assert!(said.stdout.is_empty() && said.stderr.is_empty(), "cron would send a mail: {said:?}");
        assert!(hourly(&db, folder.path(), &copy).status.success(), "with nothing new");
        run(&mut db.client(), &format!("INSERT INTO audit VALUES ({round})"));
    }
    for size in ["11", "12", "13"] {
        let note = std::fs::read_to_string(away.path().join(size)).unwrap();
        let kept = format!("SELECT note FROM notary.seals WHERE size = {size}");
        assert_eq!(db.value(&kept), note);
    }
}

/// Nothing is sealed by a script that nobody has told where to take the seals.
#[test]
fn it_fails_without_a_command_that_takes_notes_away() {
    let db = scene("daily_unset", 1);
    let folder = tempfile::tempdir().unwrap();
    let said = hourly(&db, folder.path(), "");
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && text.contains("COPY_AWAY"), "{text}");
    assert_eq!(db.value("SELECT count(*) FROM notary.seals"), "0");
}

#[test]
fn it_fails_loudly_when_anything_is_wrong() {
    let db = scene("daily_wrong", 400);
    let folder = tempfile::tempdir().unwrap();
    assert!(hourly(&db, folder.path(), "true").status.success());
    assert!(!hourly(&db, folder.path(), "false").status.success(), "the note could not be taken away");
    behind_the_guard(
        &db,
        &[&crate::comparing::rewrite(300), "DELETE FROM notary.seal_store; UPDATE notary.tree SET size = 0"],
    );
    let said = hourly(&db, folder.path(), "true");
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && text.contains("not intact") && text.contains("rewritten"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path().join("notes")).unwrap().count(), 1, "nothing was sealed");
}
