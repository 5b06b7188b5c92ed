//! `CALL notary.seal`: what goes into a seal, what it waits for, what it refuses.

use crate::tree::assert_exports;
use crate::{export, scene, seal, set_up, size};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::{assert_found, behind_the_guard};
use notary_tests::{Database, fresh_db};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn a_seal_commits_to_every_line_and_the_next_one_to_what_came_since() {
    let db = scene("sealed", 300);
    let mut client = db.client();
    let first = seal(&mut client, "audit");
    assert_eq!(size(&first), 301);
    assert_exports(&export(&mut client, "audit"), &first);
    for round in 1..=5 {
        run(&mut client, &format!("INSERT INTO audit SELECT i FROM generate_series(1, {}) AS i", round * 100));
        let note = seal(&mut client, "audit");
        assert_exports(&export(&mut client, "audit"), &note);
    }
    assert_found(&mut client, "audit", &[]);
    let sizes = texts(&mut client, "SELECT from_size || '-' || size FROM notary.seals ORDER BY size");
    assert_eq!(sizes, ["0-301", "301-401", "401-601", "601-901", "901-1301", "1301-1801"]);
}

#[test]
fn nothing_new_gives_the_last_seal_again() {
    let db = scene("again", 3);
    let mut client = db.client();
    let note = seal(&mut client, "audit");
    assert_eq!(seal(&mut client, "audit"), note);
    assert_eq!(texts(&mut db.client(), "CALL notary.seal('audit', 'whatever')").first(), Some(&note));
    // The protocol of prepared statements.
    let row = client.query_one("CALL notary.seal('audit')", &[]).unwrap();
    assert_eq!(row.get::<_, String>(0), note);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.seals"), ["1"]);
}

#[test]
fn whoever_listens_hears_of_it_after_the_commit() {
    let db = scene("heard", 3);
    let told = db.psql("LISTEN notary_seal; CALL notary.seal('audit'); SELECT 'done'").ok().stdout;
    let expected = format!(
        "\"log\":\"public.audit\",\"size\":4,\"uuid\":\"{}\"",
        db.value("SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass")
    );
    assert!(told.contains("Asynchronous notification \"notary_seal\"") && told.contains(&expected), "{told}");
    let none = db.psql("LISTEN notary_seal; CALL notary.seal('audit'); SELECT 'done'").ok().stdout;
    assert!(!none.contains("Asynchronous"), "nothing new, nothing to tell");
}

#[test]
fn only_where_it_may_commit_and_write() {
    let db = scene("where", 3);
    for sql in [
        "BEGIN; CALL notary.seal('audit')",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$DECLARE n text; BEGIN CALL notary.seal('audit', n); END$$;
         SELECT f()",
        "DO $$DECLARE n text; BEGIN BEGIN CALL notary.seal('audit', n); EXCEPTION WHEN division_by_zero THEN NULL; END; END$$",
        "SELECT 1; CALL notary.seal('audit')",
    ] {
        let error = refused(&mut db.client(), sql);
        assert_eq!(error.code, "25001", "{sql}: {error}");
    }
}

