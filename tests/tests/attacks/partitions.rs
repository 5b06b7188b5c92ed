//! 28: catalogs of a partitioned log edited so that queries show other rows than there are.

use crate::partitioned;
use notary_tests::fresh_db;
use notary_tests::verdict::{assert_found, behind_the_guard, findings};

#[track_caller]
fn found(name: &str, sql: &str, expected: &[&str], words: &str) {
    let db = partitioned(name);
    behind_the_guard(&db, &[sql]);
    let mut client = db.client();
    assert_found(&mut client, "audit", expected);
    assert!(findings(&mut client, "audit")[0].detail.contains(words), "{words}");
}

#[test]
fn a28_bounds_of_a_partition() {
    for (name, bound) in [("other", "(SELECT relpartbound FROM pg_class WHERE relname = 'high')"), ("none", "NULL")] {
        let sql = format!("UPDATE pg_class SET relpartbound = {bound} WHERE relname = 'low'");
        found(&format!("a28_bound_{name}"), &sql, &["foreign_rows"], "bounds");
    }
}

#[test]
fn a28_the_key_of_a_partitioned_table() {
    let sql = "UPDATE pg_partitioned_table SET partstrat = 'l' WHERE partrelid = 'audit'::regclass";
    found("a28_key", sql, &["foreign_rows", "foreign_rows"], "a table above it");
}

#[test]
fn a28_a_partition_that_is_said_to_have_partitions() {
    let sql = "INSERT INTO pg_partitioned_table SELECT 'low'::regclass, partstrat, partnatts, partdefid, partattrs, partclass,
            partcollation, partexprs FROM pg_partitioned_table WHERE partrelid = 'audit'::regclass;
        UPDATE pg_class SET relkind = 'p' WHERE relname = 'low'";
    found("a28_inner", sql, &["guard_off"], "its entries cannot be read");
}

#[test]
fn a28_a_column_that_only_the_partitions_have() {
    let sql = "UPDATE pg_attribute SET attisdropped = true WHERE attrelid = 'audit'::regclass AND attname = 'what'";
    found("a28_column", sql, &["column_changed"], "\"what\"");
}

#[test]
fn a28_a_partition_of_another_log() {
    let db = partitioned("a28_stranger");
    db.client()
        .batch_execute("CREATE TABLE other (id int, what text); SELECT notary.protect('other'); INSERT INTO other VALUES (16, 'forged')")
        .unwrap();
    behind_the_guard(
        &db,
        &["INSERT INTO pg_inherits VALUES ('other'::regclass, 'audit'::regclass, 1, false);
           UPDATE pg_class SET relispartition = true, relpartbound = (SELECT relpartbound FROM pg_class WHERE relname = 'high')
           WHERE relname = 'other'"],
    );
    let mut client = db.client();
    let said = findings(&mut client, "audit");
    assert!(said.iter().any(|f| f.what == "header_changed" && f.detail.contains("belongs to the log")), "{said:#?}");
}

#[test]
fn a28_another_limit_on_chains() {
    let db = fresh_db("a28_limit");
    db.client()
        .batch_execute("CREATE TABLE audit (id int); SELECT notary.protect('audit', 1); INSERT INTO audit VALUES (1)")
        .unwrap();
    let change = |from: &str, to: &str| {
        format!(
            "UPDATE pg_trigger SET tgargs = decode(replace(encode(tgargs, 'hex'), encode('{from}', 'hex'), encode('{to}', 'hex')), 'hex')
             WHERE tgrelid = 'audit'::regclass AND tgname = '~notary_append'"
        )
    };
    behind_the_guard(&db, &[&change("max_chains=1", "max_chains=unlimited")]);
    let mut client = db.client();
    assert_found(&mut client, "audit", &["guard_off"]);
    assert!(findings(&mut client, "audit")[0].detail.contains("max_chains=unlimited"));
}

#[test]
fn a28_another_limit_on_chains_for_partitions_to_come() {
    let db = fresh_db("a28_root_limit");
    db.client()
        .batch_execute(
            "CREATE TABLE audit (id int) PARTITION BY LIST (id); CREATE TABLE one PARTITION OF audit FOR VALUES IN (1);
             SELECT notary.protect('audit', 1); INSERT INTO audit VALUES (1)",
        )
        .unwrap();
    let change = "UPDATE pg_trigger SET tgargs = decode(replace(encode(tgargs, 'hex'), encode('max_chains=1', 'hex'),
            encode('max_chains=unlimited', 'hex')), 'hex') WHERE tgrelid = 'audit'::regclass";
    behind_the_guard(&db, &[change]);
    db.client().batch_execute("CREATE TABLE two PARTITION OF audit FOR VALUES IN (2)").unwrap();
    assert_found(&mut db.client(), "audit", &["guard_off"]);
}

