//! Many sessions at once: no waiting and no deadlock through the log, unless max_chains says so.

use super::failures::wait_for;
use super::{assert_sound, chain_count, log, refused, run, texts};
use notary_tests::fresh_db;
use postgres::Client;

#[test]
fn sixteen_open_transactions_get_a_chain_each_at_once() {
    let (db, mut client) = log("concurrency_sixteen");
    let mut writers: Vec<Client> = (0..16).map(|_| db.client()).collect();
    for (i, writer) in writers.iter_mut().enumerate() {
        // Any wait would be for good: nobody commits before all have inserted.
        run(writer, "SET lock_timeout = '60s'");
        run(writer, &format!("BEGIN; INSERT INTO t VALUES ({i}), ({})", i + 100));
    }
    assert_eq!(
        texts(
            &mut client,
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ),
        ["0"]
    );
    for writer in writers.iter_mut().rev() {
        run(writer, "INSERT INTO t SELECT max(a) + 1000 FROM t");
        run(writer, "COMMIT");
    }
    assert_eq!(chain_count(&mut client), 16);
    assert_sound(&mut client, "t", 48);
    // Free again: one writer after another needs no new one.
    for (i, writer) in writers.iter_mut().enumerate() {
        run(writer, &format!("INSERT INTO t VALUES ({})", i + 200));
    }
    assert_eq!(chain_count(&mut client), 16);
}

#[test]
fn opposite_orders_of_two_logs_do_not_deadlock() {
    let (db, mut client) = log("concurrency_deadlock");
    run(&mut client, "CREATE TABLE u (a int); SELECT notary.protect('u')");
    let mut other = db.client();
    run(&mut client, "BEGIN; INSERT INTO t VALUES (1)");
    run(&mut other, "BEGIN; INSERT INTO u VALUES (2)");
    run(&mut client, "INSERT INTO u VALUES (1)");
    run(&mut other, "INSERT INTO t VALUES (2); COMMIT");
    run(&mut client, "COMMIT");
    assert_sound(&mut client, "t", 2);
    assert_sound(&mut client, "u", 2);
}

#[test]
fn a_forgotten_transaction_costs_a_chain_and_stops_nobody() {
    let (db, mut client) = log("concurrency_forgotten");
    let mut forgotten = db.client();
    run(&mut forgotten, "BEGIN; INSERT INTO t VALUES (0)");
    for i in 1..=200 {
        run(&mut client, &format!("INSERT INTO t VALUES ({i})"));
    }
    assert_eq!(chain_count(&mut client), 1);
    run(&mut forgotten, "COMMIT");
    assert_sound(&mut client, "t", 201);
}

#[test]
fn the_number_of_chains_is_bounded_by_the_number_of_writers_at_once() {
    let (db, mut client) = log("concurrency_bounded");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let mut writer = db.client();
            scope.spawn(move || {
                for i in 0..100 {
                    let a = n * 1000 + i * 3;
                    run(&mut writer, &format!("BEGIN; INSERT INTO t VALUES ({a}), ({})", a + 1));
                    run(
                        &mut writer,
                        &format!("SAVEPOINT s; INSERT INTO t VALUES ({}) ON CONFLICT DO NOTHING; ROLLBACK TO s", a + 2),
                    );
                    run(&mut writer, &format!("INSERT INTO t VALUES ({a}) ON CONFLICT DO NOTHING"));
                    run(&mut writer, if i % 5 == 0 { "ROLLBACK" } else { "COMMIT" });
                }
            });
        }
    });
    assert_sound(&mut client, "t", 8 * 80 * 2);
    assert!(chain_count(&mut client) <= 8, "{} chains for 8 writers", chain_count(&mut client));
}

#[test]
fn with_one_chain_writers_wait_and_the_wait_shows() {
    let db = fresh_db("concurrency_one");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int PRIMARY KEY); SELECT notary.protect('t', 1)");
    let (mut holder, mut waiter) = (db.client(), db.client());
    run(&mut waiter, "SET application_name = 'the waiter'");
    run(&mut holder, "BEGIN; INSERT INTO t VALUES (1)");
    let waiting = std::thread::spawn(move || {
        run(&mut waiter, "INSERT INTO t VALUES (2)");
    });
    let activity = "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'the waiter'
                    AND wait_event_type = 'Lock' AND wait_event = 'object' AND state = 'active'";
    wait_for(&mut client, activity);
    let locks = "SELECT concat_ws(' ', l.locktype, l.classid::regclass, l.objid::regclass, l.mode, l.granted)
                 FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
                 WHERE a.application_name = 'the waiter' AND NOT l.granted";
    let shown = texts(&mut client, locks);
    assert!(shown.len() == 1 && shown[0].starts_with("object ") && shown[0].ends_with("ExclusiveLock f"), "{shown:?}");
    let blocker = "SELECT pg_blocking_pids(pid)::text FROM pg_stat_activity WHERE application_name = 'the waiter'";
    let holder_pid = texts(&mut holder, "SELECT pg_backend_pid()");
    assert_eq!(texts(&mut client, blocker), [format!("{{{}}}", holder_pid[0])]);
    run(&mut holder, "INSERT INTO t VALUES (3); COMMIT");
    waiting.join().unwrap();
    assert_eq!(texts(&mut client, "SELECT string_agg(a::text, ' ' ORDER BY notary_seq) FROM t"), ["1 3 2"]);
    assert_sound(&mut client, "t", 3);
}

