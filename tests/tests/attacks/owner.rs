//! 1 to 22: what an owner or an application may try. That it is refused is for other tests; here it was done all the
//! same, by somebody who went round the guard, and must be found.

use crate::{five, partitioned};
use notary_tests::fresh_db;
use notary_tests::verdict::{assert_found, behind_the_guard};

#[track_caller]
fn done(name: &str, statements: &[&str], expected: &[&str]) {
    let db = five(name);
    behind_the_guard(&db, statements);
    assert_found(&mut db.client(), "audit", expected);
}

#[test]
fn a01_a_value_updated() {
    done("a01", &["UPDATE audit SET extra = jsonb_set(extra, '{a,1}', '\"y\"') WHERE id = 2"], &["value_changed 1/2"]);
}

#[test]
fn a02_only_hash_prev_seq_or_chain_updated() {
    done("a02_hash", &["UPDATE audit SET notary_hash = sha256('x') WHERE id = 2"], &["hash_changed 1/2"]);
    done("a02_prev", &["UPDATE audit SET notary_prev = sha256('x') WHERE id = 2"], &["hash_changed 1/2"]);
    done("a02_seq", &["UPDATE audit SET notary_seq = 22 WHERE id = 2"], &["value_changed 1/2"]);
    done("a02_chain", &["UPDATE audit SET notary_chain = 22 WHERE id = 2"], &["value_changed 1/2"]);
}

#[test]
fn a03_a_middle_row_deleted() {
    done("a03", &["DELETE FROM audit WHERE id = 3"], &["missing 1/3"]);
}

#[test]
fn a04_n_the_tail_deleted_before_it_was_sealed() {
    done("a04", &["DELETE FROM audit WHERE id >= 4"], &[]);
}

#[test]
fn a06_n_a_whole_chain_deleted_before_it_was_sealed() {
    let db = five("a06");
    let (mut one, mut two) = (db.client(), db.client());
    one.batch_execute("BEGIN; INSERT INTO audit (id) VALUES (6)").unwrap();
    two.batch_execute("INSERT INTO audit (id) VALUES (7)").unwrap();
    one.batch_execute("COMMIT").unwrap();
    behind_the_guard(&db, &["DELETE FROM audit WHERE notary_chain = 2"]);
    assert_found(&mut db.client(), "audit", &[]);
}

#[test]
fn a12_a_table_dropped_and_made_again_with_the_same_rows() {
    let copy = "CREATE TABLE kept AS SELECT * FROM audit; DROP TABLE audit; ALTER TABLE kept RENAME TO audit";
    done("a12", &[copy], &["guard_off", "guard_off", "guard_off", "guard_off"]);
}

#[test]
fn a12_a_table_made_again_and_protected_again() {
    let db = five("a12_again");
    let plain =
        "CREATE TABLE kept AS SELECT id, what, extra FROM audit; DROP TABLE audit; ALTER TABLE kept RENAME TO audit";
    behind_the_guard(&db, &[plain]);
    let mut client = db.client();
    client.batch_execute("SELECT notary.protect('audit')").unwrap();
    // It is another log now, and the journal knows of the one that is gone.
    let lost = "SELECT count(*) FROM notary.verify() WHERE NOT intact AND log IS NULL";
    assert_eq!(db.value(lost), "1");
}

#[test]
fn a13_triggers_disabled_a_row_edited_triggers_enabled() {
    let edit = "ALTER TABLE audit DISABLE TRIGGER ALL; UPDATE audit SET what = 'forged' WHERE id = 3;
                ALTER TABLE audit ENABLE TRIGGER ALL";
    let db = five("a13");
    behind_the_guard(&db, &[edit]);
    assert_found(&mut db.client(), "audit", &["value_changed 1/3"]);
}

#[test]
fn a13_triggers_enabled_as_ordinary_ones() {
    let db = five("a13_ordinary");
    // What ENABLE TRIGGER ALL makes of them, and what pg_restore --disable-triggers leaves behind.
    db.client().batch_execute("UPDATE pg_trigger SET tgenabled = 'O' WHERE tgrelid = 'audit'::regclass").unwrap();
    assert_found(&mut db.client(), "audit", &["guard_off", "guard_off", "guard_off"]);
}

#[test]
fn a14_a_column_computed_anew() {
    let all = ["value_changed 1/1", "value_changed 1/2", "value_changed 1/3", "value_changed 1/4", "value_changed 1/5"];
    done("a14", &["ALTER TABLE audit ALTER what TYPE text USING what || '!'"], &all);
    let changed = ["column_changed", "column_changed"];
    done("a14_type", &["ALTER TABLE audit ALTER id TYPE text USING 'x' || id"], &changed);
}

#[test]
fn a15_a_column_dropped_renamed_or_added_with_a_default() {
    done("a15_drop", &["ALTER TABLE audit DROP COLUMN what"], &["column_changed", "column_changed"]);
    done("a15_rename", &["ALTER TABLE audit RENAME what TO said"], &["column_changed", "column_changed"]);
    done("a15_add", &["ALTER TABLE audit ADD COLUMN approved boolean DEFAULT true"], &["column_changed"]);
    let volatile = "ALTER TABLE audit ADD COLUMN approved text DEFAULT random()::text";
    let all = ["value_changed 1/1", "value_changed 1/2", "value_changed 1/3", "value_changed 1/4", "value_changed 1/5"];
    done("a15_volatile", &[volatile], &all);
}

