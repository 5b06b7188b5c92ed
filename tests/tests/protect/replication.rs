//! What logical replication sees of protection: what writers wrote, and nothing of the adoption's rewriting.

use super::{assert_intact, run, texts};
use notary_tests::Cluster;

#[test]
fn adoption_is_no_change_that_is_published() {
    let cluster = Cluster::builder().setting("wal_level", "logical").start();
    let db = cluster.fresh_db("publication");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a int PRIMARY KEY, b text); ALTER TABLE t ALTER b SET STORAGE EXTERNAL;
         CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);
         CREATE PUBLICATION everything FOR ALL TABLES",
    );
    run(&mut client, "SELECT pg_create_logical_replication_slot('pgoutput', 'pgoutput')");
    run(&mut client, "SELECT pg_create_logical_replication_slot('test_decoding', 'test_decoding')");
    run(
        &mut client,
        "INSERT INTO t SELECT i, repeat('x', 5000) FROM generate_series(1, 20) AS i; INSERT INTO p VALUES (1), (1)",
    );
    let inserted = decoded(&mut client);
    assert_eq!(inserted.iter().filter(|c| c.starts_with("table public.")).count(), 22);
    run(&mut client, "SELECT notary.protect('t')");
    run(&mut client, "SELECT notary.protect('p')");
    let of_protect = decoded(&mut client);
    let of_tables: Vec<_> = of_protect.iter().filter(|c| c.starts_with("table public.")).collect();
    assert!(of_tables.is_empty(), "{of_tables:#?}");
    // The journal's entries are rows that were inserted, and published as such.
    assert!(of_protect.iter().any(|c| c.starts_with("table notary.journal: INSERT")), "{of_protect:#?}");
    run(&mut client, "INSERT INTO t VALUES (21, 'new'); INSERT INTO p VALUES (1)");
    let after = decoded(&mut client);
    assert!(after.iter().any(|c| c.starts_with("table public.t: INSERT: a[integer]:21") && c.contains("notary_hash")));
    assert_eq!(after.iter().filter(|c| c.starts_with("table public.")).count(), 2, "{after:#?}");
    assert_intact(&mut client, "t", 21);
    assert_intact(&mut client, "p", 3);
    // pgoutput, which subscriptions use: I for 20 + 2, the journal's and 1 + 1; no U, no D, no T.
    let kinds = "SELECT get_byte(data, 0) FROM pg_logical_slot_get_binary_changes('pgoutput', NULL, NULL,
                     'proto_version', '1', 'publication_names', 'everything')";
    let kinds = texts(&mut client, kinds);
    let count = |kind: u8| kinds.iter().filter(|k| **k == kind.to_string()).count();
    assert_eq!((count(b'U'), count(b'D'), count(b'T')), (0, 0, 0));
    let journal: usize = texts(&mut client, "SELECT count(*) FROM notary.journal")[0].parse().unwrap();
    let memory: usize = texts(&mut client, "SELECT count(*) FROM notary.segment")[0].parse().unwrap();
    assert_eq!(count(b'I'), 22 + 2 + journal + memory);
}

/// What was changed since the last call, as test_decoding prints it.
fn decoded(client: &mut postgres::Client) -> Vec<String> {
    texts(client, "SELECT data FROM pg_logical_slot_get_changes('test_decoding', NULL, NULL)")
}

#[test]
fn a_snapshot_older_than_the_adoption_sees_no_rows_as_after_any_alter_table_that_rewrites() {
    let cluster = notary_tests::shared();
    let db = cluster.fresh_db("snapshot");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 100)");
    let mut reader = db.client();
    run(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    run(&mut client, "SELECT notary.protect('t')");
    // PostgreSQL documents this of ALTER TABLE; the check takes a snapshot of its own and is not misled.
    assert_eq!(texts(&mut reader, "SELECT count(*) FROM t"), ["0"]);
    assert_intact(&mut reader, "t", 100);
    run(&mut reader, "COMMIT");
    assert_eq!(texts(&mut reader, "SELECT count(*) FROM t"), ["100"]);
}
