//! Every finding and every notice by a test of its own, and how a check behaves while it runs.

mod adopted;
mod entries;
mod notices;
mod running;
mod whole_table;

use notary_tests::{Database, fresh_db};

/// A value that stands in every row and must stand in no detail.
pub use notary_tests::verdict::SECRET;

/// A database with a log of five entries in chain 1, each with a value of its own.
pub fn five(name: &str) -> Database<'static> {
    let db = fresh_db(name);
    db.client()
        .batch_execute(&format!(
            "CREATE TABLE audit (id int, what text, extra jsonb);
             SELECT notary.protect('audit');
             INSERT INTO audit (id, what, extra)
             SELECT i, '{SECRET} ' || i, jsonb_build_object('k', '{SECRET} ' || i) FROM generate_series(1, 5) AS i"
        ))
        .unwrap();
    db
}
