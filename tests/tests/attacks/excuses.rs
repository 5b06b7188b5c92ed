//! 40: what only looks as if it had happened while the log was not protected.

use crate::five;
use notary_tests::verdict::{assert_found, behind_the_guard, notices};
use notary_tests::{err, fresh_db};

const FORGED: &str = "INSERT INTO notary.journal (action, log, segment, relation, session_role, role, reason, details)
    SELECT action, (SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass), segment, 'public.audit', 'postgres', 'postgres',
        'forged', jsonb_build_object('changed', (SELECT jsonb_agg(d) FROM notary.damage('audit') AS d))
    FROM (VALUES ('unprotect', NULL::int), ('protect', 1), ('protect', 2)) AS forged (action, segment)";

#[test]
fn nobody_but_pg_notary_writes_the_journal() {
    let db = five("excuse_insert");
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 3"]);
    for way in ["", "SET session_replication_role = replica;", "SET notary.restore = on;"] {
        let error = err(db.client().batch_execute(&format!("{way} {FORGED}")));
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("55000", "INSERT is refused: notary.journal is an append-only log")
        );
        assert_eq!(error.detail, "Only pg_notary writes its journal, in the transaction of what it tells.");
    }
    assert_found(&mut db.client(), "audit", &["value_changed 1/3"]);
}

#[test]
fn entries_that_tell_of_a_protection_that_never_began_excuse_nothing() {
    let db = five("excuse_forged");
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 3"]);
    behind_the_guard(&db, &[FORGED]);
    assert_found(&mut db.client(), "audit", &["value_changed 1/3"]);
}

#[test]
fn an_end_that_only_the_extension_s_memory_knows_of_excuses_nothing() {
    let db = five("excuse_ended");
    behind_the_guard(
        &db,
        &[
            "UPDATE audit SET what = 'forged' WHERE id = 3",
            "UPDATE notary.segment SET ended_at = now() WHERE table_name = 'audit'",
            "DELETE FROM pg_trigger WHERE tgname LIKE '~notary%' AND tgrelid = 'audit'::regclass;
             DELETE FROM pg_depend WHERE refobjid = 'audit'::regclass AND classid = 'pg_trigger'::regclass",
        ],
    );
    db.client().batch_execute("SELECT notary.protect('audit')").unwrap();
    assert_found(&mut db.client(), "audit", &["value_changed 1/3"]);
}

#[test]
fn what_was_found_before_stays_a_finding_however_much_it_is() {
    let db = fresh_db("excuse_many");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE audit (id int, what text); SELECT notary.protect('audit');
             INSERT INTO audit SELECT i, 'entry' FROM generate_series(1, 10002) AS i",
        )
        .unwrap();
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id > 1"]);
    client.batch_execute("SELECT notary.unprotect('audit', 'why'); SELECT notary.protect('audit')").unwrap();
    let row = client.query_one("SELECT findings FROM notary.verify('audit')", &[]).unwrap();
    assert_eq!(row.get::<_, i64>(0), 10_001);
}

#[test]
fn a_guard_that_was_off_when_protection_began_excuses_none_that_is_off_later() {
    let db = five("excuse_guard");
    let mut client = db.client();
    let guard =
        |state: &str| format!("UPDATE pg_event_trigger SET evtenabled = '{state}' WHERE evtname = 'notary_guard_end'");
    client.batch_execute("SELECT notary.unprotect('audit', 'why')").unwrap();
    client.batch_execute(&guard("D")).unwrap();
    client.batch_execute("SELECT notary.protect('audit')").unwrap();
    assert_found(&mut client, "audit", &["guard_off"]);
    client.batch_execute(&guard("A")).unwrap();
    assert_found(&mut client, "audit", &[]);
    client.batch_execute(&guard("D")).unwrap();
    assert_found(&mut client, "audit", &["guard_off"]);
}

#[test]
fn a_row_that_no_hash_pins_down_is_excused_for_nothing() {
    for column in ["notary_time = NULL", "notary_time = 'infinity'", "notary_time = NULL, notary_hash = NULL"] {
        let db = five("excuse_time");
        let mut client = db.client();
        client
            .batch_execute(&format!(
                "SELECT notary.unprotect('audit', 'why'); UPDATE audit SET {column} WHERE id = 3; SELECT notary.protect('audit')"
            ))
            .unwrap();
        behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 3"]);
        assert_eq!(db.value("SELECT intact FROM notary.verify('audit')"), "f", "{column}");
        assert!(notices(&mut client, "audit").iter().all(|n| n.seq != Some(3)), "{column}");
    }
}
