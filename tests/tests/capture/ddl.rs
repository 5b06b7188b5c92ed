//! What becomes of the events when tables and logs are altered, renamed, moved.

use crate::{scene, since};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;
use notary_tests::{Database, fresh_db};
use postgres::Client;

#[test]
fn columns_come_go_and_change_their_names() {
    let db = scene("columns");
    // Both have their plans made before the changes.
    let (mut client, mut other, mut mark) = (db.client(), db.client(), 0);
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY, a int, b text); SELECT notary.track('t', 'audit'); INSERT INTO t VALUES (1, 1, 'x')",
    );
    run(&mut other, "UPDATE t SET a = 2");
    since(&mut client, &mut mark);
    run(&mut client, "ALTER TABLE t ADD COLUMN c jsonb; ALTER TABLE t RENAME a TO z; ALTER TABLE t DROP COLUMN b");
    for session in [&mut client, &mut other] {
        run(session, "UPDATE t SET z = z + 1, c = '[1]'; UPDATE t SET c = NULL");
    }
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"t.update 1 {"c": null, "z": 2} > {"c": [1], "z": 3}"#,
            r#"t.update 1 {"c": [1]} > {"c": null}"#,
            r#"t.update 1 {"c": null, "z": 3} > {"c": [1], "z": 4}"#,
            r#"t.update 1 {"c": [1]} > {"c": null}"#,
        ]
    );
    run(&mut client, "ALTER TABLE t ALTER z TYPE text USING 'n' || z; ALTER TABLE t ADD COLUMN b text DEFAULT 'again'");
    run(&mut other, "DELETE FROM t");
    assert_eq!(since(&mut client, &mut mark), [r#"t.delete 1 {"b": "again", "c": null, "z": "n4", "id": 1} >"#]);
    // Within one transaction with the rows.
    run(
        &mut client,
        "BEGIN; INSERT INTO t VALUES (2, 'q'); ALTER TABLE t RENAME z TO y; UPDATE t SET y = 'r'; SAVEPOINT s; ALTER TABLE t RENAME y TO x;
         UPDATE t SET x = 's'; ROLLBACK TO s; UPDATE t SET y = 't'; COMMIT",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [
            r#"t.insert 2 > {"b": "again", "c": null, "z": "q", "id": 2}"#,
            r#"t.update 2 {"y": "q"} > {"y": "r"}"#,
            r#"t.update 2 {"y": "r"} > {"y": "t"}"#,
        ]
    );
    assert_found(&mut client, "audit", &[]);
}

