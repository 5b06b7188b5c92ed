//! How a check behaves while it runs: where it may run, who may run it, what it says in all.

use crate::{SECRET, five};
use notary_tests::verdict::{assert_found, behind_the_guard, findings, short};
use notary_tests::{Cluster, err, fresh_db, shared};
use postgres::Client;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ANSWER: &str = "SELECT intact, entries, chains, findings, first_finding, scope FROM notary.verify('audit')";

fn intact(client: &mut Client) -> bool {
    client.query_one(ANSWER, &[]).unwrap().get(0)
}

#[test]
fn the_answer_counts_and_names_the_first_finding() {
    let db = five("answer");
    let mut client = db.client();
    let row = client.query_one(ANSWER, &[]).unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2), row.get(3)), (true, 5_i64, 1_i32, 0_i64));
    assert_eq!((row.get(4), row.get(5)), (None::<String>, "every entry"));
    behind_the_guard(&db, &["DELETE FROM audit WHERE id = 2", "UPDATE audit SET what = 'forged' WHERE id = 4"]);
    let row = client.query_one(ANSWER, &[]).unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(3)), (false, 4_i64, 2_i64));
    let first: String = row.get(4);
    assert!(first.starts_with("missing in public.audit, chain 1, seq 2: "), "{first}");
    assert!(!first.contains(SECRET), "{first}");
}

#[test]
fn a_standby_verifies() {
    let primary = Cluster::start();
    let db = primary.fresh_db("standby");
    db.client()
        .batch_execute(
            "CREATE TABLE audit (id int); SELECT notary.protect('audit');
             INSERT INTO audit (id) SELECT generate_series(1, 500)",
        )
        .unwrap();
    let standby = primary.standby();
    primary.wait_for(&standby);
    let mut there = standby.client(db.name());
    assert_found(&mut there, "audit", &[]);
    there.batch_execute("SELECT notary.assert_intact()").unwrap();
    behind_the_guard(&db, &["UPDATE audit SET id = 0 WHERE id = 17", "DELETE FROM audit WHERE id = 300"]);
    primary.wait_for(&standby);
    assert_found(&mut there, "audit", &["missing 1/300", "value_changed 1/17"]);
    assert_eq!(err(there.batch_execute("SELECT notary.assert_intact()")).code, "XX001");
}

#[test]
fn a_read_only_transaction_verifies() {
    let db = five("read_only");
    let mut client = db.client();
    client.batch_execute("SET default_transaction_read_only = on").unwrap();
    assert!(intact(&mut client));
    assert_eq!(findings(&mut client, "audit"), []);
    client.batch_execute("SELECT notary.assert_intact()").unwrap();
    assert_eq!(err(client.batch_execute("SELECT notary.attest()")).code, "25006");
}

#[test]
fn a_serializable_check_makes_no_writer_fail() {
    let db = five("serializable");
    let (mut checker, mut writer) = (db.client(), db.client());
    checker.batch_execute("BEGIN ISOLATION LEVEL SERIALIZABLE").unwrap();
    assert!(intact(&mut checker));
    let locks = "SELECT count(*) FROM pg_locks WHERE mode = 'SIReadLock' AND relation IN (SELECT oid FROM pg_class
        WHERE relname = 'audit' UNION SELECT indexrelid FROM pg_index WHERE indrelid = 'audit'::regclass)";
    assert_eq!(db.value(locks), "0");
    // With predicate locks, these two would be a dangerous structure, and one of them would fail.
    writer.batch_execute("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM pg_class; INSERT INTO audit (id) VALUES (6); COMMIT").unwrap();
    checker.batch_execute("INSERT INTO audit (id) VALUES (7)").unwrap();
    // A fresh snapshot: the writer's row is seen below the own one, and nothing seems to be missing.
    assert!(intact(&mut checker));
    checker.batch_execute("COMMIT").unwrap();
    assert!(intact(&mut writer));
}