#[test]
fn waiting_for_the_only_chain_can_be_cancelled_times_out_and_can_deadlock() {
    let db = fresh_db("concurrency_cancelled");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE other (a int); SELECT notary.protect('t', 1)");
    let mut holder = db.client();
    run(&mut holder, "BEGIN; INSERT INTO t VALUES (1)");
    run(&mut client, "SET lock_timeout = '100ms'");
    assert_eq!(refused(&mut client, "INSERT INTO t VALUES (2)").code, "55P03");
    run(&mut client, "SET lock_timeout = 0; SET statement_timeout = '100ms'");
    assert_eq!(refused(&mut client, "INSERT INTO t VALUES (2)").code, "57014");
    run(&mut client, "SET statement_timeout = 0; SET deadlock_timeout = '100ms'; BEGIN; LOCK TABLE other");
    let waiting = std::thread::spawn(move || {
        run(&mut holder, "SET deadlock_timeout = '100s'; LOCK TABLE other; COMMIT");
    });
    wait_for(&mut db.client(), "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'other'::regclass AND NOT granted");
    assert_eq!(refused(&mut client, "INSERT INTO t VALUES (2)").code, "40P01");
    run(&mut client, "ROLLBACK");
    waiting.join().unwrap();
    run(&mut client, "INSERT INTO t VALUES (2)");
    assert_sound(&mut client, "t", 2);
}

#[test]
fn with_one_chain_an_insert_inside_an_insert_is_refused_with_a_way_out() {
    let db = fresh_db("concurrency_nested");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int); CREATE FUNCTION again(a int) RETURNS boolean LANGUAGE plpgsql AS
             'BEGIN IF a < 100 THEN INSERT INTO t VALUES (a + 100); END IF; RETURN true; END';
         ALTER TABLE t ADD CHECK (again(a)); SELECT notary.protect('t', 1)",
    );
    let error = refused(&mut client, "INSERT INTO t VALUES (1)");
    assert_eq!(error.code, "55000");
    assert!(!error.detail.is_empty() && error.hint.contains("AFTER trigger"), "{error}");
    run(&mut client, "INSERT INTO t VALUES (100)");
    assert_sound(&mut client, "t", 1);
}

#[test]
fn max_chains_of_three_lets_three_write_and_the_fourth_wait() {
    let db = fresh_db("concurrency_three");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int PRIMARY KEY); SELECT notary.protect('t', 3)");
    let mut writers: Vec<Client> = (0..3).map(|_| db.client()).collect();
    for (i, writer) in writers.iter_mut().enumerate() {
        run(writer, &format!("BEGIN; INSERT INTO t VALUES ({i})"));
    }
    run(&mut client, "SET lock_timeout = '100ms'");
    assert_eq!(refused(&mut client, "INSERT INTO t VALUES (9)").code, "55P03");
    writers.iter_mut().for_each(|writer| run(writer, "COMMIT"));
    run(&mut client, "INSERT INTO t VALUES (9)");
    assert_eq!(chain_count(&mut client), 3);
    assert_sound(&mut client, "t", 4);
}

#[test]
fn no_sql_user_can_take_a_chains_lock() {
    let (db, mut client) = log("concurrency_advisory");
    let mut blocker = db.client_as(&db.role("nobody"));
    // Advisory locks on everything that a chain's lock is made of.
    run(
        &mut blocker,
        "BEGIN; SELECT pg_advisory_xact_lock(oid::bigint), pg_advisory_xact_lock(oid::int, i)
         FROM pg_class, generate_series(0, 3) AS i WHERE relname IN ('t', 'pg_class')",
    );
    run(&mut client, "SET lock_timeout = '10s'; INSERT INTO t VALUES (1)");
    assert_eq!(chain_count(&mut client), 1);
    assert_eq!(texts(&mut client, "SELECT notary_chain FROM t"), ["1"]);
}
