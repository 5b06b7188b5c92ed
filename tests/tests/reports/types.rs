//! `notary.event_type`: what is in it, who may add to it, and that additions come back from a dump.

use crate::rows;
use notary_tests::talk::{refused, run, texts};
use notary_tests::{fresh_db, shared};

#[test]
fn there_are_types_of_every_kind_with_a_description() {
    let db = fresh_db("types");
    let mut client = db.client();
    let count: u32 = texts(&mut client, "SELECT count(*) FROM notary.event_type").remove(0).parse().unwrap();
    assert!(count >= 47, "{count}");
    let kinds = "SELECT DISTINCT category FROM notary.event_type ORDER BY 1";
    assert_eq!(texts(&mut client, kinds), ["admin", "ai", "auth", "data", "export", "pii", "system"]);
    let odd = "SELECT name FROM notary.event_type WHERE description !~ '[.]$' OR name !~ '^[a-z_.]+[.][a-z_]+$' OR NOT built_in";
    assert_eq!(texts(&mut client, odd), Vec::<String>::new());
}

#[test]
fn everybody_reads_and_only_those_who_are_granted_it_add() {
    let db = fresh_db("types_rights");
    let (reader, keeper) = (db.role("reader"), db.role("keeper"));
    run(&mut db.client(), &format!("GRANT INSERT ON notary.event_type TO \"{keeper}\""));
    let new =
        "INSERT INTO notary.event_type (name, category, description) VALUES ('shop.refund', 'admin', 'Money back.')";
    let mut client = db.client_as(&reader);
    assert_eq!(texts(&mut client, "SELECT severity FROM notary.event_type WHERE name = 'auth.login'"), ["info"]);
    for sql in [new, "DELETE FROM notary.event_type", "UPDATE notary.event_type SET severity = 'info'"] {
        assert_eq!(refused(&mut client, sql).code, "42501", "{sql}");
    }
    let mut client = db.client_as(&keeper);
    run(&mut client, new);
    let over = "INSERT INTO notary.event_type (name, category, description) VALUES ('auth.login', 'x', 'Mine.')";
    assert_eq!(refused(&mut client, over).code, "42501", "the one that is built in stays");
    assert_eq!(texts(&mut client, "SELECT category FROM notary.event_type WHERE name = 'auth.login'"), ["auth"]);
    for (values, code) in [
        ("('', 'x', 'info', 'x')", "23514"),
        ("('x', '', 'info', 'x')", "23514"),
        ("('x', 'PII', 'info', 'x')", "23514"),
        ("('x', 'pii ', 'info', 'x')", "23514"),
        ("('x', 'x', 'info', '')", "23514"),
        ("('x', 'x', 'info', NULL)", "23502"),
        ("('x', NULL, 'info', 'x')", "23502"),
        ("('x', 'x', 'fatal', 'x')", "23514"),
        ("('shop.refund', 'x', 'info', 'x')", "23505"),
    ] {
        let sql = format!("INSERT INTO notary.event_type (name, category, severity, description) VALUES {values}");
        assert_eq!(refused(&mut client, &sql).code, code, "{values}");
    }
}

#[test]
fn what_was_added_and_changed_is_dumped_and_restored() {
    let db = fresh_db("types_dump");
    let mut client = db.client();
    run(
        &mut client,
        "INSERT INTO notary.event_type (name, category, severity, description, built_in)
             VALUES ('shop.refund', 'admin', 'warning', 'Money; back. It''s \\ % ü', true);
         UPDATE notary.event_type SET severity = 'critical' WHERE name = 'pii.export';
         UPDATE notary.event_type SET severity = severity WHERE name = 'pii.view';
         INSERT INTO notary.event_type (name, category, description) VALUES ('auth.login', 'auth', 'Ours.');
         UPDATE notary.event_type SET name = 'data.eksport' WHERE name = 'data.export'",
    );
    let own = "SELECT name FROM notary.event_type WHERE NOT built_in ORDER BY name";
    assert_eq!(texts(&mut client, own), ["auth.login", "data.eksport", "pii.export", "shop.refund"]);
    let all = "SELECT * FROM notary.event_type ORDER BY name";
    let here = rows(&mut client, all);
    for args in [&["-Fp"][..], &["-Fp", "--inserts"]] {
        let copy = shared().bare_db("types_copy");
        copy.psql(&shared().pg_dump(db.name(), args).ok().stdout).ok();
        // A built-in one that is gone under its name comes back; nothing else differs.
        let mut there = rows(&mut copy.client(), all);
        there.retain(|row| !row.contains("\"data.export\""));
        assert_eq!(there, here);
        let second = shared().bare_db("types_second");
        second.psql(&shared().pg_dump(copy.name(), args).ok().stdout).ok();
        assert_eq!(rows(&mut second.client(), all), rows(&mut copy.client(), all));
    }
    let custom = shared().pg_dump(db.name(), &["-Fc"]).ok().stdout_bytes;
    let copy = shared().bare_db("types_custom");
    shared().pg_restore(copy.name(), &["--exit-on-error"], &custom).ok();
    assert_eq!(texts(&mut copy.client(), own), texts(&mut client, own));
}
