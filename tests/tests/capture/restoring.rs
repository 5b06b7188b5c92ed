//! Dump and restore: tables are tracked on, into the same log, with the same key.

use crate::{events, scene};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;
use notary_tests::{Database, shared};

fn source() -> Database<'static> {
    let db = scene("source");
    run(
        &mut db.client(),
        "CREATE TABLE t (id int PRIMARY KEY, email text, pw text); SELECT notary.track('t', 'audit', pii => '{email}', exclude => '{pw}');
         CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
         SELECT notary.track('p', 'audit'); INSERT INTO t VALUES (1, 'a@example.com', 'x'); INSERT INTO p VALUES (1);
         ALTER TABLE t RENAME email TO mail; UPDATE t SET mail = 'b@example.com'",
    );
    db
}

#[track_caller]
fn assert_goes_on(db: &Database<'_>, copy: &Database<'_>) {
    let mut client = copy.client();
    assert_eq!(events(&mut client), events(&mut db.client()), "loading the rows made no events");
    assert_eq!(
        texts(&mut client, "SELECT key FROM notary.pii_key"),
        texts(&mut db.client(), "SELECT key FROM notary.pii_key")
    );
    assert_found(&mut client, "audit", &[]);
    let before = events(&mut client).len();
    run(
        &mut client,
        "INSERT INTO t VALUES (2, 'b@example.com', 'y'); INSERT INTO p VALUES (2); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
         INSERT INTO p VALUES (11); TRUNCATE p2",
    );
    assert_eq!(events(&mut client).len(), before + 4);
    assert_eq!(texts(&mut client, "SELECT count(DISTINCT new_value ->> 'mail') FROM audit WHERE new_value ->> 'mail' IS NOT NULL AND action <> 'public.t.insert'
        OR new_value ->> 'id' = '2' AND resource_type = 'public.t'"), ["1"], "equal values still have equal hashes");
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit AS e WHERE e::text ~ 'example'"), ["0"]);
    assert_eq!(
        texts(
            &mut client,
            r#"SELECT "table" || ' ' || log || ' ' || pii::text || coalesce(problem, '') FROM notary.tracked ORDER BY 1"#
        ),
        ["p audit {}", "t audit {mail}"]
    );
    assert_eq!(refused(&mut client, "ALTER TABLE t DISABLE TRIGGER ALL").code, "55000");
    assert_found(&mut client, "audit", &[]);
    run(&mut client, "SELECT notary.untrack('t', 'a test'); SELECT notary.untrack('p', 'a test')");
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_database_is_restored_with_its_tracking() {
    let db = source();
    let custom = shared().pg_dump(db.name(), &["-Fc"]).ok().stdout_bytes;
    let copy = shared().bare_db("copy");
    shared().pg_restore(copy.name(), &["--exit-on-error"], &custom).ok();
    assert_goes_on(&db, &copy);
    let plain = shared().pg_dump(db.name(), &["--inserts"]).ok().stdout;
    let copy = shared().bare_db("copy");
    copy.psql(&plain).ok();
    assert_goes_on(&db, &copy);
}
