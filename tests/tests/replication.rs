//! Streaming and logical replication: a standby verifies and, promoted, goes on chaining; a subscriber keeps the
//! entries as they were made.

use notary_tests::{Cluster, Database, err};
use std::time::{Duration, Instant};

const LOGS: &str = "
    CREATE TABLE audit (id int, who text);
    CREATE TABLE parts (id int NOT NULL, k text NOT NULL) PARTITION BY LIST (k);
    CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
    CREATE TABLE parts_b PARTITION OF parts DEFAULT;
    INSERT INTO audit VALUES (0, 'here before');
    SELECT notary.protect('audit'), notary.protect('parts');
    INSERT INTO audit SELECT i, 'u' || i FROM generate_series(1, 1000) i;
    INSERT INTO parts SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 100) i";

/// What there is of a table, its `notary_*` columns included, in the order of places.
fn entries(db: &Database<'_>, table: &str) -> Vec<String> {
    let sql = format!(
        "SELECT entry::text FROM {table} AS entry ORDER BY tableoid::regclass::text, notary_chain, notary_seq, id"
    );
    db.client().query(&sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[track_caller]
fn assert_intact(db: &Database<'_>, logs: i64) {
    let row = db
        .client()
        .query_one("SELECT count(*), bool_and(intact), string_agg(first_finding, '; ') FROM notary.verify()", &[])
        .unwrap();
    assert!(row.get::<_, bool>(1), "{:?}", row.get::<_, Option<String>>(2));
    assert_eq!(row.get::<_, i64>(0), logs);
}

#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_standby_verifies_and_goes_on_chaining_once_promoted() {
    let primary = Cluster::builder().setting("wal_level", "logical").start();
    let db = primary.fresh_db("standby");
    db.client().batch_execute(LOGS).unwrap();
    let standby = primary.standby();
    db.client().batch_execute("INSERT INTO audit VALUES (1001, 'streamed')").unwrap();
    primary.wait_for(&standby);
    let there = standby.database(db.name());

    assert_eq!(there.value("SELECT pg_is_in_recovery()"), "t");
    assert_intact(&there, 3);
    assert_eq!(entries(&there, "audit"), entries(&db, "audit"));
    assert_eq!(there.value("SELECT count(*) FROM notary.logs WHERE guard = 'complete'"), "3");
    assert_eq!(there.value("SELECT count(*) FROM notary.findings('parts')"), "0");
    there.client().batch_execute("SELECT notary.assert_intact()").unwrap();
    let line = "SELECT notary.line(tableoid, notary_chain, notary_seq) FROM audit WHERE id = 1001";
    assert_eq!(there.value(line), db.value(line));
    assert_eq!(err(there.client().batch_execute("SELECT notary.attest()")).code, "25006");

    // A transaction that is on its way when the primary is lost has left nothing.
    let mut under_way = db.client();
    under_way.batch_execute("BEGIN; INSERT INTO audit VALUES (1002, 'never committed')").unwrap();
    db.client().batch_execute("INSERT INTO audit VALUES (1003, 'beside it')").unwrap();
    primary.wait_for(&standby);
    there.client().batch_execute("SELECT pg_promote()").unwrap();
    let acknowledged = entries(&db, "audit");
    assert_eq!(entries(&there, "audit"), acknowledged);
    there
        .client()
        .batch_execute("INSERT INTO audit VALUES (1004, 'after'); INSERT INTO parts VALUES (101, 'a')")
        .unwrap();
    assert_intact(&there, 3);
    assert_eq!(there.value("SELECT notary_seq > 1 FROM audit WHERE id = 1004"), "t");
    assert_eq!(entries(&there, "audit").len(), acknowledged.len() + 1);
    assert_eq!(err(there.client().batch_execute("DELETE FROM audit")).code, "55000");
}

/// A publisher and a subscriber on one server; the slot is made beforehand, as one must on one server.
struct Pair<'a> {
    publisher: Database<'a>,
    subscriber: Database<'a>,
}