#[test]
fn a_call_in_a_do_block_commits_what_came_before_it() {
    let db = scene("do_block", 3);
    let mut client = db.client();
    run(
        &mut client,
        "DO $$DECLARE note text; BEGIN INSERT INTO audit VALUES (4); CALL notary.seal('audit', note); END$$",
    );
    assert_eq!(texts(&mut client, "SELECT size FROM notary.seals"), ["5"]);
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_read_only_session_is_told_so() {
    let db = scene("read_only", 3);
    let mut client = db.client();
    run(&mut client, "SET default_transaction_read_only = on");
    assert_eq!(refused(&mut client, "CALL notary.seal('audit')").code, "25006");
}

#[test]
fn only_a_log_of_which_one_may_read_everything() {
    let db = scene("rights", 3);
    let (reader, stranger) = (db.role("reader"), db.role("stranger"));
    let mut client = db.client();
    run(&mut client, &format!("CREATE TABLE plain (a int); GRANT SELECT ON audit TO \"{reader}\""));
    assert_eq!(refused(&mut client, "CALL notary.seal('plain')").code, "55000");
    assert_eq!(refused(&mut client, "CALL notary.seal(NULL)").code, "22023");
    assert_eq!(refused(&mut client, "CALL notary.seal('pg_class')").code, "55000");
    assert_eq!(refused(&mut db.client_as(&stranger), "CALL notary.seal('audit')").code, "42501");
    let note = seal(&mut db.client_as(&reader), "audit");
    assert_eq!(size(&note), 4);
    assert_eq!(texts(&mut db.client_as(&stranger), "SELECT count(*) FROM notary.seals"), ["0"]);
    assert_eq!(texts(&mut db.client_as(&reader), "SELECT size FROM notary.seals"), ["4"]);
    for table in ["tree", "leaf_range", "subtree", "seal_store"] {
        let read = refused(&mut db.client_as(&reader), &format!("SELECT FROM notary.{table}"));
        assert_eq!(read.code, "42501", "{table}");
    }
}

/// A function or operator in the caller's search_path must not be called by ours.
#[test]
fn nothing_in_the_caller_s_search_path_is_called() {
    let db = scene("path", 3);
    let mut client = db.client();
    let role = db.role("evil");
    run(
        &mut client,
        &format!(
            "GRANT SELECT ON audit TO \"{role}\"; CREATE SCHEMA trap AUTHORIZATION \"{role}\"; SET ROLE \"{role}\";
             CREATE TABLE trap.sprung (who text);
             CREATE FUNCTION trap.eq(a uuid, b uuid) RETURNS bool LANGUAGE plpgsql AS $$BEGIN
                 INSERT INTO trap.sprung VALUES (current_user); RETURN a::text = b::text; END$$;
             CREATE OPERATOR trap.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = trap.eq);
             CREATE FUNCTION trap.coalesced(a int8, b int4) RETURNS bool LANGUAGE plpgsql AS $$BEGIN
                 INSERT INTO trap.sprung VALUES (current_user); RETURN a = b::int8; END$$;
             CREATE OPERATOR trap.= (LEFTARG = int8, RIGHTARG = int4, FUNCTION = trap.coalesced); RESET ROLE"
        ),
    );
    let mut trapped = db.client_as(&role);
    run(&mut trapped, "SET search_path = trap, pg_catalog, public");
    assert_eq!(size(&seal(&mut trapped, "public.audit")), 4);
    assert_eq!(export(&mut trapped, "public.audit").len(), 4);
    run(&mut trapped, "SELECT notary.proof('public.audit', 1, 2)");
    assert_eq!(texts(&mut trapped, "SHOW search_path"), ["trap, pg_catalog, public"]);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM trap.sprung"), ["0"]);
}

#[test]
fn what_is_under_way_goes_into_the_next_one_and_nobody_waits() {
    let db = scene("under_way", 3);
    let mut writer = db.client();
    run(&mut writer, "BEGIN; INSERT INTO audit VALUES (100), (101)");
    let mut client = db.client();
    run(&mut client, "SET lock_timeout = '5s'; SET statement_timeout = '20s'; INSERT INTO audit VALUES (5)");
    let first = seal(&mut client, "audit");
    assert_eq!(size(&first), 5, "three, the header, and the one that was committed");
    run(&mut writer, "SET lock_timeout = '5s'; INSERT INTO audit VALUES (102); COMMIT");
    let second = seal(&mut client, "audit");
    assert_eq!(size(&second), 8);
    assert_exports(&export(&mut client, "audit"), &second);
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_seal_does_not_hold_up_writers() {
    let db = scene("not_held_up", 30_000);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let note = seal(&mut db.client(), "audit");
            assert!(size(&note) >= 30_001);
            done.store(true, Ordering::SeqCst);
        });
        let mut client = db.client();
        run(&mut client, "SET lock_timeout = '10s'");
        while !done.load(Ordering::SeqCst) {
            run(&mut client, "INSERT INTO audit VALUES (0)");
        }
    });
    assert_found(&mut db.client(), "audit", &[]);
}

