//! The script of docs/seals.md that cron runs: it seals, compares with the note before, takes the new one away, and fails
//! loudly. And the query there that says when a rotation of keys is over.

use crate::{scene, seal};
use notary_tests::Database;
use notary_tests::pages::Page;
use notary_tests::talk::{run, texts};
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

#[test]
fn the_query_at_rotation_shows_the_logs_that_the_new_key_has_not_signed() {
    let db = scene("daily_rotation", 1);
    let blocks = Page::read("docs/seals.md").blocks();
    let query = &blocks.iter().find(|block| block.text.contains("<> ALL (keys)")).expect("the page has the query").text;
    let query = query.trim().trim_end_matches(';');
    let mut client = db.client();
    run(&mut client, "CREATE TABLE other (id int); SELECT notary.protect('other')");
    assert!(texts(&mut client, query).is_empty(), "nothing was sealed");
    for log in ["audit", "other"] {
        seal(&mut client, log);
    }
    assert!(texts(&mut client, query).is_empty(), "one key");
    let data = db.cluster().data_dir();
    let (old, new) = (format!("{}.key", db.name()), format!("{}-2.key", db.name()));
    run(&mut client, &format!("ALTER DATABASE \"{}\" SET notary.signing_key_file = '{new}'", db.name()));
    let mut client = db.client();
    run(&mut client, "SELECT * FROM notary.generate_key()");
    let both = [&new, &old].map(|name| std::fs::read_to_string(data.join(name)).unwrap()).concat();
    std::fs::write(data.join(&new), both).unwrap();
    assert_eq!(texts(&mut client, query).len(), 2);
    run(&mut client, "INSERT INTO audit VALUES (2); INSERT INTO other VALUES (2)");
    seal(&mut client, "audit");
    let left = format!("SELECT log::text FROM ({query}) AS shown");
    assert_eq!(texts(&mut client, &left), ["other"]);
    seal(&mut client, "other");
    assert!(texts(&mut client, query).is_empty());
}
