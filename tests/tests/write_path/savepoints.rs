//! Savepoints, cursors, two-phase commit, cancelled statements: what is held and what is known after a rollback.

use super::{chains, log, run};
use notary_tests::{SqlError, err};

#[test]
fn a_rollback_to_a_savepoint_gives_the_places_out_again() {
    let (_db, mut client) = log("rollback_to");
    run(
        &mut client,
        "BEGIN;
         INSERT INTO audit (id) VALUES (1);
         SAVEPOINT a; INSERT INTO audit (id) VALUES (2), (3);
         SAVEPOINT b; INSERT INTO audit (id) VALUES (4); RELEASE b;
         INSERT INTO audit (id) VALUES (5);
         ROLLBACK TO a; INSERT INTO audit (id) VALUES (6);
         ROLLBACK TO a; ROLLBACK TO a; RELEASE a; INSERT INTO audit (id) VALUES (7);
         COMMIT",
    );
    assert_eq!(chains(&mut client), ["1: 1 7"]);
}

#[test]
fn a_chain_taken_inside_a_savepoint_is_free_after_its_rollback_and_kept_after_its_release() {
    let (db, mut client) = log("taken_inside");
    let mut other = db.client();
    run(&mut client, "BEGIN; SAVEPOINT a; SAVEPOINT b; INSERT INTO audit (id) VALUES (1); RELEASE b; ROLLBACK TO a");
    run(&mut other, "INSERT INTO audit (id) VALUES (2)");
    run(&mut client, "INSERT INTO audit (id) VALUES (3); RELEASE a");
    run(&mut other, "INSERT INTO audit (id) VALUES (4)");
    run(&mut client, "INSERT INTO audit (id) VALUES (5); COMMIT");
    // The second row of the other session found chain 1 taken by the savepoint that was released.
    assert_eq!(chains(&mut client), ["1: 2 3 5", "2: 4"]);
}

#[test]
fn a_savepoint_rolled_back_inside_a_statement_does_not_hide_the_row_on_its_way() {
    let (_db, mut client) = log("inside_statement");
    // Row 1 is on its way in chain 1 while the check inserts 101 in a block that is rolled back, then 201.
    run(
        &mut client,
        "CREATE FUNCTION again(id int, nested int) RETURNS boolean LANGUAGE plpgsql AS $$
         BEGIN
             IF nested IS NOT NULL THEN INSERT INTO audit (id) VALUES (nested + 100); END IF;
             RETURN true;
         END$$;
         ALTER TABLE audit ADD CONSTRAINT z_again CHECK (again(id, nested));
         BEGIN;
         INSERT INTO audit (id) VALUES (0);
         SAVEPOINT s;
         INSERT INTO audit (id, nested, fails) VALUES (1, 101, true), (2, 102, false);
         RELEASE s;
         INSERT INTO audit (id) VALUES (3);
         COMMIT",
    );
    assert_eq!(chains(&mut client), ["1: 0 1 2 3", "2: 201 102 202"]);
}

#[test]
fn cursors_over_inserting_functions_go_on_across_rolled_back_savepoints() {
    let (_db, mut client) = log("cursor");
    run(
        &mut client,
        "CREATE FUNCTION put(i int) RETURNS int LANGUAGE plpgsql AS
             $$BEGIN INSERT INTO audit (id) VALUES (i); RETURN i; END$$;
         CREATE FUNCTION put_sql(i int) RETURNS int LANGUAGE sql AS 'INSERT INTO audit (id) VALUES (i) RETURNING id';
         BEGIN;
         DECLARE one CURSOR FOR SELECT put(i) FROM generate_series(1, 9) AS i;
         DECLARE two CURSOR FOR SELECT put_sql(i) FROM generate_series(11, 19) AS i;
         FETCH one; FETCH two;
         SAVEPOINT s; FETCH one; FETCH two; INSERT INTO audit (id) VALUES (20); ROLLBACK TO s;
         FETCH one; FETCH 2 FROM two;
         RELEASE s; FETCH one; INSERT INTO audit (id) VALUES (21);
         COMMIT",
    );
    assert_eq!(chains(&mut client), ["1: 1 11 3 13 14 4 21"]);
}

