//! Notices: what is worth knowing and is no damage. A log with nothing but notices is intact.

use crate::five;
use notary_tests::verdict::{Said, assert_found, behind_the_guard, findings, notices, short};
use notary_tests::{Database, fresh_db};

#[track_caller]
fn noticed(db: &Database<'_>, expected: &[&str]) -> Vec<Said> {
    let mut client = db.client();
    let said = notices(&mut client, "audit");
    assert_eq!(short(&said), expected, "{said:#?}");
    let scope: String = client.query_one("SELECT scope FROM notary.verify('audit')", &[]).unwrap().get(0);
    let count = if expected.len() == 1 { "; 1 notice".to_owned() } else { format!("; {} notices", expected.len()) };
    assert!(scope.contains(&count), "{scope}");
    said
}

#[test]
fn rows_that_were_there_are_adopted() {
    let db = fresh_db("adopted");
    db.client()
        .batch_execute(
            "CREATE TABLE audit (id int); INSERT INTO audit SELECT generate_series(1, 7);
             SELECT notary.protect('audit'); INSERT INTO audit (id) VALUES (8)",
        )
        .unwrap();
    assert_found(&mut db.client(), "audit", &[]);
    let said = noticed(&db, &["adopted 1/null"]);
    assert!(said[0].detail.contains("7 row(s) that were there before segment 1 began"), "{said:#?}");
}

#[test]
fn a_clock_that_went_back_is_noticed_and_is_no_alarm() {
    // The server's clock cannot be set back, but a chain whose entries say so can be made as a restore would bring it.
    let db = five("clock");
    let back = "DO $$DECLARE before bytea; at timestamptz; BEGIN
        SELECT notary_hash, notary_time - interval '1 hour' INTO before, at FROM audit WHERE id = 5;
        SET LOCAL session_replication_role = replica;
        INSERT INTO audit (id, notary_chain, notary_seq, notary_time, notary_prev) VALUES (6, 1, 6, at, before);
        UPDATE audit SET notary_hash = sha256(convert_to(notary.line(tableoid, 1, 6), 'UTF8')) WHERE id = 6; END$$";
    behind_the_guard(&db, &[back]);
    db.client().batch_execute("INSERT INTO audit (id) VALUES (7)").unwrap();
    assert_found(&mut db.client(), "audit", &[]);
    let said = noticed(&db, &["clock_backwards 1/6"]);
    assert!(said[0].detail.contains("notary_time goes back from"), "{said:#?}");
}

fn unprotect(db: &Database<'_>) {
    db.client().batch_execute("SELECT notary.unprotect('audit', 'ticket 4711')").unwrap();
}

fn protect(db: &Database<'_>) {
    db.client().batch_execute("SELECT notary.protect('audit'); INSERT INTO audit (id) VALUES (100)").unwrap();
}

#[test]
fn a_period_without_protection_is_noticed_with_its_reason() {
    let db = five("between");
    unprotect(&db);
    protect(&db);
    assert_found(&mut db.client(), "audit", &[]);
    let said = noticed(&db, &["not_protected_between 2/null"]);
    assert!(said[0].detail.contains("ticket 4711"), "{said:#?}");
}

#[test]
fn rows_inserted_while_unprotected_are_adopted() {
    let db = five("between_inserted");
    unprotect(&db);
    db.client().batch_execute("INSERT INTO audit (id) VALUES (50), (51)").unwrap();
    protect(&db);
    assert_found(&mut db.client(), "audit", &[]);
    noticed(&db, &["adopted 2/null", "not_protected_between 2/null"]);
}

#[test]
fn rows_changed_while_unprotected_are_told_apart_from_tampering() {
    let db = five("between_changed");
    unprotect(&db);
    db.client().batch_execute("UPDATE audit SET what = 'corrected' WHERE id = 2").unwrap();
    protect(&db);
    assert_found(&mut db.client(), "audit", &[]);
    let said = noticed(&db, &["not_protected_between 1/2", "not_protected_between 2/null"]);
    assert!(said.iter().any(|s| s.detail.contains("while the log was not protected (value_changed)")), "{said:#?}");
    // The same kind of change made afterwards is tampering, at that row and at another one.
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 3"]);
    assert_found(&mut db.client(), "audit", &["value_changed 1/3"]);
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 2"]);
    assert_found(&mut db.client(), "audit", &["value_changed 1/2", "value_changed 1/3"]);
}

#[test]
fn rows_deleted_while_unprotected_are_told_apart_from_tampering() {
    let db = five("between_deleted");
    unprotect(&db);
    db.client().batch_execute("DELETE FROM audit WHERE id IN (2, 3)").unwrap();
    protect(&db);
    assert_found(&mut db.client(), "audit", &[]);
    noticed(&db, &["not_protected_between 1/2", "not_protected_between 2/null"]);
    behind_the_guard(&db, &["DELETE FROM audit WHERE id = 4"]);
    let found = findings(&mut db.client(), "audit");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].what, "missing", "{found:#?}");
}

#[test]
fn a_tail_cut_while_unprotected_is_noticed() {
    let db = five("between_cut");
    unprotect(&db);
    db.client().batch_execute("DELETE FROM audit WHERE id >= 4").unwrap();
    protect(&db);
    assert_found(&mut db.client(), "audit", &[]);
    let said = noticed(&db, &["not_protected_between 1/4", "not_protected_between 2/null"]);
    assert!(said.iter().any(|s| s.detail.contains("entries 4 to 5 were cut")), "{said:#?}");
}

#[test]
fn tampering_before_the_period_stays_a_finding() {
    let db = five("between_before");
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 3"]);
    unprotect(&db);
    db.client().batch_execute("UPDATE audit SET what = 'corrected' WHERE id = 2").unwrap();
    protect(&db);
    assert_found(&mut db.client(), "audit", &["value_changed 1/3"]);
    noticed(&db, &["not_protected_between 1/2", "not_protected_between 2/null"]);
}
