//! The script of docs/seals.md that cron runs: it seals, compares with the note before, takes the new one away, and fails
//! loudly. And the query there that says when a rotation of keys is over.

use crate::{scene, seal};
use notary_tests::Database;
use notary_tests::pages::Page;
use notary_tests::talk::{run, texts};
use notary_tests::verdict::{behind_the_guard, round_the_guard};
use postgres::Client;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn script(notes: &Path) -> String {
    let page = Page::read("docs/seals.md");
    let block = page.blocks().into_iter().find(|block| block.is("sh", "run") && block.text.contains("COPY_AWAY"));
    let script = block.expect("the page has the script").text.replace("log=app_audit", "log=audit");
    script.replace("/var/lib/notary/app_audit", notes.to_str().unwrap())
}

/// Where psql is.
fn programs(db: &Database<'_>) -> PathBuf {
    Path::new(db.cluster().command("psql").get_program()).parent().unwrap().to_owned()
}

/// Runs the script as cron would; `away` is the command that takes notes away.
fn hourly(db: &Database<'_>, notes: &Path, away: &str) -> Output {
    hourly_with(db, &programs(db), &script(notes), away)
}

/// The same with the psql in `path`.
fn hourly_with(db: &Database<'_>, path: &Path, script: &str, away: &str) -> Output {
    let elsewhere = tempfile::tempdir().unwrap();
    Command::new("sh")
        .args(["-c", script])
        .envs(db.cluster().command("psql").get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", format!("{}:{}", path.display(), std::env::var("PATH").unwrap()))
        .env("PGDATABASE", db.name())
        .env("COPY_AWAY", away)
        .current_dir(elsewhere.path())
        .output()
        .unwrap()
}

/// It failed, and said so.
#[track_caller]
fn assert_loud(said: &Output, says: &[&str]) {
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && says.iter().all(|says| text.contains(says)), "{said:?}");
}

/// All files in a directory, with what they hold.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let file = |entry: DirEntry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap());
    fs::read_dir(directory).unwrap().map(|entry| file(entry.unwrap())).collect()
}

