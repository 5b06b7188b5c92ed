//! The trigger that makes a table an event log: nobody takes it away, and what is done round the guard is found.

use crate::{last, scene};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::{assert_found, behind_the_guard, findings};

#[test]
fn the_trigger_stays_as_it_is() {
    let db = scene("stays");
    let owner = db.role("owner");
    let mut client = db.client();
    run(&mut client, &format!("ALTER TABLE audit OWNER TO \"{owner}\""));
    run(&mut client, "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'");
    for user in [owner.as_str(), "postgres"] {
        let mut theirs = db.client_as(user);
        for sql in [
            r#"DROP TRIGGER "~notary_about" ON audit"#,
            r#"DROP TRIGGER "~notary_about" ON audit CASCADE"#,
            r#"ALTER TABLE audit DISABLE TRIGGER "~notary_about""#,
            "ALTER TABLE audit DISABLE TRIGGER ALL",
            "ALTER TABLE audit DISABLE TRIGGER USER",
            r#"ALTER TABLE audit ENABLE TRIGGER "~notary_about""#,
            r#"ALTER TABLE audit ENABLE REPLICA TRIGGER "~notary_about""#,
            r#"ALTER TRIGGER "~notary_about" ON audit RENAME TO a"#,
            r#"CREATE OR REPLACE TRIGGER "~notary_about" BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION nothing()"#,
            r#"CREATE OR REPLACE TRIGGER "~notary_about" BEFORE INSERT ON audit FOR EACH ROW WHEN (false) EXECUTE FUNCTION nothing()"#,
            "ALTER TABLE audit DROP COLUMN db_user",
            "ALTER TABLE audit RENAME COLUMN db_user TO x",
            "ALTER TABLE audit ALTER COLUMN txid TYPE text",
            "CREATE RULE r AS ON INSERT TO audit DO INSTEAD NOTHING",
        ] {
            let error = refused(&mut theirs, sql);
            assert_eq!(error.code, "55000", "{user}: {sql}: {error}");
        }
    }
    for sql in [
        "DROP FUNCTION notary.about() CASCADE",
        "DROP FUNCTION notary.about()",
        "ALTER FUNCTION notary.about() RENAME TO x",
        "CREATE OR REPLACE FUNCTION notary.about() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    ] {
        let error = refused(&mut client, sql);
        assert_eq!(error.code, "55000", "{sql}: {error}");
    }
    run(
        &mut client,
        "SET session_replication_role = replica; INSERT INTO audit (action, db_user) VALUES ('a', 'liar')",
    );
    assert_eq!(last(&mut client, &["db_user"]), "postgres", "it always fires");
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn nobody_calls_or_borrows_its_function() {
    let db = scene("borrowed");
    let mut client = db.client_as(&db.role("someone"));
    run(&mut client, "CREATE TABLE mine (action text)");
    let borrowed = "CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION notary.about()";
    assert_eq!(refused(&mut client, borrowed).code, "42501");
    let mut client = db.client();
    assert_eq!(refused(&mut client, "SELECT notary.about()").code, "55000");
    // A superuser may; on a table that is no event log it refuses rows rather than guess.
    run(&mut client, borrowed);
    assert_eq!(refused(&mut client, "INSERT INTO mine VALUES ('a')").code, "55000");
    run(
        &mut client,
        "CREATE TABLE other (i int); CREATE TRIGGER t AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION notary.about()",
    );
    assert_eq!(refused(&mut client, "INSERT INTO other VALUES (1)").code, "55000");
}

#[test]
fn what_is_done_to_it_round_the_guard_is_found() {
    for (what, sql, names) in [
        ("gone", "DELETE FROM pg_trigger WHERE tgname = '~notary_about'", "~notary_about"),
        ("disabled", "UPDATE pg_trigger SET tgenabled = 'D' WHERE tgname = '~notary_about'", "~notary_about"),
        ("origin", "UPDATE pg_trigger SET tgenabled = 'O' WHERE tgname = '~notary_about'", "~notary_about"),
        ("renamed", "UPDATE pg_trigger SET tgname = '~notary_zbout' WHERE tgname = '~notary_about'", "~notary_about"),
        ("late", "UPDATE pg_trigger SET tgname = '~notary_aboveall' WHERE tgname = 'early'", "~notary_aboveall"),
        (
            "another",
            "UPDATE pg_trigger SET tgfoid = 'nothing'::regproc WHERE tgname = '~notary_about'",
            "~notary_about",
        ),
    ] {
        let db = scene(what);
        run(
            &mut db.client(),
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER early BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION nothing();
             INSERT INTO audit (action) VALUES ('a')",
        );
        // behind_the_guard would put its state back: this is done last.
        behind_the_guard(&db, &["SELECT 1"]);
        let mut client = db.client();
        run(&mut client, sql);
        run(&mut client, "UPDATE pg_class SET reltuples = reltuples WHERE oid = 'audit'::regclass");
        let mut client = db.client();
        let found = findings(&mut client, "audit");
        assert!(found.iter().any(|f| f.what == "guard_off" && f.detail.contains(names)), "{what}: {found:#?}");
        assert_eq!(texts(&mut client, "SELECT intact FROM notary.verify('audit')"), ["f"], "{what}");
    }
}

#[test]
fn unprotected_and_protected_again_it_is_the_same_event_log() {
    let db = scene("again");
    let mut client = db.client();
    let write = r#"SELECT notary.log_event('{"action": "a", "db_user": "liar"}')"#;
    run(&mut client, write);
    run(&mut client, "SELECT notary.unprotect('audit', 'a test')");
    // It fills in all the same, but nothing keeps it so.
    run(&mut client, write);
    run(&mut client, "INSERT INTO audit (action, db_user) VALUES ('b', 'liar')");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit WHERE db_user = 'postgres'"), ["3"]);
    run(&mut client, "SELECT notary.protect('audit')");
    run(&mut client, write);
    assert_eq!(last(&mut client, &["db_user", "action"]), "postgres|a");
    assert_eq!(refused(&mut client, r#"DROP TRIGGER "~notary_about" ON audit"#).code, "55000");
    assert_found(&mut client, "audit", &[]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.logs WHERE log = 'audit'::regclass"), ["1"]);
}

#[test]
fn while_it_is_not_protected_the_trigger_may_go() {
    let db = scene("may_go");
    let mut client = db.client();
    run(
        &mut client,
        r#"SELECT notary.unprotect('audit', 'a test'); DROP TRIGGER "~notary_about" ON audit; DROP TABLE audit;
           SELECT notary.create_log('audit'); INSERT INTO audit (action) VALUES ('a')"#,
    );
    assert_found(&mut client, "audit", &[]);
}
