//! Findings that concern the whole table: its guard, its header, its columns, its index, rows from elsewhere.

use crate::five;
use notary_tests::verdict::{assert_found, behind_the_guard, findings};
use notary_tests::{Database, fresh_db};

/// What is changed in the catalogs, and what must be found, with words of the detail.
#[track_caller]
fn changed(name: &str, sql: &str, expected: &[&str], words: &str) {
    let db = five(name);
    behind_the_guard(&db, &[sql]);
    says(&db, "audit", expected, words);
}

#[track_caller]
fn says(db: &Database<'_>, log: &str, expected: &[&str], words: &str) {
    let mut client = db.client();
    assert_found(&mut client, log, expected);
    let found = findings(&mut client, log);
    assert!(found.iter().any(|f| f.detail.contains(words)), "{found:#?}");
}

// ---- guard_off: the triggers of the table ----

/// Sets a trigger's state once the guard is back, as `behind_the_guard` would put it back too.
#[track_caller]
fn trigger_is(trigger: &str, state: char, words: &str) {
    let db = five("trigger");
    db.client()
        .batch_execute(&format!(
            "UPDATE pg_trigger SET tgenabled = '{state}' WHERE tgname = '{trigger}' AND tgrelid = 'audit'::regclass"
        ))
        .unwrap();
    says(&db, "audit", &["guard_off"], words);
    let mut client = db.client();
    let guard: String =
        client.query_one("SELECT guard FROM notary.logs WHERE log = 'audit'::regclass", &[]).unwrap().get(0);
    assert!(guard.contains(words), "{guard}");
}

#[test]
fn a_disabled_append_trigger_is_guard_off() {
    trigger_is("~notary_append", 'D', "trigger \"~notary_append\" is disabled");
}

#[test]
fn a_disabled_keep_trigger_is_guard_off() {
    trigger_is("~notary_keep", 'D', "trigger \"~notary_keep\" is disabled");
}

#[test]
fn a_disabled_block_trigger_is_guard_off() {
    trigger_is("~notary_block", 'D', "trigger \"~notary_block\" is disabled");
}

#[test]
fn a_trigger_that_is_not_always_is_guard_off() {
    trigger_is("~notary_append", 'O', "trigger \"~notary_append\" is not ENABLE ALWAYS");
    trigger_is("~notary_keep", 'R', "trigger \"~notary_keep\" is not ENABLE ALWAYS");
}

#[test]
fn a_dropped_trigger_is_guard_off() {
    changed("dropped", "DROP TRIGGER \"~notary_keep\" ON audit", &["guard_off"], "\"~notary_keep\" is missing");
}

#[test]
fn a_dropped_append_trigger_is_guard_off_and_the_rows_are_checked_all_the_same() {
    let db = five("dropped_append");
    behind_the_guard(
        &db,
        &["UPDATE audit SET what = 'forged' WHERE id = 2", "DROP TRIGGER \"~notary_append\" ON audit"],
    );
    says(&db, "audit", &["guard_off", "value_changed 1/2"], "\"~notary_append\" is missing");
}

#[test]
fn a_trigger_with_a_condition_is_guard_off() {
    let sql = "UPDATE pg_trigger SET tgattr = '1' WHERE tgname = '~notary_keep' AND tgrelid = 'audit'::regclass";
    changed("conditional", sql, &["guard_off"], "\"~notary_keep\" is not the one that pg_notary made");
}

#[test]
fn a_trigger_on_other_events_is_guard_off() {
    let sql =
        "UPDATE pg_trigger SET tgtype = tgtype & ~8 WHERE tgname = '~notary_keep' AND tgrelid = 'audit'::regclass";
    changed("events", sql, &["guard_off"], "\"~notary_keep\" is not the one that pg_notary made");
}

#[test]
fn a_trigger_that_sorts_after_ours_is_guard_off() {
    let sql = "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
               CREATE TRIGGER \"~z\" BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION late()";
    changed("late", sql, &["guard_off"], "trigger \"~z\" runs after the append trigger");
}

// ---- guard_off: the table ----