#[test]
fn many_at_the_same_time_come_one_after_the_other_and_never_fork() {
    let db = scene("forks", 10);
    let notes: Vec<String> = std::thread::scope(|scope| {
        let sealers: Vec<_> = (0..6)
            .map(|number: usize| {
                let db = &db;
                scope.spawn(move || {
                    let mut client = db.client();
                    let level = ["read committed", "repeatable read", "serializable"][number % 3];
                    run(&mut client, &format!("SET default_transaction_isolation = '{level}'"));
                    let mut notes = Vec::new();
                    for i in 0..10 {
                        run(&mut client, &format!("INSERT INTO audit VALUES ({i})"));
                        notes.push(seal(&mut client, "audit"));
                    }
                    notes
                })
            })
            .collect();
        sealers.into_iter().flat_map(|sealer| sealer.join().unwrap()).collect()
    });
    let mut client = db.client();
    let lines = export(&mut client, "audit");
    assert_eq!(lines.len(), 71);
    for note in notes {
        let size = usize::try_from(size(&note)).unwrap();
        assert_exports(&lines[..size], &note);
    }
}

/// Pages of the log that a seal read.
fn pages_read(db: &Database<'_>) -> i64 {
    let mut client = db.client();
    run(&mut client, "SELECT pg_stat_force_next_flush()");
    client
        .query_one("SELECT heap_blks_read + heap_blks_hit FROM pg_statio_user_tables WHERE relname = 'audit'", &[])
        .unwrap()
        .get(0)
}

#[test]
fn its_cost_grows_with_what_is_new() {
    let db = scene("cost", 60_000);
    let mut client = db.client();
    seal(&mut client, "audit");
    run(&mut client, "INSERT INTO audit SELECT generate_series(1, 10); SELECT pg_stat_force_next_flush()");
    let before = pages_read(&db);
    seal(&mut client, "audit");
    run(&mut client, "SELECT pg_stat_force_next_flush()");
    let pages = pages_read(&db) - before;
    // The new rows, and at most one block of 256 leaves for the last tree and for each chain that went on.
    assert!((10..1500).contains(&pages), "{pages} pages");
}

#[test]
fn what_is_not_intact_is_not_sealed() {
    let db = scene("damaged", 1000);
    let mut client = db.client();
    seal(&mut client, "audit");
    run(&mut client, "INSERT INTO audit SELECT i, 'new' FROM generate_series(1, 100) AS i");
    let cases = [
        ("UPDATE audit SET what = 'forged' WHERE notary_seq = 1050", "hashes to"),
        ("UPDATE audit SET notary_hash = sha256('x') WHERE notary_seq = 1050", "hashes to"),
        ("UPDATE audit SET notary_prev = sha256('x') WHERE notary_seq = 1050", "follows"),
        ("DELETE FROM audit WHERE notary_seq = 1050", "is missing"),
        ("UPDATE audit SET notary_hash = sha256('x') WHERE notary_seq = 1000", "another root"),
        ("UPDATE audit SET notary_hash = sha256('x') WHERE notary_seq = 999", "another root"),
        ("DELETE FROM audit WHERE notary_seq = 1000", "is missing"),
        ("UPDATE notary.seal_store SET root = sha256('x')", "the last seal in notary.seals is damaged"),
        ("UPDATE notary.seal_store SET size = 999", "Its newest seal has size 999"),
        ("DELETE FROM notary.seal_store", "Its newest seal has size 0"),
        ("DELETE FROM audit WHERE notary_seq BETWEEN 1000 AND 1100", "the line of leaf 1000 is missing"),
        ("DELETE FROM notary.leaf_range WHERE first_leaf = 1", "does not say which line"),
        ("UPDATE notary.leaf_range SET last_seq = 990 WHERE first_leaf = 1", "does not say which line"),
    ];
    for (damage, why) in cases {
        run(&mut client, "DROP TABLE IF EXISTS kept, kept_seals, kept_ranges, kept_tree");
        run(
            &mut client,
            "CREATE TABLE kept AS SELECT * FROM audit; CREATE TABLE kept_seals AS SELECT * FROM notary.seal_store;
             CREATE TABLE kept_ranges AS SELECT * FROM notary.leaf_range; CREATE TABLE kept_tree AS SELECT * FROM notary.tree",
        );
        behind_the_guard(&db, &[damage]);
        let error = refused(&mut db.client(), "CALL notary.seal('audit')");
        assert_eq!(error.code, "XX001", "{damage}: {error}");
        let detail = &error.detail;
        assert!(detail.contains(why), "{damage}: {error}");
        let back = "SET session_replication_role = replica; DELETE FROM audit; INSERT INTO audit SELECT * FROM kept;
            DELETE FROM notary.seal_store; INSERT INTO notary.seal_store SELECT * FROM kept_seals;
            DELETE FROM notary.leaf_range; INSERT INTO notary.leaf_range SELECT * FROM kept_ranges;
            DELETE FROM notary.tree; INSERT INTO notary.tree SELECT * FROM kept_tree";
        behind_the_guard(&db, &[back]);
        assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.seals"), ["1"], "{damage}");
    }
    assert_eq!(size(&seal(&mut db.client(), "audit")), 1101);
    assert_found(&mut db.client(), "audit", &[]);
}