/// The triggers are compared with the journal, and the columns with both: nothing that is done by the rules is a finding.
#[test]
fn columns_that_are_kept_out_change_by_the_rules_and_nothing_is_found() {
    let db = scene("kept_out");
    let (mut client, mut other) = (db.client(), db.client());
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY, email text, phone text, pw text, seen text, note text);
         SELECT notary.track('t', 'audit', pii => '{phone,email}', exclude => '{seen,pw}', full_rows => true);
         CREATE TABLE p (id int, email text, pw text) PARTITION BY LIST (id); CREATE TABLE p1 (pw text, gone int, email text, id int);
         ALTER TABLE p1 DROP gone; ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1); SELECT notary.track('p', 'audit', pii => '{email}', exclude => '{pw}');
         CREATE TYPE person AS (id int, email text, pw text); CREATE TABLE typed OF person; SELECT notary.track('typed', 'audit', pii => '{email}', exclude => '{pw}');
         CREATE DOMAIN word AS text; CREATE TABLE d (id int, w word); SELECT notary.track('d', 'audit', exclude => '{w}')",
    );
    let secret = "'jane@example.com'";
    let insert = |table: &str, columns: &[&str]| {
        format!("INSERT INTO {table} ({}) SELECT {}", columns.join(", "), vec![secret; columns.len()].join(", "))
    };
    run(&mut other, &format!("INSERT INTO t VALUES (0, {secret}, {secret}, {secret}, {secret}, 'n')"));
    let mut next = 0;
    for (change, columns) in [
        ("ALTER TABLE t RENAME email TO mail", vec!["mail", "phone", "pw", "seen"]),
        // A swap of two that are kept out in different ways.
        (
            "ALTER TABLE t RENAME mail TO x; ALTER TABLE t RENAME pw TO mail; ALTER TABLE t RENAME x TO pw",
            vec!["mail", "phone", "pw", "seen"],
        ),
        ("ALTER TABLE t DROP pw", vec!["mail", "phone", "seen"]),
        ("ALTER TABLE t ADD pw text", vec!["mail", "phone", "seen", "pw"]),
        (
            "ALTER TABLE t DROP mail, DROP pw; ALTER TABLE t ADD mail text, ADD pw text",
            vec!["mail", "phone", "seen", "pw"],
        ),
        // As a migration does it, without a word on the new column's name until then.
        (
            "ALTER TABLE t ADD seen_new text; ALTER TABLE t DROP seen; ALTER TABLE t RENAME seen_new TO seen",
            vec!["mail", "phone", "seen", "pw"],
        ),
        ("ALTER TABLE t RENAME phone TO p; ALTER TABLE t DROP p", vec!["mail", "seen", "pw"]),
        // What takes the name of one that is gone is its heir.
        (
            "ALTER TABLE t RENAME seen TO p; ALTER TABLE t RENAME pw TO phone; ALTER TABLE t RENAME phone TO pw",
            vec!["mail", "pw", "p"],
        ),
        ("BEGIN; ALTER TABLE t DROP mail; ROLLBACK; ALTER TABLE t RENAME mail TO m", vec!["m", "pw", "p"]),
    ] {
        run(&mut client, change);
        for session in [&mut client, &mut other] {
            next += 1;
            run(
                session,
                &format!(
                    "{}; UPDATE t SET note = 'seen {next}' WHERE id = {next}",
                    insert("t", &columns).replace("(", "(id, ").replacen("SELECT ", &format!("SELECT {next}, "), 1)
                ),
            );
        }
        assert_eq!(
            texts(&mut client, "SELECT problem FROM notary.tracked WHERE problem IS NOT NULL"),
            [""; 0],
            "{change}"
        );
        assert_found(&mut client, "audit", &[]);
    }
    for (change, columns) in [
        ("ALTER TABLE p RENAME email TO mail; ALTER TABLE p DROP pw", vec!["mail"]),
        ("ALTER TABLE p ADD pw text; CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)", vec!["mail", "pw"]),
        (
            "ALTER TABLE p DROP mail; ALTER TABLE p ADD mail text; ALTER TABLE p RENAME mail TO email",
            vec!["email", "pw"],
        ),
    ] {
        run(&mut client, change);
        for id in if columns.len() > 1 { 1..3 } else { 1..2 } {
            run(
                &mut other,
                &insert("p", &columns).replace("(", "(id, ").replacen("SELECT ", &format!("SELECT {id}, "), 1),
            );
        }
        assert_eq!(
            texts(&mut client, "SELECT problem FROM notary.tracked WHERE problem IS NOT NULL"),
            [""; 0],
            "{change}"
        );
    }
    run(
        &mut client,
        "ALTER TYPE person RENAME ATTRIBUTE email TO mail CASCADE; ALTER TYPE person DROP ATTRIBUTE pw CASCADE; ALTER TYPE person ADD ATTRIBUTE pw text CASCADE",
    );
    run(&mut other, &insert("typed", &["mail", "pw"]));
    run(&mut client, "DROP DOMAIN word CASCADE; ALTER TABLE d ADD w text");
    run(&mut other, &insert("d", &["w"]));
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit AS e WHERE e::text ~ 'jane'"), ["0"]);
    assert_found(&mut client, "audit", &[]);
    // The refusal to drop a table says what to type, and there it works.
    let hint = refused(&mut client, "DROP TABLE p2").hint;
    run(&mut client, hint.split_once(": ").unwrap().1);
    // In a copy that counts all of it begins as it is.
    let dump = notary_tests::shared().pg_dump(db.name(), &["-Fc"]).ok().stdout_bytes;
    let copy = notary_tests::shared().bare_db("copy");
    notary_tests::shared().pg_restore(copy.name(), &["--exit-on-error"], &dump).ok();
    let mut copied = copy.client();
    run(&mut copied, "SELECT notary.attest()");
    for client in [&mut client, &mut copied] {
        run(
            client,
            "ALTER TABLE t RENAME m TO mail; ALTER TABLE t DROP p; ALTER TABLE t DROP pw; ALTER TABLE t ADD pw text, ADD p text, ADD phone text",
        );
        assert_eq!(texts(client, "SELECT count(problem) || ' ' || count(*) FROM notary.tracked"), ["0 4"]);
        assert_found(client, "audit", &[]);
    }
    run(&mut copied, "UPDATE pg_attribute SET attname = 'm' WHERE attrelid = 't'::regclass AND attname = 'mail'");
    assert_eq!(texts(&mut copied, "SELECT count(problem) || ' ' || count(*) FROM notary.tracked"), ["1 4"]);
}

