//! Statements inside statements: the outer row has a place and is not stored yet.

use super::{chains, log, log_with, run};
use notary_tests::err;

#[test]
fn a_row_inserted_while_another_is_on_its_way_takes_another_chain() {
    let (_db, mut client) = log("nested");
    run(&mut client, "INSERT INTO audit (id, nested) VALUES (1, 101), (2, NULL), (3, 103)");
    assert_eq!(chains(&mut client), ["1: 1 2 3", "2: 101 103"]);
}

#[test]
fn each_depth_of_nesting_takes_one_chain_and_keeps_it() {
    let (_db, mut client) = log("depth");
    run(
        &mut client,
        "CREATE FUNCTION deeper(id int, note text) RETURNS boolean LANGUAGE plpgsql AS $$
         BEGIN
             IF length(note) > 1 THEN INSERT INTO audit (id, note) VALUES (id + 100, substr(note, 2)); END IF;
             RETURN true;
         END$$;
         ALTER TABLE audit ADD CHECK (deeper(id, note));
         INSERT INTO audit (id, note) VALUES (1, 'xxxx'), (2, 'xxx'), (3, 'x')",
    );
    assert_eq!(chains(&mut client), ["1: 1 2 3", "2: 101 102", "3: 201 202", "4: 301"]);
}

#[test]
fn a_nested_row_that_fails_leaves_nothing_and_its_chain_goes_on() {
    let (_db, mut client) = log("nested_fails");
    run(
        &mut client,
        "INSERT INTO audit (id, nested, fails) VALUES (1, 101, true), (2, 102, false), (3, 103, true), (4, 104, false)",
    );
    assert_eq!(chains(&mut client), ["1: 1 2 3 4", "2: 102 104"]);
}

#[test]
fn rows_that_never_land_give_their_place_to_the_next() {
    let (_db, mut client) = log("never_land");
    run(
        &mut client,
        "INSERT INTO audit (id, k) VALUES (1, 1), (2, 1), (3, 2), (4, 2), (5, 1), (6, 3) ON CONFLICT DO NOTHING;
         INSERT INTO audit (id, k) VALUES (7, 1) ON CONFLICT (k) DO NOTHING;
         INSERT INTO audit (id) VALUES (8)",
    );
    assert_eq!(chains(&mut client), ["1: 1 3 6 8"]);
}

#[test]
fn nested_rows_stay_when_the_outer_one_never_lands() {
    let (_db, mut client) = log("nested_conflict");
    run(
        &mut client,
        "INSERT INTO audit (id, k) VALUES (0, 1);
         INSERT INTO audit (id, k, nested) VALUES (1, 1, 101), (2, 2, 102), (3, 1, 103) ON CONFLICT DO NOTHING;
         INSERT INTO audit (id) VALUES (4)",
    );
    assert_eq!(chains(&mut client), ["1: 0 2 4", "2: 101 102 103"]);
}

#[test]
fn a_row_that_is_stored_only_on_trial_is_not_built_upon() {
    let (_db, mut client) = log("speculative");
    // The index expression is evaluated when the row is in the heap already, marked as on trial.
    run(
        &mut client,
        "CREATE FUNCTION put(id int) RETURNS void LANGUAGE plpgsql AS
             $$BEGIN INSERT INTO audit (id) VALUES (id); END$$;
         CREATE FUNCTION twice(k int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
         BEGIN
             IF k > 100 THEN PERFORM put(k); END IF;
             RETURN k * 2;
         END$$;
         CREATE INDEX ON audit (twice(k));
         INSERT INTO audit (id, k) VALUES (1, 101), (2, 102), (3, 101), (4, 1) ON CONFLICT DO NOTHING;
         INSERT INTO audit (id, k) VALUES (5, 105)",
    );
    let found = chains(&mut client);
    // Row 5 is there for good when its index entry is made, so what is nested in it may follow it.
    assert_eq!(found[0], "1: 1 2 4 5 105");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn two_inserts_of_one_statement_feed_each_other() {
    let (_db, mut client) = log("cte");
    run(
        &mut client,
        "INSERT INTO audit (id, k) VALUES (0, 1);
         WITH first AS (INSERT INTO audit (id) SELECT i FROM generate_series(1, 4) AS i RETURNING id)
         INSERT INTO audit (id, k) SELECT id + 10, id % 2 FROM first ON CONFLICT DO NOTHING;
         INSERT INTO audit (id) VALUES (5)",
    );
    // Rows 11 and 13 meet k = 1, row 14 the k of row 12.
    let all: Vec<String> = chains(&mut client);
    let ids = client.query_one("SELECT array_agg(id ORDER BY id) FROM audit", &[]).unwrap().get::<_, Vec<i32>>(0);
    assert_eq!(ids, [0, 1, 2, 3, 4, 5, 12], "{all:?}");
    assert!(all.len() <= 2, "{all:?}");
}

#[test]
fn a_trigger_after_the_row_continues_its_chain() {
    let (_db, mut client) = log("after");
    run(
        &mut client,
        "CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.id < 10 THEN INSERT INTO audit (id) VALUES (NEW.id + 10); END IF;
             RETURN NULL;
         END$$;
         CREATE TRIGGER also AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION also();
         INSERT INTO audit (id) VALUES (1), (2)",
    );
    assert_eq!(chains(&mut client), ["1: 1 2 11 12"]);
}

#[test]
fn a_trigger_before_ours_that_inserts_or_skips_leaves_no_gap() {
    let (_db, mut client) = log("before");
    run(
        &mut client,
        "CREATE FUNCTION first() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.id % 3 = 0 THEN RETURN NULL; END IF;
             IF NEW.id < 10 THEN INSERT INTO audit (id) VALUES (NEW.id + 10); END IF;
             RETURN NEW;
         END$$;
         CREATE TRIGGER a_first BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION first();
         INSERT INTO audit (id) VALUES (1), (2), (3), (4)",
    );
    assert_eq!(chains(&mut client), ["1: 11 1 2 14 4"]);
}

#[test]
fn with_one_chain_a_nested_row_is_refused_and_the_transaction_can_go_on() {
    let (_db, mut client) = log_with("nested_one_chain", ", max_chains => 1");
    run(&mut client, "BEGIN; INSERT INTO audit (id) VALUES (1); SAVEPOINT s");
    let refused = err(client.batch_execute("INSERT INTO audit (id, nested) VALUES (2, 102)"));
    assert_eq!(refused.code, "55000", "{refused}");
    run(&mut client, "ROLLBACK TO s; INSERT INTO audit (id) VALUES (3); COMMIT");
    assert_eq!(chains(&mut client), ["1: 1 3"]);
}
