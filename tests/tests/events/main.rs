//! Event logs against a real server: what a row holds that an application wrote, what it cannot claim, and what JSON becomes.

mod clients;
mod context;
mod create;
mod facts;
mod guard;
mod indexes;
mod json;
mod limits;
mod random;
mod restoring;

use notary_tests::talk::{run, texts};
use notary_tests::{Database, fresh_db};
use postgres::Client;
use serde_json::Value;

/// A database with an event log, `audit`, that every session writes to by default.
pub fn scene(name: &str) -> Database<'static> {
    let db = fresh_db(name);
    let name = db.name();
    run(
        &mut db.client(),
        &format!(
            "SELECT notary.create_log('audit'); ALTER DATABASE \"{name}\" SET notary.default_log = 'public.audit'"
        ),
    );
    db
}

/// A role that may write to `audit` and nothing else.
pub fn writer(db: &Database<'_>, name: &str) -> String {
    let role = db.role(name);
    run(&mut db.client(), &format!("GRANT INSERT, SELECT (id) ON audit TO \"{role}\""));
    role
}

/// What the last row of `audit` says, the columns one after the other: `ann|NULL|t`.
#[track_caller]
pub fn last(client: &mut Client, columns: &[&str]) -> String {
    let shown: Vec<_> = columns.iter().map(|column| format!("coalesce(({column})::text, 'NULL')")).collect();
    texts(client, &format!("SELECT concat_ws('|', {}) FROM audit ORDER BY notary_time DESC LIMIT 1", shown.join(", ")))
        .remove(0)
}

/// What an application said in the row of this id: the columns that are not NULL, without those that the database sets.
#[track_caller]
pub fn said(client: &mut Client, id: &str) -> Value {
    let sql = format!(
        "SELECT jsonb_strip_nulls(to_jsonb(e)) - ARRAY['db_user', 'db_session_user', 'application_name', 'client_addr', 'backend_pid',
             'txid', 'notary_chain', 'notary_seq', 'notary_time', 'notary_prev', 'notary_hash'] FROM audit AS e WHERE id = '{id}'"
    );
    serde_json::from_str(&texts(client, &sql).remove(0)).expect("jsonb")
}

/// Text as a SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
