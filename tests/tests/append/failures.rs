//! A statement that is cancelled, times out or fails in the middle leaves nothing behind but a rollback.

use super::{assert_log, assert_sound, chain_count, log, refused, run, texts};
use std::time::{Duration, Instant};

#[test]
fn cancels_timeouts_and_errors_in_the_middle_leave_nothing() {
    let (db, mut client) = log("failures");
    run(&mut client, "INSERT INTO t VALUES (1)");
    for (set, code) in [("statement_timeout", "57014"), ("lock_timeout", "55P03"), ("nothing", "22012")] {
        let sql = match set {
            "statement_timeout" => "INSERT INTO t SELECT generate_series(11, 1000000000)",
            "lock_timeout" => "INSERT INTO t SELECT i + 10 FROM generate_series(1, 1000) AS i; LOCK TABLE held",
            _ => "INSERT INTO t SELECT 1000 / (100 - i) + 10000 * i FROM generate_series(1, 1000) AS i",
        };
        let mut holder = db.client();
        run(&mut holder, "CREATE TABLE IF NOT EXISTS held (a int)");
        run(&mut holder, "BEGIN; LOCK TABLE held");
        if set != "nothing" {
            run(&mut client, &format!("SET {set} = '300ms'"));
        }
        assert_eq!(refused(&mut client, sql).code, code, "{set}");
        run(&mut client, "RESET statement_timeout; RESET lock_timeout");
        assert_log(&mut client, &["1"]);
    }
    run(&mut client, "INSERT INTO t VALUES (2)");
    assert_log(&mut client, &["1", "2"]);
    // A chain behind which many rows were rolled back may be left alone.
    assert!(chain_count(&mut client) <= 2);
}

#[test]
fn a_cancel_from_outside_and_a_terminated_backend_leave_nothing() {
    let (db, mut client) = log("failures_outside");
    run(&mut client, "INSERT INTO t VALUES (1)");
    for call in ["pg_cancel_backend", "pg_terminate_backend"] {
        let mut victim = db.client();
        let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
        let insert = std::thread::spawn(move || {
            victim.batch_execute("INSERT INTO t SELECT generate_series(11, 1000000000)").unwrap_err();
        });
        // Under way: it holds a chain.
        let holds = format!(
            "SELECT count(*) > 0 FROM pg_locks WHERE pid = {pid} AND locktype = 'object' AND objid <> 0 AND granted"
        );
        wait_for(&mut client, &holds);
        run(&mut client, &format!("SELECT {call}({pid})"));
        insert.join().unwrap();
        wait_for(&mut client, &format!("SELECT count(*) = 0 FROM pg_locks WHERE pid = {pid} AND locktype = 'object'"));
        assert_log(&mut client, &["1"]);
    }
    run(&mut client, "INSERT INTO t VALUES (2)");
    assert_log(&mut client, &["1", "2"]);
}

/// Asks until the answer is true.
#[track_caller]
pub fn wait_for(client: &mut postgres::Client, query: &str) {
    let start = Instant::now();
    while texts(client, query) != ["t"] {
        assert!(start.elapsed() < Duration::from_secs(120), "waited in vain: {query}");
        std::thread::yield_now();
    }
}

#[test]
fn deferred_constraints_that_fail_at_commit_take_the_rows_back() {
    let (db, mut client) = log("failures_deferred");
    run(
        &mut client,
        "CREATE TABLE parent (a int PRIMARY KEY); CREATE TABLE u (a int REFERENCES parent DEFERRABLE INITIALLY DEFERRED,
             k int UNIQUE DEFERRABLE INITIALLY DEFERRED); SELECT notary.protect('u'); INSERT INTO parent VALUES (1)",
    );
    run(&mut client, "INSERT INTO u VALUES (1, 1)");
    for (row, code) in [("(2, 2)", "23503"), ("(1, 1)", "23505")] {
        run(&mut client, &format!("BEGIN; INSERT INTO u VALUES {row}; INSERT INTO t VALUES (9)"));
        assert_eq!(refused(&mut client, "COMMIT").code, code);
        assert_sound(&mut client, "u", 1);
        assert_sound(&mut client, "t", 0);
    }
    run(&mut client, "BEGIN; INSERT INTO u VALUES (2, 2); INSERT INTO parent VALUES (2); COMMIT");
    run(&mut db.client(), "INSERT INTO u VALUES (2, 3)");
    assert_sound(&mut client, "u", 3);
}

