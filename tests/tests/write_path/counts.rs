//! Whether the row before was stored is told by PostgreSQL's count of stored rows where that can be believed. What is tried here
//! is to make it believed where the row was not stored, or another one was: then the chain would have a gap, or a hash that
//! nothing has.

use super::{chains, log, run};

#[test]
fn rows_that_land_and_rows_that_do_not_in_every_order() {
    let (_db, mut client) = log("counts_orders");
    // k: a row meets one that is there (0) or lands; nested: rows that its CHECK puts in before it lands or not.
    run(
        &mut client,
        "INSERT INTO audit (id, k) VALUES (0, 0);
         INSERT INTO audit (id, k, nested, fails)
             SELECT i, CASE WHEN i & 1 = 0 THEN i END * (i >> 1 & 1), CASE WHEN i & 4 = 4 THEN 1000 + i END, i & 8 = 8
             FROM generate_series(1, 64) i, generate_series(1, 3) j ON CONFLICT DO NOTHING;
         INSERT INTO audit (id, k) SELECT 2000 + i, CASE WHEN hashint4(i) & 1 = 0 THEN 0 END
             FROM generate_series(1, 200) i ON CONFLICT (k) DO NOTHING;
         INSERT INTO audit (id) VALUES (3000)",
    );
    assert!(chains(&mut client).len() <= 2);
}

#[test]
fn counting_goes_on_and_off_while_rows_come_in() {
    let (_db, mut client) = log("counts_off");
    run(
        &mut client,
        "CREATE FUNCTION counting(i int) RETURNS int LANGUAGE plpgsql AS $$
         BEGIN
             PERFORM set_config('track_counts', CASE WHEN hashint4(i) & 1 = 0 THEN 'on' ELSE 'off' END, false);
             RETURN i;
         END$$;
         ALTER TABLE audit ADD CHECK (counting(id + 1) > 0);
         INSERT INTO audit (id, k) SELECT counting(i), CASE WHEN hashint4(i) & 6 = 0 THEN 0 ELSE i END
             FROM generate_series(1, 300) i ON CONFLICT DO NOTHING;
         SET track_counts = off;
         INSERT INTO audit (id, k) SELECT i, i FROM generate_series(100, 400) i ON CONFLICT DO NOTHING;
         SET track_counts = on;
         INSERT INTO audit (id) VALUES (1000)",
    );
    assert_eq!(chains(&mut client).len(), 1);
}

#[test]
fn savepoints_that_come_and_go_between_rows_of_one_statement() {
    let (_db, mut client) = log("counts_savepoints");
    run(
        &mut client,
        "CREATE FUNCTION put(id int, k int, fails boolean) RETURNS int LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO audit (id, k) VALUES (id, k), (id, k) ON CONFLICT DO NOTHING;
             IF fails THEN RAISE division_by_zero; END IF;
             RETURN id;
         EXCEPTION WHEN division_by_zero THEN RETURN id;
         END$$;
         DO $$
         BEGIN
             FOR i IN 1..40 LOOP
                 PERFORM put(i, i % 30, i % 3 = 0);
                 BEGIN
                     INSERT INTO audit (id, k) VALUES (100 + i, i % 7) ON CONFLICT DO NOTHING;
                     IF i % 5 = 0 THEN RAISE division_by_zero; END IF;
                 EXCEPTION WHEN division_by_zero THEN NULL;
                 END;
             END LOOP;
         END$$;
         INSERT INTO audit (id, k) SELECT put(1000 + i, 1000 + i % 20, i % 4 = 0), 2000 + i % 25
             FROM generate_series(1, 60) i ON CONFLICT DO NOTHING;
         INSERT INTO audit (id) VALUES (5000)",
    );
    chains(&mut client);
}

#[test]
fn a_row_taken_back_after_it_was_stored_on_trial_counts_for_nothing() {
    let (_db, mut client) = log("counts_trial");
    // The second index meets a row that the expression of the first has put there after the look for conflicts.
    run(
        &mut client,
        "CREATE TABLE other (a int);
         CREATE FUNCTION put(k int) RETURNS void LANGUAGE plpgsql AS
             $$BEGIN INSERT INTO audit (id, k) VALUES (500 + k, k - 100) ON CONFLICT DO NOTHING; END$$;
         CREATE FUNCTION twice(k int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
         BEGIN
             IF k > 100 AND k % 3 = 0 THEN PERFORM put(k); END IF;
             RETURN k * 2;
         END$$;
         CREATE INDEX ON audit (twice(k));
         CREATE UNIQUE INDEX ON audit ((CASE WHEN k > 100 THEN k - 100 ELSE k END));
         INSERT INTO audit (id, k) SELECT i, 100 + i % 17 FROM generate_series(1, 80) i ON CONFLICT DO NOTHING;
         INSERT INTO audit (id) VALUES (5000)",
    );
    chains(&mut client);
}