#[test]
fn a_procedure_that_commits_and_rolls_back_as_it_goes_continues_its_chain() {
    let (_db, mut client) = log("procedure");
    run(
        &mut client,
        "CREATE PROCEDURE batches() LANGUAGE plpgsql AS $$
         DECLARE i int;
         BEGIN
             FOR i IN SELECT generate_series(1, 6) LOOP
                 INSERT INTO audit (id) VALUES (i);
                 BEGIN
                     INSERT INTO audit (id) VALUES (i + 10);
                     IF i % 2 = 0 THEN RAISE division_by_zero; END IF;
                 EXCEPTION WHEN division_by_zero THEN NULL;
                 END;
                 IF i % 3 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
             END LOOP;
         END$$",
    );
    run(&mut client, "CALL batches()");
    assert_eq!(chains(&mut client), ["1: 1 11 2 4 5 15"]);
}

#[test]
fn a_prepared_transaction_keeps_its_chain_until_it_is_finished() {
    let (db, mut client) = log("prepared");
    run(&mut client, "BEGIN; INSERT INTO audit (id) VALUES (1); PREPARE TRANSACTION 'kept'");
    run(&mut client, "INSERT INTO audit (id) VALUES (2)");
    run(&mut client, "BEGIN; INSERT INTO audit (id) VALUES (3); PREPARE TRANSACTION 'gone'");
    let mut other = db.client();
    run(&mut other, "INSERT INTO audit (id) VALUES (4)");
    run(&mut other, "COMMIT PREPARED 'kept'");
    run(&mut client, "ROLLBACK PREPARED 'gone'");
    run(&mut client, "INSERT INTO audit (id) VALUES (5)");
    run(&mut other, "INSERT INTO audit (id) VALUES (6)");
    // Each session goes back to the chain it wrote to last.
    assert_eq!(chains(&mut client), ["1: 1", "2: 2 5", "3: 4 6"]);
}

#[test]
fn a_statement_that_is_cut_short_leaves_nothing_and_the_chain_goes_on() {
    let (_db, mut client) = log("cut_short");
    run(&mut client, "INSERT INTO audit (id) VALUES (1); SET statement_timeout = '300ms'");
    let cut = err(client.batch_execute(
        "INSERT INTO audit (id) SELECT i FROM generate_series(1, 5) AS i, LATERAL (SELECT pg_sleep(0.1 * i)) AS s",
    ));
    assert_eq!(cut.code, "57014", "{cut}");
    run(&mut client, "SET statement_timeout = 0; INSERT INTO audit (id) VALUES (2)");
    assert_eq!(chains(&mut client), ["1: 1 2"]);
}

#[test]
fn a_failed_commit_leaves_the_chain_where_it_was() {
    let (_db, mut client) = log("failed_commit");
    run(
        &mut client,
        "CREATE TABLE parent (id int PRIMARY KEY);
         ALTER TABLE audit ADD FOREIGN KEY (k) REFERENCES parent DEFERRABLE INITIALLY DEFERRED;
         INSERT INTO audit (id) VALUES (1)",
    );
    run(&mut client, "BEGIN; INSERT INTO audit (id, k) VALUES (2, 7)");
    let refused = err(client.batch_execute("COMMIT"));
    assert_eq!(refused.code, "23503", "{refused}");
    run(&mut client, "INSERT INTO audit (id) VALUES (3)");
    assert_eq!(chains(&mut client), ["1: 1 3"]);
}

#[test]
fn serializable_writers_meet_on_the_log_without_failing() {
    let (db, mut client) = log("serializable");
    let mut others = [db.client(), db.client()];
    for other in &mut others {
        run(other, "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO audit (id) VALUES (1)");
    }
    for other in &mut others {
        run(other, "INSERT INTO audit (id) VALUES (2); SAVEPOINT s; INSERT INTO audit (id) VALUES (3); ROLLBACK TO s");
    }
    for other in &mut others {
        other.batch_execute("COMMIT").unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
    }
    assert_eq!(chains(&mut client), ["1: 1 2", "2: 1 2"]);
}