#[test]
fn a28_the_collation_of_a_key() {
    let db = fresh_db("a28_collation");
    db.client()
        .batch_execute(
            "CREATE TABLE audit (k text COLLATE \"POSIX\") PARTITION BY RANGE (k COLLATE \"C\");
             CREATE TABLE low PARTITION OF audit FOR VALUES FROM ('A') TO ('a'); SELECT notary.protect('audit');
             INSERT INTO audit VALUES ('Z')",
        )
        .unwrap();
    assert_found(&mut db.client(), "audit", &[]);
    let change = "UPDATE pg_partitioned_table SET partcollation = '951'::oidvector WHERE partrelid = 'audit'::regclass";
    behind_the_guard(&db, &[change]);
    assert_found(&mut db.client(), "audit", &["foreign_rows"]);
}

#[test]
fn bounds_read_alike_whatever_the_session_s_settings() {
    let db = fresh_db("bounds_settings");
    let make = |name: &str, key: &str, values: [&str; 2]| {
        format!(
            "CREATE TABLE {name} (k {key}) PARTITION BY LIST (k); CREATE TABLE {name}_1 PARTITION OF {name} FOR VALUES IN ({});
             CREATE TABLE {name}_2 PARTITION OF {name} FOR VALUES IN ({}); SELECT notary.protect('{name}')",
            values[0], values[1]
        )
    };
    let odd = "SET standard_conforming_strings = off; SET DateStyle = 'German'; SET TimeZone = 'Asia/Kathmandu';
        SET IntervalStyle = 'sql_standard'; SET bytea_output = 'escape'; SET extra_float_digits = -15";
    let kinds = [
        ("bytes", "bytea", ["'\\x00ff'::bytea", "'\\x01'::bytea"]),
        ("words", "text", ["E'a\\\\b'", "'c'"]),
        ("times", "timestamptz", ["'2026-01-01 00:00:00+00'", "'-infinity'"]),
        ("spans", "interval", ["'1 day 02:03'", "'1 year'"]),
        ("numbers", "float8", ["'0.1'", "'Infinity'"]),
    ];
    for (name, key, values) in kinds {
        db.client().batch_execute(&make(name, key, values)).unwrap();
        let under_odd_settings = make(&format!("odd_{name}"), key, values).replace("'\\x", "E'\\\\x");
        db.client().batch_execute(&format!("{odd}; {under_odd_settings}")).unwrap();
    }
    for settings in ["", odd] {
        let mut client = db.client();
        client.batch_execute(settings).unwrap();
        let wrong = client.query("SELECT log::text FROM notary.verify() WHERE NOT intact", &[]).unwrap();
        assert!(wrong.is_empty(), "{settings}: {:?}", wrong.iter().map(|r| r.get::<_, String>(0)).collect::<Vec<_>>());
    }
}

#[test]
fn a28_a_later_column_that_only_some_tables_have() {
    for (table, at) in [("audit", "audit"), ("low", "low")] {
        let db = partitioned(&format!("a28_later_{table}"));
        db.client().batch_execute("ALTER TABLE audit ADD COLUMN later text").unwrap();
        assert_found(&mut db.client(), "audit", &[]);
        let drop = format!(
            "UPDATE pg_attribute SET attisdropped = true WHERE attrelid = '{table}'::regclass AND attname = 'later'"
        );
        behind_the_guard(&db, &[&drop]);
        let mut client = db.client();
        assert_found(&mut client, "audit", &["column_changed"]);
        let said = findings(&mut client, "audit");
        assert!(said[0].segment == at && said[0].detail.contains("\"later\""), "{said:#?}");
    }
}

