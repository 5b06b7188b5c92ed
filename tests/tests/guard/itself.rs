//! Refused: what would weaken pg_notary itself; and how refusals read.

use crate::scene::{Scene, run, superuser_only};
use notary_tests::{Cluster, fresh_db};

#[test]
fn pg_notary_itself() {
    let function = "changing a function of pg_notary";
    Scene::new("guard_itself").refuses(&[
        superuser_only("DROP EXTENSION pg_notary", "DROP EXTENSION"),
        superuser_only("DROP EXTENSION pg_notary CASCADE", "DROP EXTENSION"),
        superuser_only("DROP EXTENSION plpgsql, pg_notary CASCADE", "DROP EXTENSION"),
        superuser_only("DROP SCHEMA notary CASCADE", "DROP SCHEMA"),
        superuser_only("ALTER SCHEMA notary RENAME TO other", "ALTER SCHEMA notary RENAME"),
        superuser_only("ALTER EXTENSION pg_notary SET SCHEMA public", "ALTER EXTENSION SET SCHEMA"),
        superuser_only("ALTER EXTENSION pg_notary DROP FUNCTION notary.refuse()", "ALTER EXTENSION pg_notary DROP"),
        superuser_only(
            "ALTER EXTENSION pg_notary DROP EVENT TRIGGER notary_guard_start",
            "ALTER EXTENSION pg_notary DROP",
        ),
        superuser_only("ALTER EXTENSION pg_notary ADD TABLE app", "ALTER EXTENSION ADD"),
        superuser_only("ALTER EXTENSION plpgsql ADD TABLE part_1", "ALTER EXTENSION ADD"),
        superuser_only("ALTER TABLE notary.segment RENAME TO other", "renaming a relation of pg_notary"),
        superuser_only("ALTER TABLE notary.segment SET SCHEMA public", "renaming a relation of pg_notary"),
        superuser_only("ALTER VIEW notary.logs RENAME TO other", "renaming a relation of pg_notary"),
        superuser_only("ALTER TABLE notary.segment ALTER table_oid TYPE bigint", "changing a relation of pg_notary"),
        superuser_only("ALTER TABLE notary.segment ADD COLUMN x int", "changing a relation of pg_notary"),
        superuser_only("ALTER TABLE notary.segment ALTER table_oid SET DEFAULT 1", "changing a relation of pg_notary"),
        superuser_only("ALTER TABLE notary.segment DROP COLUMN table_oid", "changing a relation of pg_notary"),
        superuser_only(
            "CREATE TRIGGER t BEFORE INSERT ON notary.segment FOR EACH ROW EXECUTE FUNCTION nothing()",
            "changing a relation of pg_notary",
        ),
        superuser_only("ALTER TABLE notary.segment OWNER TO pg_monitor", "giving an object of pg_notary"),
        superuser_only("ALTER VIEW notary.logs OWNER TO pg_monitor", "giving an object of pg_notary"),
        superuser_only("ALTER TABLE notary.journal OWNER TO pg_monitor", "giving an object of pg_notary"),
        superuser_only("ALTER FUNCTION notary.append() OWNER TO pg_monitor", "giving an object of pg_notary"),
        superuser_only("DROP FUNCTION notary.refuse()", "DROP FUNCTION"),
        superuser_only("DROP FUNCTION IF EXISTS notary.append() CASCADE", "DROP FUNCTION"),
        superuser_only("DROP ROUTINE notary.append", "DROP FUNCTION"),
        superuser_only(
            "CREATE OR REPLACE FUNCTION notary.append() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            function,
        ),
        superuser_only(
            "CREATE OR REPLACE FUNCTION notary.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            function,
        ),
        superuser_only(
            "CREATE OR REPLACE FUNCTION notary.guard_start() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
            function,
        ),
        superuser_only("ALTER FUNCTION notary.refuse() RENAME TO allow", function),
        superuser_only("ALTER FUNCTION notary.refuse() SET SCHEMA public", function),
        superuser_only("ALTER FUNCTION notary.append() SET work_mem = '1MB'", function),
        superuser_only("ALTER FUNCTION notary.append() STRICT", function),
        superuser_only(
            "CREATE TRIGGER t BEFORE INSERT ON notary.journal FOR EACH ROW EXECUTE FUNCTION nothing()",
            "CREATE TRIGGER t",
        ),
        superuser_only(
            "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON notary.journal FOR EACH ROW EXECUTE FUNCTION nothing()",
            "CREATE TRIGGER t",
        ),
        superuser_only(
            "CREATE TRIGGER t BEFORE UPDATE ON app FOR EACH STATEMENT EXECUTE FUNCTION notary.refuse('x')",
            "CREATE TRIGGER t",
        ),
    ]);
    // PostgreSQL itself keeps an extension's members; no event trigger fires for DDL on event triggers.
    let db = fresh_db("guard_member");
    let error = notary_tests::err(db.client().batch_execute("DROP EVENT TRIGGER notary_guard_start"));
    assert_eq!(error.code, "2BP01", "{error}");
}

#[test]
fn what_pg_notary_owns_may_go_to_another_superuser() {
    let scene = Scene::new("guard_reassign");
    let heir = scene.db.role("heir");
    run(
        &mut scene.session(true),
        &format!(
            "ALTER ROLE \"{heir}\" SUPERUSER; ALTER FUNCTION notary.append() OWNER TO \"{heir}\";
             ALTER TABLE notary.segment OWNER TO \"{heir}\"; ALTER TABLE notary.journal OWNER TO \"{heir}\""
        ),
    );
    scene.still_appends().expect("the log is unharmed");
}

