//! Chains whose last entries are many rows that were rolled back and that VACUUM has not removed yet.

use super::{chains, log, log_with, run};
use notary_tests::verdict::behind_the_guard;
use notary_tests::{Database, SqlError};
use postgres::Client;
use std::thread;
use std::time::{Duration, Instant};

/// Rows that are rolled back at the end of whatever chain is taken.
fn litter(client: &mut Client, rows: u32) {
    run(client, &format!("BEGIN; INSERT INTO audit (id) SELECT generate_series(1, {rows}); ROLLBACK"));
}

/// A log whose dead entries stay: no snapshot would keep rows that never were from VACUUM.
fn lasting(name: &str, arguments: &str) -> (Database<'static>, Client) {
    let (db, mut client) = log_with(name, arguments);
    run(&mut client, "ALTER TABLE audit SET (autovacuum_enabled = off)");
    (db, client)
}

#[test]
fn the_next_row_finds_its_place_behind_many_dead_ones() {
    let (db, mut client) = lasting("dead", ", max_chains => 1");
    for length in [1, 63, 64, 65, 1_000, 60_000] {
        run(&mut client, "INSERT INTO audit (id) VALUES (1)");
        run(&mut client, &format!("BEGIN; INSERT INTO audit (id) SELECT generate_series(1, {length}); ROLLBACK"));
        // With what this session remembers, and without.
        run(&mut client, "INSERT INTO audit (id) VALUES (2)");
        run(&mut client, &format!("BEGIN; INSERT INTO audit (id) SELECT generate_series(1, {length}); ROLLBACK"));
        run(&mut db.client(), "INSERT INTO audit (id) VALUES (3)");
    }
    assert_eq!(chains(&mut client), ["1: 1 2 3 1 2 3 1 2 3 1 2 3 1 2 3 1 2 3"]);

    let begun = Instant::now();
    run(&mut client, "INSERT INTO audit (id) SELECT generate_series(1, 2000)");
    let live = begun.elapsed();
    run(&mut client, "BEGIN; INSERT INTO audit (id) SELECT generate_series(1, 60000); ROLLBACK");
    let begun = Instant::now();
    run(&mut client, "INSERT INTO audit (id) SELECT generate_series(1, 2000)");
    // Walking the dead for each row would take hundreds of times as long.
    assert!(begun.elapsed() < live * 20, "{:?} after {live:?}", begun.elapsed());
}

#[test]
fn many_small_rollbacks_at_one_place_do_not_slow_the_next() {
    let (_db, mut client) = lasting("small_rollbacks", "");
    run(
        &mut client,
        "BEGIN;
         DO $$BEGIN
             FOR i IN 1 .. 3000 LOOP
                 BEGIN
                     INSERT INTO audit (id) VALUES (i);
                     RAISE division_by_zero;
                 EXCEPTION WHEN division_by_zero THEN NULL;
                 END;
             END LOOP;
             INSERT INTO audit (id) VALUES (1);
         END$$;
         COMMIT;
         INSERT INTO audit (id) VALUES (2)",
    );
    assert_eq!(chains(&mut client), ["1: 1 2"]);
}

#[test]
fn littered_chains_are_passed_by_but_not_many_and_not_for_ever() {
    let (db, mut client) = lasting("littered", "");
    run(&mut client, "INSERT INTO audit (id) VALUES (0)");
    litter(&mut client, 63);
    run(&mut db.client(), "INSERT INTO audit (id) VALUES (1)");
    assert_eq!(chains(&mut client), ["1: 0 1"]);
    // By the session that rolled them back, and by one that knows nothing. Each look at a chain marks some of what is dead, so
    // that one that was passed by may do again.
    for id in 2..9 {
        litter(&mut client, 2_000);
        let mut other = db.client();
        run(if id % 2 == 0 { &mut client } else { &mut other }, &format!("INSERT INTO audit (id) VALUES ({id})"));
    }
    let all = chains(&mut client);
    assert!((3..=5).contains(&all.len()), "{all:?}");
    // A chain that is written to is not a littered one: as many more as there are writers.
    run(&mut client, "BEGIN; INSERT INTO audit (id) VALUES (9)");
    for id in 10..13 {
        litter(&mut db.client(), 2_000);
        run(&mut db.client(), &format!("INSERT INTO audit (id) VALUES ({id})"));
    }
    run(&mut client, "COMMIT");
    let all = chains(&mut client);
    assert!((3..=6).contains(&all.len()), "{all:?}");
    run(&mut client, "VACUUM audit");
    run(&mut db.client(), "INSERT INTO audit (id) VALUES (13)");
    assert!(chains(&mut client)[0].ends_with(" 13"), "{:?}", chains(&mut client));
}

