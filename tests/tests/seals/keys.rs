//! The key file, the keys that are handed out, and their rotation.

use crate::{key, scene, seal, size};
use notary_tests::talk::{refused, run, texts};
use notary_tests::{Cluster, Database};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// The key file of a database, and the one that follows it.
fn file(db: &Database<'_>, number: &str) -> PathBuf {
    db.cluster().data_dir().join(format!("{}{number}.key", db.name()))
}

#[test]
fn a_key_file_belongs_to_the_server_alone_and_is_never_written_over() {
    let db = scene("written", 1);
    let path = file(&db, "");
    let (before, about) = (fs::read_to_string(&path).unwrap(), fs::metadata(&path).unwrap());
    assert_eq!(about.mode() & 0o777, 0o600);
    assert!(before.starts_with("pg_notary-secret-1+") && before.ends_with('\n') && before.lines().count() == 1);
    let mut client = db.client();
    let error = refused(&mut client, "SELECT * FROM notary.generate_key()");
    assert_eq!(error.code, "58P02", "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    let role = db.role("nobody");
    run(&mut client, &format!("GRANT EXECUTE ON FUNCTION notary.generate_key TO \"{role}\""));
    assert_eq!(refused(&mut db.client_as(&role), "SELECT * FROM notary.generate_key()").code, "42501");
    let mut theirs = db.client_as(&role);
    // Before the library is loaded PostgreSQL takes any such setting; it counts for nothing then.
    run(&mut theirs, "SET notary.origin = 'x'; SELECT * FROM notary.logs");
    assert_eq!(texts(&mut theirs, "SHOW notary.origin"), ["db.example.com"]);
    assert_eq!(refused(&mut theirs, "SET notary.signing_key_file = '/tmp/x'").code, "42501");
    assert_eq!(refused(&mut theirs, "SET notary.origin = 'x'").code, "42501");
    run(&mut client, "SET notary.signing_key_file = '/nowhere/at/all.key'");
    assert_eq!(refused(&mut client, "SELECT * FROM notary.generate_key()").code, "F0000");
    run(&mut client, "SET notary.signing_key_file = ''");
    assert_eq!(refused(&mut client, "SELECT * FROM notary.generate_key()").code, "55000");
}

#[test]
fn a_file_that_others_could_read_or_change_is_not_used() {
    let db = scene("modes", 1);
    let path = file(&db, "");
    let mut client = db.client();
    let text = fs::read_to_string(&path).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o620, 0o610, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = refused(&mut client, "CALL notary.seal('audit')");
        assert_eq!(error.code, "F0000", "{mode:o}: {error}");
        assert!(error.to_string().contains("may be used by others"), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for (wrong, why) in [
        (String::new(), "holds no key"),
        ("nonsense\n".into(), "holds no key"),
        (text.trim_end().to_owned(), "holds no key"),
        (format!("{text}{text}"), "holds no key"),
        (text.repeat(3), "holds no key"),
    ] {
        fs::write(&path, &wrong).unwrap();
        let error = refused(&mut client, "CALL notary.seal('audit')");
        assert_eq!(error.code, "F0000", "{error}");
        assert!(error.to_string().contains(why) && !error.to_string().contains(text[20..40].trim()), "{error}");
    }
    for not_a_file in [".", "/dev/null", "/dev/zero"] {
        run(&mut client, &format!("SET notary.signing_key_file = '{not_a_file}'"));
        let error = refused(&mut client, "CALL notary.seal('audit')");
        assert_eq!(error.code, "F0000", "{not_a_file}: {error}");
    }
    run(&mut client, "SET notary.signing_key_file = 'not_there.key'");
    assert_eq!(refused(&mut client, "SELECT notary.verifier_key('audit')").code, "F0000");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.seals"), ["0"]);
    run(&mut client, "RESET notary.signing_key_file");
    fs::write(&path, text).unwrap();
    assert_eq!(size(&seal(&mut client, "audit")), 2);
}

/// A role that may only read must not make a log's first seal an unsigned one.
#[test]
fn a_session_that_blanks_the_setting_does_not_seal() {
    let db = scene("blanked", 1);
    let role = db.role("reader");
    run(&mut db.client(), &format!("GRANT SELECT ON audit TO \"{role}\""));
    // As PGOPTIONS does: before the library is loaded, and in place of what the server's files say.
    let mut config = db.cluster().config_as(db.name(), &role);
    let mut client = config.options("-c notary.signing_key_file=x").connect(postgres::NoTls).unwrap();
    let error = refused(&mut client, "CALL notary.seal('audit')");
    assert_eq!(error.code, "F0000", "{error}");
    let mut client = db.client();
    run(&mut client, "SET notary.signing_key_file = ''");
    assert_eq!(refused(&mut client, "CALL notary.seal('audit')").code, "F0000");
    run(&mut client, "RESET notary.signing_key_file");
    assert_eq!(seal(&mut client, "audit").matches("\n— ").count(), 1);
}

#[test]
fn keys_that_are_handed_out_verify_and_differ_from_log_to_log() {
    let db = scene("handed_out", 1);
    let mut client = db.client();
    run(&mut client, "CREATE TABLE other (id int); SELECT notary.protect('other')");
    let (ours, theirs) = (key(&mut client, "audit"), key(&mut client, "other"));
    assert_ne!(ours.split('+').nth(2), theirs.split('+').nth(2));
    seal(&mut client, "audit");
    let said = |client: &mut postgres::Client, key: &str| {
        let note = "SELECT note FROM notary.seals WHERE log = 'audit'::regclass";
        texts(client, &format!("SELECT valid FROM notary.verify_note(({note}), '{key}')")).remove(0)
    };
    assert_eq!(said(&mut client, &ours), "t");
    assert_eq!(said(&mut client, &theirs), "f");
    assert_eq!(said(&mut client, &format!("{theirs}\n{ours}")), "t");
    assert_eq!(key(&mut db.client(), "audit"), ours, "the same in every session");
}

#[test]
fn at_rotation_one_seal_bears_both_signatures_and_later_ones_the_new() {
    let db = scene("rotated", 1);
    let mut client = db.client();
    let old_key = key(&mut client, "audit");
    seal(&mut client, "audit");
    let secret = fs::read_to_string(file(&db, "")).unwrap();
    // Another secret alone is not taken.
    run(
        &mut client,
        &format!("SET notary.signing_key_file = '{}2.key'; SELECT * FROM notary.generate_key()", db.name()),
    );
    run(&mut client, "INSERT INTO audit VALUES (2)");
    let error = refused(&mut client, "CALL notary.seal('audit')");
    assert_eq!(error.code, "F0000", "{error}");
    // With the old one as its second line it is.
    let second = file(&db, "2");
    let both = fs::read_to_string(&second).unwrap() + &secret;
    fs::write(&second, both).unwrap();
    let new_key = key(&mut client, "audit");
    assert_ne!(new_key, old_key);
    let note = seal(&mut client, "audit");
    assert_eq!(note.matches("\n— ").count(), 2, "{note}");
    run(&mut client, "INSERT INTO audit VALUES (3)");
    let later = seal(&mut client, "audit");
    assert_eq!(later.matches("\n— ").count(), 1, "{later}");
    let valid = |client: &mut postgres::Client, note: &str, key: &str| {
        texts(client, &format!("SELECT valid FROM notary.verify_note('{note}', '{key}')")).remove(0)
    };
    assert_eq!((valid(&mut client, &note, &old_key), valid(&mut client, &note, &new_key)), ("t".into(), "t".into()));
    assert_eq!((valid(&mut client, &later, &old_key), valid(&mut client, &later, &new_key)), ("f".into(), "t".into()));
    // A retired key speaks for nothing above its last size.
    let size = size(&note);
    assert_eq!(valid(&mut client, &note, &format!("{old_key} {size}")), "t");
    assert_eq!(valid(&mut client, &note, &format!("{old_key} {}", size - 1)), "f");
}

#[test]
fn the_secret_is_in_no_table_no_message_and_no_log() {
    let cluster = Cluster::builder().setting("log_statement", "all").setting("log_min_messages", "debug1").start();
    let db = cluster.fresh_db("secret");
    crate::set_up(&db);
    run(&mut db.client(), "CREATE TABLE audit (id int); SELECT notary.protect('audit'); INSERT INTO audit VALUES (1)");
    seal(&mut db.client(), "audit");
    let secret = fs::read_to_string(file(&db, "")).unwrap();
    let digits = secret.trim_end().strip_prefix("pg_notary-secret-1+").unwrap().to_owned();
    assert_eq!(digits.len(), 44);
    let dump = cluster.pg_dump(db.name(), &["--inserts"]).ok().stdout;
    assert!(!dump.contains(&digits) && dump.contains("seal_store"));
    assert!(!cluster.log_contents().contains(&digits));
    let role = db.role("curious");
    let shown = "SELECT coalesce(string_agg(setting, ' '), '') FROM pg_settings WHERE name = 'notary.signing_key_file'";
    assert_eq!(texts(&mut db.client_as(&role), shown), [""]);
}

/// Also a log in which nothing is new has done with the old secret once it was sealed.
#[test]
fn at_rotation_a_log_without_new_entries_is_signed_again() {
    let db = scene("quiet", 1);
    let mut client = db.client();
    let before = seal(&mut client, "audit");
    let secret = fs::read_to_string(file(&db, "")).unwrap();
    run(
        &mut client,
        &format!("SET notary.signing_key_file = '{}2.key'; SELECT * FROM notary.generate_key()", db.name()),
    );
    let second = file(&db, "2");
    let new_secret = fs::read_to_string(&second).unwrap();
    fs::write(&second, new_secret.clone() + &secret).unwrap();
    let both = seal(&mut client, "audit");
    assert_eq!(both.split("\n\n").next(), before.split("\n\n").next(), "the same size and root");
    assert_eq!(both.matches("\n— ").count(), 2, "{both}");
    assert_eq!(texts(&mut client, "SELECT note FROM notary.seals"), std::slice::from_ref(&both));
    assert_eq!(texts(&mut client, "SELECT cardinality(keys) FROM notary.seals"), ["2"]);
    assert_eq!(seal(&mut client, "audit"), both, "and then it is given again");
    fs::write(&second, new_secret).unwrap();
    run(&mut client, "INSERT INTO audit VALUES (2)");
    assert_eq!(seal(&mut client, "audit").matches("\n— ").count(), 1);
}

#[test]
fn when_the_secret_is_lost_sealing_begins_anew_under_another_name() {
    let db = scene("lost_key", 5);
    let mut client = db.client();
    let note = seal(&mut client, "audit");
    let resume = |note: &str| format!("SELECT notary.resume('audit', {})", crate::literal(note));
    assert_eq!(refused(&mut client, &resume(&note)).code, "55000", "it is not lost");
    let other = format!("SET notary.signing_key_file = '{}3.key'; SELECT * FROM notary.generate_key()", db.name());
    run(&mut client, &other);
    let error = refused(&mut client, "CALL notary.seal('audit')");
    assert!(error.code == "F0000" && error.hint.contains("notary.resume"), "{error}");
    for bad in ["NULL".to_owned(), crate::literal(&note.replace("\n6\n", "\n7\n"))] {
        let error = refused(&mut client, &format!("SELECT notary.resume('audit', {bad})"));
        assert_eq!(error.code, "22023", "{error}");
    }
    assert_eq!(texts(&mut client, &resume(&note)), [format!("{}/2", note.lines().next().unwrap())]);
    let anew = seal(&mut client, "audit");
    assert_eq!(size(&anew), 6);
    let verifier = key(&mut client, "audit");
    let said = format!("SELECT valid FROM notary.verify_note({}, '{verifier}')", crate::literal(&anew));
    assert_eq!(texts(&mut client, &said), ["t"]);
    notary_tests::verdict::assert_found(&mut client, "audit", &[]);
}

/// The key file may be named where only the postmaster has it.
#[test]
fn a_setting_of_the_server_s_command_line_cannot_be_blanked() {
    let mut cluster = notary_tests::Cluster::start();
    let db = cluster.fresh_db("argv");
    run(&mut db.client(), "CREATE TABLE audit (id int); SELECT notary.protect('audit')");
    let name = db.name().to_owned();
    cluster.restart_with(&["-c", "notary.origin=x.example", "-c", "notary.signing_key_file=argv.key"]);
    let db = cluster.database(&name);
    run(&mut db.client(), "SELECT * FROM notary.generate_key()");
    let role = db.role("reader");
    run(&mut db.client(), &format!("GRANT SELECT ON audit TO \"{role}\""));
    let mut config = cluster.config_as(&name, &role);
    let mut client = config.options("-c notary.signing_key_file=").connect(postgres::NoTls).unwrap();
    assert_eq!(refused(&mut client, "CALL notary.seal('audit')").code, "F0000");
}
