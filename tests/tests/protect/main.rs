//! `notary.protect` and `notary.unprotect`: what becomes a log, what does not and why, what is adopted and how, and
//! whose rights are used.

mod adoption;
mod again;
mod journal;
mod kinds;
mod partitions;
mod plain;
mod privileges;
mod replication;
mod rights;
mod types;

use notary_tests::SqlError;
use postgres::Client;

/// Runs statements that must succeed.
#[track_caller]
pub fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {}", SqlError::of(&e)));
}

/// Runs statements that must be refused.
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

/// Verification finds nothing and sees this many entries.
#[track_caller]
pub fn assert_intact(client: &mut Client, log: &str, entries: i64) {
    notary_tests::verdict::assert_found(client, log, &[]);
    let row = client.query_one(&format!("SELECT entries FROM notary.verify('{log}')"), &[]).unwrap();
    assert_eq!(row.get::<_, i64>(0), entries, "entries of {log}");
}

/// Nothing of pg_notary is on the table.
#[track_caller]
pub fn assert_untouched(client: &mut Client, table: &str) {
    let sql = format!(
        "SELECT 'column ' || attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attname LIKE 'notary%'
         UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgrelid = '{table}'::regclass
                   AND tgname LIKE '~notary%'
         UNION ALL SELECT 'remembered as ' || table_name FROM notary.segment
                   WHERE format('%I.%I', schema_name, table_name)::regclass = '{table}'::regclass"
    );
    assert_eq!(texts(client, &sql), Vec::<String>::new());
}