#[test]
fn types_of_columns_change() {
    let db = scene("retyped");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        "CREATE TYPE mood AS ENUM ('happy'); CREATE TYPE pair AS (a int); CREATE DOMAIN word AS text;
         CREATE TABLE t (id int PRIMARY KEY, m mood, p pair, w word, n int); SELECT notary.track('t', 'audit');
         INSERT INTO t VALUES (1, 'happy', ROW(1), 'w', 1)",
    );
    since(&mut client, &mut mark);
    run(
        &mut client,
        "ALTER TYPE mood RENAME VALUE 'happy' TO 'glad'; ALTER TYPE mood ADD VALUE 'sad'; ALTER TYPE pair ADD ATTRIBUTE b text",
    );
    run(&mut client, "UPDATE t SET m = 'sad', p.b = 'x'");
    assert_eq!(
        since(&mut client, &mut mark),
        [r#"t.update 1 {"m": "glad", "p": {"a": 1, "b": null}} > {"m": "sad", "p": {"a": 1, "b": "x"}}"#]
    );
    run(
        &mut client,
        "ALTER TABLE t ALTER n TYPE numeric(10,2); UPDATE t SET n = 1.5; ALTER TABLE t ALTER n TYPE json USING to_json(n); UPDATE t SET n = '[1]'",
    );
    assert_eq!(
        since(&mut client, &mut mark),
        [r#"t.update 1 {"n": 1.00} > {"n": 1.50}"#, r#"t.update 1 {"n": 1.50} > {"n": [1]}"#]
    );
}

#[test]
fn tables_and_schemas_get_other_names() {
    let db = scene("renamed");
    let (mut client, mut other, mut mark) = (db.client(), db.client(), 0);
    run(
        &mut client,
        r#"CREATE SCHEMA s1; CREATE TABLE s1.t (id int); SELECT notary.track('s1.t', 'audit'); INSERT INTO s1.t VALUES (1)"#,
    );
    run(&mut other, "INSERT INTO s1.t VALUES (2)");
    let mut said = |client: &mut Client, sql: &str| {
        run(client, sql);
        run(client, sql);
        let mut said: Vec<_> =
            since(client, &mut mark).iter().map(|event| event.split(' ').next().unwrap().to_owned()).collect();
        said.dedup();
        said
    };
    said(&mut client, "SELECT 1");
    for (change, sql, name) in [
        ("ALTER TABLE s1.t RENAME TO u", "INSERT INTO s1.u VALUES (3)", "s1.u.insert"),
        ("ALTER SCHEMA s1 RENAME TO s2", "INSERT INTO s2.u VALUES (4)", "s2.u.insert"),
        ("CREATE SCHEMA s3; ALTER TABLE s2.u SET SCHEMA s3", "INSERT INTO s3.u VALUES (5)", "s3.u.insert"),
        (r#"ALTER TABLE s3.u RENAME TO "Odd.Name""#, r#"INSERT INTO s3."Odd.Name" VALUES (6)"#, "s3.Odd.Name.insert"),
    ] {
        run(&mut client, change);
        assert_eq!(said(&mut client, sql), [name]);
        assert_eq!(said(&mut other, sql), [name], "another session");
    }
    assert_eq!(texts(&mut client, r#"SELECT "table" FROM notary.tracked"#), [r#"s3."Odd.Name""#]);
    assert_found(&mut client, "audit", &[]);
}

fn log_of(db: &Database<'_>) -> Client {
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (id int); SELECT notary.track('t', 'audit'); INSERT INTO t VALUES (1)");
    client
}

#[test]
fn the_log_is_renamed_moved_and_altered() {
    let db = scene("log_renamed");
    let mut client = log_of(&db);
    let mut other = db.client();
    run(&mut other, "INSERT INTO t VALUES (2)");
    run(
        &mut client,
        "ALTER TABLE audit RENAME TO events; CREATE SCHEMA logs; ALTER TABLE events SET SCHEMA logs; ALTER SCHEMA logs RENAME TO l2",
    );
    run(&mut client, "ALTER TABLE l2.events ADD COLUMN more text");
    run(&mut other, "INSERT INTO t VALUES (3)");
    run(&mut client, "INSERT INTO t VALUES (4)");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM l2.events"), ["4"]);
    assert_eq!(texts(&mut client, "SELECT log FROM notary.tracked"), ["l2.events"]);
    assert_found(&mut client, "l2.events", &[]);
}

#[test]
fn the_log_is_unprotected_and_protected_again_while_changes_go_on() {
    let db = scene("log_again");
    let mut client = log_of(&db);
    run(&mut client, "SELECT notary.unprotect('audit', 'a test')");
    run(&mut client, "INSERT INTO t VALUES (2)");
    run(&mut db.client(), "INSERT INTO t VALUES (3)");
    run(&mut client, "SELECT notary.protect('audit'); INSERT INTO t VALUES (4)");
    assert_eq!(texts(&mut client, "SELECT problem FROM notary.tracked"), ["NULL"]);
    run(&mut db.client(), "INSERT INTO t VALUES (5)");
    assert_eq!(texts(&mut client, "SELECT new_value ->> 'id' FROM audit ORDER BY id"), ["1", "2", "3", "4", "5"]);
    assert_found(&mut client, "audit", &[]);
    // All the while.
    std::thread::scope(|scope| {
        let work = || {
            let mut client = db.client();
            (0..150).for_each(|n| run(&mut client, &format!("INSERT INTO t VALUES ({n})")));
        };
        let workers = [scope.spawn(work), scope.spawn(work)];
        while workers.iter().any(|worker| !worker.is_finished()) {
            run(&mut client, "SELECT notary.unprotect('audit', 'again')");
            run(&mut client, "SELECT notary.protect('audit')");
        }
    });
    assert_eq!(texts(&mut client, "SELECT (SELECT count(*) FROM t) - (SELECT count(*) FROM audit)"), ["0"]);
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_log_that_is_not_protected_any_more_is_told_everywhere_and_stays() {
    let db = scene("log_unprotected");
    drop(log_of(&db));
    let (mut client, notices) = db.client_with_notices("postgres");
    run(
        &mut client,
        "CREATE TABLE u (id int); SELECT notary.track('u', 'audit'); CREATE TABLE v (id int); SELECT notary.create_log('other'); SELECT notary.track('v', 'other')",
    );
    notices.take();
    run(&mut client, "SELECT notary.unprotect('audit', 'a test')");
    let said = notices.take();
    assert!(
        said.iter()
            .any(|s| s.starts_with("WARNING: changes of public.t, public.u go on being recorded in public.audit")),
        "{said:#?}"
    );
    let journal = "SELECT details ->> 'tracked' FROM notary.journal WHERE action = 'unprotect'";
    assert_eq!(texts(&mut client, journal), [r#"["public.t", "public.u"]"#]);
    let problems =
        r#"SELECT "table" || ' ' || (problem ~ 'not protected')::text FROM notary.tracked WHERE problem IS NOT NULL"#;
    assert_eq!(texts(&mut client, problems), ["t true", "u true"]);
    for sql in ["SELECT * FROM notary.verify()", "SELECT notary.assert_intact()"] {
        notices.take();
        run(&mut client, sql);
        let said = notices.take();
        assert_eq!(said.iter().filter(|s| s.contains("not protected")).count(), 2, "{sql}: {said:#?}");
    }
    for sql in [
        "DROP TABLE audit",
        "DROP TABLE audit CASCADE",
        "DROP TRIGGER \"~notary_about\" ON audit",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "ALTER TRIGGER \"~notary_about\" ON audit RENAME TO a",
    ] {
        let error = refused(&mut client, sql);
        assert_eq!(error.code, "55000", "{sql}: {error}");
        assert!(
            error.detail.contains("public.audit") && error.hint.contains("notary.untrack('public.t'"),
            "{sql}: {error}"
        );
    }
    // What it is unprotected for goes on: see the README on retention.
    run(&mut client, "DELETE FROM audit; SELECT notary.protect('audit'); INSERT INTO t VALUES (2)");
    assert_eq!(texts(&mut client, "SELECT count(problem) FROM notary.tracked"), ["0"]);
    run(
        &mut client,
        "SELECT notary.unprotect('audit', 'a test'); SELECT notary.untrack(\"table\", 'a test') FROM notary.tracked WHERE log = 'audit'::regclass; DROP TABLE audit",
    );
    assert_eq!(refused(&mut client, "SELECT notary.unprotect('notary.journal', 'a test')").code, "55000");
}

/// Whoever has a tracked table locked waits for its log; nobody who has the log locked waits for the table.
#[test]
fn a_log_is_unprotected_and_checked_while_a_tracked_table_is_locked() {
    let db = scene("log_and_table");
    let mut client = log_of(&db);
    run(&mut client, "BEGIN; LOCK TABLE t");
    let mut other = db.client();
    run(
        &mut other,
        "SET lock_timeout = '5s'; SELECT * FROM notary.tracked; SELECT * FROM notary.verify(); SELECT notary.attest()",
    );
    run(&mut other, "BEGIN; SELECT notary.unprotect('audit', 'a test'); SELECT notary.protect('audit'); COMMIT");
    run(&mut client, "INSERT INTO t VALUES (2); COMMIT");
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn without_its_log_a_table_takes_no_changes() {
    let db = scene("log_gone");
    let mut client = log_of(&db);
    let mut other = db.client();
    run(&mut client, "SELECT notary.unprotect('audit', 'a test')");
    // Round the guard.
    run(
        &mut client,
        "UPDATE pg_trigger SET tgfoid = 'suppress_redundant_updates_trigger'::regproc WHERE tgrelid = 'audit'::regclass",
    );
    run(&mut db.client(), "DROP TABLE audit");
    for session in [&mut client, &mut other] {
        let error = refused(session, "INSERT INTO t VALUES (2)");
        assert_eq!(error.code, "55000", "{error}");
        assert!(error.message.contains("public.t") && error.hint.contains("notary.untrack"), "{error}");
    }
    assert_eq!(
        texts(&mut client, "SELECT log IS NULL AND problem ~ 'is not in this database' FROM notary.tracked"),
        ["t"]
    );
    run(&mut client, "SELECT notary.untrack('t', 'its log is gone'); INSERT INTO t VALUES (2)");
}

#[test]
fn a_column_that_the_log_lacks_is_named() {
    let db = scene("log_altered");
    let mut client = log_of(&db);
    run(&mut client, "SELECT notary.unprotect('audit', 'a test'); ALTER TABLE audit RENAME COLUMN new_value TO gone");
    let error = refused(&mut client, "INSERT INTO t VALUES (2)");
    assert_eq!(error.code, "55000", "{error}");
    assert!(error.detail.contains("new_value"), "{error}");
    run(
        &mut client,
        "ALTER TABLE audit RENAME COLUMN gone TO new_value; SELECT notary.protect('audit'); INSERT INTO t VALUES (2)",
    );
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_trigger_of_the_log_s_owner_swallows_nothing() {
    let db = scene("swallowed");
    let mut client = log_of(&db);
    run(
        &mut client,
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER a BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION swallow()",
    );
    for sql in [
        "INSERT INTO t VALUES (2)",
        "DELETE FROM t",
        "TRUNCATE t",
        r#"SELECT notary.log_event('audit', '{"action": "x"}')"#,
    ] {
        let error = refused(&mut client, sql);
        assert_eq!(error.code, "55000", "{sql}: {error}");
        assert!(error.message.contains("public.audit"), "{error}");
    }
    run(&mut client, "DROP TRIGGER a ON audit; INSERT INTO t VALUES (2)");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit"), ["2"]);
}

#[test]
fn a_partitioned_table_s_new_name_is_known_to_its_partitions() {
    let db = fresh_db("root_renamed");
    let mut client = db.client();
    run(
        &mut client,
        "SELECT notary.create_log('audit'); CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
         SELECT notary.track('p', 'audit'); INSERT INTO p VALUES (1); ALTER TABLE p RENAME TO q; INSERT INTO q VALUES (2); INSERT INTO p1 VALUES (3)",
    );
    assert_eq!(
        texts(&mut client, "SELECT action FROM audit ORDER BY id"),
        ["public.p.insert", "public.q.insert", "public.q.insert"]
    );
}