#[test]
fn a_chain_that_others_littered_is_left_by_who_remembers_its_end() {
    let (db, mut client) = lasting("left", "");
    let mut insert = |id| run(&mut client, &format!("INSERT INTO audit (id) VALUES ({id})"));
    insert(1);
    litter(&mut db.client(), 10);
    insert(2);
    litter(&mut db.client(), 2_000);
    insert(3);
    insert(4);
    assert_eq!(chains(&mut db.client()), ["1: 1 2", "2: 3 4"]);
}

#[test]
fn where_there_are_no_other_chains_littered_ones_are_gone_on_with_at_once() {
    let (db, mut client) = lasting("no_others", ", max_chains => 3");
    let mut writers = [db.client(), db.client(), db.client()];
    let each = |writers: &mut [Client; 3], sql: &str| writers.iter_mut().for_each(|writer| run(writer, sql));
    // Each litters one.
    each(&mut writers, "BEGIN; INSERT INTO audit (id) SELECT generate_series(1, 2000)");
    each(&mut writers, "ROLLBACK");
    // Known and unknown to the session, all at once, and nobody waits but who comes too late.
    for id in 1..3 {
        if id == 2 {
            writers = [db.client(), db.client(), db.client()];
        }
        each(&mut writers, &format!("SET lock_timeout = '5s'; BEGIN; INSERT INTO audit (id) VALUES ({id})"));
        let late = client.batch_execute("SET lock_timeout = '50ms'; INSERT INTO audit (id) VALUES (9)").unwrap_err();
        assert_eq!(SqlError::of(&late).code, "55P03");
        each(&mut writers, "COMMIT");
    }
    assert_eq!(chains(&mut client), ["1: 1 2", "2: 1 2", "3: 1 2"]);
}

/// What the index's scans are counted as, sessions that have ended.
fn scans(db: &Database<'_>) -> i64 {
    let mut client = db.client();
    run(&mut client, "SELECT pg_stat_force_next_flush()");
    let scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'audit_notary_chain_notary_seq_key'";
    client.query_one(scans, &[]).unwrap().get(0)
}

#[test]
fn rows_one_by_one_find_their_place_without_scans_whatever_was_rolled_back() {
    let (db, mut client) = lasting("no_scans", ", max_chains => 1");
    run(&mut client, "INSERT INTO audit (id) VALUES (0)");
    litter(&mut client, 2_000);
    drop(client);
    for (rows, work) in
        [(500, "INSERT INTO audit (id) VALUES (1)"), (500, "BEGIN; INSERT INTO audit (id) VALUES (1); COMMIT")]
    {
        let mut writer = db.client();
        run(&mut writer, "INSERT INTO audit (id) VALUES (0); SELECT pg_stat_force_next_flush()");
        let before = scans(&db);
        for _ in 0..rows {
            run(&mut writer, work);
        }
        run(&mut writer, "SELECT pg_stat_force_next_flush()");
        drop(writer);
        let scans = scans(&db) - before;
        // A leaf has some 300 entries, and where it ends a scan says how it goes on.
        assert!(scans < rows / 10, "{scans} scans for {rows} rows by {work}");
    }
    assert_eq!(chains(&mut db.client()).len(), 1);
}

/// What stands behind the remembered entry may be seen only through the version that an update left.
#[test]
fn a_row_that_another_session_added_and_that_was_changed_since_is_gone_on_from() {
    let (db, mut client) = log("changed_follower");
    run(&mut client, "INSERT INTO audit (id) VALUES (1)");
    run(&mut db.client(), "INSERT INTO audit (id) VALUES (2)");
    behind_the_guard(&db, &["UPDATE audit SET note = 'changed' WHERE id = 2"]);
    // Without an entry of its own in the index. The session's end is when that is counted.
    let until = Instant::now() + Duration::from_secs(60);
    while db.value("SELECT pg_stat_get_tuples_hot_updated('audit'::regclass)") != "1" {
        assert!(Instant::now() < until, "the change has made a new entry in the index");
        thread::sleep(Duration::from_millis(20));
    }
    run(&mut client, "INSERT INTO audit (id) VALUES (3)");
    assert_eq!(
        db.value("SELECT string_agg(notary_chain || ' ' || notary_seq, ', ' ORDER BY id) FROM audit"),
        "1 1, 1 2, 1 3"
    );
}
