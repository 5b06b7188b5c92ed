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

pub use notary_tests::talk::{refused, run, texts};
use postgres::Client;

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