/// A segment that nobody protected is no leaf, whatever the extension's memory says.
#[test]
fn a_header_that_the_journal_does_not_know_is_not_sealed() {
    let db = scene("made_up", 20);
    let mut client = db.client();
    run(
        &mut client,
        "INSERT INTO notary.segment SELECT log, 2, replace(header, '\"segment\":1', '\"segment\":2'), schema_name, table_name,
             max_chains, database, table_oid, now() FROM notary.segment WHERE table_name = 'audit'",
    );
    assert_eq!(size(&seal(&mut client, "audit")), 21);
}

#[test]
fn a_rewritten_past_is_not_sealed_even_if_the_chain_fits() {
    let db = scene("rehashed", 600);
    let mut client = db.client();
    seal(&mut client, "audit");
    run(&mut client, "INSERT INTO audit VALUES (601, 'new')");
    behind_the_guard(&db, &[&crate::comparing::rewrite(300)]);
    let error = refused(&mut db.client(), "CALL notary.seal('audit')");
    assert_eq!(error.code, "XX001", "{error}");
    assert!(error.to_string().contains("another root"), "{error}");
}

#[test]
fn partitions_and_periods_stand_in_the_order_of_their_segments() {
    let db = fresh_db("segments");
    set_up(&db);
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE audit (id int) PARTITION BY RANGE (id);
         CREATE TABLE audit_1 PARTITION OF audit FOR VALUES FROM (0) TO (100);
         CREATE TABLE audit_2 PARTITION OF audit FOR VALUES FROM (100) TO (200);
         INSERT INTO audit SELECT generate_series(50, 149); SELECT notary.protect('audit');
         INSERT INTO audit SELECT generate_series(50, 149)",
    );
    assert_exports(&export_after_seal(&db), &db.value("SELECT note FROM notary.seals ORDER BY size DESC LIMIT 1"));
    run(&mut client, "CREATE TABLE audit_3 PARTITION OF audit FOR VALUES FROM (200) TO (300)");
    run(&mut client, "INSERT INTO audit SELECT generate_series(90, 209)");
    assert_exports(&export_after_seal(&db), &db.value("SELECT note FROM notary.seals ORDER BY size DESC LIMIT 1"));
    run(&mut client, "SELECT notary.unprotect('audit', 'test')");
    run(
        &mut client,
        "INSERT INTO audit VALUES (7); SELECT notary.protect('audit'); INSERT INTO audit VALUES (8), (108)",
    );
    assert_exports(&export_after_seal(&db), &db.value("SELECT note FROM notary.seals ORDER BY size DESC LIMIT 1"));
    assert_found(&mut client, "audit", &[]);
    assert_eq!(refused(&mut client, "CALL notary.seal('audit_1')").code, "42809");
    let journal = seal(&mut client, "notary.journal");
    assert_exports(&export(&mut client, "notary.journal"), &journal);
    run(&mut client, "SELECT notary.assert_intact()");
}

