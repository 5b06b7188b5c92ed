//! Dump and restore: tables are tracked on, into the same log, with the same key.

use crate::{events, scene};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::{assert_found, findings};
use notary_tests::{Database, shared};

fn source() -> Database<'static> {
    let db = scene("source");
    run(
        &mut db.client(),
        "CREATE TABLE t (id int PRIMARY KEY, email text, pw text); SELECT notary.track('t', 'audit', pii => '{email}', exclude => '{pw}');
         CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
         SELECT notary.track('p', 'audit'); INSERT INTO t VALUES (1, 'a@example.com', 'x'); INSERT INTO p VALUES (1);
         ALTER TABLE t RENAME email TO mail; UPDATE t SET mail = 'b@example.com'",
    );
    db
}

#[track_caller]
fn assert_goes_on(db: &Database<'_>, copy: &Database<'_>) {
    let mut client = copy.client();
    assert_eq!(events(&mut client), events(&mut db.client()), "loading the rows made no events");
    assert_eq!(
        texts(&mut client, "SELECT key FROM notary.pii_key"),
        texts(&mut db.client(), "SELECT key FROM notary.pii_key")
    );
    assert_found(&mut client, "audit", &[]);
    let before = events(&mut client).len();
    run(
        &mut client,
        "INSERT INTO t VALUES (2, 'b@example.com', 'y'); INSERT INTO p VALUES (2); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
         INSERT INTO p VALUES (11); TRUNCATE p2",
    );
    assert_eq!(events(&mut client).len(), before + 4);
    assert_eq!(texts(&mut client, "SELECT count(DISTINCT new_value ->> 'mail') FROM audit WHERE new_value ->> 'mail' IS NOT NULL AND action <> 'public.t.insert'
        OR new_value ->> 'id' = '2' AND resource_type = 'public.t'"), ["1"], "equal values still have equal hashes");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit AS e WHERE e::text ~ 'example'"), ["0"]);
    assert_eq!(
        texts(
            &mut client,
            r#"SELECT "table" || ' ' || log || ' ' || pii::text || coalesce(problem, '') FROM notary.tracked ORDER BY 1"#
        ),
        ["p audit {}", "t audit {mail}"]
    );
    assert_eq!(refused(&mut client, "ALTER TABLE t DISABLE TRIGGER ALL").code, "55000");
    assert_found(&mut client, "audit", &[]);
    run(&mut client, "SELECT notary.untrack('t', 'a test'); SELECT notary.untrack('p', 'a test')");
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_database_is_restored_with_its_tracking() {
    let db = source();
    let custom = shared().pg_dump(db.name(), &["-Fc"]).ok().stdout_bytes;
    let copy = shared().bare_db("copy");
    shared().pg_restore(copy.name(), &["--exit-on-error"], &custom).ok();
    assert_goes_on(&db, &copy);
    let plain = shared().pg_dump(db.name(), &["--inserts"]).ok().stdout;
    let copy = shared().bare_db("copy");
    copy.psql(&plain).ok();
    assert_goes_on(&db, &copy);
}

fn copy_of(db: &Database<'_>, args: &[&str]) -> Database<'static> {
    let dump = shared().pg_dump(db.name(), &[&["-Fc"], args].concat()).ok().stdout_bytes;
    let copy = shared().bare_db("copy");
    shared().pg_restore(copy.name(), &["--exit-on-error"], &dump).ok();
    copy
}

const PERIODS: &str = "SELECT concat_ws('|', relation, log, ended IS NULL, here) FROM notary.coverage()";
const LOSE: &str = "DELETE FROM pg_trigger WHERE tgname ~ '^!notary' AND tgrelid = 't'::regclass";

#[test]
fn a_copy_that_counts_misses_what_is_tracked_in_it() {
    let db = source();
    let copy = copy_of(&db, &[]);
    let mut client = copy.client();
    assert_eq!(texts(&mut client, PERIODS), ["public.p|public.audit|t|f", "public.t|public.audit|t|f"]);
    // Until somebody says that it counts, nothing is missed there.
    run(&mut client, &format!("BEGIN; {LOSE}"));
    assert_found(&mut client, "audit", &[]);
    run(&mut client, "ROLLBACK");
    let (mut attesting, notices) = copy.client_with_notices("postgres");
    run(&mut attesting, "SELECT notary.attest()");
    assert_eq!(notices.take(), Vec::<String>::new());
    let taken_over = [
        "public.p|public.audit|f|f",
        "public.p|public.audit|t|t",
        "public.t|public.audit|f|f",
        "public.t|public.audit|t|t",
    ];
    assert_eq!(texts(&mut client, PERIODS), taken_over);
    let said = "SELECT concat_ws('|', pii, exclude) FROM notary.coverage() WHERE here ORDER BY relation";
    assert_eq!(texts(&mut client, said), ["{}|{}", "{mail}|{pw}"]);
    run(&mut client, "SELECT notary.attest()");
    assert_eq!(texts(&mut client, PERIODS), taken_over, "once");
    assert_found(&mut client, "audit", &[]);
    // A copy of the copy begins as the copy did.
    let second = copy_of(&copy, &[]);
    run(&mut second.client(), LOSE);
    assert_found(&mut second.client(), "audit", &[]);
    run(&mut client, LOSE);
    let found = findings(&mut copy.client(), "audit");
    assert!(found.iter().any(|f| f.what == "guard_off" && f.detail.contains("public.t ")), "{found:#?}");
    assert_eq!(found.len(), 1, "{found:#?}");
    run(&mut copy.client(), "SELECT notary.untrack('t', 'it is gone'); SELECT notary.untrack('p', 'a test')");
    assert_found(&mut copy.client(), "audit", &[]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.coverage() WHERE ended IS NULL"), ["0"]);
    // Where it came from nothing of this is known.
    assert_eq!(texts(&mut db.client(), PERIODS), ["public.p|public.audit|t|t", "public.t|public.audit|t|t"]);
}

#[test]
fn what_was_left_out_of_a_copy_is_told_and_never_a_finding() {
    let db = source();
    // Under another name, and another table under the old one.
    run(&mut db.client(), "ALTER TABLE p RENAME TO q; CREATE TABLE p (id int)");
    let copy = copy_of(&db, &["-T", "t"]);
    let (mut client, notices) = copy.client_with_notices("postgres");
    run(&mut client, "SELECT notary.attest()");
    let said = notices.take();
    assert_eq!(said.len(), 2, "{said:#?}");
    for name in ["public.t", "public.p"] {
        assert!(said.iter().any(|s| s.contains(&format!("notary.forget_tracked('{name}', 'why')"))), "{said:#?}");
    }
    assert_found(&mut client, "audit", &[]);
    assert_eq!(
        texts(&mut client, PERIODS),
        ["public.p|public.audit|t|f", "public.q|public.audit|t|t", "public.t|public.audit|t|f"]
    );
    run(
        &mut client,
        "SELECT notary.forget_tracked('public.t', 'left out of this copy'); SELECT notary.untrack('p', 'it has another name')",
    );
    notices.take();
    run(&mut client, "SELECT notary.attest()");
    assert_eq!(notices.take(), Vec::<String>::new());
    assert_eq!(texts(&mut client, "SELECT relation FROM notary.coverage() WHERE ended IS NULL"), ["public.q"]);
    assert_found(&mut client, "audit", &[]);
}

/// The journal of the database that it came from knows tables by names that they had then.
#[test]
fn in_a_copy_untrack_ends_what_the_journal_says_of_that_table() {
    let db = scene("names");
    run(
        &mut db.client(),
        "CREATE TABLE t (id int); SELECT notary.track('t', 'audit'); ALTER TABLE t RENAME TO t_old; CREATE TABLE t (id int); SELECT notary.track('t', 'audit')",
    );
    let copy = copy_of(&db, &[]);
    let mut client = copy.client();
    let periods = "SELECT concat_ws('|', relation, ended IS NULL) FROM notary.coverage() ORDER BY began";
    run(&mut client, "SELECT notary.untrack('t', 'a test')");
    assert_eq!(texts(&mut client, periods), ["public.t|t", "public.t|f"]);
    // That it was called otherwise nobody knows here.
    run(&mut client, "SELECT notary.untrack('t_old', 'a test')");
    assert_eq!(texts(&mut client, periods), ["public.t|t", "public.t|f"]);
    run(&mut client, "SELECT notary.forget_tracked('public.t', 'it was t_old here')");
    assert_eq!(texts(&mut client, periods), ["public.t|f", "public.t|f"]);
    let (mut client, notices) = copy.client_with_notices("postgres");
    run(&mut client, "SELECT notary.attest()");
    assert_eq!(notices.take(), Vec::<String>::new());
    assert_found(&mut client, "audit", &[]);
}

/// Without its log, and without a journal.
#[test]
fn a_tracked_table_that_was_restored_alone_takes_changes_after_untrack() {
    let db = source();
    let dump = shared().pg_dump(db.name(), &["-Fc", "-t", "t"]).ok().stdout_bytes;
    let copy = shared().bare_db("alone");
    run(&mut copy.client(), "CREATE EXTENSION pg_notary");
    shared().pg_restore(copy.name(), &["--exit-on-error"], &dump).ok();
    let mut client = copy.client();
    assert_eq!(refused(&mut client, "INSERT INTO t VALUES (7)").code, "55000");
    for sql in ["DROP EXTENSION pg_notary CASCADE", "DROP EXTENSION pg_notary"] {
        assert!(refused(&mut client, sql).hint.contains("notary.untrack("), "{sql}");
    }
    run(&mut client, "SELECT notary.untrack('t', 'a copy to look at'); INSERT INTO t VALUES (7)");
    assert_eq!(
        texts(&mut client, "SELECT action || ' ' || relation FROM notary.journal ORDER BY at DESC LIMIT 1"),
        ["untrack public.t"]
    );
    assert_found(&mut client, "notary.journal", &[]);
}

/// docs/restore.md: with notary.restore on, what a restore loads is not recorded a second time.
#[test]
fn the_schema_first_and_the_data_after() {
    let db = source();
    let dump = shared().pg_dump(db.name(), &["-Fc"]).ok().stdout_bytes;
    let copy = shared().bare_db("later");
    shared().pg_restore(copy.name(), &["--exit-on-error", "--schema-only"], &dump).ok();
    let data = shared().pg_dump(db.name(), &["--data-only"]).ok().stdout;
    copy.psql(&format!("SET notary.restore = on; {data}")).ok();
    assert_goes_on(&db, &copy);
}

#[test]
fn nobody_but_a_superuser_loads_unseen_and_only_into_a_copy() {
    let db = scene("unseen");
    let app = db.role("app");
    let mut client = db.client();
    run(
        &mut client,
        &format!("CREATE TABLE t (id int); SELECT notary.track('t', 'audit'); GRANT ALL ON t TO \"{app}\""),
    );
    let load = "INSERT INTO t VALUES (1)";
    // Before the library is there PostgreSQL lets anybody set it.
    let mut theirs = db.client_as(&app);
    run(&mut theirs, "SET notary.restore = on");
    run(&mut theirs, load);
    assert_eq!(refused(&mut theirs, "SET notary.restore = on").code, "42501");
    run(&mut theirs, load);
    // Things have been done here: whatever comes now is new.
    run(&mut client, &format!("SET notary.restore = on; {load}; COPY t FROM PROGRAM 'echo 2'"));
    assert_eq!(events(&mut client).len(), 4);
    // A copy that nothing was done in.
    let copy = copy_of(&db, &[]);
    let mut client = copy.client();
    run(&mut client, &format!("GRANT ALL ON t TO \"{app}\"; SET notary.restore = on; {load}"));
    assert_eq!(events(&mut client).len(), 4);
    run(&mut client, "UPDATE t SET id = 5 WHERE id = 2; DELETE FROM t WHERE id = 5");
    assert_eq!(events(&mut client).len(), 6, "a restore does no such thing");
    run(&mut client, &format!("SET ROLE \"{app}\"; {load}; RESET ROLE"));
    assert_eq!(events(&mut client).len(), 7);
    run(&mut client, &format!("SELECT notary.attest(); {load}"));
    assert_eq!(events(&mut client).len(), 8);
    run(&mut client, &format!("RESET notary.restore; {load}"));
    assert_eq!(events(&mut client).len(), 9);
    assert_found(&mut client, "audit", &[]);
}
