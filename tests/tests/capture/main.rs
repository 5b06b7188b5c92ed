//! Tracked tables against a real server: every way to change a row becomes an event, PII stays out of the log, and replaying the
//! events gives the tables again.

mod ddl;
mod guard;
mod history;
mod journal;
mod lean;
mod limits;
mod partitions;
mod pgbench;
mod pii;
mod replay;
mod restoring;
mod rights;
mod transactions;
mod types;
mod ways;

use notary_tests::talk::{run, texts};
use notary_tests::{Database, fresh_db};
use postgres::Client;

/// A database with an event log, `audit`.
pub fn scene(name: &str) -> Database<'static> {
    let db = fresh_db(name);
    run(&mut db.client(), "SELECT notary.create_log('audit')");
    db
}

/// What the events say, in their order, one line each: `t.update 1 {"n": 1} > {"n": 2}`, without what was taken before.
#[track_caller]
pub fn events(client: &mut Client) -> Vec<String> {
    texts(
        client,
        "SELECT regexp_replace(action, '^public\\.', '') || ' ' || coalesce(resource_id, '-') || coalesce(' ' || old_value::text, '') ||
             ' >' || coalesce(' ' || new_value::text, '') FROM audit ORDER BY id",
    )
}

/// Those since the last call: the mark is how many there were then.
#[track_caller]
pub fn since(client: &mut Client, mark: &mut usize) -> Vec<String> {
    let all = events(client);
    let new = all[*mark..].to_vec();
    *mark = all.len();
    new
}
