//! What cannot be tracked, and what is written shorter.

use crate::{events, scene};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::{assert_found, findings};

/// An application's key may be as long as its own index takes; the log's index stops the write (54000).
#[test]
fn a_long_key_stops_no_write() {
    let db = scene("long_key");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (k bytea PRIMARY KEY); SELECT notary.track('t', 'audit')");
    run(
        &mut client,
        "INSERT INTO t SELECT string_agg(decode(md5(i::text), 'hex'), '') FROM generate_series(1, 100) AS i",
    );
    let id = "SELECT resource_id = 'sha256:' || encode(sha256(convert_to('\\x' || encode(k, 'hex'), 'UTF8')), 'hex')
              FROM audit, t WHERE action = 'public.t.insert'";
    assert_eq!(texts(&mut client, id), ["t"]);
}

/// docs/events.md: more than a line holds, as JSON, where a control character takes six bytes.
#[test]
fn a_change_that_no_line_holds_is_refused_by_name() {
    let db = scene("long_value");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY, v text, hashed text, n int); SELECT notary.track('t', 'audit', pii => '{hashed}')",
    );
    let long = "repeat(E'\\x01', 45000000)";
    let error = refused(&mut client, &format!("INSERT INTO t VALUES (1, {long})"));
    assert_eq!(error.code, "54000", "{error}");
    assert!(error.message.contains("public.t") && error.detail.contains("256 MiB"), "{error}");
    // One of them fits, and two do not.
    let half = long.replace("45", "25");
    run(&mut client, &format!("INSERT INTO t VALUES (1, {half})"));
    assert_eq!(refused(&mut client, &format!("UPDATE t SET v = 'x' || {half}")).code, "54000");
    run(&mut client, &format!("UPDATE t SET n = 1; INSERT INTO t VALUES (2, 'x', {long})"));
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit"), ["3"]);
}

/// Rows of inheriting tables change without a trigger of the table that they are changed through, and a crash empties an
/// unlogged table without an event.
#[test]
fn a_tracked_table_does_not_become_what_cannot_be_tracked() {
    let db = scene("becomes");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE par (id int); CREATE TABLE chi () INHERITS (par); CREATE UNLOGGED TABLE u (id int); CREATE TABLE t (id int);
         SELECT notary.track('t', 'audit'); CREATE TABLE other (id int); CREATE TABLE parts (id int) PARTITION BY LIST (id)",
    );
    for sql in [
        "SELECT notary.track('par', 'audit')",
        "SELECT notary.track('u', 'audit')",
        "ALTER TABLE t SET UNLOGGED",
        "CREATE TABLE heir () INHERITS (t)",
        "CREATE TABLE heir () INHERITS (par, t)",
        "ALTER TABLE other INHERIT t",
        "ALTER TABLE parts ATTACH PARTITION t DEFAULT",
    ] {
        let error = refused(&mut client, sql);
        assert_eq!(error.code, "55000", "{sql}: {error}");
        assert!(error.message.contains("tracked"), "{sql}: {error}");
    }
    run(
        &mut client,
        "INSERT INTO t VALUES (1); SELECT notary.track('chi', 'audit'); UPDATE par SET id = 2; ALTER TABLE t SET LOGGED",
    );
    assert_eq!(events(&mut client), ["t.insert - > {\"id\": 1}"]);
    assert_found(&mut client, "audit", &[]);
    // Round the guard it is found, and can be put right.
    for (done, undone, word) in [
        (
            "INSERT INTO pg_inherits (inhrelid, inhparent, inhseqno, inhdetachpending) VALUES ('other'::regclass, 't'::regclass, 1, false);
             UPDATE pg_class SET relhassubclass = true WHERE oid = 't'::regclass",
            "ALTER TABLE other NO INHERIT t",
            "inherit",
        ),
        ("UPDATE pg_class SET relpersistence = 'u' WHERE oid = 't'::regclass", "ALTER TABLE t SET LOGGED", "unlogged"),
    ] {
        run(&mut client, done);
        let mut client = db.client();
        let problem = r#"SELECT problem FROM notary.tracked WHERE "table" = 't'::regclass"#;
        assert!(texts(&mut client, problem)[0].contains(word), "{word}");
        let found = findings(&mut client, "audit");
        assert!(found.iter().any(|f| f.what == "guard_off" && f.detail.contains(word)), "{word}: {found:#?}");
        run(&mut client, undone);
        assert_eq!(texts(&mut client, problem), ["NULL"], "{word}");
        assert_found(&mut client, "audit", &[]);
    }
}

