//! `notary.export`: all lines in leaf order, whole or not at all, with the caller's rights.

use crate::tree::assert_exports;
use crate::{export, scene, seal, set_up};
use notary_tests::fresh_db;
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::behind_the_guard;

#[test]
fn any_stretch_of_leaves_can_be_had() {
    let db = scene("stretch", 3000);
    let mut client = db.client();
    let note = seal(&mut client, "audit");
    run(&mut client, "INSERT INTO audit SELECT i FROM generate_series(1, 1500) AS i");
    seal(&mut client, "audit");
    let all = export(&mut client, "audit");
    assert_exports(&all[..3001], &note);
    for (from, to) in [(0, 0), (0, 1), (0, 3001), (1, 2), (999, 1001), (2999, 3003), (4500, 4501), (4501, 4501)] {
        let some = texts(&mut client, &format!("SELECT notary.export('audit', {from}, {to})"));
        assert_eq!(some, all[from..to], "{from} to {to}");
    }
    let some = texts(&mut client, "SELECT notary.export('audit', 4000)");
    assert_eq!(some, all[4000..]);
    for bad in ["-1", "0, 4502", "5, 4", "0, -1"] {
        assert_eq!(refused(&mut client, &format!("SELECT notary.export('audit', {bad})")).code, "22023", "{bad}");
    }
    let limited = texts(&mut client, "SELECT notary.export('audit') LIMIT 3");
    assert_eq!(limited, all[..3]);
}

/// What psql writes to a file is, byte for byte, what the lines are, whatever stands in them.
#[test]
fn a_copy_to_a_file_holds_the_lines_as_they_are() {
    let db = fresh_db("copied");
    set_up(&db);
    run(
        &mut db.client(),
        "CREATE TABLE audit (t text, j jsonb); SELECT notary.protect('audit');
         INSERT INTO audit SELECT E'back\\\\slash \"quoted\" tab\\t line\\nbreak \\r ü ' || i || repeat('y', i * 10000),
             jsonb_build_object('k', E'a\\\\b\"c') FROM generate_series(0, 20) AS i",
    );
    let note = seal(&mut db.client(), "audit");
    let copy = "\\copy (SELECT notary.export('audit')) TO STDOUT WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')";
    let text = db.psql(copy).ok().stdout;
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_exports(&lines, &note);
}

#[test]
fn only_for_those_who_may_read_every_row() {
    let db = scene("every_row", 10);
    let (reader, stranger) = (db.role("reader"), db.role("stranger"));
    let mut client = db.client();
    assert_eq!(refused(&mut client, "SELECT notary.export('audit')").code, "55000");
    seal(&mut client, "audit");
    run(&mut client, &format!("GRANT SELECT ON audit TO \"{reader}\"; GRANT SELECT (id) ON audit TO \"{stranger}\""));
    assert_eq!(export(&mut db.client_as(&reader), "audit").len(), 11);
    assert_eq!(refused(&mut db.client_as(&stranger), "SELECT notary.export('audit')").code, "42501");
    run(&mut client, "ALTER TABLE audit ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON audit USING (id < 5)");
    let error = refused(&mut db.client_as(&reader), "SELECT notary.export('audit')");
    assert_eq!(error.code, "42501");
    assert!(error.message.contains("row-level security"), "{error}");
    assert_eq!(export(&mut client, "audit").len(), 11, "a superuser sees every row");
}

#[test]
fn a_missing_entry_ends_it_with_an_error() {
    let db = scene("gap", 3000);
    seal(&mut db.client(), "audit");
    behind_the_guard(&db, &["DELETE FROM audit WHERE notary_seq = 2500"]);
    let error = refused(&mut db.client(), "SELECT notary.export('audit')");
    assert_eq!(error.code, "XX001");
    assert!(error.detail.contains("chain 1, seq 2500 is missing"), "{error}");
    assert_eq!(texts(&mut db.client(), "SELECT notary.export('audit', 0, 2500)").len(), 2500);
}

/// In the SELECT list the lines come one by one: the server's memory does not grow with them.
#[test]
fn memory_does_not_grow_with_what_is_exported() {
    let db = scene("streams", 0);
    let mut client = db.client();
    run(&mut client, "INSERT INTO audit SELECT i, repeat('x', 2000) FROM generate_series(1, 60000) AS i");
    seal(&mut client, "audit");
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let anonymous = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    // Warm caches first.
    run(&mut client, "SELECT sum(length(line)) FROM (SELECT notary.export('audit', 0, 5000) AS line) AS part");
    let before = anonymous();
    run(&mut client, "SELECT sum(length(line)) FROM (SELECT notary.export('audit') AS line) AS all_of_them");
    let grown = anonymous().saturating_sub(before);
    assert!(grown < 20_000, "{grown} kB for 120 MB of lines");
}
