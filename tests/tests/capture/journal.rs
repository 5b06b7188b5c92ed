//! `notary.track` and `notary.untrack`: what they refuse, what the journal says of them, and the views.

use crate::{events, scene};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;

#[test]
fn what_cannot_be_tracked_is_refused() {
    let db = scene("refused");
    let owner = db.role("owner");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (id int, a text, \"Odd\" text); CREATE TABLE done (id int); SELECT notary.track('done', 'audit');
         CREATE VIEW v AS SELECT 1 AS i; CREATE MATERIALIZED VIEW m AS SELECT 1 AS i; CREATE SEQUENCE s; CREATE TEMP TABLE te (i int);
         CREATE INDEX ix ON t (id); CREATE FOREIGN DATA WRAPPER w; CREATE SERVER srv FOREIGN DATA WRAPPER w;
         CREATE FOREIGN TABLE f (i int) SERVER srv; CREATE TYPE ty AS (i int); CREATE TABLE other_log (i int);
         SELECT notary.protect('other_log'); CREATE TABLE p (i int) PARTITION BY LIST (i); CREATE TABLE p1 PARTITION OF p DEFAULT",
    );
    for (call, code) in [
        ("track(NULL, 'audit')", "22023"),
        ("track('t', NULL)", "22023"),
        ("track('nowhere', 'audit')", "42P01"),
        ("track('t', 'nowhere')", "42P01"),
        ("track(0, 'audit')", "22023"),
        ("track('v', 'audit')", "55000"),
        ("track('m', 'audit')", "55000"),
        ("track('s', 'audit')", "55000"),
        ("track('f', 'audit')", "55000"),
        ("track('ty', 'audit')", "55000"),
        ("track('te', 'audit')", "55000"),
        ("track('audit', 'audit')", "55000"),
        ("track('other_log', 'audit')", "55000"),
        ("track('notary.journal', 'audit')", "55000"),
        ("track('notary.pii_key', 'audit')", "55000"),
        ("track('pg_class', 'audit')", "55000"),
        ("track('done', 'audit')", "55000"),
        ("track('p1', 'audit')", "55000"),
        ("track('t', 't')", "55000"),
        ("track('t', 'other_log')", "55000"),
        ("track('t', 'notary.journal')", "55000"),
        ("track('t', 'v')", "55000"),
        ("track('t', 'audit', pii => '{nope}')", "42703"),
        ("track('t', 'audit', exclude => '{nope}')", "42703"),
        ("track('t', 'audit', pii => '{odd}')", "42703"),
        ("track('t', 'audit', pii => '{ctid}')", "42703"),
        ("track('t', 'audit', pii => '{a}', exclude => '{a}')", "22023"),
        // A list that a program put together, and that came out otherwise than it meant.
        ("track('t', 'audit', pii => NULL)", "22023"),
        ("track('t', 'audit', pii => '{NULL}')", "22023"),
        ("track('t', 'audit', pii => '{a,NULL}')", "22023"),
        ("track('t', 'audit', pii => '{a,a}')", "22023"),
        ("track('t', 'audit', exclude => NULL)", "22023"),
        ("track('t', 'audit', exclude => '{NULL}')", "22023"),
        ("track('t', 'audit', full_rows => NULL)", "22023"),
        ("untrack('t', 'why')", "55000"),
        ("untrack('done', NULL)", "22023"),
        ("untrack('done', '  ')", "22023"),
        ("untrack(NULL, 'why')", "22023"),
        ("untrack('p1', 'why')", "42809"),
    ] {
        let error = refused(&mut client, &format!("SELECT notary.{call}"));
        assert_eq!(error.code, code, "{call}: {error}");
    }
    // An index cannot even be opened as a table.
    assert!(["42809", "55000"].contains(&refused(&mut client, "SELECT notary.track('ix', 'audit')").code.as_str()));
    for call in ["track('t', 'audit')", "untrack('done', 'why')"] {
        run(&mut client, "BEGIN READ ONLY");
        assert_eq!(refused(&mut client, &format!("SELECT notary.{call}")).code, "25006", "{call}");
        run(&mut client, "ROLLBACK");
        assert_eq!(refused(&mut db.client_as(&owner), &format!("SELECT notary.{call}")).code, "42501", "{call}");
    }
    // The owner of a table needs INSERT on the log; who has that needs the table.
    run(&mut client, &format!("ALTER TABLE t OWNER TO \"{owner}\""));
    let mut owning = db.client_as(&owner);
    assert_eq!(refused(&mut owning, "SELECT notary.track('t', 'audit')").code, "42501");
    run(&mut client, &format!("GRANT INSERT ON audit TO \"{owner}\""));
    run(&mut owning, "SELECT notary.track('t', 'audit', pii => '{Odd,a}')");
    assert_eq!(texts(&mut client, r#"SELECT pii FROM notary.tracked WHERE "table" = 't'::regclass"#), ["{Odd,a}"]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.journal WHERE action IN ('track', 'untrack')"), ["2"]);
    // A rolled back one is none.
    run(&mut owning, "BEGIN; SELECT notary.untrack('t', 'a test'); ROLLBACK; INSERT INTO t VALUES (1)");
    assert_eq!(events(&mut client).len(), 1);
    run(
        &mut owning,
        "BEGIN; SELECT notary.untrack('t', 'a test'); INSERT INTO t VALUES (2); SELECT notary.track('t', 'audit'); INSERT INTO t VALUES (3); COMMIT",
    );
    assert_eq!(events(&mut client).len(), 2);
}

#[test]
fn the_journal_and_the_views_say_what_is_recorded() {
    let db = scene("said");
    let owner = db.role("owner");
    let mut client = db.client();
    run(&mut client, &format!("GRANT INSERT ON audit TO \"{owner}\""));
    let (mut owning, notices) = db.client_with_notices(&owner);
    run(&mut owning, "CREATE TABLE t (id int PRIMARY KEY, a text, b text); CREATE TABLE \"Other T\" (id int)");
    assert_eq!(
        texts(&mut client, r#"SELECT "table" || ' ' || owner || ' ' || kind FROM notary.untracked ORDER BY 1"#),
        [format!("\"Other T\" {owner} table"), format!("t {owner} table"),]
    );
    run(&mut owning, "SELECT notary.track('t', 'audit', pii => '{b,a}', full_rows => true)");
    assert_eq!(notices.take(), ["NOTICE: changes of public.t are now recorded in public.audit"]);
    run(&mut owning, r#"SELECT notary.track('"Other T"', 'audit', exclude => '{id}')"#);
    assert!(notices.take()[0].contains("no primary key"));
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.untracked"), ["0"]);
    let shown = r#"SELECT concat_ws('|', "table", log, log_uuid = (SELECT log_uuid FROM notary.logs WHERE log = 'audit'::regclass), pii, exclude, full_rows, problem)
                   FROM notary.tracked ORDER BY 1"#;
    assert_eq!(texts(&mut client, shown), [r#""Other T"|audit|t|{}|{id}|f"#, "t|audit|t|{a,b}|{}|t"]);
    run(&mut owning, "SELECT notary.untrack('t', '  it moved ')");
    assert_eq!(notices.take(), ["NOTICE: changes of public.t are no longer recorded"]);
    let journal = "SELECT concat_ws('|', action, relation, session_role, reason, details ->> 'into', details ->> 'pii', details ->> 'exclude', details ->> 'full_rows')
                   FROM notary.journal WHERE action ~ 'track' ORDER BY at";
    assert_eq!(
        texts(&mut client, journal),
        [
            format!(r#"track|public.t|{owner}|public.audit|["a", "b"]|[]|true"#),
            format!(r#"track|public."Other T"|{owner}|public.audit|[]|["id"]|false"#),
            format!("untrack|public.t|{owner}|it moved"),
        ]
    );
    let log = "SELECT count(DISTINCT log) FROM notary.journal WHERE relation IN ('public.audit', 'public.t')";
    assert_eq!(texts(&mut client, log), ["1"]);
    // Periods: one that ended, one that goes on.
    run(
        &mut owning,
        "SELECT notary.track('t', 'audit'); ALTER TABLE t RENAME TO t2; SELECT notary.untrack('t2', 'renamed')",
    );
    let periods = "SELECT concat_ws('|', relation, log, began < ended, began_by, ended_by, reason, pii, exclude) FROM notary.coverage()";
    assert_eq!(
        texts(&mut client, periods),
        [
            format!(r#"public."Other T"|public.audit|{owner}|{{}}|{{id}}"#),
            format!("public.t|public.audit|t|{owner}|{owner}|it moved|{{a,b}}|{{}}"),
            format!("public.t|public.audit|t|{owner}|{owner}|renamed|{{}}|{{}}"),
        ]
    );
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.coverage(until => now() - interval '1 hour')"), ["0"]);
    assert_eq!(
        texts(&mut client, "SELECT relation FROM notary.coverage(since => clock_timestamp())"),
        ["public.\"Other T\""]
    );
    let between =
        "SELECT count(*) FROM notary.coverage((SELECT at FROM notary.journal WHERE reason = 'it moved'), 'infinity')";
    assert_eq!(texts(&mut client, between), ["2"], "a period ends with its last moment left out");
    assert_eq!(refused(&mut client, "SELECT * FROM notary.coverage(now(), now())").code, "22023");
    assert_eq!(refused(&mut owning, "SELECT * FROM notary.coverage()").code, "42501");
    // Everyone may see what is tracked.
    assert_eq!(texts(&mut owning, "SELECT count(*) FROM notary.tracked"), ["1"]);
    assert_found(&mut client, "audit", &[]);
    assert_found(&mut client, "notary.journal", &[]);
}

#[test]
fn a_period_names_the_table_as_it_is_called_now() {
    let db = scene("renamed_since");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (id int); SELECT notary.track('t', 'audit'); ALTER TABLE t RENAME TO t_old; CREATE TABLE t (id int)",
    );
    let periods = r#"SELECT concat_ws('|', relation, "table", ended IS NULL) FROM notary.coverage()"#;
    assert_eq!(texts(&mut client, periods), ["public.t|t_old|t"]);
    run(&mut client, "SELECT notary.track('t', 'audit'); SELECT notary.untrack('t_old', 'a test'); DROP TABLE t_old");
    assert_eq!(texts(&mut client, periods), ["public.t|f", "public.t|t|t"]);
    assert_found(&mut client, "audit", &[]);
}
