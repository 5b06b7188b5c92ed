//! 23 to 40: a superuser goes round the guard.

use crate::{five, five_on};
use notary_tests::verdict::{assert_found, behind_the_guard, findings, notices, short};
use notary_tests::{Cluster, Shutdown, err, fresh_db};

#[test]
fn a23_rows_without_a_chain_under_the_replica_role() {
    let db = five("a23");
    let mut client = db.client();
    // ENABLE ALWAYS: they are chained all the same.
    client.batch_execute("SET session_replication_role = replica; INSERT INTO audit (id) VALUES (6)").unwrap();
    assert_found(&mut client, "audit", &[]);
    let refused = err(client.batch_execute("UPDATE audit SET what = 'forged' WHERE id = 3"));
    assert_eq!(refused.code, "55000");
    // Rows that bring their values are kept as they are, and looked at.
    client
        .batch_execute("INSERT INTO audit VALUES (7, 'forged', NULL, 1, 7, now(), sha256('a'), sha256('b'))")
        .unwrap();
    assert_found(&mut client, "audit", &["inserted 1/7"]);
}

#[test]
fn a23_a_valid_entry_forged_at_the_head_is_n() {
    // Who appends a rightly hashed row has appended an entry.
    let db = five("a23_head");
    let mut client = db.client();
    client
        .batch_execute(
            "SET session_replication_role = replica;
             INSERT INTO audit (id, notary_chain, notary_seq, notary_time, notary_prev, notary_hash)
             SELECT 6, 1, 6, now(), notary_hash, sha256('') FROM audit WHERE id = 5",
        )
        .unwrap();
    assert_found(&mut client, "audit", &["value_changed 1/6"]);
    behind_the_guard(
        &db,
        &["UPDATE audit SET notary_hash = sha256(convert_to(notary.line(tableoid, 1, 6), 'UTF8')) WHERE id = 6"],
    );
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a24_rows_edited_with_triggers_off_in_the_catalogs() {
    let db = five("a24");
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 3"]);
    assert_found(&mut db.client(), "audit", &["value_changed 1/3"]);
}

#[test]
fn a24_triggers_left_off_in_the_catalogs() {
    let db = five("a24_off");
    let mut client = db.client();
    client.batch_execute("UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'audit'::regclass").unwrap();
    assert_found(&mut client, "audit", &["guard_off", "guard_off", "guard_off"]);
    let left = "UPDATE pg_trigger SET tgenabled = 'A' WHERE tgrelid = 'audit'::regclass;
        UPDATE pg_event_trigger SET evtenabled = 'D'";
    client.batch_execute(left).unwrap();
    let count = db.value("SELECT count(*) FROM pg_event_trigger").parse::<usize>().unwrap();
    assert_found(&mut client, "audit", &vec!["guard_off"; count]);
}

#[test]
fn a24_triggers_deleted_from_the_catalogs() {
    let db = five("a24_deleted");
    let mut client = db.client();
    client
        .batch_execute(
            "DELETE FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND tgname <> '~notary_append';
             UPDATE pg_class SET reltuples = reltuples WHERE relname = 'audit'",
        )
        .unwrap();
    assert_found(&mut client, "audit", &["guard_off", "guard_off"]);
    // And all of them: the extension's memory and the journal still know the log.
    client
        .batch_execute(
            "DELETE FROM pg_trigger WHERE tgrelid = 'audit'::regclass;
             UPDATE pg_class SET relhastriggers = false WHERE relname = 'audit'",
        )
        .unwrap();
    assert_found(&mut client, "audit", &["guard_off", "guard_off", "guard_off"]);
    assert_eq!(db.value("SELECT count(*) FROM notary.verify() WHERE NOT intact"), "1");
}

#[test]
fn a26_ddl_and_edits_in_single_user_mode() {
    let mut cluster = Cluster::start();
    let name = five_on(&cluster, "a26").name().to_owned();
    cluster.stop(Shutdown::Fast);
    // Event triggers do not fire there.
    let done = cluster.single_user(
        &name,
        "ALTER TABLE audit DISABLE TRIGGER ALL\nUPDATE audit SET what = 'forged' WHERE id = 2\nDELETE FROM audit WHERE id = 4\nDROP TRIGGER \"~notary_keep\" ON audit\n",
    );
    assert!(!done.stderr.contains("ERROR"), "{}", done.stderr);
    cluster.start_again();
    let expected = ["guard_off", "guard_off", "guard_off", "missing 1/4", "value_changed 1/2"];
    assert_found(&mut cluster.client(&name), "audit", &expected);
}

#[test]
fn a27_pg_surgery_kills_a_row() {
    let db = five("a27");
    behind_the_guard(&db, &["CREATE EXTENSION pg_surgery", "SELECT heap_force_kill('audit', ARRAY['(0,3)']::tid[])"]);
    assert_found(&mut db.client(), "audit", &["missing 1/3"]);
}

#[test]
fn a27_n_pg_surgery_kills_the_tail() {
    let db = five("a27_tail");
    behind_the_guard(&db, &["CREATE EXTENSION pg_surgery", "SELECT heap_force_kill('audit', ARRAY['(0,5)']::tid[])"]);
    assert_found(&mut db.client(), "audit", &[]);
}

#[test]
fn a27_pg_surgery_brings_a_deleted_row_back_or_an_aborted_one_in() {
    let db = five("a27_freeze");
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 3", "CREATE EXTENSION pg_surgery"]);
    assert_found(&mut db.client(), "audit", &["value_changed 1/3"]);
    behind_the_guard(&db, &["SELECT heap_force_freeze('audit', ARRAY['(0,3)']::tid[])"]);
    let found = findings(&mut db.client(), "audit");
    assert!(short(&found).contains(&"inserted 1/3".to_owned()), "{found:#?}");
    let db = five("a27_aborted");
    db.client()
        .batch_execute(
            "BEGIN; INSERT INTO audit (id, what) VALUES (6, 'never was'); ROLLBACK; INSERT INTO audit (id) VALUES (6)",
        )
        .unwrap();
    behind_the_guard(&db, &["CREATE EXTENSION pg_surgery", "SELECT heap_force_freeze('audit', ARRAY['(0,6)']::tid[])"]);
    let found = findings(&mut db.client(), "audit");
    assert!(short(&found).contains(&"fork 1/6".to_owned()), "{found:#?}");
}

#[test]
fn a33_the_unique_index_dropped_in_the_catalogs() {
    let db = five("a33");
    let index = "(SELECT indexrelid FROM pg_index WHERE indrelid = 'audit'::regclass)";
    behind_the_guard(
        &db,
        &[
            &format!("DELETE FROM pg_constraint WHERE conindid = {index}"),
            &format!(
                "DELETE FROM pg_depend WHERE objid = {index} OR refobjid = {index}; DELETE FROM pg_index WHERE indrelid = 'audit'::regclass"
            ),
            "UPDATE pg_class SET relhasindex = false WHERE relname = 'audit'",
        ],
    );
    assert_found(&mut db.client(), "audit", &["guard_off"]);
}

#[test]
fn a39_a_clock_set_back_or_forward_is_a_notice() {
    let db = five("a39");
    let entry = |id: i32, shift: &str| {
        format!(
            "DO $$BEGIN SET LOCAL session_replication_role = replica;
             INSERT INTO audit (id, notary_chain, notary_seq, notary_time, notary_prev)
             SELECT {id}, 1, {id}, notary_time + interval '{shift}', notary_hash FROM audit WHERE id = {id} - 1;
             UPDATE audit SET notary_hash = sha256(convert_to(notary.line(tableoid, 1, {id}), 'UTF8')) WHERE id = {id}; END$$"
        )
    };
    behind_the_guard(&db, &[&entry(6, "2 years"), &entry(7, "-3 years")]);
    assert_found(&mut db.client(), "audit", &[]);
    assert_eq!(short(&notices(&mut db.client(), "audit")), ["clock_backwards 1/7"]);
}

#[test]
fn a39c_our_functions_replaced() {
    let count = |db: &notary_tests::Database<'_>| db.value("SELECT findings FROM notary.verify('audit')");
    for (name, body) in
        [("append", "BEGIN NEW.notary_chain := 1; RETURN NEW; END"), ("refuse", "BEGIN RETURN NULL; END")]
    {
        let db = five("a39c");
        let sql = format!("CREATE OR REPLACE FUNCTION notary.{name}() RETURNS trigger LANGUAGE plpgsql AS '{body}'");
        behind_the_guard(&db, &[&sql]);
        let found = findings(&mut db.client(), "audit");
        let words = format!("function notary.{name}() is not the one of pg_notary's library");
        assert!(found.iter().all(|f| f.what == "guard_off") && found.iter().any(|f| f.detail == words), "{found:#?}");
        assert_ne!(count(&db), "0");
    }
}

#[test]
fn a39c_our_functions_renamed_or_bound_to_another_symbol() {
    let db = five("a39c_symbol");
    behind_the_guard(&db, &["UPDATE pg_proc SET prosrc = 'notary_append' WHERE oid = 'notary.refuse()'::regprocedure"]);
    assert_found(&mut db.client(), "audit", &["guard_off"]);
    let db = five("a39c_renamed");
    behind_the_guard(&db, &["ALTER FUNCTION notary.refuse() RENAME TO refused"]);
    let raised = err(db.client().query("SELECT * FROM notary.verify('audit')", &[]));
    assert_eq!(raised.code, "XX001", "{raised}");
}

#[test]
fn a39d_an_event_trigger_disabled() {
    let db = five("a39d");
    let mut client = db.client();
    let first = db.value("SELECT min(evtname::text) FROM pg_event_trigger");
    client.batch_execute(&format!("ALTER EVENT TRIGGER {first} DISABLE")).unwrap();
    assert_found(&mut client, "audit", &["guard_off"]);
}

#[test]
fn a40_the_extension_s_memory_edited() {
    let db = five("a40");
    let mut client = db.client();
    client.batch_execute("UPDATE notary.segment SET header = replace(header, '\"adopted\":0', '\"adopted\":9') WHERE table_name = 'audit'").unwrap();
    assert_found(&mut client, "audit", &["header_changed"]);
    client.batch_execute("UPDATE notary.segment SET header = 'nothing' WHERE table_name = 'audit'").unwrap();
    assert_found(&mut client, "audit", &["header_changed"]);
    // Without it, the triggers alone say what the log is.
    client.batch_execute("DELETE FROM notary.segment").unwrap();
    assert_found(&mut client, "audit", &[]);
    assert_found(&mut client, "notary.journal", &[]);
}

#[test]
fn a40_the_journal_edited() {
    let db = five("a40_journal");
    let mut client = db.client();
    assert_eq!(err(client.batch_execute("UPDATE notary.journal SET reason = 'x'")).code, "55000");
    behind_the_guard(&db, &["UPDATE notary.journal SET session_role = 'nobody' WHERE relation = 'public.audit'"]);
    let found = findings(&mut client, "notary.journal");
    assert_eq!((found.len(), found[0].what.as_str()), (1, "value_changed"), "{found:#?}");
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a24_triggers_that_never_fire_or_call_something_else() {
    let db = five("a24_when");
    db.client()
        .batch_execute(
            "CREATE TABLE other (id int); CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER never BEFORE INSERT ON other FOR EACH ROW WHEN (false) EXECUTE FUNCTION nothing()",
        )
        .unwrap();
    for set in [
        "tgqual = (SELECT tgqual FROM pg_trigger WHERE tgname = 'never')",
        "tgfoid = 'notary.refuse'::regproc",
        "tgfoid = 'nothing'::regproc",
    ] {
        let sql =
            format!("UPDATE pg_trigger SET {set} WHERE tgrelid = 'audit'::regclass AND tgname = '~notary_append'");
        let back = "UPDATE pg_trigger SET tgqual = NULL, tgfoid = 'notary.append'::regproc
            WHERE tgrelid = 'audit'::regclass AND tgname = '~notary_append'";
        behind_the_guard(&db, &[&sql]);
        let found = findings(&mut db.client(), "audit");
        assert!(
            found.iter().any(|f| f.what == "guard_off" && f.detail.contains("~notary_append")),
            "{set}: {found:#?}"
        );
        behind_the_guard(&db, &[back]);
    }
    assert_found(&mut db.client(), "audit", &[]);
}

#[test]
fn a25_ddl_with_event_triggers_switched_off() {
    let db = five("a25");
    // PostgreSQL 17 has a setting for it; before that it takes the catalog.
    let off = match db.value("SELECT count(*) FROM pg_settings WHERE name = 'event_triggers'").as_str() {
        "1" => "SET event_triggers = off",
        _ => "UPDATE pg_event_trigger SET evtenabled = 'D' WHERE evtname LIKE 'notary%'",
    };
    let on = "UPDATE pg_event_trigger SET evtenabled = 'A' WHERE evtname LIKE 'notary%'";
    let ddl = "ALTER TABLE audit ALTER what TYPE varchar USING 'forged'; ALTER TABLE audit DROP COLUMN extra;
        ALTER TABLE audit DISABLE TRIGGER ALL";
    db.client().batch_execute(&format!("{off}; {ddl}")).unwrap();
    db.client().batch_execute(on).unwrap();
    let found = short(&findings(&mut db.client(), "audit"));
    for wanted in ["column_changed", "guard_off"] {
        assert!(found.iter().any(|f| f == wanted), "{wanted}: {found:?}");
    }
}

#[test]
fn a35_n_everything_hashed_again_after_an_edit() {
    let db = five("a35");
    behind_the_guard(
        &db,
        &[
            "UPDATE audit SET what = 'forged' WHERE id = 2",
            "DO $$ BEGIN FOR i IN 2..5 LOOP
                 UPDATE audit SET notary_prev = (SELECT notary_hash FROM audit WHERE notary_seq = i - 1) WHERE notary_seq = i;
                 UPDATE audit SET notary_hash = sha256(convert_to(notary.line('audit', 1, i), 'UTF8')) WHERE notary_seq = i;
             END LOOP; END $$",
        ],
    );
    assert_found(&mut db.client(), "audit", &[]);
}

#[test]
fn a40_the_journal_dropped_takes_no_finding_away() {
    let db = five("a40_dropped");
    behind_the_guard(&db, &["DROP TABLE notary.journal", "UPDATE audit SET what = 'forged' WHERE id = 3"]);
    let mut client = db.client();
    assert_found(&mut client, "audit", &["value_changed 1/3"]);
    let lost = "SELECT first_finding FROM notary.verify() WHERE log IS NULL";
    assert!(db.value(lost).contains("notary.journal"));
}

#[test]
fn a40_a_forged_journal_entry_excuses_nothing_unseen() {
    // Who forges an entry of the journal that excuses a change has changed the journal, which is a log.
    let db = fresh_db("a40_excuse");
    let mut client = db.client();
    client
        .batch_execute(
            "CREATE TABLE audit (id int); SELECT notary.protect('audit'); INSERT INTO audit (id) VALUES (1), (2), (3)",
        )
        .unwrap();
    behind_the_guard(&db, &["UPDATE audit SET id = 9 WHERE id = 2"]);
    let damage: String = client.query_one("SELECT d::text FROM notary.damage('audit') AS d", &[]).unwrap().get(0);
    behind_the_guard(
        &db,
        &[&format!(
            "UPDATE notary.journal SET details = details || jsonb_build_object('changed', jsonb_build_array('{damage}'::jsonb)) WHERE relation = 'public.audit'"
        )],
    );
    assert_found(&mut client, "audit", &["value_changed 1/2"]);
    let found = findings(&mut client, "notary.journal");
    assert_eq!((found.len(), found[0].what.as_str()), (1, "value_changed"), "{found:#?}");
}