#[test]
fn rows_refused_by_constraints_or_later_checks_leave_no_gap() {
    let (_db, mut client) = log("failures_constraints");
    run(&mut client, "ALTER TABLE t ADD CHECK (b <> 'bad'), ALTER b SET NOT NULL");
    run(&mut client, "INSERT INTO t VALUES (1, 'x')");
    for (row, code) in [("(2, 'bad')", "23514"), ("(2, NULL)", "23502"), ("(1, 'y')", "23505"), ("('a', 'y')", "22P02")]
    {
        assert_eq!(refused(&mut client, &format!("INSERT INTO t VALUES (7, 'ok'), {row}")).code, code);
        run(&mut client, "BEGIN; INSERT INTO t VALUES (8, 'ok'); SAVEPOINT s");
        assert_eq!(refused(&mut client, &format!("INSERT INTO t VALUES {row}")).code, code);
        run(&mut client, "ROLLBACK TO s; INSERT INTO t VALUES (9, 'ok'); ROLLBACK");
    }
    run(&mut client, "INSERT INTO t VALUES (2, 'z')");
    assert_log(&mut client, &["1", "2"]);
}

/// Shared blocks that one insert touches, hits and reads, by EXPLAIN.
fn blocks_of_an_insert(client: &mut postgres::Client, a: i32) -> i64 {
    let sql = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) INSERT INTO t VALUES ({a})");
    let plan: serde_json::Value = serde_json::from_str(&texts(client, &sql).concat()).unwrap();
    // Those that the trigger touches count for the node that fires it.
    let node = &plan[0]["Plan"];
    node["Shared Hit Blocks"].as_i64().unwrap() + node["Shared Read Blocks"].as_i64().unwrap()
}

#[test]
fn after_a_million_rolled_back_the_next_insert_is_as_cheap_as_before() {
    let (db, mut client) = log("failures_rollback");
    // VACUUM would clear the dead entries away, and this is about having them.
    run(&mut client, "ALTER TABLE t SET (autovacuum_enabled = off); INSERT INTO t SELECT generate_series(1, 100)");
    let before = blocks_of_an_insert(&mut client, 101);
    let start = Instant::now();
    run(&mut client, "BEGIN; INSERT INTO t SELECT i + 1000 FROM generate_series(1, 1000000) AS i; ROLLBACK");
    let filling = start.elapsed();
    // Finding the head behind the dead entries takes some probes once in each session; walking past the dead would
    // touch a million blocks and more.
    let (same, then) = (blocks_of_an_insert(&mut client, 102), blocks_of_an_insert(&mut client, 124));
    let new = blocks_of_an_insert(&mut db.client(), 103);
    println!("blocks: {before} before, {same} and {new} after, then {then}");
    assert!(same < 500 && new < 500, "blocks: {before} before, {same} and {new} after");
    assert!(then < before + 50, "blocks: {before} before, {then} once the head is known again");
    // Many sessions and many statements: still nowhere near what walking the dead would take each time.
    let start = Instant::now();
    for i in 0..20 {
        let mut fresh = db.client();
        run(&mut fresh, &format!("INSERT INTO t VALUES ({})", 104 + i));
    }
    let inserting = start.elapsed();
    assert!(
        inserting < filling.max(Duration::from_secs(5)),
        "20 inserts took {inserting:?}, the million took {filling:?}"
    );
    assert_sound(&mut client, "t", 124);
}