#[test]
fn a_check_does_not_wait_for_writers_nor_they_for_it() {
    let db = five("waits");
    let (mut writer, mut checker) = (db.client(), db.client());
    writer.batch_execute("BEGIN; INSERT INTO audit (id) VALUES (6)").unwrap();
    checker.batch_execute("SET lock_timeout = '5s'; BEGIN").unwrap();
    assert!(intact(&mut checker));
    writer.batch_execute("SET lock_timeout = '5s'; INSERT INTO audit (id) VALUES (7); COMMIT").unwrap();
    checker.batch_execute("COMMIT").unwrap();
}

#[test]
fn a_check_can_be_cancelled_and_leaves_the_session_usable() {
    let db = fresh_db("cancel");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE audit (id int, what text); SELECT notary.protect('audit');
             INSERT INTO audit (id, what) SELECT i, repeat('x', 1000) FROM generate_series(1, 60000) AS i",
        )
        .unwrap();
    client.batch_execute("SET statement_timeout = '20ms'").unwrap();
    assert_eq!(err(client.query(ANSWER, &[])).code, "57014");
    client.batch_execute("RESET statement_timeout").unwrap();
    assert_eq!(client.query_one("SELECT 1", &[]).unwrap().get::<_, i32>(0), 1);
}

#[test]
fn row_level_security_hides_nothing_from_a_check_and_values_from_line() {
    let db = five("rls");
    let auditor = db.role("auditor");
    db.client()
        .batch_execute(&format!(
            "GRANT SELECT ON audit TO \"{auditor}\"; ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
             CREATE POLICY first_two ON audit FOR SELECT USING (id <= 2)"
        ))
        .unwrap();
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 4"]);
    let mut client = db.client_as(&auditor);
    assert_eq!(client.query_one("SELECT count(*) FROM audit", &[]).unwrap().get::<_, i64>(0), 2);
    assert_eq!(short(&findings(&mut client, "audit")), ["value_changed 1/4"]);
    let line = "SELECT notary.line('audit', 1, ";
    let seen: String = client.query_one(&format!("{line} 1)"), &[]).unwrap().get(0);
    assert!(seen.contains(SECRET));
    assert_eq!(err(client.query_one(&format!("{line} 3)"), &[])).code, "P0002");
}

#[test]
fn a_check_wants_the_select_privilege() {
    let db = five("privilege");
    let nobody = db.role("nobody");
    let mut client = db.client_as(&nobody);
    for call in [
        "SELECT * FROM notary.verify('audit')",
        "SELECT * FROM notary.findings('audit')",
        "SELECT * FROM notary.notices('audit')",
        "SELECT notary.assert_intact('audit')",
        "SELECT notary.attest('audit')",
        "SELECT notary.line('audit', 1, 1)",
        "SELECT notary.header('audit')",
        "SELECT notary.damage('audit')",
    ] {
        assert_eq!(err(client.batch_execute(call)).code, "42501", "{call}");
    }
    assert_eq!(client.query("SELECT * FROM notary.logs", &[]).unwrap().len(), 0);
    assert_eq!(client.query("SELECT * FROM notary.verify()", &[]).unwrap().len(), 0);
    // Some columns are not enough for what shows them all.
    db.client()
        .batch_execute(&format!("GRANT SELECT (id, notary_chain, notary_seq) ON audit TO \"{nobody}\""))
        .unwrap();
    assert_eq!(err(client.batch_execute("SELECT notary.line('audit', 1, 1)")).code, "42501");
    db.client().batch_execute(&format!("GRANT SELECT ON audit TO \"{nobody}\"")).unwrap();
    assert!(intact(&mut client));
    assert_eq!(client.query("SELECT * FROM notary.verify()", &[]).unwrap().len(), 1);
}

#[test]
fn a_table_that_is_no_log_and_null_are_refused() {
    let db = five("refused");
    let mut client = db.client();
    client.batch_execute("CREATE TABLE plain (id int)").unwrap();
    for (call, code) in [
        ("SELECT * FROM notary.verify('plain')", "55000"),
        ("SELECT * FROM notary.findings('plain')", "55000"),
        ("SELECT * FROM notary.findings(NULL)", "22023"),
        ("SELECT notary.line('plain', 1, 1)", "55000"),
        ("SELECT notary.line('audit', 1, 77)", "P0002"),
    ] {
        assert_eq!(err(client.batch_execute(call)).code, code, "{call}");
    }
}

