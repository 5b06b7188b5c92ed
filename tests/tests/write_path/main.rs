//! The write path where it has to guess and then make sure: rows that have their place but are not stored yet, places
//! that were given out and never taken, savepoints that give back some of a transaction's chains, heads behind a
//! heap of dead entries, rows that were put there by a restore.

mod counts;
mod littered;
mod nesting;
mod protection;
mod remembered;
mod savepoints;

use notary_tests::{Database, SqlError, fresh_db};
use postgres::Client;

/// A log `audit (id int, note text)` whose CHECK inserts the row `nested` before its own is stored, in an exception
/// block of its own if `fails` is set: then the nested row fails and is rolled back.
const SETUP: &str = "
    CREATE TABLE audit (id int NOT NULL, note text, k int UNIQUE, nested int, fails boolean DEFAULT false);
    CREATE FUNCTION nest(nested int, fails boolean) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        IF nested IS NOT NULL THEN
            BEGIN
                INSERT INTO audit (id) VALUES (nested);
                IF fails THEN RAISE division_by_zero; END IF;
            EXCEPTION WHEN division_by_zero THEN NULL;
            END;
        END IF;
        RETURN true;
    END$$;
    ALTER TABLE audit ADD CHECK (nest(nested, fails));";

/// A database with that log, and a session in it.
pub fn log(name: &str) -> (Database<'static>, Client) {
    log_with(name, "")
}

/// The same with more arguments to `protect`.
pub fn log_with(name: &str, arguments: &str) -> (Database<'static>, Client) {
    let db = fresh_db(name);
    let mut client = db.client();
    run(&mut client, SETUP);
    run(&mut client, &format!("SELECT notary.protect('audit'{arguments})"));
    (db, client)
}

/// Runs statements that must succeed.
#[track_caller]
pub fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {}", SqlError::of(&e)));
}

/// The ids of each chain, in order: `1: 4 5 6`. Verification must find nothing.
#[track_caller]
pub fn chains(client: &mut Client) -> Vec<String> {
    let found = notary_tests::verdict::findings(client, "audit");
    assert!(found.is_empty(), "{found:#?}");
    let query = "SELECT notary_chain || ': ' || string_agg(id::text, ' ' ORDER BY notary_seq),
                        array_agg(notary_seq ORDER BY notary_seq) = array_agg(n ORDER BY n)
                 FROM (SELECT *, row_number() OVER (PARTITION BY notary_chain ORDER BY notary_seq) AS n FROM audit) AS a
                 GROUP BY notary_chain ORDER BY notary_chain";
    let rows = client.query(query, &[]).unwrap_or_else(|e| panic!("{}", SqlError::of(&e)));
    assert!(rows.iter().all(|row| row.get(1)), "a chain has a gap");
    rows.iter().map(|row| row.get(0)).collect()
}
