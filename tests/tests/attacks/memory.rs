//! 40: what the extension remembers, what the journal says and what the headers carry, set against each other.

use notary_tests::verdict::{assert_found, behind_the_guard, findings, short};
use notary_tests::{Database, err, fresh_db};

/// A log of three partitions with six entries, and two plain logs, one of which adopted its five rows.
fn logs(name: &str) -> Database<'static> {
    let db = fresh_db(name);
    db.client()
        .batch_execute(
            "CREATE TABLE pl (id int, what text) PARTITION BY RANGE (id);
             CREATE TABLE p1 PARTITION OF pl FOR VALUES FROM (0) TO (10);
             CREATE TABLE p2 PARTITION OF pl FOR VALUES FROM (10) TO (20);
             CREATE TABLE p3 PARTITION OF pl FOR VALUES FROM (20) TO (30);
             CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 5);
             CREATE TABLE b (id int);
             SELECT notary.protect(t::regclass) FROM unnest(ARRAY['pl', 'a', 'b']) AS t;
             INSERT INTO pl SELECT i * 5, 'entry' FROM generate_series(0, 5) AS i; INSERT INTO b VALUES (1)",
        )
        .unwrap();
    db
}

fn uuid_of(db: &Database<'_>, log: &str) -> String {
    db.value(&format!("SELECT uuid FROM notary.logs WHERE log = '{log}'::regclass"))
}

/// The logs that a check of all calls not intact, `lost` for one that is on no table.
fn not_intact(db: &Database<'_>) -> String {
    db.value("SELECT coalesce(string_agg(coalesce(log::text, 'lost'), ' ' ORDER BY log::text), '') FROM notary.verify() WHERE NOT intact")
}

#[test]
fn a_dropped_partition_is_not_hidden_by_memory_that_names_another_table() {
    let db = logs("memory_other_table");
    behind_the_guard(&db, &["DROP TABLE p3"]);
    assert_found(&mut db.client(), "pl", &["missing"]);
    behind_the_guard(&db, &["UPDATE notary.segment SET table_oid = 'p2'::regclass::oid WHERE table_name = 'p3'"]);
    assert_found(&mut db.client(), "pl", &["missing"]);
}

#[test]
fn a_dropped_log_is_not_hidden_by_a_trigger_that_names_it() {
    let db = logs("memory_named");
    let uuid = uuid_of(&db, "a");
    let stranger = |args: &str| {
        format!("CREATE TRIGGER x BEFORE UPDATE ON b FOR EACH STATEMENT EXECUTE FUNCTION notary.refuse({args})")
    };
    for args in [format!("'{uuid}'"), format!("'log={uuid}', 'max_chains=unlimited'")] {
        let refused = err(db.client().batch_execute(&stranger(&args)));
        assert_eq!(
            (refused.code.as_str(), refused.message.as_str()),
            ("55000", "CREATE TRIGGER x is refused: public.b is an append-only log")
        );
    }
    behind_the_guard(&db, &["DROP TABLE a", &stranger(&format!("'{uuid}'"))]);
    assert_eq!(not_intact(&db), "b lost");
    assert_found(&mut db.client(), "b", &["guard_off"]);
    let header = "SELECT header FROM notary.segment WHERE table_name = 'a'";
    let appending = format!(
        "DO $$BEGIN EXECUTE format('CREATE TRIGGER a_first BEFORE INSERT ON b FOR EACH ROW WHEN (false) EXECUTE FUNCTION
         notary.append(''max_chains=unlimited'', %L)', ({header})); END$$"
    );
    behind_the_guard(&db, &["DROP TRIGGER x ON b", &appending]);
    assert_eq!(not_intact(&db), "b lost");
    assert_found(&mut db.client(), "b", &["guard_off"]);
}

#[test]
fn a_journal_under_another_name_is_found_from_every_log() {
    let db = logs("memory_journal");
    behind_the_guard(
        &db,
        &[
            "ALTER TABLE notary.journal RENAME TO jrnl",
            "DROP TABLE p3",
            "DELETE FROM notary.segment WHERE table_name = 'p3'",
        ],
    );
    assert_eq!(not_intact(&db), "a b notary.jrnl pl");
    let found = findings(&mut db.client(), "pl");
    assert_eq!(short(&found), ["guard_off"], "{found:#?}");
    assert!(found[0].detail.contains("notary.jrnl"), "{found:#?}");
    // It stays the journal, which is unprotected last.
    assert_eq!(err(db.client().batch_execute("SELECT notary.unprotect('notary.jrnl', 'why')")).code, "55000");
    behind_the_guard(&db, &["ALTER TABLE notary.jrnl SET SCHEMA public"]);
    assert_found(&mut db.client(), "a", &["guard_off"]);
    behind_the_guard(&db, &["ALTER TABLE jrnl SET SCHEMA notary", "ALTER TABLE notary.jrnl RENAME TO journal"]);
    assert_found(&mut db.client(), "a", &[]);
    assert_found(&mut db.client(), "pl", &["missing"]);
}