#[test]
fn assert_intact_raises_data_corrupted() {
    let db = five("assert");
    let mut client = db.client();
    client.batch_execute("SELECT notary.assert_intact(); SELECT notary.assert_intact('audit')").unwrap();
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 3"]);
    for call in ["SELECT notary.assert_intact()", "SELECT notary.assert_intact('audit')"] {
        let raised = err(client.batch_execute(call));
        assert_eq!(raised.code, "XX001");
        assert!(raised.detail.contains("public.audit: 1 finding(s); first: value_changed"), "{raised}");
        assert!(!raised.to_string().contains(SECRET) && !raised.to_string().contains("forged"), "{raised}");
    }
    client.batch_execute("SELECT notary.assert_intact('notary.journal')").unwrap();
}

#[test]
fn attest_writes_the_answer_to_the_journal() {
    let db = five("attest");
    let mut client = db.client();
    let mut attest = || client.query_one("SELECT notary.attest('audit')", &[]).unwrap().get::<_, bool>(0);
    assert!(attest());
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 3"]);
    assert!(!attest());
    let entries = db.psql(
        "SELECT relation, session_role, details ->> 'intact', details ->> 'entries', details ->> 'findings',
                log = (SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass),
                coalesce(details ->> 'first_finding', '') LIKE 'value_changed in public.audit, chain 1, seq 3%'
         FROM notary.journal WHERE action = 'attest' ORDER BY at",
    );
    assert_eq!(entries.ok().stdout, "public.audit|postgres|true|5|0|t|f\npublic.audit|postgres|false|5|1|t|t\n");
    assert_found(&mut client, "notary.journal", &[]);
}

#[test]
fn logs_says_what_there_is() {
    let db = five("logs");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE strict (a int); SELECT notary.protect('strict', 1);
             CREATE TABLE parts (id int) PARTITION BY LIST (id);
             CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
             CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
             SELECT notary.protect('parts'); INSERT INTO parts VALUES (1), (2), (2)",
        )
        .unwrap();
    let shown = db.psql(
        "SELECT log, segments, chains, entries, last_entry IS NOT NULL, last_seal, max_chains, guard
         FROM notary.logs WHERE log <> 'notary.journal'::regclass ORDER BY log::text",
    );
    let expected = "audit|1|1|5|t|||complete\nparts|2|2|3|t|||complete\nstrict|1|0|0|f||1|complete\n";
    assert_eq!(shown.ok().stdout, expected);
    let same = "SELECT (SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass)::text
                = notary.header('audit')::jsonb ->> 'log'";
    assert_eq!(db.value(same), "t");
}

#[test]
fn verify_names_a_log_whose_table_is_gone_until_it_is_forgotten() {
    let db = five("gone");
    let mut client = db.client();
    let uuid = db.value("SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass");
    behind_the_guard(&db, &["DROP TABLE audit"]);
    let lost = "SELECT intact, first_finding FROM notary.verify() WHERE log IS NULL";
    let row = client.query_one(lost, &[]).unwrap();
    let words: String = row.get(1);
    assert!(!row.get::<_, bool>(0) && words.contains(&uuid) && words.contains("public.audit"), "{words}");
    assert_eq!(err(client.batch_execute("SELECT notary.assert_intact()")).code, "XX001");
    client.batch_execute(&format!("SELECT notary.forget('{uuid}', 'dropped with ticket 4711')")).unwrap();
    assert!(client.query(lost, &[]).unwrap().is_empty());
    client.batch_execute("SELECT notary.assert_intact()").unwrap();
    let reason = "SELECT reason FROM notary.journal WHERE action = 'forget'";
    assert_eq!(db.value(reason), "dropped with ticket 4711");
}

