//! Rows that are there already: chained in physical order, unchanged, and without a trigger or rule noticing.

use super::{assert_intact, assert_untouched, refused, run, texts};
use notary_tests::fresh_db;

#[test]
fn rows_are_adopted_in_physical_order_and_otherwise_as_they_were() {
    let db = fresh_db("adoption_order");
    let mut client = db.client();
    // Holes, updated rows at the end, and an index that sorts otherwise.
    run(
        &mut client,
        "CREATE TABLE t (a int PRIMARY KEY, b text);
         INSERT INTO t SELECT i, 'row ' || i FROM generate_series(5000, 1, -1) AS i;
         UPDATE t SET b = b || ' changed' WHERE a % 7 = 0; DELETE FROM t WHERE a % 5 = 0",
    );
    run(&mut client, "VACUUM t");
    run(
        &mut client,
        "INSERT INTO t SELECT i, 'late ' || i FROM generate_series(5001, 5500) AS i; CLUSTER t USING t_pkey; UPDATE t SET b = b WHERE a % 11 = 0",
    );
    let order = texts(&mut client, "SELECT a || ' ' || b FROM t ORDER BY ctid");
    assert_ne!(order, texts(&mut client, "SELECT a || ' ' || b FROM t ORDER BY a"), "else this test shows nothing");
    run(&mut client, "SELECT notary.protect('t')");
    assert_eq!(texts(&mut client, "SELECT a || ' ' || b FROM t ORDER BY notary_seq"), order);
    assert_eq!(texts(&mut client, "SELECT a || ' ' || b FROM t ORDER BY ctid"), order);
    assert_eq!(texts(&mut client, "SELECT DISTINCT notary_chain FROM t"), ["1"]);
    let contiguous = "SELECT array_agg(notary_seq ORDER BY ctid) = array_agg(n::bigint ORDER BY n)
                      FROM (SELECT notary_seq, ctid, row_number() OVER (ORDER BY ctid) AS n FROM t) AS rows";
    assert_eq!(texts(&mut client, contiguous), ["t"]);
    run(&mut client, "INSERT INTO t VALUES (0, 'new')");
    assert_intact(&mut client, "t", i64::try_from(order.len()).unwrap() + 1);
}

#[test]
fn a_synchronised_scan_of_another_session_does_not_turn_the_order_round() {
    let db = fresh_db("adoption_sync");
    let mut client = db.client();
    // More than a quarter of shared_buffers (128 MB) would be needed for synchronised scans by default.
    run(
        &mut client,
        "CREATE TABLE t (a int, filler char(2000) DEFAULT 'x'); ALTER TABLE t ALTER filler SET STORAGE PLAIN;
         INSERT INTO t SELECT generate_series(1, 20000)",
    );
    let mut other = db.client();
    run(&mut other, "BEGIN; DECLARE c CURSOR FOR SELECT a FROM t; MOVE 10000 IN c; COMMIT");
    run(&mut client, "SELECT notary.protect('t')");
    assert_eq!(texts(&mut client, "SELECT bool_and(a = notary_seq) FROM t"), ["t"]);
}

#[test]
fn no_trigger_or_rule_fires_and_no_event_trigger_of_the_owners_sees_rows() {
    let db = fresh_db("adoption_triggers");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE seen (what text); CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int CHECK (c > 0));
         INSERT INTO t (a, c) SELECT i, i FROM generate_series(1, 10) AS i;
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO seen VALUES (TG_NAME || TG_OP || TG_LEVEL); IF TG_LEVEL = ''ROW'' THEN RETURN NULL; END IF; RETURN NEW; END'",
    );
    for (when, level) in [("BEFORE", "ROW"), ("AFTER", "ROW"), ("BEFORE", "STATEMENT"), ("AFTER", "STATEMENT")] {
        for enable in ["", "ALWAYS", "REPLICA"] {
            let name = format!("a_{when}_{level}_{enable}").to_lowercase();
            run(
                &mut client,
                &format!(
                    "CREATE TRIGGER {name} {when} INSERT OR UPDATE OR DELETE ON t FOR EACH {level} EXECUTE FUNCTION see();
                     ALTER TABLE t ENABLE {enable} TRIGGER {name}"
                ),
            );
        }
    }
    run(
        &mut client,
        "CREATE RULE also AS ON UPDATE TO seen DO ALSO NOTHING;
         CREATE FUNCTION see_rewrite() RETURNS event_trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO seen VALUES (TG_EVENT || (SELECT count(*) FROM t WHERE c IS NOT NULL)); END';
         CREATE EVENT TRIGGER see_rewrite ON table_rewrite EXECUTE FUNCTION see_rewrite()",
    );
    run(&mut client, "SELECT notary.protect('t')");
    assert_eq!(texts(&mut client, "SELECT * FROM seen"), Vec::<String>::new());
    assert_eq!(texts(&mut client, "SELECT count(*) || ' ' || sum(b) FROM t"), ["10 110"]);
    assert_intact(&mut client, "t", 10);
}