#[test]
fn another_extension_s_end_takes_nothing_from_pg_notary() {
    let scene = Scene::new("guard_depends");
    run(&mut scene.session(true), "ALTER FUNCTION notary.damage(regclass) DEPENDS ON EXTENSION plpgsql");
    let error = notary_tests::err(scene.session(true).batch_execute("DROP EXTENSION plpgsql CASCADE"));
    assert_eq!(error.code, "55000", "{error}");
}

#[test]
fn a_partition_is_named_in_the_detail_and_its_log_in_the_message() {
    let scene = Scene::new("guard_naming");
    let error = notary_tests::err(scene.session(false).batch_execute("DELETE FROM part_2a"));
    assert_eq!(error.message, "DELETE is refused: public.part is an append-only log");
    assert!(error.detail.starts_with("public.part_2a is a partition of public.part."), "{error}");
    assert_eq!(error.hint, "To end the protection, its owner can run: SELECT notary.unprotect('public.part', 'why')");
}

#[test]
fn a_refusal_leaves_one_line_in_the_server_log() {
    let cluster = Cluster::start();
    let db = cluster.fresh_db("guard_line");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE \"odd \"\"\nname\" (id int); SELECT notary.protect('\"odd \"\"\nname\"');
         CREATE ROLE alice LOGIN; GRANT DELETE, INSERT, SELECT ON \"odd \"\"\nname\" TO alice;",
    );
    let mut alice = db.client_as("alice");
    let error = notary_tests::err(alice.batch_execute("DELETE /* the statement */ FROM \"odd \"\"\nname\""));
    assert_eq!(error.code, "55000");
    notary_tests::err(alice.batch_execute("INSERT INTO \"odd \"\"\nname\" (notary_seq) VALUES (1)"));
    notary_tests::err(client.batch_execute("SET ROLE alice; DROP TABLE \"odd \"\"\nname\""));
    let log = cluster.log_contents();
    let lines: Vec<_> = log.lines().filter(|l| l.contains("pg_notary: refused")).collect();
    let line = r#"pg_notary: refused sqlstate=55000 log="public.\"odd \"\"\nname\"" role="alice" attempt="#;
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines[0].ends_with(&format!("{line}\"DELETE\"")), "{}", lines[0]);
    assert!(lines[0].contains(" 55000 alice@"), "{}", lines[0]);
    assert!(lines[1].ends_with(&format!("{line}\"INSERT with notary_seq\"")), "{}", lines[1]);
    assert!(lines[2].ends_with(&format!("{line}\"DROP TABLE\" session_role=\"postgres\"")), "{}", lines[2]);
    let after = log.split(lines[0]).nth(1).unwrap_or_default().lines().nth(1).unwrap_or_default();
    assert!(after.contains("ERROR:") || after.contains("LOCATION:"), "a STATEMENT or CONTEXT line follows: {after}");
}

#[test]
fn dropping_plpgsql_takes_nothing_from_the_guard() {
    let scene = Scene::new("guard_plpgsql");
    // Search and reports are written in it, so that pg_notary would go with it.
    let error = notary_tests::err(scene.session(true).batch_execute("DROP EXTENSION plpgsql CASCADE"));
    assert_eq!(error.code, "55000", "{error}");
    let error = notary_tests::err(scene.session(true).batch_execute("DROP TABLE app CASCADE"));
    assert_eq!(error.code, "55000", "{error}");
    scene.still_appends().expect("the log is unharmed");
}

#[test]
fn the_extension_can_be_dropped_when_no_log_is_left() {
    let scene = Scene::new("guard_farewell");
    let mut living = scene.session(true);
    run(&mut living, "CREATE TABLE x (i int)");
    let mut client = scene.session(true);
    for log in ["app", "part", "tree_log"] {
        run(&mut client, &format!("SELECT notary.unprotect('{log}', 'test')"));
    }
    let error = notary_tests::err(client.batch_execute("DROP EXTENSION pg_notary CASCADE"));
    assert!(error.hint.contains("notary.unprotect('notary.journal'"), "{error}");
    run(&mut client, "SELECT notary.unprotect('notary.journal', 'test'); DROP TABLE notary.journal");
    run(&mut client, "DROP EXTENSION pg_notary");
    for session in [&mut living, &mut client] {
        run(
            session,
            "ALTER TABLE app ADD COLUMN y int DEFAULT 1; ALTER TABLE app DROP COLUMN y; CREATE TEMP TABLE t (i int)",
        );
    }
    run(&mut client, "CREATE EXTENSION pg_notary; SELECT notary.protect('plain')");
    let error = notary_tests::err(living.batch_execute("DROP TABLE plain"));
    assert_eq!(error.code, "55000", "{error}");
}

#[test]
fn a_preloaded_library_guards_without_the_event_triggers_and_harms_no_other_database() {
    let cluster = Cluster::builder().setting("shared_preload_libraries", "pg_notary").start();
    let bare = cluster.bare_db("guard_bare");
    run(
        &mut bare.client(),
        "CREATE TABLE t (i int); ALTER TABLE t ADD COLUMN j int DEFAULT 1; ALTER TABLE t DROP COLUMN j; DROP TABLE t",
    );
    let db = cluster.fresh_db("guard_preloaded");
    run(
        &mut db.client(),
        "CREATE TABLE app (i int); SELECT notary.protect('app'); ALTER EVENT TRIGGER notary_guard_start DISABLE",
    );
    for command in ["DROP TABLE app", "ALTER TABLE app DISABLE TRIGGER ALL", "ALTER TABLE app RENAME COLUMN i TO j"] {
        let error = notary_tests::err(db.client().batch_execute(command));
        assert_eq!(error.code, "55000", "{error}");
    }
}
