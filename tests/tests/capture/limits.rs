//! What cannot be tracked, and what is written shorter.

use crate::{events, scene};
use notary_tests::talk::{run, texts};

/// An application's key may be as long as its own index takes; the log's index stops the write (54000).
#[test]
fn a_long_key_stops_no_write() {
    let db = scene("long_key");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (k bytea PRIMARY KEY); SELECT notary.track('t', 'audit')");
    run(
        &mut client,
        "INSERT INTO t SELECT string_agg(decode(md5(i::text), 'hex'), '') FROM generate_series(1, 100) AS i",
    );
    let id = "SELECT resource_id = 'sha256:' || encode(sha256(convert_to('\\x' || encode(k, 'hex'), 'UTF8')), 'hex')
              FROM audit, t WHERE action = 'public.t.insert'";
    assert_eq!(texts(&mut client, id), ["t"]);
}

/// notary.tracked.problem: "NULL: every change is" recorded.
#[test]
fn rows_of_inheriting_tables_are_not_forgotten_silently() {
    let db = scene("inheritance");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE par (id int); CREATE TABLE chi () INHERITS (par)");
    if client.batch_execute("SELECT notary.track('par', 'audit')").is_err() {
        return;
    }
    run(&mut client, "INSERT INTO chi VALUES (1); UPDATE par SET id = 2; DELETE FROM par");
    let said = events(&mut client).len();
    assert!(said > 0 || texts(&mut client, "SELECT count(problem) FROM notary.tracked") == ["1"]);
}

/// A crash empties it, and no event says so.
#[test]
fn an_unlogged_table_is_not_tracked_without_a_word() {
    let db = scene("unlogged");
    let mut client = db.client();
    run(&mut client, "CREATE UNLOGGED TABLE u (id int)");
    if client.batch_execute("SELECT notary.track('u', 'audit')").is_ok() {
        assert_eq!(texts(&mut client, "SELECT count(problem) FROM notary.tracked"), ["1"]);
    }
}