#[test]
fn a_log_that_is_here_cannot_be_forgotten() {
    let db = five("forget");
    let uuid = db.value("SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass");
    let forget =
        |uuid: &str, why: &str| err(db.client().batch_execute(&format!("SELECT notary.forget('{uuid}', '{why}')")));
    assert_eq!(forget(&uuid, "why").code, "55000");
    assert_eq!(forget("00000000-0000-4000-8000-000000000000", "why").code, "22023");
    assert_eq!(forget(&uuid, "  ").code, "22023");
    let nobody = db.role("nobody");
    let mut client = db.client_as(&nobody);
    assert_eq!(err(client.batch_execute(&format!("SELECT notary.forget('{uuid}', 'why')"))).code, "42501");
}

#[test]
fn since_checks_the_places_of_all_and_the_content_of_some() {
    let db = five("since");
    let mut client = db.client();
    client.batch_execute("SELECT pg_sleep(0.01); CREATE TABLE mark AS SELECT clock_timestamp() AS at").unwrap();
    client.batch_execute("INSERT INTO audit (id, what) VALUES (6, 'later')").unwrap();
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id IN (2, 6)", "DELETE FROM audit WHERE id = 4"]);
    let since = "SELECT problem || ' ' || seq FROM notary.findings('audit', (SELECT at FROM mark)) ORDER BY 1";
    let found: Vec<String> = client.query(since, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(found, ["missing 4", "value_changed 6"]);
    let scope = "SELECT intact, scope FROM notary.verify('audit', (SELECT at FROM mark))";
    let row = client.query_one(scope, &[]).unwrap();
    assert!(!row.get::<_, bool>(0) && row.get::<_, String>(1).starts_with("partial: "), "{row:?}");
    assert_found(&mut client, "audit", &["missing 1/4", "value_changed 1/2", "value_changed 1/6"]);
}

#[test]
fn settings_of_the_session_do_not_matter() {
    let db = five("settings");
    let mut client = db.client();
    client
        .batch_execute(
            "SET search_path = ''; SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kathmandu'; SET row_security = off;
             SET enable_indexscan = off; SET default_transaction_isolation = 'serializable'; SET quote_all_identifiers = on",
        )
        .unwrap();
    assert_found(&mut client, "public.audit", &[]);
    assert!(shared().log_contents().lines().all(|line| !line.contains("PANIC")));
}

#[test]
fn a_chain_of_any_number_does_not_keep_notary_logs_from_ending() {
    let db = five("far_chain");
    behind_the_guard(&db, &["UPDATE audit SET notary_chain = 2147483647 WHERE id = 5"]);
    let mut client = db.client();
    client.batch_execute("SET statement_timeout = '10s'").unwrap();
    assert_eq!(
        client.query_one("SELECT chains FROM notary.logs WHERE log = 'audit'::regclass", &[]).unwrap().get::<_, i32>(0),
        2
    );
}

#[test]
fn a_log_that_ends_and_begins_again_is_never_called_lost() {
    let db = fresh_db("cycling");
    let mut client = db.client();
    client.batch_execute("CREATE TABLE cycling (i int); SELECT notary.protect('cycling')").unwrap();
    // Other logs, so that a check of all takes its time.
    for i in 0..30 {
        client.batch_execute(&format!("CREATE TABLE log_{i} (i int); SELECT notary.protect('log_{i}')")).unwrap();
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = db.client();
            client.batch_execute("SET client_min_messages = error").unwrap();
            while !done.load(Ordering::Relaxed) {
                client.batch_execute("SELECT notary.unprotect('cycling', 'a test')").unwrap();
                client.batch_execute("SELECT notary.protect('cycling')").unwrap();
            }
        });
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            let wrong = client.query("SELECT first_finding FROM notary.verify() WHERE NOT intact", &[]);
            let wrong: Vec<String> = wrong.unwrap().iter().map(|row| row.get(0)).collect();
            if !wrong.is_empty() {
                done.store(true, Ordering::Relaxed);
            }
            assert!(wrong.is_empty(), "{wrong:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_check_of_nothing_is_no_check() {
    let db = five("nothing_checked");
    let nobody = db.role("nobody");
    let mut client = db.client_as(&nobody);
    for function in ["assert_intact", "attest"] {
        let error = err(client.batch_execute(&format!("SELECT notary.{function}()")));
        assert_eq!(error.code, "42501", "{function}: {error}");
        assert!(!error.hint.is_empty(), "{error}");
    }
    assert_eq!(client.query("SELECT FROM notary.verify()", &[]).unwrap().len(), 0);
}

#[test]
fn line_wants_all_columns_whatever_they_are_called() {
    let db = fresh_db("line_columns");
    let reader = db.role("reader");
    db.client()
        .batch_execute(&format!(
            "CREATE TABLE audit (e int, secret text); SELECT notary.protect('audit'); INSERT INTO audit VALUES (1, '{SECRET}');
             GRANT SELECT (e, ctid, notary_chain, notary_seq, tableoid) ON audit TO \"{reader}\""
        ))
        .unwrap();
    let error = err(db.client_as(&reader).query("SELECT notary.line('audit', 1, 1)", &[]));
    assert_eq!(error.code, "42501", "{error}");
}

#[test]
fn line_can_be_asked_for_in_a_query_over_a_large_log() {
    let db = fresh_db("line_parallel");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE audit (id int, what text); SELECT notary.protect('audit');
             INSERT INTO audit SELECT i, repeat('x', 60) FROM generate_series(1, 20000) AS i; ANALYZE audit;
             SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0",
        )
        .unwrap();
    let plan = client.query("EXPLAIN SELECT id FROM audit WHERE id = 77", &[]).unwrap();
    assert!(plan.iter().any(|row| row.get::<_, String>(0).contains("Gather")), "without the function it is parallel");
    let line = client.query_one("SELECT notary.line(tableoid, notary_chain, notary_seq) FROM audit WHERE id = 77", &[]);
    assert!(line.unwrap().get::<_, String>(0).contains("\"seq\":77,"));
}

