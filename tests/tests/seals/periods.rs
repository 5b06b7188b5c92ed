//! Several periods without protection: what was sealed is kept through all of them, and a log can always be sealed on.

use crate::{export, scene, seal, set_up};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::{assert_found, behind_the_guard};
use notary_tests::{Database, fresh_db};
use std::time::Instant;

/// A period without protection in which this is done; afterwards all is well, and the log can be sealed.
#[track_caller]
fn period(db: &Database<'_>, log: &str, deed: &str) {
    let mut client = db.client();
    run(&mut client, &format!("SELECT notary.unprotect('{log}', 'test'); {deed}; SELECT notary.protect('{log}')"));
    assert_found(&mut client, log, &[]);
    seal(&mut client, log);
    assert_found(&mut client, log, &[]);
    let sizes = texts(&mut client, "SELECT min(size)::text FROM notary.seals WHERE size > 0");
    run(&mut client, &format!("SELECT notary.consistency_proof('{log}', {})", sizes[0]));
}

fn parts(name: &str) -> Database<'static> {
    let db = fresh_db(name);
    set_up(&db);
    run(
        &mut db.client(),
        "CREATE TABLE parts (id int, what text) PARTITION BY LIST (id);
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
         CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
         CREATE TABLE parts_3 PARTITION OF parts FOR VALUES IN (3); SELECT notary.protect('parts');
         INSERT INTO parts SELECT 1 + g % 3, 'x' FROM generate_series(1, 30) AS g",
    );
    seal(&mut db.client(), "parts");
    db
}

#[test]
fn partitions_that_leave_one_after_the_other_are_no_alarm() {
    let db = parts("one_by_one");
    period(&db, "parts", "DROP TABLE parts_1");
    run(&mut db.client(), "INSERT INTO parts SELECT 2 + g % 2, 'y' FROM generate_series(1, 20) AS g");
    seal(&mut db.client(), "parts");
    period(&db, "parts", "DROP TABLE parts_2");
}

#[test]
fn a_tail_that_goes_before_its_partition_is_no_alarm() {
    let db = parts("tail_first");
    period(&db, "parts", "DELETE FROM parts_1 WHERE notary_seq > 6");
    period(&db, "parts", "DROP TABLE parts_1");
}

#[test]
fn entries_that_go_in_two_periods_are_no_alarm() {
    let db = scene("two_periods", 300);
    seal(&mut db.client(), "audit");
    for deed in [
        "DELETE FROM audit WHERE notary_seq = 5",
        "DELETE FROM audit WHERE notary_seq = 7",
        "UPDATE audit SET notary_hash = sha256('x') WHERE notary_seq = 299",
        "SELECT",
        "DELETE FROM audit WHERE notary_seq IN (298, 299)",
        "TRUNCATE audit",
        "SELECT",
    ] {
        period(&db, "audit", deed);
        run(&mut db.client(), "INSERT INTO audit SELECT generate_series(1, 20)");
        seal(&mut db.client(), "audit");
    }
    // And what is not lawful is found still.
    run(&mut db.client(), "INSERT INTO audit SELECT generate_series(1, 20)");
    let last = texts(&mut db.client(), "SELECT max(notary_chain)::text FROM audit").remove(0);
    behind_the_guard(&db, &[&format!("DELETE FROM audit WHERE notary_chain = {last} AND notary_seq > 10")]);
    assert_found(&mut db.client(), "audit", &[&format!("tail_cut {last}/11")]);
}

#[test]
fn what_was_added_to_an_ended_segment_is_not_sealed() {
    let db = scene("added", 10);
    let mut client = db.client();
    seal(&mut client, "audit");
    run(
        &mut client,
        "SELECT notary.unprotect('audit', 'test');
         INSERT INTO audit (id, notary_chain, notary_seq, notary_time, notary_prev)
         SELECT 99, 1, 11, notary_time, notary_hash FROM audit WHERE notary_seq = 10;
         SELECT notary.protect('audit')",
    );
    // Only a superuser gets the hash right, for notary.line wants a log.
    behind_the_guard(
        &db,
        &["UPDATE audit SET notary_hash = sha256(convert_to(notary.line('audit', 1, 11), 'UTF8')) WHERE id = 99"],
    );
    let note = seal(&mut client, "audit");
    assert_eq!(crate::size(&note), 12, "10 entries and two headers");
    assert!(export(&mut client, "audit").iter().all(|line| !line.contains("\"id\":99")));
}

