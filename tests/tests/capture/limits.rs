//! What cannot be tracked, and what is written shorter.

use crate::{events, scene};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::{assert_found, findings};

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

/// Rows of inheriting tables change without a trigger of the table that they are changed through, and a crash empties an
/// unlogged table without an event.
#[test]
fn a_tracked_table_does_not_become_what_cannot_be_tracked() {
    let db = scene("becomes");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE par (id int); CREATE TABLE chi () INHERITS (par); CREATE UNLOGGED TABLE u (id int); CREATE TABLE t (id int);
         SELECT notary.track('t', 'audit'); CREATE TABLE other (id int); CREATE TABLE parts (id int) PARTITION BY LIST (id)",
    );
    for sql in [
        "SELECT notary.track('par', 'audit')",
        "SELECT notary.track('u', 'audit')",
        "ALTER TABLE t SET UNLOGGED",
        "CREATE TABLE heir () INHERITS (t)",
        "CREATE TABLE heir () INHERITS (par, t)",
        "ALTER TABLE other INHERIT t",
        "ALTER TABLE parts ATTACH PARTITION t DEFAULT",
    ] {
        let error = refused(&mut client, sql);
        assert_eq!(error.code, "55000", "{sql}: {error}");
        assert!(error.message.contains("tracked"), "{sql}: {error}");
    }
    run(
        &mut client,
        "INSERT INTO t VALUES (1); SELECT notary.track('chi', 'audit'); UPDATE par SET id = 2; ALTER TABLE t SET LOGGED",
    );
    assert_eq!(events(&mut client), ["t.insert - > {\"id\": 1}"]);
    assert_found(&mut client, "audit", &[]);
    // Round the guard it is found, and can be put right.
    for (done, undone, word) in [
        (
            "INSERT INTO pg_inherits (inhrelid, inhparent, inhseqno, inhdetachpending) VALUES ('other'::regclass, 't'::regclass, 1, false);
             UPDATE pg_class SET relhassubclass = true WHERE oid = 't'::regclass",
            "ALTER TABLE other NO INHERIT t",
            "inherit",
        ),
        ("UPDATE pg_class SET relpersistence = 'u' WHERE oid = 't'::regclass", "ALTER TABLE t SET LOGGED", "unlogged"),
    ] {
        run(&mut client, done);
        let mut client = db.client();
        let problem = r#"SELECT problem FROM notary.tracked WHERE "table" = 't'::regclass"#;
        assert!(texts(&mut client, problem)[0].contains(word), "{word}");
        let found = findings(&mut client, "audit");
        assert!(found.iter().any(|f| f.what == "guard_off" && f.detail.contains(word)), "{word}: {found:#?}");
        run(&mut client, undone);
        assert_eq!(texts(&mut client, problem), ["NULL"], "{word}");
        assert_found(&mut client, "audit", &[]);
    }
}