#[test]
fn a28_a_column_with_another_collation_above_the_partitions() {
    let sql = "UPDATE pg_attribute SET attcollation = 950 WHERE attrelid = 'audit'::regclass AND attname = 'what'";
    found("a28_column_collation", sql, &["column_changed"], "\"what\"");
}

#[test]
fn a28_the_operator_class_of_a_key() {
    // For hashing, of the same name as the one for ordering.
    let sql = "UPDATE pg_partitioned_table SET partclass = (SELECT c.oid FROM pg_opclass AS c JOIN pg_am AS a ON a.oid = opcmethod
            WHERE opcname = 'int4_ops' AND amname = 'hash')::text::oidvector WHERE partrelid = 'audit'::regclass";
    found("a28_class", sql, &["foreign_rows", "foreign_rows"], "a table above it");
}

#[test]
fn a28_a_collation_of_users_in_a_key() {
    let db = fresh_db("a28_users_collation");
    db.client()
        .batch_execute(
            "CREATE COLLATION one (locale = 'C'); CREATE COLLATION two (locale = 'POSIX');
             CREATE TABLE audit (k text COLLATE one) PARTITION BY RANGE (k);
             CREATE TABLE low PARTITION OF audit FOR VALUES FROM ('A') TO ('a'); SELECT notary.protect('audit');
             INSERT INTO audit VALUES ('Z'); ALTER COLLATION one RENAME TO another",
        )
        .unwrap();
    assert_found(&mut db.client(), "audit", &[]);
    let change = "UPDATE pg_partitioned_table SET partcollation = (SELECT oid FROM pg_collation WHERE collname = 'two')::text::oidvector
        WHERE partrelid = 'audit'::regclass";
    behind_the_guard(&db, &[change]);
    assert_found(&mut db.client(), "audit", &["foreign_rows"]);
}

#[test]
fn bounds_that_older_journals_have_hold() {
    let db = fresh_db("a28_older_bounds");
    db.client()
        .batch_execute(
            "CREATE COLLATION mine (locale = 'C'); CREATE TABLE audit (k text COLLATE mine) PARTITION BY LIST (k);
             CREATE TABLE low PARTITION OF audit FOR VALUES IN ('a'); SELECT notary.protect('audit')",
        )
        .unwrap();
    let noted = "SELECT details -> 'bounds' ->> 0 FROM notary.journal WHERE relation = 'public.low'";
    assert_eq!(db.value(noted), "LIST k own collation text_ops FOR VALUES IN ('a')");
    behind_the_guard(
        &db,
        &["UPDATE notary.journal SET details = jsonb_set(details, '{bounds,0}', '\"LIST k text_ops FOR VALUES IN (''a'')\"')
           WHERE relation = 'public.low'"],
    );
    assert_found(&mut db.client(), "audit", &[]);
}

/// A CHECK constraint that does not hold keeps queries from looking at a partition.
#[track_caller]
fn hidden(name: &str, statements: &[&str], expected: &[&str]) {
    let db = partitioned(name);
    behind_the_guard(&db, statements);
    assert_eq!(db.value("SELECT count(*) FROM audit WHERE id = 5"), "0");
    assert_found(&mut db.client(), "audit", expected);
}

#[test]
fn a28_a_check_by_a_function_that_was_replaced() {
    let holds = "CREATE OR REPLACE FUNCTION holds(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT @'";
    let statements =
        [&holds.replace('@', "$1 > 0"), "ALTER TABLE low ADD CHECK (holds(id))", &holds.replace('@', "$1 > 1000")];
    hidden("a28_check", &statements, &["foreign_rows"]);
}

#[test]
fn a28_n_a_check_that_is_said_to_hold() {
    let statements = [
        "ALTER TABLE low ADD CONSTRAINT hides CHECK (id > 1000) NOT VALID",
        "UPDATE pg_constraint SET convalidated = true WHERE conname = 'hides'",
    ];
    hidden("a28_n_check", &statements, &[]);
}
