//! Dump and restore of an event log: what it says is what it said, and it goes on.

use crate::{last, scene};
use notary_tests::talk::{run, texts};
use notary_tests::verdict::assert_found;
use notary_tests::{Database, shared};

fn source() -> Database<'static> {
    let db = scene("source");
    let app = db.role("app");
    let mut client = db.client();
    run(&mut client, &format!("GRANT INSERT ON audit TO \"{app}\""));
    let mut theirs = db.client_as(&app);
    run(
        &mut theirs,
        r#"SET application_name = 'the app'; BEGIN; SELECT notary.set_context('ann', ip => '10.0.0.1');
           INSERT INTO audit (action) SELECT 'a' || i FROM generate_series(1, 50) AS i; COMMIT;
           SELECT notary.log_event('{"action": "x", "tags": ["é", "b"], "old_value": 0.10, "details": {"n": 1.50}}')"#,
    );
    run(
        &mut client,
        "SELECT notary.unprotect('audit', 'a test'); INSERT INTO audit (action) VALUES ('between'); SELECT notary.protect('audit')",
    );
    run(&mut theirs, "INSERT INTO audit (action, result) VALUES ('second segment', 'denied')");
    db
}

fn rows(db: &Database<'_>) -> Vec<String> {
    texts(&mut db.client(), "SELECT e::text FROM audit AS e ORDER BY id")
}

#[track_caller]
fn assert_goes_on(copy: &Database<'_>, before: &[String]) {
    let mut client = copy.client();
    assert_eq!(rows(copy), before);
    assert_found(&mut client, "audit", &[]);
    run(&mut client, r#"SELECT notary.log_event('audit', '{"action": "after"}')"#);
    assert_eq!(last(&mut client, &["action", "db_user", "backend_pid = pg_backend_pid()"]), "after|postgres|true");
    assert_eq!(notary_tests::talk::refused(&mut client, r#"DROP TRIGGER "~notary_about" ON audit"#).code, "55000");
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_dump_of_the_database_brings_the_log_back() {
    let db = source();
    let before = rows(&db);
    let custom = shared().pg_dump(db.name(), &["-Fc"]).ok().stdout_bytes;
    let copy = shared().bare_db("copy");
    shared().pg_restore(copy.name(), &["--exit-on-error"], &custom).ok();
    assert_goes_on(&copy, &before);
    let inserts = shared().pg_dump(db.name(), &["--inserts", "--rows-per-insert=7"]).ok().stdout;
    let copy = shared().bare_db("copy");
    copy.psql(&inserts).ok();
    assert_goes_on(&copy, &before);
}

#[test]
fn a_table_dumped_alone_brings_the_log_back() {
    let db = source();
    let before = rows(&db);
    let dump = shared().pg_dump(db.name(), &["-t", "audit"]).ok().stdout;
    let copy = notary_tests::fresh_db("copy");
    copy.psql(&dump).ok();
    assert_goes_on(&copy, &before);
}

#[test]
fn rows_loaded_into_a_log_that_is_protected_already_keep_their_facts() {
    let db = source();
    let before = rows(&db);
    let schema = shared().pg_dump(db.name(), &["--section=pre-data", "--section=post-data"]).ok().stdout;
    let data = shared().pg_dump(db.name(), &["--section=data", "-Fc"]).ok().stdout_bytes;
    let copy = shared().bare_db("copy");
    copy.psql(&schema).ok();
    let mut command = shared().command("pg_restore");
    command.env("PGOPTIONS", "-c notary.restore=on").args(["--single-transaction", "-d", copy.name()]);
    let file = shared().scratch_dir().join(format!("{}.data", db.name()));
    std::fs::write(&file, data).unwrap();
    let output = command.arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_goes_on(&copy, &before);
}