#[test]
fn a_table_that_only_pg_class_calls_a_partition() {
    let db = logs("memory_flag");
    let flag = |table: &str, to: bool| format!("UPDATE pg_class SET relispartition = {to} WHERE relname = '{table}'");
    db.client().batch_execute(&flag("a", true)).unwrap();
    assert_found(&mut db.client(), "a", &["guard_off"]);
    db.client().batch_execute(&flag("a", false)).unwrap();
    db.client().batch_execute(&flag("p1", false)).unwrap();
    assert_found(&mut db.client(), "pl", &["foreign_rows", "foreign_rows"]);
    db.client().batch_execute(&flag("p1", true)).unwrap();
    // Nor by a table above it that is not there.
    behind_the_guard(&db, &[&flag("a", true), "INSERT INTO pg_inherits VALUES ('a'::regclass, 4294967295, 1, false)"]);
    assert_eq!(not_intact(&db), "a");
    assert_found(&mut db.client(), "a", &["foreign_rows", "guard_off"]);
    behind_the_guard(&db, &["DELETE FROM pg_inherits WHERE inhrelid = 'a'::regclass", &flag("a", false)]);
    behind_the_guard(&db, &["DROP TABLE p3", &flag("pl", true)]);
    assert_found(&mut db.client(), "pl", &["guard_off", "missing"]);
    assert_ne!(db.value("SELECT guard FROM notary.logs WHERE log = 'pl'::regclass"), "complete");
}

/// Gives the append trigger of `audit` other arguments: an expression over those it has, counted from 1.
fn other_arguments(db: &Database<'_>, args: &[&str]) {
    let args: Vec<_> = args.iter().map(|arg| format!("{arg} || '\\000'")).collect();
    behind_the_guard(
        db,
        &[&format!(
            "UPDATE pg_trigger SET tgnargs = {}, tgargs = decode({}, 'escape')
             FROM (SELECT oid AS it, string_to_array(encode(tgargs, 'escape'), '\\000') AS arg FROM pg_trigger
                   WHERE tgname = '~notary_append' AND tgrelid = 'audit'::regclass) AS old WHERE oid = it",
            args.len(),
            args.join(" || ")
        )],
    );
}

/// A log of three segments with an entry in each.
fn three_segments(name: &str) -> Database<'static> {
    let db = crate::five(name);
    for _ in 0..2 {
        db.client()
            .batch_execute("SELECT notary.unprotect('audit', 'why'); SELECT notary.protect('audit'); INSERT INTO audit (id) VALUES (9)")
            .unwrap();
    }
    assert_found(&mut db.client(), "audit", &[]);
    db
}

#[test]
fn a_header_cut_out_with_all_entries_of_its_segment_is_found() {
    for (keep, chain, forget) in [
        (["arg[1]", "arg[3]", "arg[4]"], 1, "SELECT"),
        (["arg[1]", "arg[2]", "arg[4]"], 2, "SELECT"),
        (["arg[1]", "arg[2]", "arg[4]"], 2, "DELETE FROM notary.segment WHERE table_name = 'audit'"),
        (["arg[1]", "arg[2]", "arg[4]"], 2, "DROP TABLE notary.journal"),
    ] {
        let db = three_segments("memory_cut");
        behind_the_guard(&db, &[forget, &format!("DELETE FROM audit WHERE notary_chain = {chain}")]);
        other_arguments(&db, &keep);
        assert_found(&mut db.client(), "audit", &["header_changed"]);
    }
    // That there was an older one shows in the next by itself, as in a copy that was restored alone.
    let db = three_segments("memory_cut_alone");
    behind_the_guard(
        &db,
        &["DELETE FROM notary.segment", "DROP TABLE notary.journal", "DELETE FROM audit WHERE notary_chain = 1"],
    );
    assert_found(&mut db.client(), "audit", &[]);
    other_arguments(&db, &["arg[1]", "arg[3]", "arg[4]"]);
    assert_found(&mut db.client(), "audit", &["header_changed"]);
}