#[test]
fn every_kind_of_column_comes_through() {
    let db = fresh_db("adoption_columns");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (gone int, id int GENERATED ALWAYS AS IDENTITY, s serial, a text, g text GENERATED ALWAYS AS (upper(a)) STORED,
                         gone2 text, n numeric);
         INSERT INTO t (gone, a, gone2, n) SELECT i, 'value ' || i, repeat('x', 5000), i / 3.0 FROM generate_series(1, 50) AS i;
         ALTER TABLE t DROP COLUMN gone, DROP COLUMN gone2;
         ALTER TABLE t ADD COLUMN added text DEFAULT 'was not there', ADD COLUMN counted bigint DEFAULT 7, ADD COLUMN empty int;
         INSERT INTO t (a) VALUES ('last')",
    );
    let all = "SELECT concat_ws('|', id, s, a, g, n, added, counted, empty) FROM t ORDER BY id";
    let before = texts(&mut client, all);
    run(&mut client, "SELECT notary.protect('t')");
    assert_eq!(texts(&mut client, all), before);
    run(&mut client, "INSERT INTO t (a) VALUES ('new')");
    assert_intact(&mut client, "t", 52);
    let line = "SELECT substr(l, strpos(l, '\"row\"')) FROM t, notary.line(tableoid, notary_chain, notary_seq) AS l WHERE id = 3";
    assert_eq!(
        texts(&mut client, line),
        [
            "\"row\":{\"a\":\"value 3\",\"added\":\"was not there\",\"counted\":7,\"id\":3,\"n\":\"1.00000000000000000000\",\"s\":3}}"
        ]
    );
    // No value is left that only the catalog holds.
    let missing = "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND atthasmissing";
    assert_eq!(texts(&mut client, missing), ["0"]);
}

#[test]
fn toasted_values_of_every_storage_come_through() {
    let db = fresh_db("adoption_toast");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (id int, plain text, external text, main text, compressed text COMPRESSION pglz, j jsonb, b bytea, gone text);
         ALTER TABLE t ALTER external SET STORAGE EXTERNAL, ALTER main SET STORAGE MAIN;
         INSERT INTO t SELECT i, repeat(md5(i::text), 30), repeat(md5(i::text), 100000), repeat('main', 2000), repeat('squeeze', 300000),
             jsonb_build_object('k', repeat(md5(i::text), 50000)), decode(repeat(md5(i::text), 50000), 'hex'), repeat(md5(i::text), 100000)
         FROM generate_series(1, 3) AS i;
         ALTER TABLE t DROP COLUMN gone",
    );
    let all = "SELECT md5(concat(id, plain, external, main, compressed, j, encode(b, 'hex'))) FROM t ORDER BY id";
    let before = texts(&mut client, all);
    run(
        &mut client,
        "SELECT notary.protect('t'); INSERT INTO t SELECT id + 3, plain, external, main, compressed, j, b FROM t",
    );
    assert_eq!(texts(&mut client, all)[..3], before[..]);
    run(&mut client, "VACUUM FULL t");
    assert_intact(&mut client, "t", 6);
}

#[test]
fn a_row_whose_line_is_too_long_stops_it_and_nothing_changes() {
    let db = fresh_db("adoption_long");
    let mut client = db.client();
    // Small as it is stored: each number prints 131,072 digits.
    run(
        &mut client,
        "CREATE TABLE t (a jsonb); INSERT INTO t VALUES ('1');
         INSERT INTO t SELECT jsonb_agg('1e131071'::jsonb) FROM generate_series(1, 2060)",
    );
    let error = refused(&mut client, "SELECT notary.protect('t')");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("54000", "the row's line would pass 256 MiB"));
    assert!(!error.detail.is_empty() && !error.hint.is_empty());
    assert_untouched(&mut client, "t");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM t"), ["2"]);
}

#[test]
fn storage_options_indexes_privileges_and_statistics_of_the_table_stay() {
    let db = fresh_db("adoption_options");
    let mut client = db.client();
    let reader = db.role("reader");
    run(
        &mut client,
        &format!(
            "CREATE TABLE t (a int PRIMARY KEY, b text) WITH (fillfactor = 70, autovacuum_enabled = off);
             CREATE INDEX by_b ON t (lower(b)) WHERE a > 0; COMMENT ON TABLE t IS 'mine'; GRANT SELECT ON t TO \"{reader}\";
             ALTER TABLE t REPLICA IDENTITY FULL; CREATE STATISTICS s ON a, b FROM t;
             INSERT INTO t SELECT i, 'B' || i FROM generate_series(1, 1000) AS i"
        ),
    );
    let shape = "SELECT concat_ws(' ', c.oid, relacl, reloptions, relreplident, obj_description(c.oid), relpersistence, relowner,
                     (SELECT string_agg(pg_get_indexdef(indexrelid) || indisvalid || indexrelid, ',' ORDER BY indexrelid)
                      FROM pg_index WHERE indrelid = c.oid AND indexrelid::regclass::text NOT LIKE '%notary%'))
                 FROM pg_class AS c WHERE oid = 't'::regclass";
    let before = texts(&mut client, shape);
    run(&mut client, "SELECT notary.protect('t')");
    assert_eq!(texts(&mut client, shape), before);
    run(&mut client, "SET enable_seqscan = off");
    assert_eq!(texts(&mut client, "SELECT a FROM t WHERE lower(b) = 'b500' AND a > 0"), ["500"]);
    assert_eq!(refused(&mut client, "INSERT INTO t VALUES (500)").code, "23505");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM pg_class WHERE relname LIKE 'pg_temp%'"), ["0"]);
    assert_intact(&mut client, "t", 1000);
}

#[test]
fn protecting_can_be_cancelled_and_leaves_nothing() {
    let db = fresh_db("adoption_cancel");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int, b text); INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 200000) AS i",
    );
    run(&mut client, "SET statement_timeout = '50ms'");
    assert_eq!(refused(&mut client, "SELECT notary.protect('t')").code, "57014");
    run(&mut client, "RESET statement_timeout");
    assert_untouched(&mut client, "t");
}