fn export_after_seal(db: &Database<'_>) -> Vec<String> {
    let mut client = db.client();
    seal(&mut client, "audit");
    export(&mut client, "audit")
}

#[test]
fn the_origin_is_fixed_by_the_first_seal() {
    let db = fresh_db("origin");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE audit (id int); SELECT notary.protect('audit'); INSERT INTO audit VALUES (1)");
    let error = refused(&mut client, "CALL notary.seal('audit')");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("55000", "notary.origin is not set"));
    for bad in ["https://x", "a//b", "a b", "/a", &"x".repeat(240)] {
        run(&mut client, &format!("SET notary.origin = '{bad}'"));
        assert_eq!(refused(&mut client, "CALL notary.seal('audit')").code, "22023", "{bad}");
    }
    run(&mut client, "SET notary.origin = 'one.example.com/prod'");
    let uuid = db.value("SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass");
    let note = seal(&mut client, "audit");
    assert_eq!(note.lines().next().unwrap(), format!("one.example.com/prod/{uuid}"));
    run(&mut client, "ALTER TABLE audit RENAME TO trail; CREATE SCHEMA other; ALTER TABLE trail SET SCHEMA other");
    run(&mut client, "SET notary.origin = 'two.example.com'; INSERT INTO other.trail VALUES (2)");
    let note = seal(&mut client, "other.trail");
    assert_eq!(note.lines().next().unwrap(), format!("one.example.com/prod/{uuid}"));
}

#[test]
fn without_a_key_a_seal_is_bare_and_said_to_be_unsigned() {
    let db = fresh_db("unsigned");
    let mut client = db.client();
    run(
        &mut client,
        "SET notary.origin = 'x.example.com'; CREATE TABLE audit (id int); SELECT notary.protect('audit');
         INSERT INTO audit VALUES (1)",
    );
    let note = seal(&mut client, "audit");
    assert_eq!(note.lines().count(), 3, "{note}");
    assert_eq!(texts(&mut client, "SELECT keys FROM notary.seals"), ["{}"]);
    let scope = texts(&mut client, "SELECT scope FROM notary.verify('audit')").remove(0);
    assert!(scope.contains("sealed unsigned up to size 2"), "{scope}");
    let said = "SELECT valid || ': ' || problem FROM notary.verify_note((SELECT note FROM notary.seals), '')";
    assert_eq!(texts(&mut client, said), ["false: seal is unsigned"]);
    assert_eq!(refused(&mut client, "SELECT notary.verifier_key('audit')").code, "55000");
    // A key may come later; from then on it must stay.
    run(&mut client, "SET notary.signing_key_file = 'unsigned.key'; SELECT * FROM notary.generate_key()");
    run(&mut client, "INSERT INTO audit VALUES (2)");
    assert_eq!(seal(&mut client, "audit").lines().count(), 5);
    run(&mut client, "SET notary.signing_key_file = ''; INSERT INTO audit VALUES (3)");
    assert_eq!(refused(&mut client, "CALL notary.seal('audit')").code, "F0000");
}

#[test]
fn a_cancelled_seal_leaves_nothing_that_stands_in_the_way() {
    let db = scene("cancelled", 40_000);
    for milliseconds in [1, 5, 20, 60, 150] {
        let mut client = db.client();
        run(&mut client, &format!("SET statement_timeout = {milliseconds}"));
        if let Err(error) = client.batch_execute("CALL notary.seal('audit')") {
            assert_eq!(notary_tests::SqlError::of(&error).code, "57014");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut client = db.client();
    let note = seal(&mut client, "audit");
    assert_exports(&export(&mut client, "audit"), &note);
}