#[test]
fn a_dropped_constraint_is_guard_off() {
    let name = "SELECT conname FROM pg_constraint WHERE conrelid = 'audit'::regclass AND contype = 'u'";
    let sql = format!("DO $$BEGIN EXECUTE (SELECT format('ALTER TABLE audit DROP CONSTRAINT %I', ({name}))); END$$");
    changed("constraint", &sql, &["guard_off"], "the unique constraint over (notary_chain, notary_seq) is missing");
}

#[test]
fn an_index_that_is_not_valid_is_guard_off() {
    for flag in ["indisvalid", "indisunique", "indimmediate", "indisready", "indislive"] {
        let sql = format!("UPDATE pg_index SET {flag} = false WHERE indrelid = 'audit'::regclass");
        changed("invalid", &sql, &["guard_off"], "is missing or not valid");
    }
}

#[test]
fn an_unlogged_log_is_guard_off() {
    changed("unlogged", "ALTER TABLE audit SET UNLOGGED", &["guard_off"], "the table is unlogged");
}

// ---- guard_off: the database ----

#[test]
fn a_disabled_event_trigger_is_guard_off() {
    let db = five("event");
    let mut client = db.client();
    let names: Vec<String> = client
        .query("SELECT evtname::text FROM pg_event_trigger ORDER BY 1", &[])
        .unwrap()
        .iter()
        .map(|r| r.get(0))
        .collect();
    assert!(!names.is_empty());
    for name in names {
        for (state, back) in
            [("DISABLE", "ENABLE ALWAYS"), ("ENABLE", "ENABLE ALWAYS"), ("ENABLE REPLICA", "ENABLE ALWAYS")]
        {
            client.batch_execute(&format!("ALTER EVENT TRIGGER {name} {state}")).unwrap();
            says(&db, "audit", &["guard_off"], &format!("event trigger {name} is not ENABLE ALWAYS"));
            client.batch_execute(&format!("ALTER EVENT TRIGGER {name} {back}")).unwrap();
        }
        assert_found(&mut client, "audit", &[]);
    }
}

#[test]
fn an_event_trigger_that_is_gone_or_another_is_guard_off() {
    let db = five("event_gone");
    let mut client = db.client();
    let name: String =
        client.query_one("SELECT evtname::text FROM pg_event_trigger ORDER BY 1 LIMIT 1", &[]).unwrap().get(0);
    client
        .batch_execute("CREATE FUNCTION public.nothing() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
        .unwrap();
    let function: u32 = client
        .query_one(&format!("SELECT evtfoid FROM pg_event_trigger WHERE evtname = '{name}'"), &[])
        .unwrap()
        .get(0);
    client.batch_execute("UPDATE pg_event_trigger SET evtfoid = 'public.nothing'::regproc WHERE evtname = (SELECT min(evtname::text) FROM pg_event_trigger)").unwrap();
    says(&db, "audit", &["guard_off"], &format!("event trigger {name} is not the one that pg_notary made"));
    client
        .batch_execute(&format!("UPDATE pg_event_trigger SET evtfoid = {function} WHERE evtname = '{name}'"))
        .unwrap();
    assert_found(&mut client, "audit", &[]);
    client.batch_execute(&format!("DELETE FROM pg_event_trigger WHERE evtname = '{name}'")).unwrap();
    says(&db, "audit", &["guard_off"], &format!("event trigger {name} is missing"));
}

// ---- header_changed ----

/// Replaces bytes in the append trigger's arguments, and in the extension's memory if `both`.
fn rewrite_header(from: &str, to: &str, both: bool) -> String {
    let memory =
        format!("UPDATE notary.segment SET header = replace(header, '{from}', '{to}') WHERE table_name = 'audit';");
    format!(
        "UPDATE pg_trigger SET tgargs = decode(replace(encode(tgargs, 'hex'), encode('{from}', 'hex'), encode('{to}', 'hex')), 'hex')
         WHERE tgname = '~notary_append' AND tgrelid = 'audit'::regclass; {}",
        if both { memory } else { String::new() }
    )
}

/// A log of two chains, the second written while the first was held.
fn two_chains(name: &str) -> Database<'static> {
    let db = five(name);
    let (mut holder, mut other) = (db.client(), db.client());
    let mut held = holder.transaction().unwrap();
    held.batch_execute("INSERT INTO audit (id) VALUES (6), (7)").unwrap();
    other.batch_execute("INSERT INTO audit (id) VALUES (8), (9), (10)").unwrap();
    held.commit().unwrap();
    assert_eq!(db.value("SELECT count(DISTINCT notary_chain) FROM audit"), "2");
    db
}

