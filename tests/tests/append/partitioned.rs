//! Rows that are routed into partitions.

use super::{assert_sound, refused, run, texts};
use notary_tests::{Database, fresh_db};
use postgres::Client;
use std::io::Write;

fn partitioned(name: &str) -> (Database<'static>, Client) {
    let db = fresh_db(name);
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int, b text) PARTITION BY RANGE (a);
         CREATE TABLE low PARTITION OF t FOR VALUES FROM (MINVALUE) TO (1000);
         CREATE TABLE high (b text, junk int, a int); ALTER TABLE high DROP COLUMN junk;
         ALTER TABLE t ATTACH PARTITION high FOR VALUES FROM (1000) TO (MAXVALUE);
         SELECT notary.protect('t')",
    );
    (db, client)
}

#[test]
fn inserts_and_copies_are_routed_also_into_leaves_with_another_column_order() {
    let (db, mut client) = partitioned("partitioned");
    run(&mut client, "INSERT INTO t SELECT i * 100, 'row ' || i FROM generate_series(1, 20) AS i");
    run(&mut client, "INSERT INTO high (a, b) VALUES (5000, 'direct')");
    let mut writer = client.copy_in("COPY t (b, a) FROM STDIN").unwrap();
    let lines: String = (0..200).map(|i| format!("copied {i}\t{}\n", i * 10)).collect();
    writer.write_all(lines.as_bytes()).unwrap();
    writer.finish().unwrap();
    assert_sound(&mut client, "t", 221);
    // The same content has the same members, wherever its column stands.
    let line = "SELECT substr(l, strpos(l, '\"row\"')) FROM t, notary.line(tableoid, notary_chain, notary_seq) AS l WHERE a IN (10, 5000)
                ORDER BY a";
    assert_eq!(
        texts(&mut client, line),
        ["\"row\":{\"a\":10,\"b\":\"copied 1\"}}", "\"row\":{\"a\":5000,\"b\":\"direct\"}}"]
    );
    assert_eq!(texts(&mut client, "SELECT DISTINCT notary_chain FROM t"), ["1"]);
    let mut other = db.client();
    run(&mut other, "BEGIN; INSERT INTO t VALUES (1, 'x')");
    run(&mut client, "INSERT INTO t VALUES (2, 'y'), (2000, 'z')");
    run(&mut other, "INSERT INTO t VALUES (3000, 'x'); COMMIT");
    assert_sound(&mut client, "t", 225);
}

#[test]
fn a_before_trigger_that_sets_the_key_routes_as_postgresql_allows() {
    let (_db, mut client) = partitioned("partitioned_trigger");
    run(
        &mut client,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.b := upper(NEW.b); NEW.a := NEW.a + 1; RETURN NEW; END';
         CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    );
    run(&mut client, "INSERT INTO t VALUES (1, 'x'), (2000, 'y')");
    assert_eq!(refused(&mut client, "INSERT INTO t VALUES (5, 'x'), (999, 'y')").code, "0A000");
    run(&mut client, "INSERT INTO t VALUES (3, 'z')");
    assert_eq!(texts(&mut client, "SELECT a || b FROM t ORDER BY a"), ["2X", "4Z", "2001Y"]);
    assert_sound(&mut client, "t", 3);
}

#[test]
fn a_row_for_no_partition_fails_and_leaves_nothing() {
    let db = fresh_db("partitioned_none");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE one PARTITION OF t FOR VALUES IN (1); SELECT notary.protect('t')",
    );
    assert_eq!(refused(&mut client, "INSERT INTO t VALUES (1), (2)").code, "23514");
    assert_eq!(refused(&mut client, "INSERT INTO one VALUES (1), (2)").code, "23514");
    run(&mut client, "INSERT INTO t VALUES (1)");
    assert_sound(&mut client, "t", 1);
}
