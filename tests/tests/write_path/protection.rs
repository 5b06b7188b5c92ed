//! Protection that comes, goes and comes again, and rows that are restored: what is remembered of chains must not
//! outlive it.

use super::{chains, log, run};
use notary_tests::fresh_db;

#[test]
fn protecting_again_in_the_same_transaction_starts_above_the_chains_in_use() {
    let (_db, mut client) = log("again");
    run(
        &mut client,
        "BEGIN;
         INSERT INTO audit (id) VALUES (1), (2);
         SELECT notary.unprotect('audit', 'a test');
         INSERT INTO audit (id) VALUES (3);
         SELECT notary.protect('audit');
         INSERT INTO audit (id) VALUES (4);
         COMMIT;
         INSERT INTO audit (id) VALUES (5)",
    );
    assert_eq!(chains(&mut client), ["1: 1 2", "2: 3 4 5"]);
}

#[test]
fn a_protection_that_is_rolled_back_leaves_no_chain_behind() {
    let db = fresh_db("rolled_back");
    let mut client = db.client();
    run(&mut client, super::SETUP);
    run(
        &mut client,
        "BEGIN;
         SAVEPOINT s;
         SELECT notary.protect('audit'); INSERT INTO audit (id) VALUES (1);
         ROLLBACK TO s;
         INSERT INTO audit (id) VALUES (2);
         SELECT notary.protect('audit'); INSERT INTO audit (id) VALUES (3);
         COMMIT;
         BEGIN; INSERT INTO audit (id) VALUES (4); ROLLBACK;
         INSERT INTO audit (id) VALUES (5)",
    );
    assert_eq!(chains(&mut client), ["1: 2 3 5"]);
}

#[test]
fn ending_protection_inside_a_savepoint_that_is_rolled_back_changes_nothing() {
    let (_db, mut client) = log("unprotect_rolled_back");
    run(
        &mut client,
        "BEGIN;
         INSERT INTO audit (id) VALUES (1);
         SAVEPOINT s;
         SELECT notary.unprotect('audit', 'a test'); INSERT INTO audit (id) VALUES (2);
         SELECT notary.protect('audit'); INSERT INTO audit (id) VALUES (3);
         ROLLBACK TO s;
         INSERT INTO audit (id) VALUES (4);
         COMMIT;
         INSERT INTO audit (id) VALUES (5)",
    );
    assert_eq!(chains(&mut client), ["1: 1 4 5"]);
}

#[test]
fn a_smaller_limit_on_chains_counts_at_once() {
    let (db, mut client) = log("limit");
    let mut other = db.client();
    run(&mut other, "BEGIN; INSERT INTO audit (id) VALUES (1)");
    run(&mut client, "INSERT INTO audit (id) VALUES (2)");
    run(&mut other, "COMMIT");
    run(&mut client, "SELECT notary.unprotect('audit', 'a test'); SELECT notary.protect('audit', max_chains => 1)");
    run(&mut client, "INSERT INTO audit (id) VALUES (3)");
    run(&mut other, "INSERT INTO audit (id) VALUES (4)");
    assert_eq!(chains(&mut client), ["1: 1", "2: 2", "3: 3 4"]);
}

#[test]
fn rows_restored_in_the_same_transaction_are_continued() {
    let (db, mut client) = log("restored");
    run(&mut client, "INSERT INTO audit (id) VALUES (1), (2), (3)");
    let dump = db.cluster().pg_dump(db.name(), &["-Fc"]).ok();
    let copy = db.cluster().bare_db("restored_copy");
    let mut there = copy.client();
    // The log without its rows, then the rows and new ones in one transaction.
    db.cluster().pg_restore(copy.name(), &["--exit-on-error"], &dump.stdout_bytes).ok();
    run(
        &mut there,
        "CREATE TEMP TABLE kept AS SELECT * FROM audit;
         INSERT INTO audit (id) VALUES (4);
         BEGIN; INSERT INTO audit (id) VALUES (5); SAVEPOINT s",
    );
    run(&mut client, "INSERT INTO audit (id) VALUES (14), (15), (16)");
    let lines = client
        .query(
            "SELECT id, notary_chain, notary_seq, notary_time::text, notary_prev, notary_hash
             FROM audit WHERE id IN (14, 15)",
            &[],
        )
        .unwrap();
    // Other rows at the same places are kept out by the constraint, and the transaction can go on.
    for line in lines {
        let (id, chain, seq): (i32, i32, i64) = (line.get(0), line.get(1), line.get(2));
        let (time, prev, hash): (String, Vec<u8>, Vec<u8>) = (line.get(3), line.get(4), line.get(5));
        let insert = format!(
            "SET LOCAL notary.restore = on;
             INSERT INTO audit (id, notary_chain, notary_seq, notary_time, notary_prev, notary_hash) VALUES
             ({id}, {chain}, {seq}, '{time}', '\\x{}', '\\x{}')",
            hex::encode(prev),
            hex::encode(hash)
        );
        let refused = notary_tests::err(there.batch_execute(&insert));
        assert_eq!(refused.code, "23505", "{refused}");
        run(&mut there, "ROLLBACK TO s");
    }
    run(&mut there, "INSERT INTO audit (id) VALUES (6); COMMIT; INSERT INTO audit (id) VALUES (7)");
    assert_eq!(chains(&mut there), ["1: 1 2 3 4 5 6 7"]);
}

#[test]
fn restored_and_new_rows_mix_in_one_statement() {
    let (db, mut client) = log("mixed");
    run(&mut client, "INSERT INTO audit (id) VALUES (1), (2), (3), (4)");
    let mut other = db.client();
    run(
        &mut other,
        "CREATE TABLE saved AS SELECT * FROM audit;
         UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'audit'::regclass AND tgname ~ 'keep|block';
         UPDATE pg_class SET reltuples = reltuples WHERE oid = 'audit'::regclass;
         SET session_replication_role = replica;
         DELETE FROM audit WHERE id > 1;
         UPDATE pg_trigger SET tgenabled = 'A' WHERE tgrelid = 'audit'::regclass AND tgname ~ 'keep|block';
         UPDATE pg_class SET reltuples = reltuples WHERE oid = 'audit'::regclass;
         RESET session_replication_role",
    );
    // The client remembers chain 1 up to row 4. Rows with a place are kept, the others go on from what is there.
    run(
        &mut client,
        "BEGIN; SET LOCAL notary.restore = on;
         INSERT INTO audit SELECT * FROM saved WHERE id = 2;
         INSERT INTO audit SELECT * FROM saved WHERE id IN (3, 4)
             UNION ALL SELECT 5, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL
             UNION ALL SELECT 6, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL;
         COMMIT;
         INSERT INTO audit (id) VALUES (7)",
    );
    assert_eq!(chains(&mut client), ["1: 1 2 3 4 5 6 7"]);
}