/// One finding whatever the header says now, with and without the extension's memory.
#[track_caller]
fn header_says(from: impl Fn(&Database<'_>) -> String, to: &str) {
    for both in [false, true] {
        for chains in [1, 2] {
            let db = if chains == 1 { five("header") } else { two_chains("header") };
            let from = from(&db);
            assert_ne!(from, to);
            behind_the_guard(&db, &[&rewrite_header(&from, to, both)]);
            says(&db, "audit", &["header_changed"], "");
        }
    }
}

#[test]
fn another_uuid_in_the_header_is_one_header_changed() {
    let uuid = |db: &Database<'_>| db.value("SELECT log FROM notary.segment WHERE table_name = 'audit'");
    header_says(uuid, "00000000-0000-4000-8000-000000000000");
}

#[test]
fn another_time_in_the_header_is_one_header_changed() {
    let time =
        |db: &Database<'_>| db.value("SELECT header::jsonb ->> 'time' FROM notary.segment WHERE table_name = 'audit'");
    header_says(time, "2001-01-01T00:00:00.000000Z");
}

#[test]
fn another_name_in_the_header_is_one_header_changed() {
    header_says(|_| r#""by":"postgres""#.into(), r#""by":"somebody""#);
}

#[test]
fn another_count_of_adopted_rows_is_one_header_changed() {
    header_says(|_| r#""adopted":0"#.into(), r#""adopted":3"#);
}

#[test]
fn another_first_chain_is_one_header_changed() {
    header_says(|_| r#""first_chain":1,"#.into(), r#""first_chain":2,"#);
    header_says(|_| r#""first_chain":1,"#.into(), r#""first_chain":4000,"#);
}

#[test]
fn another_segment_number_is_one_header_changed() {
    header_says(|_| r#""segment":1,"#.into(), r#""segment":2,"#);
}

#[test]
fn a_header_that_cannot_be_read_is_one_header_changed() {
    for to in [r#"{"v":2,"#, "{", r#"{"v": 1,"#] {
        let db = five("header_broken");
        behind_the_guard(&db, &[&rewrite_header(r#"{"v":1,"#, to, false)]);
        says(&db, "audit", &["header_changed"], "");
    }
}

#[test]
fn another_list_of_columns_is_header_changed_and_column_changed() {
    for both in [false, true] {
        let db = five("header_columns");
        behind_the_guard(&db, &[&rewrite_header(r#""what":"text""#, r#""what":"uuid""#, both)]);
        let mut client = db.client();
        let found = findings(&mut client, "audit");
        assert!(found.iter().any(|f| f.what == "header_changed"), "{found:#?}");
        assert!(
            found.len() <= 3 && found.iter().all(|f| ["header_changed", "column_changed"].contains(&f.what.as_str())),
            "{found:#?}"
        );
    }
}

#[test]
fn a_header_forgotten_by_the_extension_alone_is_no_alarm() {
    let db = five("header_forgotten");
    behind_the_guard(&db, &["DELETE FROM notary.segment WHERE table_name = 'audit'"]);
    assert_found(&mut db.client(), "audit", &[]);
}

// ---- column_changed ----

#[test]
fn a_column_that_is_gone_is_column_changed() {
    changed(
        "column_gone",
        "ALTER TABLE audit DROP COLUMN extra",
        &["column_changed", "column_changed"],
        "column \"extra\" of the header is missing",
    );
}

#[test]
fn a_renamed_column_is_column_changed() {
    changed(
        "column_renamed",
        "ALTER TABLE audit RENAME what TO which",
        &["column_changed", "column_changed"],
        "column \"what\" of the header is missing",
    );
}

#[test]
fn another_type_is_column_changed() {
    // bigint prints as integer does: no value differs, the column does.
    changed(
        "column_type",
        "ALTER TABLE audit ALTER id TYPE bigint",
        &["column_changed"],
        "had type integer and now has type bigint",
    );
}

#[test]
fn values_made_anew_are_column_changed_or_value_changed() {
    let db = five("column_using");
    behind_the_guard(&db, &["ALTER TABLE audit ALTER what TYPE text USING 'forged'"]);
    let expected =
        ["value_changed 1/1", "value_changed 1/2", "value_changed 1/3", "value_changed 1/4", "value_changed 1/5"];
    says(&db, "audit", &expected, "the row hashes to");
}

#[test]
fn a_column_that_older_rows_only_seem_to_hold_is_column_changed() {
    let sql =
        "ALTER TABLE audit ADD COLUMN later text DEFAULT 'forged'; ALTER TABLE audit ALTER COLUMN later DROP DEFAULT";
    changed("column_missing", sql, &["column_changed"], "column \"later\" was added with a default");
}

#[test]
fn a_generated_column_in_the_place_of_one_is_column_changed() {
    let sql = "ALTER TABLE audit DROP COLUMN what; ALTER TABLE audit ADD COLUMN what text GENERATED ALWAYS AS ('forged') STORED";
    changed(
        "column_generated",
        sql,
        &["column_changed", "column_changed"],
        "column \"what\" has become a generated column",
    );
}

#[test]
fn a_column_under_a_name_of_ours_is_column_changed() {
    changed(
        "column_ours",
        "ALTER TABLE audit ADD COLUMN notary_note text",
        &["column_changed"],
        "\"notary_note\" has a name that belongs to pg_notary",
    );
}

#[test]
fn a_notary_column_with_a_default_is_column_changed() {
    changed(
        "column_default",
        "ALTER TABLE audit ALTER notary_chain SET DEFAULT 7",
        &["column_changed"],
        "\"notary_chain\" has a default",
    );
}

#[test]
fn a_notary_column_that_is_gone_is_column_changed() {
    changed(
        "column_notary",
        "ALTER TABLE audit DROP COLUMN notary_time",
        &["column_changed"],
        "a notary_* column is missing",
    );
}

#[test]
fn a_column_of_an_unlisted_type_is_column_changed() {
    let db = five("column_unlisted");
    behind_the_guard(&db, &["ALTER TABLE audit ADD COLUMN price money"]);
    let found = findings(&mut db.client(), "audit");
    assert!(
        !found.is_empty() && found.iter().all(|f| f.what == "column_changed" && f.detail.contains("price")),
        "{found:#?}"
    );
}

#[test]
fn a_nullable_column_added_is_no_alarm() {
    let db = five("column_added");
    db.client()
        .batch_execute("ALTER TABLE audit ADD COLUMN later text; INSERT INTO audit (id, later) VALUES (6, 'x')")
        .unwrap();
    assert_found(&mut db.client(), "audit", &[]);
}

// ---- foreign_rows ----

#[test]
fn a_rule_is_foreign_rows() {
    changed(
        "rule",
        "CREATE RULE swallow AS ON INSERT TO audit DO INSTEAD NOTHING",
        &["foreign_rows"],
        "rule \"swallow\"",
    );
}

#[test]
fn an_inheriting_table_is_foreign_rows() {
    let sql = "CREATE TABLE child () INHERITS (audit); INSERT INTO child (id, what) VALUES (99, 'forged')";
    changed("child", sql, &["foreign_rows"], "rows of the inheriting table public.child appear");
}

#[test]
fn a_parent_is_foreign_rows() {
    let sql = "CREATE TABLE parent (id int); ALTER TABLE audit INHERIT parent";
    changed("parent", sql, &["foreign_rows"], "the table inherits from public.parent");
}

// ---- a partitioned log ----

fn partitioned(name: &str) -> Database<'static> {
    let db = fresh_db(name);
    db.client()
        .batch_execute(
            "CREATE TABLE audit (id int, what text) PARTITION BY RANGE (id);
             CREATE TABLE audit_1 PARTITION OF audit FOR VALUES FROM (0) TO (10);
             CREATE TABLE audit_2 PARTITION OF audit FOR VALUES FROM (10) TO (20);
             SELECT notary.protect('audit');
             INSERT INTO audit (id, what) SELECT i, 'entry ' || i FROM generate_series(1, 19) AS i",
        )
        .unwrap();
    assert_found(&mut db.client(), "audit", &[]);
    db
}

#[test]
fn findings_name_the_partition() {
    let db = partitioned("partition_named");
    behind_the_guard(&db, &["UPDATE audit SET what = 'forged' WHERE id = 12"]);
    let found = findings(&mut db.client(), "audit");
    assert_eq!(
        (found.len(), found[0].to_string(), found[0].segment.as_str()),
        (1, "value_changed 1/3".into(), "audit_2")
    );
}

#[test]
fn a_partitioned_table_without_its_trigger_is_guard_off() {
    let db = partitioned("partition_block");
    behind_the_guard(&db, &["DROP TRIGGER \"~notary_block\" ON audit"]);
    says(&db, "audit", &["guard_off"], "\"~notary_block\" is missing");
}

#[test]
fn a_rule_on_a_partitioned_table_is_foreign_rows() {
    let db = partitioned("partition_rule");
    behind_the_guard(&db, &["CREATE RULE swallow AS ON INSERT TO audit DO INSTEAD NOTHING"]);
    says(&db, "audit", &["foreign_rows"], "rule \"swallow\"");
}

#[test]
fn a_partition_that_was_dropped_is_missing() {
    let db = partitioned("partition_dropped");
    behind_the_guard(&db, &["DROP TABLE audit_2"]);
    says(
        &db,
        "audit",
        &["missing"],
        "segment 2 (public.audit_2) is missing with all its entries: its table is not here",
    );
    // The journal knows of it too.
    behind_the_guard(&db, &["DELETE FROM notary.segment WHERE segment = 2 AND table_name = 'audit_2'"]);
    says(&db, "audit", &["missing"], "segment 2 (public.audit_2)");
}

#[test]
fn a_missing_partition_stays_a_finding_when_the_log_is_protected_anew() {
    let db = partitioned("partition_anew");
    behind_the_guard(&db, &["DROP TABLE audit_2"]);
    db.client().batch_execute("SELECT notary.unprotect('audit', 'why'); SELECT notary.protect('audit')").unwrap();
    says(&db, "audit", &["missing"], "segment 2 (public.audit_2)");
}

#[test]
fn a_partition_that_was_detached_is_missing() {
    let db = partitioned("partition_detached");
    behind_the_guard(&db, &["ALTER TABLE audit DETACH PARTITION audit_2"]);
    says(&db, "audit", &["missing"], "the table public.audit_2 is no partition of the log");
}

#[test]
fn a_partition_checked_alone_is_not_asked_for_the_others() {
    let db = partitioned("partition_alone");
    assert_found(&mut db.client(), "audit_1", &[]);
}

#[test]
fn a_partition_that_is_a_copy_of_another_is_header_changed() {
    let db = partitioned("partition_copied");
    behind_the_guard(
        &db,
        &[
            "CREATE TABLE audit_3 (LIKE audit_1 INCLUDING ALL); INSERT INTO audit_3 SELECT * FROM audit_1",
            // Its triggers, arguments and all.
            "DO $$ DECLARE made text; BEGIN FOR made IN SELECT pg_get_triggerdef(oid) FROM pg_trigger
                 WHERE tgrelid = 'audit_1'::regclass AND NOT tgisinternal ORDER BY tgname
             LOOP EXECUTE replace(made, 'public.audit_1', 'public.audit_3'); END LOOP; END $$",
            "ALTER TABLE audit_3 ENABLE ALWAYS TRIGGER \"~notary_append\", ENABLE ALWAYS TRIGGER \"~notary_keep\",
                 ENABLE ALWAYS TRIGGER \"~notary_block\"",
            // The rows do not fit the new partition's bounds: PostgreSQL is told that they were checked.
            "INSERT INTO pg_inherits VALUES ('audit_3'::regclass, 'audit'::regclass, 1, false);
             UPDATE pg_class SET relispartition = true, relpartbound = (SELECT relpartbound FROM pg_class WHERE relname = 'audit_2')
             WHERE relname = 'audit_3'",
        ],
    );
    says(&db, "audit", &["header_changed"], "segment 1 is claimed by the table public.audit_1 too");
}