#[test]
fn a_header_that_nobody_knows_is_found() {
    let forged =
        "replace(replace(arg[2], '\"segment\":1,', '\"segment\":9,'), '\"first_chain\":1,', '\"first_chain\":100,')";
    let db = crate::five("memory_forged");
    other_arguments(&db, &["arg[1]", "arg[2]", forged]);
    assert_found(&mut db.client(), "audit", &["header_changed"]);
    // Also once entries have followed it.
    db.client().batch_execute("INSERT INTO audit (id) VALUES (6)").unwrap();
    assert_eq!(db.value("SELECT max(notary_chain) FROM audit"), "100");
    assert_found(&mut db.client(), "audit", &["header_changed"]);
}

#[test]
fn a_header_of_another_table_is_found() {
    let db = logs("memory_moved");
    let header = |table: &str| db.value(&format!("SELECT header FROM notary.segment WHERE table_name = '{table}'"));
    let args = format!("max_chains=unlimited\\000{}\\000{}\\000", header("p2"), header("p3"));
    let both = format!(
        "UPDATE pg_trigger SET tgnargs = 3, tgargs = decode('{args}', 'escape') WHERE tgname = '~notary_append' AND tgrelid = 'p2'::regclass"
    );
    behind_the_guard(&db, &["DROP TABLE p3", "DELETE FROM notary.segment WHERE table_name = 'p3'", &both]);
    assert_found(&mut db.client(), "pl", &["header_changed", "missing"]);
}

#[test]
fn a_log_whose_triggers_are_hidden_is_not_forgotten() {
    let db = logs("memory_hidden");
    let uuid = uuid_of(&db, "pl");
    let forget = format!("SELECT notary.forget('{uuid}', 'gone')");
    let hide = |to| format!("UPDATE pg_class SET relhastriggers = {to} WHERE relname IN ('pl', 'p1', 'p2', 'p3')");
    db.client().batch_execute(&hide(false)).unwrap();
    let refused = err(db.client().batch_execute(&forget));
    assert_eq!(
        (refused.code.as_str(), refused.detail.as_str()),
        ("55000", "Only a log that is gone can be forgotten, and this one is still in this database.")
    );
    db.client().batch_execute(&hide(true)).unwrap();
    assert_eq!(not_intact(&db), "");
}

#[test]
fn a_log_that_was_forgotten_and_is_here_misses_what_goes() {
    let db = logs("memory_forgotten");
    let uuid = uuid_of(&db, "pl");
    let log = "tgname LIKE '~notary%' AND tgrelid IN ('pl'::regclass, 'p1'::regclass, 'p2'::regclass, 'p3'::regclass)";
    let aside =
        "CREATE TABLE aside AS SELECT oid AS it, tgfoid::oid AS its FROM pg_trigger WHERE tgname LIKE '~notary%'";
    behind_the_guard(
        &db,
        &[aside, &format!("UPDATE pg_trigger SET tgfoid = 'suppress_redundant_updates_trigger'::regproc WHERE {log}")],
    );
    db.client().batch_execute(&format!("SELECT notary.forget('{uuid}', 'gone')")).unwrap();
    behind_the_guard(&db, &["UPDATE pg_trigger SET tgfoid = its FROM aside WHERE oid = it"]);
    // As after a restore of a log that was given up: it is here again, and that is no alarm.
    assert_eq!(not_intact(&db), "");
    behind_the_guard(&db, &["DROP TABLE p3"]);
    assert_found(&mut db.client(), "pl", &["missing"]);
}

#[test]
fn damaged_numbers_in_memory_or_journal_are_findings_and_no_errors() {
    let db = logs("memory_numbers");
    for (set, back) in [("table_oid = -1", "table_oid = 'b'::regclass::oid"), ("segment = -3", "segment = 1")] {
        db.client().batch_execute(&format!("UPDATE notary.segment SET {set} WHERE table_name = 'b'")).unwrap();
        assert_eq!(not_intact(&db), "b", "{set}");
        assert_found(&mut db.client(), "b", &["header_changed"]);
        db.client().batch_execute(&format!("UPDATE notary.segment SET {back} WHERE table_name = 'b'")).unwrap();
        assert_eq!(not_intact(&db), "");
    }
    db.client().batch_execute("SELECT notary.unprotect('b', 'why'); SELECT notary.protect('b')").unwrap();
    for value in ["\"abc\"", "-1", "1.5", "99999999999999999999", "[]", "null"] {
        behind_the_guard(
            &db,
            &[&format!(
                "UPDATE notary.journal SET details = jsonb_set(details, '{{last_segment}}', '{value}') WHERE action = 'unprotect'"
            )],
        );
        // What the journal does not say any more is not taken as said.
        let found = not_intact(&db);
        assert!(found.contains("notary.journal"), "{value}: {found}");
        assert_found(&mut db.client(), "notary.journal", &["value_changed 1/7"]);
    }
    db.client().batch_execute("SELECT notary.unprotect('b', 'why'); SELECT notary.protect('b')").unwrap();
}
