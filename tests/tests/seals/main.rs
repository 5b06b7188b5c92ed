//! Seals and proofs against a real server: what is sealed, what refuses, what an outsider can check, and what a superuser
//! who rewrites everything is convicted by.

mod comparing;
mod daily;
mod excuses;
mod exporting;
mod fuzzing;
mod independent;
mod keys;
mod load;
mod outside;
mod periods;
mod proofs;
mod resuming;
mod sealing;
mod tree;

use notary_tests::talk::texts;
use notary_tests::{Database, fresh_db};
use postgres::Client;

/// Settings of a database whose logs are sealed and signed; the key file is the server's own.
pub fn set_up(db: &Database<'_>) {
    let name = db.name();
    db.client()
        .batch_execute(&format!(
            "ALTER DATABASE \"{name}\" SET notary.origin = 'db.example.com';
             ALTER DATABASE \"{name}\" SET notary.signing_key_file = '{name}.key'"
        ))
        .unwrap();
    db.client().batch_execute("SELECT * FROM notary.generate_key()").unwrap();
}

/// A database with a log of `rows` entries in one chain, and a key.
pub fn scene(name: &str, rows: u32) -> Database<'static> {
    let db = fresh_db(name);
    set_up(&db);
    db.client()
        .batch_execute(&format!(
            "CREATE TABLE audit (id int, what text); SELECT notary.protect('audit');
             INSERT INTO audit SELECT i, 'w' || i FROM generate_series(1, {rows}) AS i"
        ))
        .unwrap();
    db
}

/// Seals a log; the note.
#[track_caller]
pub fn seal(client: &mut Client, log: &str) -> String {
    texts(client, &format!("CALL notary.seal('{log}')")).remove(0)
}

/// The second line of a note.
#[track_caller]
pub fn size(note: &str) -> u64 {
    note.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or_else(|| panic!("no note: {note}"))
}

/// The key to hand out.
#[track_caller]
pub fn key(client: &mut Client, log: &str) -> String {
    texts(client, &format!("SELECT notary.verifier_key('{log}')")).remove(0)
}

/// The lines of an export.
#[track_caller]
pub fn export(client: &mut Client, log: &str) -> Vec<String> {
    texts(client, &format!("SELECT notary.export('{log}')"))
}

/// Text as a SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