#[test]
fn an_auditor_checks_where_the_catalogs_are_closed() {
    let db = five("closed_catalogs");
    let auditor = db.role("auditor");
    db.client()
        .batch_execute(&format!(
            "GRANT SELECT ON audit TO {auditor}; REVOKE SELECT ON pg_event_trigger, pg_proc, pg_trigger, pg_rewrite, pg_inherits,
                 pg_language, pg_namespace, pg_class, pg_depend FROM PUBLIC"
        ))
        .unwrap();
    let mut client = db.client_as(&auditor);
    assert_found(&mut client, "audit", &[]);
    for call in [
        "notary.verify()",
        "notary.notices('audit')",
        "notary.logs",
        "notary.header('audit')",
        "notary.assert_intact()",
    ] {
        client.batch_execute(&format!("SET client_min_messages = error; SELECT * FROM {call}")).unwrap();
    }
}

#[test]
fn the_first_superuser_need_not_be_one() {
    let cluster = Cluster::start();
    let db = cluster.bare_db("demoted");
    db.client().batch_execute("CREATE ROLE boss SUPERUSER LOGIN").unwrap();
    let mut boss = db.client_as("boss");
    boss.batch_execute("CREATE EXTENSION pg_notary; ALTER ROLE postgres NOSUPERUSER; CREATE ROLE owner LOGIN; GRANT CREATE ON SCHEMA public TO owner")
        .unwrap();
    let mut owner = db.client_as("owner");
    owner
        .batch_execute("CREATE TABLE audit (id int); SELECT notary.protect('audit'); INSERT INTO audit VALUES (1)")
        .unwrap();
    assert_found(&mut owner, "audit", &[]);
    owner.batch_execute("SELECT notary.unprotect('audit', 'why'); SELECT notary.protect('audit')").unwrap();
    // Where neither he nor the extension's owner is one, nothing can be looked up.
    boss.batch_execute("CREATE ROLE other SUPERUSER LOGIN; ALTER ROLE boss NOSUPERUSER").unwrap();
    let error = err(db.client_as("other").query("SELECT * FROM notary.verify('audit')", &[]));
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("55000", "the owner of the extension pg_notary is no superuser")
    );
}
