//! Tracking ends by `notary.untrack` alone; what goes round the guard is found, and the table is named.

use crate::{events, scene};
use notary_tests::Database;
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::{assert_found, behind_the_guard, findings};

fn tracked(name: &str) -> Database<'static> {
    let db = scene(name);
    run(
        &mut db.client(),
        "SELECT notary.create_log('other'); CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY, email text); SELECT notary.track('s.t', 'audit', pii => '{email}');
         CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE part_1 PARTITION OF parts DEFAULT; SELECT notary.track('parts', 'audit');
         CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; INSERT INTO s.t VALUES (1, 'x');
         CREATE TRIGGER conditional AFTER INSERT ON s.t FOR EACH ROW WHEN (false) EXECUTE FUNCTION nothing()",
    );
    db
}

#[test]
fn nobody_ends_it_in_another_way() {
    let db = tracked("ways");
    let owner = db.role("owner");
    run(
        &mut db.client(),
        &format!(
            "GRANT USAGE, CREATE ON SCHEMA s TO \"{owner}\"; ALTER TABLE s.t OWNER TO \"{owner}\"; ALTER TABLE parts OWNER TO \"{owner}\"; ALTER TABLE part_1 OWNER TO \"{owner}\""
        ),
    );
    for user in [owner.as_str(), "postgres"] {
        let mut client = db.client_as(user);
        for sql in [
            "ALTER TABLE s.t DISABLE TRIGGER ALL",
            "ALTER TABLE s.t DISABLE TRIGGER USER",
            r#"ALTER TABLE s.t DISABLE TRIGGER "!notary_track""#,
            r#"ALTER TABLE s.t ENABLE TRIGGER "!notary_track""#,
            r#"ALTER TABLE s.t ENABLE REPLICA TRIGGER "!notary_track_all""#,
            r#"DROP TRIGGER "!notary_track" ON s.t"#,
            r#"DROP TRIGGER "!notary_track_all" ON s.t CASCADE"#,
            r#"ALTER TRIGGER "!notary_track" ON s.t RENAME TO a"#,
            r#"CREATE OR REPLACE TRIGGER "!notary_track" AFTER INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION nothing()"#,
            r#"CREATE OR REPLACE TRIGGER "!notary_track_all" AFTER TRUNCATE ON s.t EXECUTE FUNCTION nothing()"#,
            "DROP TABLE s.t",
            "DROP TABLE s.t CASCADE",
            "DROP TABLE part_1",
            r#"DROP TRIGGER "!notary_track_all" ON part_1"#,
            "ALTER TABLE part_1 DISABLE TRIGGER ALL",
            "ALTER TABLE parts DISABLE TRIGGER USER",
        ] {
            let error = refused(&mut client, sql);
            assert_eq!(error.code, "55000", "{user}: {sql}: {error}");
            assert!(
                error.message.contains("tracked") && error.hint.contains("notary.untrack("),
                "{user}: {sql}: {error}"
            );
        }
    }
    let mut client = db.client();
    for sql in [
        "DROP SCHEMA s CASCADE",
        "DROP FUNCTION notary.capture() CASCADE",
        "DROP FUNCTION notary.capture()",
        "CREATE OR REPLACE FUNCTION notary.capture() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "DROP EXTENSION pg_notary CASCADE",
        r#"ALTER TRIGGER "!notary_track" ON s.t DEPENDS ON EXTENSION plpgsql"#,
    ] {
        let error = refused(&mut client, sql);
        assert_eq!(error.code, "55000", "{sql}");
        assert!(error.hint.contains("notary.untrack("), "{sql}: {error}");
    }
    run(&mut client, "SET session_replication_role = replica; INSERT INTO s.t VALUES (2, 'y'); TRUNCATE s.t");
    assert_eq!(events(&mut client).len(), 3);
    // What concerns no trigger of ours goes on as ever.
    run(
        &mut client,
        "CREATE TRIGGER own AFTER INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION nothing(); ALTER TABLE s.t DISABLE TRIGGER own; DROP TRIGGER own ON s.t;
         ALTER TABLE s.t ADD COLUMN more int DEFAULT 5; CREATE INDEX ON s.t (more); REINDEX TABLE s.t",
    );
    for sql in ["VACUUM FULL s.t", "CLUSTER s.t USING t_pkey"] {
        run(&mut client, sql);
    }
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn nobody_borrows_the_function() {
    let db = tracked("borrowed");
    let mut client = db.client_as(&db.role("someone"));
    run(&mut client, "CREATE TABLE mine (id int)");
    let borrow = "CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION notary.capture('log=x', 'pii=[]', 'exclude=[]', 'full_rows=false')";
    assert_eq!(refused(&mut client, borrow).code, "42501");
    let mut client = db.client();
    assert_eq!(refused(&mut client, "SELECT notary.capture()").code, "55000");
    run(&mut client, borrow);
    assert_eq!(refused(&mut client, "INSERT INTO mine VALUES (1)").code, "55000");
    // Before it is done, and by a statement, it is no use.
    run(
        &mut client,
        "CREATE TABLE a (id int); CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION notary.capture();
         CREATE TABLE b (id int); CREATE TRIGGER t AFTER INSERT ON b FOR EACH STATEMENT EXECUTE FUNCTION notary.capture()",
    );
    for table in ["a", "b"] {
        assert_eq!(refused(&mut client, &format!("INSERT INTO {table} VALUES (1)")).code, "55000", "{table}");
    }
}

#[test]
fn what_goes_round_the_guard_is_found_and_named() {
    let row = "tgname = '!notary_track' AND tgrelid = 's.t'::regclass";
    // In all triggers of a table alike.
    let says = |from: &str, to: &str, table: &str| {
        format!(
            "UPDATE pg_trigger SET tgargs = decode(replace(encode(tgargs, 'hex'), encode('{from}', 'hex'), encode('{to}', 'hex')), 'hex')
             WHERE tgname ~ '^!notary' AND tgrelid::regclass::text ~ '{table}'"
        )
    };
    let name = |table: &str, from: &str, to: &str| {
        format!("UPDATE pg_attribute SET attname = '{to}' WHERE attrelid = '{table}'::regclass AND attname = '{from}'")
    };
    for (name, sql, table) in [
        ("disabled", format!("UPDATE pg_trigger SET tgenabled = 'D' WHERE {row}"), "s.t"),
        ("origin", format!("UPDATE pg_trigger SET tgenabled = 'O' WHERE {row}"), "s.t"),
        ("gone", format!("DELETE FROM pg_trigger WHERE {row}"), "s.t"),
        (
            "truncate_gone",
            "DELETE FROM pg_trigger WHERE tgname = '!notary_track_all' AND tgrelid = 's.t'::regclass".into(),
            "s.t",
        ),
        ("all_gone", "DELETE FROM pg_trigger WHERE tgname ~ '^!notary' AND tgrelid = 's.t'::regclass".into(), "s.t"),
        ("renamed", format!("UPDATE pg_trigger SET tgname = 'x' WHERE {row}"), "s.t"),
        ("another", format!("UPDATE pg_trigger SET tgfoid = 'nothing'::regproc WHERE {row}"), "s.t"),
        ("events", format!("UPDATE pg_trigger SET tgtype = tgtype & ~8 WHERE {row}"), "s.t"),
        (
            "when",
            format!(
                "UPDATE pg_trigger SET tgqual = (SELECT tgqual FROM pg_trigger WHERE tgname = 'conditional') WHERE {row}"
            ),
            "s.t",
        ),
        ("no_args", format!("UPDATE pg_trigger SET tgargs = '', tgnargs = 0 WHERE {row}"), "s.t"),
        ("flag", "UPDATE pg_class SET relhastriggers = false WHERE oid = 's.t'::regclass".into(), "s.t"),
        (
            "partition",
            "DELETE FROM pg_trigger WHERE tgname = '!notary_track' AND tgrelid = 'part_1'::regclass".into(),
            "part_1",
        ),
        (
            "partition_all",
            "DELETE FROM pg_trigger WHERE tgname = '!notary_track_all' AND tgrelid = 'part_1'::regclass".into(),
            "part_1",
        ),
        ("excluded", says("exclude=[]", r#"exclude=["id"]"#, "^s.t$"), "s.t"),
        ("excluded_all", says("exclude=[]", r#"exclude=["id","email"]"#, "^s.t$"), "s.t"),
        ("in_the_clear", says(r#"pii=["email"]"#, "pii=[]", "^s.t$"), "s.t"),
        ("hashed", says(r#"pii=["email"]"#, r#"pii=["email","id"]"#, "^s.t$"), "s.t"),
        ("full_rows", says("full_rows=false", "full_rows=true", "^s.t$"), "s.t"),
        (
            "another_log",
            "UPDATE pg_trigger SET tgargs = overlay(tgargs PLACING convert_to(uuid::text, 'UTF8') FROM 5) FROM notary.logs
             WHERE tgname ~ '^!notary' AND tgrelid = 's.t'::regclass AND log = 'other'::regclass".into(),
            "s.t",
        ),
        ("excluded_parts", says("exclude=[]", r#"exclude=["id"]"#, "^part"), "parts"),
        ("excluded_part", says("exclude=[]", r#"exclude=["id"]"#, "^part_1"), "part_1"),
        ("column_renamed", name("s.t", "email", "mail"), "s.t"),
        ("columns_swapped", format!("{}; {}; {}", name("s.t", "email", "x"), name("s.t", "id", "email"), name("s.t", "x", "id")), "s.t"),
    ] {
        let db = tracked(name);
        // behind_the_guard puts its own state back at the end; what is found is done after it.
        behind_the_guard(&db, &["SELECT 1"]);
        let mut client = db.client();
        run(&mut client, &sql);
        run(
            &mut client,
            "UPDATE pg_class SET reltuples = reltuples WHERE oid IN ('s.t'::regclass, 'part_1'::regclass)",
        );
        let mut client = db.client();
        let found = findings(&mut client, "audit");
        assert!(
            found
                .iter()
                .any(|f| f.what == "guard_off" && f.detail.contains(table) && f.detail.contains("notary.track")),
            "{name}: {found:#?}"
        );
        assert_eq!(texts(&mut client, "SELECT intact FROM notary.verify('audit')"), ["f"], "{name}");
        let view = r#"SELECT "table" || ' ' || log FROM notary.tracked WHERE problem IS NOT NULL"#;
        let top = if table.starts_with("part") { "parts" } else { table };
        assert_eq!(texts(&mut client, view), [format!("{top} audit").replace("audit", if name == "another_log" { "other" } else { "audit" })], "{name}");
    }
}

#[test]
fn a_table_that_was_dropped_round_the_guard_is_missed() {
    let db = tracked("dropped");
    let mut client = db.client();
    run(
        &mut client,
        "UPDATE pg_event_trigger SET evtenabled = 'D' WHERE evtname LIKE 'notary%'; UPDATE pg_trigger SET tgfoid = 'nothing'::regproc WHERE tgrelid = 's.t'::regclass",
    );
    drop(client);
    let mut client = db.client();
    run(&mut client, "DROP TABLE s.t");
    run(&mut client, "UPDATE pg_event_trigger SET evtenabled = 'A' WHERE evtname LIKE 'notary%'");
    let mut client = db.client();
    let found = findings(&mut client, "audit");
    assert!(found.iter().any(|f| f.what == "guard_off" && f.detail.contains("s.t")), "{found:#?}");
    assert!(found[0].detail.contains("notary.forget_tracked('s.t', reason)"), "{found:#?}");
    // Another of that name is another table, and is missed by itself.
    run(&mut client, "CREATE TABLE s.t (id int PRIMARY KEY); SELECT notary.track('s.t', 'audit')");
    assert_eq!(findings(&mut client, "audit").len(), 1);
    for (call, code) in [
        ("forget_tracked(NULL, 'why')", "22023"),
        ("forget_tracked('s.t', NULL)", "22023"),
        ("forget_tracked('s.t', ' ')", "22023"),
        ("forget_tracked('s.other', 'why')", "22023"),
        ("forget_tracked('public.parts', 'why')", "55000"),
    ] {
        assert_eq!(refused(&mut client, &format!("SELECT notary.{call}")).code, code, "{call}");
    }
    let anybody = db.role("anybody");
    let forget = "SELECT notary.forget_tracked('s.t', 'dropped by mistake')";
    assert_eq!(refused(&mut db.client_as(&anybody), forget).code, "42501");
    run(&mut client, forget);
    assert_found(&mut client, "audit", &[]);
    assert_eq!(refused(&mut client, forget).code, "55000");
    let said = "SELECT concat_ws('|', action, relation, reason) FROM notary.journal WHERE action = 'untrack'";
    assert_eq!(texts(&mut client, said), ["untrack|s.t|dropped by mistake"]);
    let periods = "SELECT relation || ' ' || (ended IS NULL) FROM notary.coverage() WHERE relation = 's.t'";
    assert_eq!(texts(&mut client, periods), ["s.t false", "s.t true"]);
    // The journal says so, too, of one that was untracked by the rules: nothing is missed then.
    let db = tracked("by_the_rules");
    run(
        &mut db.client(),
        "SELECT notary.untrack('s.t', 'a test'); DROP TABLE s.t; SELECT notary.untrack('parts', 'a test'); DROP TABLE parts",
    );
    assert_found(&mut db.client(), "audit", &[]);
}

#[test]
fn a_table_whose_triggers_were_deleted_is_untracked_or_tracked_again() {
    let db = tracked("deleted");
    let mut client = db.client();
    let delete = "DELETE FROM pg_trigger WHERE tgname ~ '^!notary' AND tgrelid = 's.t'::regclass";
    run(&mut client, delete);
    // Tracked again, it is there once.
    run(&mut db.client(), "SELECT notary.track('s.t', 'audit')");
    assert_found(&mut client, "audit", &[]);
    run(&mut client, delete);
    assert_eq!(findings(&mut db.client(), "audit").len(), 1);
    let (mut client, notices) = db.client_with_notices("postgres");
    run(&mut client, "SELECT notary.untrack('s.t', 'somebody took the triggers away')");
    assert_eq!(notices.take(), ["NOTICE: changes of s.t are no longer recorded; its triggers were gone already"]);
    assert_found(&mut client, "audit", &[]);
    assert_eq!(refused(&mut client, "SELECT notary.untrack('s.t', 'again')").code, "55000");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.coverage() WHERE ended IS NULL"), ["1"]);
}
