//! The attack matrix: what an owner, an application and a superuser may try, and the finding that each must give.
//!
//! Tests are named after the lines of the list of attacks; `n` in a name says that the attack cannot be found, which is
//! shown as well, so that nobody is promised more.

mod catalog;
mod excuses;
mod files;
mod hidden;
mod inside_values;
mod memory;
mod owner;
mod partitions;
mod shown;
mod superuser;

use notary_tests::verdict::assert_found;
use notary_tests::{Cluster, Database, fresh_db};

/// Five entries in chain 1, from one table and one writer.
const FIVE: &str = "CREATE TABLE audit (id int, what text, extra jsonb);
    SELECT notary.protect('audit');
    INSERT INTO audit (id, what, extra)
    SELECT i, 'entry ' || i, jsonb_build_object('k', i, 'a', jsonb_build_array(i, 'x')) FROM generate_series(1, 5) AS i";

/// A database on the shared server with a log of five entries.
pub fn five(name: &str) -> Database<'static> {
    let db = fresh_db(name);
    db.client().batch_execute(FIVE).unwrap();
    db
}

/// The same on a server of the test's own.
pub fn five_on<'a>(cluster: &'a Cluster, name: &str) -> Database<'a> {
    let db = cluster.fresh_db(name);
    db.client().batch_execute(FIVE).unwrap();
    db
}

/// A partitioned log of fifteen entries: 1 to 9 in `low`, the rest in `high`.
pub fn partitioned(name: &str) -> Database<'static> {
    let db = fresh_db(name);
    db.client()
        .batch_execute(
            "CREATE TABLE audit (id int, what text) PARTITION BY RANGE (id);
             CREATE TABLE low PARTITION OF audit FOR VALUES FROM (0) TO (10);
             CREATE TABLE high PARTITION OF audit FOR VALUES FROM (10) TO (20);
             SELECT notary.protect('audit');
             INSERT INTO audit (id, what) SELECT i, 'entry ' || i FROM generate_series(1, 15) AS i",
        )
        .unwrap();
    assert_found(&mut db.client(), "audit", &[]);
    db
}