#[test]
fn a_chain_that_was_rewritten_at_its_sealed_end_is_left_out() {
    let db = scene("sealed_end", 10);
    let mut client = db.client();
    seal(&mut client, "audit");
    run(&mut client, "INSERT INTO audit SELECT generate_series(11, 15); SELECT notary.unprotect('audit', 'test')");
    // The owner cannot make lines of a table that is no log: after that, as a superuser.
    run(&mut client, "SELECT notary.protect('audit')");
    behind_the_guard(&db, &[&crate::comparing::rewrite(10)]);
    let (mut client, said) = db.client_with_notices("postgres");
    let note = seal(&mut client, "audit");
    assert_eq!(crate::size(&note), 12, "what follows a rewritten entry is in no seal; the new header is");
    assert!(said.take().iter().any(|line| line.contains("chain 1: entries from 11 on are in no seal")));
    seal(&mut client, "audit");
    assert_eq!(said.take(), Vec::<String>::new(), "said once");
    assert_found(&mut client, "audit", &["rewritten 1/10"]);
    let error = refused(&mut client, "SELECT notary.proof('audit', 1, 12)");
    assert!(error.message.contains("is in no seal of size 12"), "{error}");
}

#[test]
fn many_lawful_changes_are_told_apart_in_time() {
    let db = scene("many", 40_000);
    let mut client = db.client();
    seal(&mut client, "audit");
    let start = Instant::now();
    period(&db, "audit", "UPDATE audit SET notary_hash = sha256('x' || notary_hash)");
    let touching = start.elapsed();
    let start = Instant::now();
    period(&db, "audit", "DELETE FROM audit WHERE notary_chain = 1 AND notary_seq % 2 = 0");
    let apart = start.elapsed();
    // Each change by itself costs a multiple of what one stretch costs, not its square.
    assert!(apart < touching * 20 + std::time::Duration::from_secs(20), "{apart:?}, {touching:?} in one stretch");
}

/// What is changed in one period and goes in the next, in a partition too.
#[test]
fn what_was_changed_and_what_went_do_not_add_up_to_an_alarm() {
    let deeds = [
        "DELETE FROM parts WHERE notary_seq = 7 OR notary_seq >= 9; UPDATE parts SET what = 'w' WHERE notary_seq = 8",
        "UPDATE parts SET what = 'all'",
        "DELETE FROM parts WHERE notary_seq % 3 = 1",
        "UPDATE parts SET notary_hash = sha256(notary_hash)",
        "DELETE FROM parts WHERE notary_seq > 4",
    ];
    let db = parts("changed_went");
    for deed in deeds {
        period(&db, "parts", deed);
        run(&mut db.client(), "INSERT INTO parts SELECT 1 + g % 3, 'more' FROM generate_series(1, 30) AS g");
        seal(&mut db.client(), "parts");
    }
    // What is not lawful is found still, where nothing lawful happened.
    run(&mut db.client(), "INSERT INTO parts SELECT 3, 'last' FROM generate_series(1, 30) AS g");
    let note = seal(&mut db.client(), "parts");
    behind_the_guard(
        &db,
        &[
            "DELETE FROM parts_3 WHERE what = 'last' AND notary_seq > (SELECT max(notary_seq) - 5 FROM parts_3 WHERE what = 'last')",
        ],
    );
    assert!(!crate::comparing::of_log_against(&mut db.client(), "parts", &note).is_empty());
}

#[test]
fn a_partition_that_was_elsewhere_meanwhile_is_no_alarm() {
    let db = parts("elsewhere");
    period(&db, "parts", "ALTER TABLE parts DETACH PARTITION parts_1");
    run(&mut db.client(), "DELETE FROM parts_1 WHERE notary_seq >= 9");
    period(&db, "parts", "ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES IN (1)");
}

/// Three periods, each with changes scattered over the log: the time is that of their number, and a cancel ends it.
#[test]
fn scattered_changes_of_several_periods_take_no_square_of_time() {
    let db = scene("scattered", 20_000);
    let mut client = db.client();
    seal(&mut client, "audit");
    run(&mut client, "SET statement_timeout = '60s'");
    for deed in [
        "DELETE FROM audit WHERE notary_seq % 2 = 0",
        "UPDATE audit SET what = 'w' WHERE notary_seq % 4 = 1",
        "UPDATE audit SET notary_hash = sha256(notary_hash) WHERE notary_seq % 4 = 3",
    ] {
        run(&mut client, &format!("SELECT notary.unprotect('audit', 't'); {deed}; SELECT notary.protect('audit')"));
    }
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_log_whose_seals_are_gone_can_be_unprotected() {
    for damage in ["DELETE FROM notary.seal_store", "UPDATE notary.leaf_range SET chain = -3 WHERE chain > 0"] {
        let db = scene("repair", 10);
        let mut client = db.client();
        seal(&mut client, "audit");
        behind_the_guard(&db, &[damage]);
        run(&mut client, "SELECT notary.unprotect('audit', 'repair'); SELECT notary.protect('audit')");
        assert!(!texts(&mut client, "SELECT problem FROM notary.findings('audit')").is_empty());
    }
}
