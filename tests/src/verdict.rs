//! What a check says, in short, and the way round the guard that every superuser has.

use crate::{Database, SqlError};
use postgres::Client;
use std::fmt;

/// What rows of the tests' logs hold and no detail may show.
pub const SECRET: &str = "s3cr3t-v4lue";

/// A finding or a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The table, as `regclass` prints it.
    pub segment: String,
    /// NULL for what concerns the whole table.
    pub chain: Option<i32>,
    /// NULL for what concerns no entry.
    pub seq: Option<i64>,
    /// `value_changed`, `adopted`, …
    pub what: String,
    /// Hashes, places, column names.
    pub detail: String,
}

/// `missing 1/3`, or `guard_off` when it concerns the whole table.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.chain.is_some() || self.seq.is_some() {
            let number = |n: Option<i64>| n.map_or_else(|| "null".to_owned(), |n| n.to_string());
            write!(f, " {}/{}", number(self.chain.map(i64::from)), number(self.seq))?;
        }
        Ok(())
    }
}

/// What `notary.findings` says of a log.
#[track_caller]
pub fn findings(client: &mut Client, log: &str) -> Vec<Said> {
    said(client, &format!("SELECT segment::text, chain, seq, problem, detail FROM notary.findings('{log}')"))
}

/// What `notary.notices` says of a log.
#[track_caller]
pub fn notices(client: &mut Client, log: &str) -> Vec<Said> {
    said(client, &format!("SELECT segment::text, chain, seq, notice, detail FROM notary.notices('{log}')"))
}

#[track_caller]
fn said(client: &mut Client, query: &str) -> Vec<Said> {
    let rows = client.query(query, &[]).unwrap_or_else(|e| panic!("{query}: {}", SqlError::of(&e)));
    let tells = rows.iter().any(|row| row.get::<_, String>(4).contains(SECRET));
    assert!(!tells, "{query}: a detail shows a value of a row");
    let one = |row: &postgres::Row| Said {
        segment: row.get(0),
        chain: row.get(1),
        seq: row.get(2),
        what: row.get(3),
        detail: row.get(4),
    };
    rows.iter().map(one).collect()
}

/// The findings in short, in an order of their own: `["missing 1/3", "unchained"]`.
pub fn short(said: &[Said]) -> Vec<String> {
    let mut short: Vec<_> = said.iter().map(ToString::to_string).collect();
    short.sort();
    short
}

/// Panics unless `notary.findings` says exactly this of a log; `notary.verify` must agree.
#[track_caller]
pub fn assert_found(client: &mut Client, log: &str, expected: &[&str]) {
    let found = findings(client, log);
    assert_eq!(short(&found), expected, "{found:#?}");
    let query = format!("SELECT intact, findings FROM notary.verify('{log}')");
    let answer = client.query_one(&query, &[]).unwrap_or_else(|e| panic!("{query}: {}", SqlError::of(&e)));
    let count = i64::try_from(expected.len()).expect("a short list");
    assert_eq!((answer.get(0), answer.get(1)), (expected.is_empty(), count), "verify and findings disagree");
}

/// Turns the guard off where a superuser can do so unseen, in the catalogs; both kinds of triggers.
const LIFT: &str = "UPDATE pg_catalog.pg_event_trigger SET evtenabled = 'D' WHERE evtname LIKE 'notary%';
    UPDATE pg_catalog.pg_trigger SET tgenabled = 'D' WHERE tgname ~ '^[~!]notary'";
/// Puts it back as it was.
const RESTORE: &str = "UPDATE pg_catalog.pg_event_trigger SET evtenabled = 'A' WHERE evtname LIKE 'notary%';
    UPDATE pg_catalog.pg_trigger SET tgenabled = 'A' WHERE tgname ~ '^[~!]notary'";
/// What pg_trigger says is read again when pg_class changes.
const NOTICED: &str = "UPDATE pg_catalog.pg_class AS c SET reltuples = reltuples
    FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname ~ '^[~!]notary'";

/// Runs statements as a superuser who goes round the guard by way of the catalogs and puts everything
/// back: nothing but what the statements do is left to be found. In a session that has not called
/// pg_notary yet, so that nothing of it is in the way.
#[track_caller]
pub fn behind_the_guard(db: &Database<'_>, statements: &[&str]) {
    let mut client = db.client();
    for sql in round_the_guard(statements) {
        client.batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {}", SqlError::of(&e)));
    }
}

/// The same as statements, for somebody else to run.
pub fn round_the_guard<'s>(statements: &[&'s str]) -> Vec<&'s str> {
    [&[LIFT, NOTICED], statements, &[RESTORE, NOTICED]].concat()
}