impl<'a> Pair<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let pair = Self { publisher: cluster.fresh_db("publisher"), subscriber: cluster.fresh_db("subscriber") };
        pair.publisher.client().batch_execute(LOGS).unwrap();
        pair
    }

    fn publish(&self, tables: &str, options: &str) {
        let mut client = self.publisher.client();
        client.batch_execute(&format!("CREATE PUBLICATION pub FOR TABLE {tables} {options}")).unwrap();
        client
            .batch_execute("SELECT pg_create_logical_replication_slot(current_database() || '_slot', 'pgoutput')")
            .unwrap();
    }

    fn subscribe(&self) {
        let conninfo = self.publisher.cluster().conninfo(self.publisher.name());
        let sql = format!(
            "CREATE SUBSCRIPTION sub_{} CONNECTION '{conninfo}' PUBLICATION pub \
             WITH (create_slot = false, slot_name = '{}_slot')",
            self.subscriber.name(),
            self.publisher.name()
        );
        self.subscriber.client().batch_execute(&sql).unwrap();
    }

    /// Until the subscriber has as many rows as the publisher.
    #[track_caller]
    fn wait_for(&self, table: &str) {
        let count = format!("SELECT count(*) FROM {table}");
        let wanted = self.publisher.value(&count);
        wait_until(&format!("{table} has {wanted} rows"), || self.subscriber.value(&count) == wanted);
    }
}

#[test]
fn a_subscriber_that_has_the_log_keeps_entries_and_verifies() {
    let cluster = Cluster::builder().setting("wal_level", "logical").start();
    let pair = Pair::new(&cluster);
    pair.publish("audit", "");
    // The log's schema, triggers included, as a dump of it alone makes it: the same log at another place.
    let schema = cluster.pg_dump(pair.publisher.name(), &["--schema-only", "--no-publications", "-t", "audit"]).ok();
    pair.subscriber.psql(&schema.stdout).ok();
    pair.subscribe();
    pair.wait_for("audit");
    pair.publisher.client().batch_execute("INSERT INTO audit VALUES (2000, 'streamed')").unwrap();
    pair.wait_for("audit");
    assert_eq!(entries(&pair.subscriber, "audit"), entries(&pair.publisher, "audit"));
    assert_intact(&pair.subscriber, 1);
}

#[test]
fn a_subscriber_with_a_plain_table_gets_the_entries_as_values() {
    let cluster = Cluster::builder().setting("wal_level", "logical").start();
    let pair = Pair::new(&cluster);
    pair.publish("audit, parts", "WITH (publish_via_partition_root = true)");
    let columns = "notary_chain int, notary_seq bigint, notary_time timestamptz, notary_prev bytea, notary_hash bytea";
    pair.subscriber
        .client()
        .batch_execute(&format!(
            "CREATE TABLE audit (id int, who text, {columns}); CREATE TABLE parts (id int, k text, {columns})"
        ))
        .unwrap();
    pair.subscribe();
    pair.wait_for("audit");
    pair.wait_for("parts");
    pair.publisher.client().batch_execute("INSERT INTO audit VALUES (2000, 'streamed')").unwrap();
    pair.wait_for("audit");
    assert_eq!(entries(&pair.subscriber, "audit"), entries(&pair.publisher, "audit"));
    assert_eq!(pair.subscriber.value("SELECT count(*) FROM notary.logs"), "0");
}

#[test]
fn a_subscriber_with_a_log_of_its_own_chains_rows_that_come_without_places() {
    let cluster = Cluster::builder().setting("wal_level", "logical").start();
    let pair = Pair::new(&cluster);
    pair.publisher
        .client()
        .batch_execute("CREATE TABLE events (id int PRIMARY KEY); INSERT INTO events VALUES (1), (2)")
        .unwrap();
    pair.publish("events, audit (id, who)", "");
    pair.subscriber
        .client()
        .batch_execute(
            "CREATE TABLE events (id int PRIMARY KEY); CREATE TABLE audit (id int, who text);
             SELECT notary.protect('events'), notary.protect('audit')",
        )
        .unwrap();
    pair.subscribe();
    pair.wait_for("audit");
    pair.publisher.client().batch_execute("INSERT INTO events SELECT generate_series(3, 50)").unwrap();
    pair.wait_for("events");
    assert_intact(&pair.subscriber, 3);
    assert_eq!(pair.subscriber.value("SELECT count(*) FROM events WHERE notary_hash IS NULL"), "0");
    // UPDATE of the published table cannot be applied to a log: replication stops there and says so.
    pair.publisher.client().batch_execute("UPDATE events SET id = 100 WHERE id = 50").unwrap();
    wait_until("the subscriber's log says why it stopped", || {
        cluster.log_contents().contains("UPDATE is refused: public.events is an append-only log")
    });
    assert_intact(&pair.subscriber, 3);
}
