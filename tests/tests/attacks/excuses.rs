//! 40: what only looks as if it had happened while the log was not protected.

use crate::five;
use notary_tests::verdict::{assert_found, behind_the_guard, findings, notices, short};
use notary_tests::{Database, err, fresh_db};

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

/// A log of five entries in its second segment, with entry 3 forged since.
fn forged_in_the_second_segment(name: &str) -> Database<'static> {
    let db = five(name);
    db.client().batch_execute("SELECT notary.unprotect('audit', 'why'); SELECT notary.protect('audit')").unwrap();
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 3"]);
    db
}

/// An entry with its own place, right but for its hash, behind the last one of the journal.
const EXCUSE: &str = "INSERT INTO notary.journal
    SELECT now(), 'protect', log, 2, relation, 'postgres', 'postgres', NULL, DETAILS || jsonb_build_object('changed',
               (SELECT jsonb_agg(d) FROM notary.damage('audit') AS d), 'changed_while_unprotected', 1),
           notary_chain, notary_seq + 1, now(), notary_hash, sha256('')
    FROM notary.journal WHERE relation = 'public.audit' ORDER BY notary_chain, notary_seq DESC LIMIT 1";

#[test]
fn an_excuse_at_the_end_of_the_journal_excuses_nothing() {
    for details in ["'{}'", "details", "details - 'bounds'"] {
        let db = forged_in_the_second_segment("excuse_appended");
        let insert = EXCUSE.replace("DETAILS", details);
        for way in ["SET LOCAL notary.restore = on", "SET LOCAL session_replication_role = replica"] {
            let mut client = db.client();
            // Loads the library, which knows the setting.
            client.batch_execute("SELECT count(*) FROM notary.logs").unwrap();
            let error = err(client.batch_execute(&format!("BEGIN; {way}; {insert}; COMMIT")));
            assert_eq!(
                (error.code.as_str(), error.message.as_str()),
                ("55000", "INSERT is refused: notary.journal is an append-only log"),
                "{way}"
            );
        }
        let hash = "UPDATE notary.journal SET notary_hash = sha256(convert_to(notary.line(tableoid, notary_chain, notary_seq), 'UTF8'))
            WHERE notary_hash = sha256('')";
        behind_the_guard(&db, &[&insert, hash]);
        assert_found(&mut db.client(), "notary.journal", &[]);
        let found = short(&findings(&mut db.client(), "audit"));
        assert!(found.contains(&"value_changed 1/3".to_owned()), "{details}: {found:?}");
    }
}

#[test]
fn changes_that_fill_several_entries_are_excused_by_these_alone() {
    let db = fresh_db("excuse_several");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE audit (id int, what text); SELECT notary.protect('audit');
             INSERT INTO audit SELECT i, 'entry' FROM generate_series(1, 20002) AS i;
             SELECT notary.unprotect('audit', 'why'); UPDATE audit SET what = 'corrected' WHERE id > 1; SELECT notary.protect('audit')",
        )
        .unwrap();
    assert_eq!(db.value("SELECT count(*) FROM notary.journal WHERE segment = 2"), "3");
    assert_found(&mut client, "audit", &[]);
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 1"]);
    assert_found(&mut client, "audit", &["value_changed 1/1"]);
}

/// Puts a row with a right hash behind the last entry of chain 1.
const APPENDED: [&str; 2] = [
    "INSERT INTO audit (id, notary_chain, notary_seq, notary_time, notary_prev, notary_hash)
     SELECT 66, 1, notary_seq + 1, now(), notary_hash, sha256('') FROM audit WHERE notary_chain = 1 ORDER BY notary_seq DESC LIMIT 1",
    "UPDATE audit SET notary_hash = sha256(convert_to(notary.line(tableoid, 1, notary_seq), 'UTF8')) WHERE notary_hash = sha256('')",
];

#[test]
fn an_entry_behind_the_end_that_the_journal_noted_is_inserted() {
    let db = five("closed_appended");
    db.client()
        .batch_execute("SELECT notary.unprotect('audit', 'why'); SELECT notary.protect('audit'); INSERT INTO audit (id) VALUES (6)")
        .unwrap();
    assert_found(&mut db.client(), "audit", &[]);
    behind_the_guard(&db, &APPENDED);
    assert_found(&mut db.client(), "audit", &["inserted 1/6"]);
    behind_the_guard(&db, &APPENDED);
    assert_found(&mut db.client(), "audit", &["inserted 1/6"]);
    // It stays one when protection ends and begins anew.
    db.client().batch_execute("SELECT notary.unprotect('audit', 'why'); SELECT notary.protect('audit')").unwrap();
    assert_found(&mut db.client(), "audit", &["inserted 1/6"]);
}

#[test]
fn an_entry_put_into_an_ended_segment_without_any_is_inserted() {
    let db = fresh_db("closed_empty");
    db.client()
        .batch_execute(
            "CREATE TABLE audit (id int); SELECT notary.protect('audit'); SELECT notary.unprotect('audit', 'why'); SELECT notary.protect('audit')",
        )
        .unwrap();
    let first = "INSERT INTO audit SELECT 66, 1, 1, now(), sha256(convert_to(header, 'UTF8')), sha256('')
        FROM notary.segment WHERE table_name = 'audit' AND segment = 1";
    behind_the_guard(&db, &[first, APPENDED[1]]);
    assert_found(&mut db.client(), "audit", &["inserted 1/1"]);
}

#[test]
fn an_entry_put_back_while_unprotected_is_a_notice() {
    let db = five("closed_between");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE aside AS TABLE audit; SELECT notary.unprotect('audit', 'why');
             DELETE FROM audit WHERE id > 3; SELECT notary.protect('audit'); SELECT notary.unprotect('audit', 'why');
             INSERT INTO audit SELECT * FROM aside WHERE id > 3; SELECT notary.protect('audit')",
        )
        .unwrap();
    assert_found(&mut client, "audit", &[]);
    let said = notices(&mut client, "audit");
    assert!(
        said.iter().any(|n| (n.chain, n.seq) == (Some(1), Some(4)) && n.detail.contains("(inserted)")),
        "{said:#?}"
    );
    // What is put behind it later is not what was put back then.
    behind_the_guard(&db, &APPENDED);
    assert_found(&mut client, "audit", &["inserted 1/4"]);
}
