//! A session's side of a test: what must succeed, what must be refused, and what a query says.

use crate::SqlError;
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
