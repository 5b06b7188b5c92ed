//! Rows come into a log in every way that PostgreSQL knows, from many sessions at once, and fail in every way too.

mod concurrency;
mod failures;
mod limits;
mod partitioned;
mod restore;
mod ways;

use notary_tests::{Database, SqlError, fresh_db};
use postgres::Client;

/// Runs statements that must succeed, as one transaction unless they say otherwise.
#[track_caller]
pub fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {}", SqlError::of(&e)));
}

/// Runs statements that must fail.
#[track_caller]
pub fn refused(client: &mut Client, sql: &str) -> SqlError {
    match client.batch_execute(sql) {
        Ok(()) => panic!("was to be refused, and succeeded: {sql}"),
        Err(e) => SqlError::of(&e),
    }
}

/// The first column of a query's rows, as text.
#[track_caller]
pub fn texts(client: &mut Client, query: &str) -> Vec<String> {
    let messages = client.simple_query(query).unwrap_or_else(|e| panic!("{query}: {}", SqlError::of(&e)));
    let rows = messages.iter().filter_map(|message| match message {
        postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    });
    rows.collect()
}

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