#[test]
fn a16_a_log_set_unlogged() {
    done("a16", &["ALTER TABLE audit SET UNLOGGED"], &["guard_off"]);
}

#[test]
fn a17_a_partition_detached_edited_and_attached() {
    let db = partitioned("a17");
    let mut client = db.client();
    behind_the_guard(
        &db,
        &[
            "ALTER TABLE audit DETACH PARTITION high",
            "UPDATE high SET what = 'forged' WHERE id = 12; DELETE FROM high WHERE id = 14",
            "ALTER TABLE audit ATTACH PARTITION high FOR VALUES FROM (10) TO (20)",
        ],
    );
    assert_found(&mut client, "audit", &["missing 1/5", "value_changed 1/3"]);
}

#[test]
fn a17_a_partition_of_forged_rows_attached() {
    let db = fresh_db("a17_forged");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE audit (id int, what text) PARTITION BY RANGE (id);
             CREATE TABLE low PARTITION OF audit FOR VALUES FROM (0) TO (10);
             SELECT notary.protect('audit'); INSERT INTO audit (id, what) VALUES (1, 'entry 1')",
        )
        .unwrap();
    behind_the_guard(
        &db,
        &[
            "CREATE TABLE high (LIKE audit); INSERT INTO high VALUES (12, 'forged')",
            "ALTER TABLE audit ATTACH PARTITION high FOR VALUES FROM (10) TO (20)",
        ],
    );
    let found = notary_tests::verdict::findings(&mut client, "audit");
    assert!(found.iter().any(|f| f.segment == "high" && f.what == "guard_off"), "{found:#?}");
}

#[test]
fn a18_a_trigger_that_changes_rows_after_ours() {
    let late =
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.what := ''forged''; RETURN NEW; END';
                CREATE TRIGGER \"~zz\" BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION late()";
    let db = five("a18");
    behind_the_guard(&db, &[late]);
    db.client().batch_execute("INSERT INTO audit (id, what) VALUES (6, 'entry 6')").unwrap();
    assert_found(&mut db.client(), "audit", &["guard_off", "value_changed 1/6"]);
}

#[test]
fn a19_functions_and_operators_of_the_user_have_no_effect() {
    let db = five("a19");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE SCHEMA evil;
             CREATE FUNCTION evil.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$SELECT '\\x00'::bytea$$;
             CREATE FUNCTION evil.count() RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
             CREATE FUNCTION evil.same(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT false';
             CREATE FUNCTION evil.oids(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT false';
             CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.same);
             CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.oids);
             CREATE TABLE evil.pg_trigger (a int); CREATE TABLE evil.pg_proc (a int);
             SET search_path = evil, pg_catalog, public",
        )
        .unwrap();
    client.batch_execute("INSERT INTO public.audit (id, what) VALUES (6, 'entry 6')").unwrap();
    assert_found(&mut client, "public.audit", &[]);
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 6"]);
    assert_found(&mut client, "public.audit", &["value_changed 1/6"]);
}

#[test]
fn a20_an_old_row_inserted_again() {
    let copy =
        "INSERT INTO audit SELECT id, what, extra, 1, 6, notary_time, notary_prev, notary_hash FROM audit WHERE id = 2";
    done("a20", &[copy], &["inserted 1/6"]);
    let chain =
        "INSERT INTO audit SELECT id, what, extra, 7, 2, notary_time, notary_prev, notary_hash FROM audit WHERE id = 2";
    done("a20_chain", &[chain], &["inserted 7/2"]);
}

#[test]
fn a21_two_rows_exchanged() {
    let exchange = "UPDATE audit AS a SET id = b.id, what = b.what, extra = b.extra FROM audit AS b
                    WHERE (a.id, b.id) IN ((1, 5), (5, 1))";
    done("a21", &[exchange], &["swapped 1/1", "swapped 1/5"]);
}

#[test]
fn a22a_a_rule_that_swallows_rows() {
    done("a22a", &["CREATE RULE r AS ON INSERT TO audit DO INSTEAD NOTHING"], &["foreign_rows"]);
}

#[test]
fn a22b_an_inheriting_table_with_forged_rows() {
    let child = "CREATE TABLE child () INHERITS (audit); INSERT INTO child (id, what) VALUES (99, 'forged')";
    done("a22b", &[child], &["foreign_rows"]);
}

#[test]
fn a22d_a_column_added_with_a_default_that_is_dropped_at_once() {
    let at_once = "ALTER TABLE audit ADD COLUMN later text DEFAULT 'forged', ALTER COLUMN later SET DEFAULT NULL";
    done("a22d", &[at_once], &["column_changed"]);
    let domain = "CREATE DOMAIN d AS text DEFAULT 'forged'; ALTER TABLE audit ADD COLUMN later d;
                  ALTER DOMAIN d DROP DEFAULT";
    done("a22d_domain", &[domain], &["column_changed"]);
}