/// A session that ends takes its temporary objects along, and whoever gets its place clears away what it left: a tracked table
/// that would have to go with them would stop him.
#[test]
fn nothing_temporary_is_in_the_definition_of_a_tracked_table() {
    let db = scene("temporary");
    let owner = db.role("owner");
    run(&mut db.client(), &format!("GRANT INSERT ON audit TO \"{owner}\"; CREATE TABLE t (id int, v text)"));
    run(
        &mut db.client(),
        &format!("ALTER TABLE t OWNER TO \"{owner}\"; GRANT TEMP ON DATABASE \"{}\" TO PUBLIC", db.name()),
    );
    let mut client = db.client_as(&owner);
    run(
        &mut client,
        "CREATE TYPE pg_temp.pair AS (id int, v text); CREATE DOMAIN pg_temp.word AS text; CREATE DOMAIN words AS pg_temp.word[];
         CREATE COLLATION pg_temp.c FROM \"C\"; CREATE FUNCTION pg_temp.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
         CREATE TYPE lasting AS (id int, v text); CREATE TABLE typed OF lasting; SELECT notary.track('typed', 'audit');
         CREATE TABLE a OF pg_temp.pair; CREATE TABLE b (w pg_temp.word); CREATE TABLE c (w words); CREATE TABLE d (v text COLLATE pg_temp.c);
         CREATE TABLE e (id int) PARTITION BY LIST (pg_temp.f(id)); CREATE TABLE f (id int, g int GENERATED ALWAYS AS (pg_temp.f(id)) STORED);
         CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p DEFAULT PARTITION BY RANGE (pg_temp.f(id))",
    );
    for table in ["a", "b", "c", "d", "e", "f", "p"] {
        let error = refused(&mut client, &format!("SELECT notary.track('{table}', 'audit')"));
        assert_eq!(error.code, "55000", "{table}: {error}");
        assert!(error.detail.contains("temporary"), "{table}: {error}");
    }
    run(&mut client, "SELECT notary.track('t', 'audit'); DROP TABLE p1; SELECT notary.track('p', 'audit')");
    for sql in [
        "ALTER TABLE t OF pg_temp.pair",
        "ALTER TABLE t ADD COLUMN w pg_temp.word",
        "ALTER TABLE t ADD COLUMN w words",
        "ALTER TABLE t ADD COLUMN w text COLLATE pg_temp.c",
        "ALTER TABLE t ALTER v TYPE pg_temp.word",
        "ALTER TABLE t ALTER v TYPE text COLLATE pg_temp.c",
        "ALTER TYPE lasting ADD ATTRIBUTE w pg_temp.word CASCADE",
        "CREATE TABLE p1 PARTITION OF p DEFAULT PARTITION BY RANGE (pg_temp.f(id))",
    ] {
        let error = refused(&mut client, sql);
        assert_eq!(error.code, "55000", "{sql}: {error}");
        assert!(error.message.contains("tracked") && error.detail.contains("temporary"), "{sql}: {error}");
    }
    // What lasts is another matter, and so is what only a default needs.
    run(
        &mut client,
        "CREATE TEMP SEQUENCE s; ALTER TABLE t ADD COLUMN n int DEFAULT nextval('s'); ALTER TABLE t ADD COLUMN w text COLLATE \"C\";
         ALTER TABLE typed NOT OF; ALTER TABLE typed OF lasting; CREATE TABLE p1 PARTITION OF p DEFAULT; CREATE TEMP TABLE here (id int)",
    );
    let place = texts(&mut client, "SELECT pg_my_temp_schema()");
    drop(client);
    for _ in 0..50 {
        let mut client = db.client();
        run(&mut client, "CREATE TEMP TABLE here (id int)");
        if texts(&mut client, "SELECT pg_my_temp_schema()") == place {
            assert_eq!(texts(&mut client, "SELECT count(problem) || ' ' || count(*) FROM notary.tracked"), ["0 3"]);
            assert_found(&mut client, "audit", &[]);
            return;
        }
    }
    panic!("nobody got the place of the session that ended");
}

#[test]
fn what_keeps_the_event_from_being_written_keeps_the_change_from_being_made() {
    let db = scene("stopped");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (id int); SELECT notary.track('t', 'audit'); SET notary.context_claims = 'app.claims'",
    );
    for setting in ["notary.ip = 'nowhere'", "app.claims = '{not json'"] {
        run(&mut client, &format!("BEGIN; SET LOCAL {setting}"));
        refused(&mut client, "INSERT INTO t VALUES (1)");
        run(&mut client, "ROLLBACK");
    }
    run(&mut client, "INSERT INTO t VALUES (1)");
    assert_eq!(texts(&mut client, "SELECT count(*) || ' ' || (SELECT count(*) FROM audit) FROM t"), ["1 1"]);
}

/// docs/events.md: the table's own AFTER triggers fire row by row, and `!notary_track` comes first for each; what a BEFORE
/// trigger changes is told before the change that it was fired by.
#[test]
fn events_of_a_statement_stand_in_the_order_of_its_triggers() {
    let db = scene("order");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY, n int); SELECT notary.track('t', 'audit');
         CREATE FUNCTION other_first() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN UPDATE t SET n = n + 1 WHERE id = 100; RETURN NEW; END';
         CREATE TRIGGER b BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.id < 100) EXECUTE FUNCTION other_first();
         INSERT INTO t VALUES (100, 0); INSERT INTO t VALUES (1, 0)",
    );
    let said: Vec<_> = events(&mut client).iter().map(|e| e.split(" {").next().unwrap().to_owned()).collect();
    assert_eq!(said, ["t.insert 100 >", "t.update 100", "t.insert 1 >"]);
}

#[test]
fn locks_and_times_are_those_that_the_documentation_tells() {
    let db = scene("locks");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (id int)");
    let locks = "SELECT mode FROM pg_locks WHERE relation = 't'::regclass AND pid = pg_backend_pid() AND mode ~ 'Exclusive' ORDER BY 1";
    run(&mut client, "BEGIN; SELECT notary.track('t', 'audit')");
    assert_eq!(texts(&mut client, locks), ["ShareRowExclusiveLock"]);
    run(&mut client, "COMMIT; BEGIN; SELECT notary.untrack('t', 'a test')");
    assert!(texts(&mut client, locks).contains(&"AccessExclusiveLock".to_owned()));
    run(&mut client, "ROLLBACK");
    let plan = texts(&mut client, "EXPLAIN (ANALYZE) INSERT INTO t VALUES (1)");
    assert!(plan.iter().any(|line| line.starts_with("Trigger !notary_track: time=")), "{plan:#?}");
}
