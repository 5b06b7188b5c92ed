//! Rows come into a log in every way that PostgreSQL knows, from many sessions at once, and fail in every way too.

mod concurrency;
mod failures;
mod forms;
mod limits;
mod partitioned;
mod restore;
mod ways;

pub use notary_tests::talk::{refused, run, texts};
use notary_tests::{Database, fresh_db};
use postgres::Client;

/// A database with a log `t (a int PRIMARY KEY, b text)`, and a session in it.
pub fn log(name: &str) -> (Database<'static>, Client) {
    let db = fresh_db(name);
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int PRIMARY KEY, b text); SELECT notary.protect('t')");
    (db, client)
}

/// The log holds exactly these `a`, ascending; verification finds nothing and counts the same, and every chain runs
/// 1, 2, 3 … without a gap, on its own reckoning too.
#[track_caller]
pub fn assert_log(client: &mut Client, expected: &[&str]) {
    assert_eq!(texts(client, "SELECT a FROM t ORDER BY a"), expected);
    assert_sound(client, "t", i64::try_from(expected.len()).unwrap());
}

/// Verification finds nothing in a log of so many entries, and every chain runs 1, 2, 3 …
#[track_caller]
pub fn assert_sound(client: &mut Client, log: &str, entries: i64) {
    notary_tests::verdict::assert_found(client, log, &[]);
    let query = format!("SELECT entries FROM notary.verify('{log}')");
    assert_eq!(texts(client, &query), [entries.to_string()], "entries");
    let gaps = format!(
        "SELECT tableoid::regclass, notary_chain FROM {log} GROUP BY tableoid, notary_chain
         HAVING min(notary_seq) <> 1 OR max(notary_seq) <> count(*) OR count(DISTINCT notary_seq) <> count(*)
             OR notary_chain IS NULL"
    );
    assert_eq!(texts(client, &gaps), Vec::<String>::new(), "chains with gaps");
}

/// How many chains the log has.
#[track_caller]
pub fn chain_count(client: &mut Client) -> usize {
    texts(client, "SELECT DISTINCT notary_chain FROM t").len()
}