#[test]
fn it_keeps_every_note_and_says_nothing_while_all_is_well() {
    let db = scene("daily", 10);
    let (notes, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let copy = format!("cp -t {}", away.path().display());
    let others = ["README", "99.bak", "x9", "7 8", "-9", "1e9"];
    for name in others {
        fs::write(notes.path().join(name), "no note").unwrap();
    }
    fs::create_dir(notes.path().join("of-1")).unwrap();
    for round in 0..3 {
        let said = hourly(&db, notes.path(), &copy);
        assert!(said.status.success(), "{said:?}");
        assert!(said.stdout.is_empty() && said.stderr.is_empty(), "cron would send a mail: {said:?}");
        assert!(hourly(&db, notes.path(), &copy).status.success(), "with nothing new");
        run(&mut db.client(), &format!("INSERT INTO audit VALUES ({round})"));
    }
    fs::remove_dir(notes.path().join("of-1")).unwrap();
    let (kept, away) = (files(notes.path()), files(away.path()));
    assert_eq!(away.keys().collect::<Vec<_>>(), ["11", "12", "13"]);
    for (size, note) in &away {
        assert_eq!(db.value(&format!("SELECT note FROM notary.seals WHERE size = {size}")), *note);
        assert_eq!(kept[size], *note);
    }
    assert_eq!(kept.len(), away.len() + others.len(), "nothing else is left");
}

/// Nothing is sealed by a script that nobody has told where to take the seals.
#[test]
fn it_fails_without_a_command_that_takes_notes_away() {
    let db = scene("daily_unset", 1);
    let notes = tempfile::tempdir().unwrap();
    assert_loud(&hourly(&db, notes.path(), ""), &["COPY_AWAY"]);
    assert_eq!(db.value("SELECT count(*) FROM notary.seals"), "0");
}

/// It does not begin as if there were no notes.
#[test]
fn it_fails_where_the_notes_are_not() {
    let db = scene("daily_nowhere", 1);
    let folder = tempfile::tempdir().unwrap();
    assert_loud(&hourly(&db, &folder.path().join("gone"), "true"), &["gone"]);
    fs::write(folder.path().join("file"), "").unwrap();
    assert_loud(&hourly(&db, &folder.path().join("file"), "true"), &["file"]);
    for relative in ["notes", ".", "./notes"] {
        assert_loud(&hourly(&db, Path::new(relative), "true"), &["an absolute path"]);
    }
    assert_eq!(db.value("SELECT count(*) FROM notary.seals"), "0");
    // A number that is no note: neither passed over nor taken for one.
    fs::write(folder.path().join("1"), "").unwrap();
    assert_loud(&hourly(&db, folder.path(), "true"), &["ERROR"]);
    fs::remove_file(folder.path().join("1")).unwrap();
    fs::create_dir(folder.path().join("1")).unwrap();
    assert_loud(&hourly(&db, folder.path(), "true"), &["1"]);
}

#[test]
fn it_fails_loudly_when_anything_is_wrong() {
    let db = scene("daily_wrong", 400);
    let notes = tempfile::tempdir().unwrap();
    assert!(hourly(&db, notes.path(), "true").status.success());
    assert!(!hourly(&db, notes.path(), "false").status.success(), "the note could not be taken away");
    behind_the_guard(
        &db,
        &[&crate::comparing::rewrite(300), "DELETE FROM notary.seal_store; UPDATE notary.tree SET size = 0"],
    );
    assert_loud(&hourly(&db, notes.path(), "true"), &["not intact", "rewritten"]);
    assert_eq!(files(notes.path()).len(), 1, "nothing was kept");
}

/// A psql that does something when it is given a text for the first time. `$REAL` is the true one, `$HERE` its directory.
fn meddling(db: &Database<'_>, when: &str, what: &str) -> tempfile::TempDir {
    let path = tempfile::tempdir().unwrap();
    let real = programs(db).join("psql");
    let text = format!(
        "#!/bin/sh
         REAL={} HERE={} in=$(cat)
         case $in in *{when}*) if mkdir $HERE/done 2>/dev/null; then {what}; fi;; esac
         printf '%s\\n' \"$in\" | $REAL \"$@\"",
        real.display(),
        path.path().display()
    );
    let psql = path.path().join("psql");
    fs::write(&psql, text).unwrap();
    fs::set_permissions(&psql, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A superuser who writes history anew while the script runs, whenever that is, and has it signed.
#[test]
fn a_log_that_is_rewritten_between_two_of_its_commands_does_not_replace_what_was_kept() {
    let forget = "DELETE FROM notary.tree; DELETE FROM notary.leaf_range; DELETE FROM notary.subtree;
        DELETE FROM notary.seal_store";
    let more = "INSERT INTO audit SELECT i, 'more' FROM generate_series(1, 9) AS i";
    for (name, when, and) in [
        ("before", "CALL", ""),
        ("longer", "CALL", more),
        ("after", "assert_intact", ""),
        ("after_longer", "assert_intact", more),
    ] {
        let db = scene(&format!("daily_{name}"), 400);
        let (notes, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(hourly(&db, notes.path(), "true").status.success());
        let kept = files(notes.path());
        let rewrite = crate::comparing::rewrite(300);
        let path = meddling(&db, when, "$REAL -X -q -v ON_ERROR_STOP=1 -f $HERE/attack.sql >&2");
        let attack = round_the_guard(&[&rewrite, forget]).join(";\n") + ";\n" + and;
        fs::write(path.path().join("attack.sql"), attack).unwrap();
        let copy = format!("cp -t {}", away.path().display());
        for _ in 0..2 {
            let said = hourly_with(&db, path.path(), &script(notes.path()), &copy);
            assert_loud(&said, &["not intact"]);
            assert!(path.path().join("done").exists(), "{name}");
            assert_eq!(files(notes.path()), kept, "{name}");
            assert!(files(away.path()).is_empty(), "{name}");
        }
    }
}

/// The seal is of another history, and by the time of the comparison that is gone again.
#[test]
fn a_note_that_is_kept_is_not_replaced_by_one_that_says_something_else() {
    let db = scene("daily_other", 10);
    let (notes, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(hourly(&db, notes.path(), "true").status.success());
    let kept = files(notes.path());
    let copy = format!("cp -t {}", away.path().display());
    for (change, says) in [
        ("3s/^...../00000/", "the seal is not the one in"),
        ("1s,/,/x/,", "the seal is not the one in"),
        ("2s/.*/10/", "the seal of size 10 is older than 11"),
        ("2s/.*/x/", "the seal of size x is older than 11"),
        ("2d", "the seal of size"),
    ] {
        let path = meddling(&db, "CALL", &format!("printf '%s\\n' \"$in\" | $REAL \"$@\" | sed '{change}'; exit"));
        assert_loud(&hourly_with(&db, path.path(), &script(notes.path()), &copy), &[says]);
        assert_eq!(files(notes.path()), kept, "{change}");
        assert!(files(away.path()).is_empty(), "{change}");
    }
    assert!(hourly(&db, notes.path(), &copy).status.success());
    assert_eq!(files(away.path()), kept);
}

/// The same size and root, signed by the new key too, or by no key: what is kept only gains by it.
#[test]
fn a_note_that_is_signed_anew_gains_signatures() {
    let db = scene("daily_resigned", 10);
    let notes = tempfile::tempdir().unwrap();
    assert!(hourly(&db, notes.path(), "true").status.success());
    let before = files(notes.path()).remove("11").unwrap();
    let mut client = rotate(&db);
    let said = hourly(&db, notes.path(), "true");
    assert!(said.status.success(), "{said:?}");
    let after = files(notes.path());
    assert_eq!(after.len(), 1);
    let after = &after["11"];
    assert!(after.starts_with(&before), "{after}");
    let both =
        texts(&mut client, "SELECT note FROM notary.seals WHERE size = 11 ORDER BY cardinality(keys) DESC").remove(0);
    let sorted = |note: &str| note.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!((sorted(after), after.lines().count()), (sorted(&both), 6));
    let key = crate::key(&mut client, "audit");
    let valid =
        format!("SELECT valid::text FROM notary.verify_note({}, {})", crate::literal(after), crate::literal(&key));
    assert_eq!(texts(&mut client, &valid), ["true"]);
    let path = meddling(&db, "CALL", "printf '%s\\n' \"$in\" | $REAL \"$@\" | head -n 3; exit");
    assert!(hourly_with(&db, path.path(), &script(notes.path()), "true").status.success());
    assert_eq!(files(notes.path())["11"], *after);
}

/// Another secret, with the one before it beside it.
fn rotate(db: &Database<'_>) -> Client {
    let data = db.cluster().data_dir();
    let (old, new) = (format!("{}.key", db.name()), format!("{}-2.key", db.name()));
    run(&mut db.client(), &format!("ALTER DATABASE \"{}\" SET notary.signing_key_file = '{new}'", db.name()));
    let mut client = db.client();
    run(&mut client, "SELECT * FROM notary.generate_key()");
    let both = [&new, &old].map(|name| fs::read_to_string(data.join(name)).unwrap()).concat();
    fs::write(data.join(&new), both).unwrap();
    client
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
    let mut client = rotate(&db);
    assert_eq!(texts(&mut client, query).len(), 2);
    run(&mut client, "INSERT INTO audit VALUES (2); INSERT INTO other VALUES (2)");
    seal(&mut client, "audit");
    let left = format!("SELECT log::text FROM ({query}) AS shown");
    assert_eq!(texts(&mut client, &left), ["other"]);
    seal(&mut client, "other");
    assert!(texts(&mut client, query).is_empty());
}
