//! Dump and restore: what comes back is the same log, entry by entry, and goes on as one.

use notary_tests::{Database, err, fresh_db, shared};
use std::collections::BTreeMap;

/// Logs of all kinds: adopted rows, schemas that sort before and after `notary`, several levels of partitions, columns
/// dropped and added, a second segment.
const LOGS: &str = "
    CREATE SCHEMA aaa;
    CREATE SCHEMA zzz;
    CREATE TABLE audit (id bigserial PRIMARY KEY, who text NOT NULL, what jsonb, n numeric, at timestamptz DEFAULT now());
    INSERT INTO audit (who) VALUES ('here before');
    CREATE TABLE aaa.early (id int, t text);
    CREATE TABLE zzz.late (id int, t text);
    CREATE TABLE parts (id int NOT NULL, k text NOT NULL, at timestamptz DEFAULT now()) PARTITION BY LIST (k);
    CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a') PARTITION BY RANGE (id);
    CREATE TABLE parts_a1 PARTITION OF parts_a FOR VALUES FROM (0) TO (100);
    CREATE TABLE parts_b PARTITION OF parts DEFAULT;
    CREATE TABLE altered (a int, gone text, b text);
    INSERT INTO altered VALUES (0, 'dropped', 'with gone');
    ALTER TABLE altered DROP COLUMN gone;
    SELECT notary.protect(t::regclass) FROM unnest(ARRAY['audit', 'aaa.early', 'zzz.late', 'parts', 'altered']) AS t;
    INSERT INTO audit (who, what, n) SELECT 'u' || i, jsonb_build_object('b', i, 'a', '€'), i * 1.50 FROM generate_series(1, 50) i;
    INSERT INTO aaa.early SELECT i, 't' || i FROM generate_series(1, 20) i;
    INSERT INTO zzz.late SELECT i, 't' || i FROM generate_series(1, 20) i;
    INSERT INTO parts SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(0, 60) i;
    CREATE TABLE parts_c PARTITION OF parts FOR VALUES IN ('c');
    INSERT INTO parts VALUES (1, 'c');
    INSERT INTO altered (a, b) VALUES (1, 'before c');
    ALTER TABLE altered ADD COLUMN c int;
    INSERT INTO altered (a, b, c) VALUES (2, 'after c', 3);
    SELECT notary.unprotect('zzz.late', 'a test');
    INSERT INTO zzz.late VALUES (99, 'in between');
    SELECT notary.protect('zzz.late');
    INSERT INTO zzz.late (id, t) VALUES (100, 'second segment')";

/// One more entry for each of them.
const MORE: [(&str, &str); 5] = [
    ("audit", "INSERT INTO audit (who) VALUES ('after')"),
    ("aaa.early", "INSERT INTO aaa.early (id) VALUES (1)"),
    ("zzz.late", "INSERT INTO zzz.late (id) VALUES (1)"),
    ("parts", "INSERT INTO parts (id, k) VALUES (50, 'a')"),
    ("altered", "INSERT INTO altered (a, c) VALUES (1, 2)"),
];

fn source() -> Database<'static> {
    let db = fresh_db("source");
    db.client().batch_execute(LOGS).unwrap();
    db
}

/// Every log's rows, as text with the `notary_*` columns, in the order of their places.
fn entries(db: &Database<'_>) -> BTreeMap<String, Vec<String>> {
    let mut client = db.client();
    let logs = client.query("SELECT log::text FROM notary.logs", &[]).unwrap();
    logs.iter()
        .map(|log| {
            let log: String = log.get(0);
            let rows = client
                .query(
                    &format!(
                        "SELECT tableoid::regclass::text || entry::text FROM {log} AS entry ORDER BY tableoid::regclass::text, \
                         notary_chain, notary_seq"
                    ),
                    &[],
                )
                .unwrap();
            (log, rows.iter().map(|row| row.get(0)).collect())
        })
        .collect()
}

/// Every log verifies, without a finding, and its guard is complete.
#[track_caller]
fn assert_intact(db: &Database<'_>) {
    let mut client = db.client();
    for row in client.query("SELECT log::text, intact, first_finding FROM notary.verify()", &[]).unwrap() {
        let (log, intact, finding): (Option<String>, bool, Option<String>) = (row.get(0), row.get(1), row.get(2));
        assert!(intact, "{log:?}: {finding:?}");
    }
    for row in client.query("SELECT log::text, guard FROM notary.logs", &[]).unwrap() {
        assert_eq!(row.get::<_, String>(1), "complete", "{}", row.get::<_, String>(0));
    }
}

/// As long as the data is not loaded, rows that a header tells of as adopted are missing, and nothing else is wrong.
#[track_caller]
fn assert_only_adopted_rows_are_missing(db: &Database<'_>) {
    let others = "SELECT count(*) FROM notary.logs AS l, notary.findings(l.log) AS f
                  WHERE f.problem <> 'missing' OR f.detail NOT LIKE '%rows were adopted%'";
    assert_eq!(db.value(others), "0");
    assert_eq!(db.value("SELECT string_agg(DISTINCT guard, ',') FROM notary.logs"), "complete");
}

/// An INSERT takes the next place of a chain that is there, and the log verifies afterwards.
#[track_caller]
fn assert_goes_on(db: &Database<'_>, log: &str, insert: &str) {
    let mut client = db.client();
    let before = entries(db)[log].len();
    let row = client
        .query_one(
            &format!(
                "WITH ends AS MATERIALIZED (SELECT tableoid, notary_chain, max(notary_seq) AS seq FROM {log} GROUP BY 1, 2), \
                 new AS ({insert} RETURNING tableoid, notary_chain, notary_seq) \
                 SELECT count(*) FROM new JOIN ends USING (tableoid, notary_chain) WHERE notary_seq = seq + 1"
            ),
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1, "{log}: the new entry continues no chain");
    assert_eq!(entries(db)[log].len(), before + 1);
    assert_intact(db);
}

/// `copy` holds what `db` holds, verifies, and goes on.
#[track_caller]
fn assert_restored(db: &Database<'_>, copy: &Database<'_>) {
    assert_intact(copy);
    assert_eq!(entries(copy), entries(db));
    for (log, insert) in MORE {
        assert_goes_on(copy, log, insert);
    }
    refuses_changes(copy, "audit");
}

#[track_caller]
fn refuses_changes(db: &Database<'_>, log: &str) {
    for attempt in [format!("DELETE FROM {log}"), format!("TRUNCATE {log}")] {
        assert_eq!(err(db.client().batch_execute(&attempt)).code, "55000", "{attempt}");
    }
}

/// A dump as a file or directory of the cluster's scratch space.
fn dump(db: &Database<'_>, args: &[&str]) -> String {
    let path = shared().scratch_dir().join(format!("{}.dump", db.name())).display().to_string();
    let mut all = vec!["-f", path.as_str()];
    all.extend(args);
    shared().pg_dump(db.name(), &all).ok();
    path
}

/// `pg_restore` as a superuser who has `notary.restore` on in all sessions of the program.
#[track_caller]
fn pg_restore_keeping(db: &Database<'_>, args: &[&str]) {
    let mut command = shared().command("pg_restore");
    command.env("PGOPTIONS", "-c notary.restore=on").args(["-d", db.name()]).args(args);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_dump_in_the_custom_format_restores() {
    let (db, copy) = (source(), shared().bare_db("custom"));
    let dump = dump(&db, &["-Fc"]);
    shared().pg_restore(copy.name(), &["--exit-on-error", &dump], b"").ok();
    assert_restored(&db, &copy);
}

#[test]
fn a_dump_in_the_directory_format_restores_with_jobs() {
    let (db, copy) = (source(), shared().bare_db("directory"));
    let dump = dump(&db, &["-Fd", "-j2"]);
    shared().pg_restore(copy.name(), &["-j2", "--exit-on-error", &dump], b"").ok();
    assert_restored(&db, &copy);
}

#[test]
fn a_plain_dump_restores_through_psql() {
    let db = source();
    for args in [&["-Fp"][..], &["-Fp", "--inserts"], &["-Fp", "--load-via-partition-root"]] {
        let copy = shared().bare_db("plain");
        let sql = shared().pg_dump(db.name(), args).ok().stdout;
        copy.psql(&sql).ok();
        assert_restored(&db, &copy);
    }
}

#[test]
fn a_restored_copy_can_be_dumped_and_restored_again() {
    let (db, copy, second) = (source(), shared().bare_db("copy"), shared().bare_db("second"));
    copy.psql(&shared().pg_dump(db.name(), &[]).ok().stdout).ok();
    second.psql(&shared().pg_dump(copy.name(), &[]).ok().stdout).ok();
    assert_restored(&db, &second);
}

#[test]
fn one_log_alone_restores_where_the_extension_is() {
    let (db, copy) = (source(), fresh_db("alone"));
    let dump = dump(&db, &["-Fc", "-t", "audit", "-t", "audit_id_seq"]);
    shared().pg_restore(copy.name(), &["--exit-on-error", &dump], b"").ok();
    assert_intact(&copy);
    let there = entries(&copy);
    assert_eq!(there.keys().collect::<Vec<_>>(), ["audit"]);
    assert_eq!(there["audit"], entries(&db)["audit"]);
    assert_goes_on(&copy, "audit", "INSERT INTO audit (who) VALUES ('after')");
    // It came without the journal and without the extension's memory; the headers travel with the table.
    let log = copy.value("SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass");
    copy.psql("SELECT notary.unprotect('audit', 'a test'); SELECT notary.protect('audit')").ok();
    assert_eq!(copy.value("SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass"), log);
    assert_eq!(copy.value("SELECT max(segment) FROM notary.journal WHERE relation = 'public.audit'"), "2");
    assert_intact(&copy);
}

#[test]
fn one_log_alone_needs_the_extension_first() {
    let (db, copy) = (source(), shared().bare_db("without"));
    let dump = dump(&db, &["-Fc", "-t", "audit"]);
    let restored = shared().pg_restore(copy.name(), &[&dump], b"");
    assert_ne!(restored.status, 0);
    assert!(restored.stderr.contains("schema \"notary\" does not exist"), "{}", restored.stderr);
}

#[test]
fn one_partitioned_log_alone_restores() {
    let (db, copy) = (source(), fresh_db("alone"));
    let dump = dump(&db, &["-Fc", "-t", "parts*"]);
    shared().pg_restore(copy.name(), &["--exit-on-error", &dump], b"").ok();
    assert_intact(&copy);
    assert_eq!(entries(&copy)["parts"], entries(&db)["parts"]);
    assert_goes_on(&copy, "parts", "INSERT INTO parts (id, k) VALUES (50, 'a')");
    copy.psql("CREATE TABLE parts_d PARTITION OF parts FOR VALUES IN ('d'); INSERT INTO parts VALUES (1, 'd')").ok();
    assert_intact(&copy);
}

#[test]
fn a_restore_without_one_log_gives_a_notice_and_no_finding() {
    let (db, copy) = (source(), shared().bare_db("without"));
    let dump = dump(&db, &["-Fc", "-T", "audit"]);
    shared().pg_restore(copy.name(), &["--exit-on-error", &dump], b"").ok();
    let log = db.value("SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass");
    assert_intact(&copy);
    let mut expected = entries(&db);
    expected.remove("audit");
    assert_eq!(entries(&copy), expected);

    let (mut client, notices) = copy.client_with_notices("postgres");
    client.batch_execute("SELECT FROM notary.verify()").unwrap();
    let said = notices.take().join("\n");
    assert!(said.contains(&log) && said.contains("public.audit") && said.contains("notary.forget"), "{said}");
    client.batch_execute(&format!("SELECT notary.forget('{log}', 'not wanted here')")).unwrap();
    client.batch_execute("SELECT FROM notary.verify()").unwrap();
    assert_eq!(notices.take(), Vec::<String>::new());
}

#[test]
fn a_partition_that_was_left_out_is_missing_until_the_copy_is_protected_anew() {
    let (db, copy) = (source(), shared().bare_db("without"));
    let leaves = "SELECT relid FROM pg_partition_tree('parts') WHERE isleaf ORDER BY relid DESC LIMIT 1";
    let left_out = db.value(leaves);
    let dump = dump(&db, &["-Fc", "-T", &left_out]);
    shared().pg_restore(copy.name(), &["--exit-on-error", &dump], b"").ok();
    let found = notary_tests::verdict::findings(&mut copy.client(), "parts");
    assert_eq!(notary_tests::verdict::short(&found), ["missing"], "{found:#?}");
    assert!(found[0].detail.contains(&format!("(public.{left_out}) is missing")), "{found:#?}");
    copy.psql("SELECT notary.unprotect('parts', 'left out of this copy'); SELECT notary.protect('parts')").ok();
    assert_intact(&copy);
    let notices = notary_tests::verdict::notices(&mut copy.client(), "parts");
    assert!(notices.iter().any(|n| n.detail.contains(&format!("(public.{left_out}) left the log"))), "{notices:#?}");
}

#[test]
fn a_restore_without_the_journal_goes_on_with_a_new_one() {
    let (db, copy) = (source(), shared().bare_db("without"));
    let dump = dump(&db, &["-Fc", "-T", "notary.journal"]);
    shared().pg_restore(copy.name(), &["--exit-on-error", &dump], b"").ok();
    assert_intact(&copy);
    copy.psql("CREATE TABLE new (a int); SELECT notary.protect('new')").ok();
    assert_eq!(copy.value("SELECT string_agg(relation, ' ') FROM notary.journal"), "notary.journal public.new");
    for (log, insert) in MORE {
        assert_goes_on(&copy, log, insert);
    }
}

#[test]
fn the_sections_restore_one_after_the_other() {
    let (db, copy) = (source(), shared().bare_db("sections"));
    let dump = dump(&db, &["-Fc"]);
    for section in ["--section=pre-data", "--section=data", "--section=post-data"] {
        shared().pg_restore(copy.name(), &[section, "--exit-on-error", &dump], b"").ok();
    }
    assert_restored(&db, &copy);
}

#[test]
fn the_data_goes_into_a_restored_schema_with_notary_restore_in_pgoptions() {
    let db = source();
    let dump = dump(&db, &["-Fd", "-j2"]);
    for jobs in ["-j1", "-j2"] {
        let copy = shared().bare_db("data_after");
        shared().pg_restore(copy.name(), &["--schema-only", "--exit-on-error", &dump], b"").ok();
        pg_restore_keeping(&copy, &["--data-only", jobs, "--exit-on-error", &dump]);
        assert_restored(&db, &copy);
    }
}

#[test]
fn the_data_goes_into_a_restored_schema_with_set_local() {
    let db = source();
    for kind in ["--data-only", "--column-inserts"] {
        let copy = shared().bare_db("data_after");
        copy.psql(&shared().pg_dump(db.name(), &["--schema-only"]).ok().stdout).ok();
        let data = shared().pg_dump(db.name(), &["--data-only", kind]).ok().stdout;
        copy.psql(&format!("BEGIN;\nSET LOCAL notary.restore = on;\n{data}\nCOMMIT;")).ok();
        assert_restored(&db, &copy);
    }
}

#[test]
fn the_data_is_refused_without_notary_restore() {
    let (db, copy) = (source(), shared().bare_db("data_after"));
    let dump = dump(&db, &["-Fc"]);
    shared().pg_restore(copy.name(), &["--schema-only", "--exit-on-error", &dump], b"").ok();
    let restored = shared().pg_restore(copy.name(), &["--data-only", &dump], b"");
    assert_ne!(restored.status, 0);
    assert!(restored.stderr.contains("SET LOCAL notary.restore = on"), "{}", restored.stderr);
    assert_eq!(entries(&copy).values().map(Vec::len).sum::<usize>(), 0);
    // Nothing is spoilt: the same dump goes in as it should.
    pg_restore_keeping(&copy, &["--data-only", "--exit-on-error", "-t", "audit", &dump]);
    assert_eq!(entries(&copy)["audit"], entries(&db)["audit"]);
    assert_eq!(copy.value("SELECT intact FROM notary.verify('audit')"), "t");
    assert_only_adopted_rows_are_missing(&copy);
}

#[test]
fn notary_restore_is_for_superusers() {
    let db = source();
    let role = db.role("app");
    db.psql(&format!("GRANT INSERT ON audit TO \"{role}\"; GRANT USAGE ON SEQUENCE audit_id_seq TO \"{role}\"")).ok();
    let insert = "INSERT INTO audit (id, who, notary_chain, notary_seq) VALUES (1000, 'x', 7, 7)";
    let mut client = db.client_as(&role);
    client.batch_execute("INSERT INTO audit (who) VALUES ('x')").unwrap();
    assert_eq!(err(client.batch_execute("SET notary.restore = on")).code, "42501");
    // Before the library that knows the setting is there, SET makes a placeholder, void when the library is loaded.
    client = db.client_as(&role);
    client.batch_execute("SET notary.restore = on").unwrap();
    assert!(err(client.batch_execute(insert)).message.starts_with("a value for notary_chain was supplied"));
    let mut client =
        shared().config_as(db.name(), &role).options("-c notary.restore=on").connect(postgres::NoTls).unwrap();
    let refused = err(client.batch_execute(insert));
    assert!(refused.message.starts_with("a value for notary_chain was supplied"), "{refused}");
    assert_eq!(db.value("SELECT count(*) FROM audit WHERE id = 1000"), "0");
}

#[test]
fn the_owners_of_logs_cannot_make_their_triggers() {
    let (db, copy) = (source(), shared().bare_db("as_owner"));
    let role = db.role("owner");
    db.psql(&format!(
        "CREATE TABLE owned (a int); ALTER TABLE owned OWNER TO \"{role}\"; SELECT notary.protect('owned')"
    ))
    .ok();
    copy.psql(&format!("GRANT ALL ON SCHEMA public TO \"{role}\"")).ok();
    let dump = dump(&db, &["-Fc"]);
    let restored = shared().pg_restore(copy.name(), &["--use-set-session-authorization", &dump], b"");
    assert!(restored.stderr.contains("permission denied for function"), "{}", restored.stderr);
    let copy = shared().bare_db("as_superuser");
    shared().pg_restore(copy.name(), &["--exit-on-error", &dump], b"").ok();
    assert_eq!(copy.value("SELECT relowner::regrole FROM pg_class WHERE relname = 'owned'"), role);
    assert_goes_on(&copy, "audit", "INSERT INTO audit (who) VALUES ('after')");
}

#[test]
fn cleaning_away_a_log_before_a_restore_is_refused_and_harms_nothing() {
    let db = source();
    let (dump, before) = (dump(&db, &["-Fc"]), entries(&db));
    let restored = shared().pg_restore(db.name(), &["--clean", "--if-exists", "-t", "audit", &dump], b"");
    assert_ne!(restored.status, 0);
    assert!(
        restored.stderr.contains("DROP TABLE is refused: public.audit is an append-only log"),
        "{}",
        restored.stderr
    );
    assert_eq!(entries(&db), before);
    assert_intact(&db);
}

#[test]
fn disabling_triggers_while_loading_is_refused_and_harms_nothing() {
    let (db, copy) = (source(), shared().bare_db("disable_triggers"));
    let dump = dump(&db, &["-Fc"]);
    shared().pg_restore(copy.name(), &["--schema-only", "--exit-on-error", &dump], b"").ok();
    let restored = shared().pg_restore(copy.name(), &["--data-only", "--disable-triggers", &dump], b"");
    assert_ne!(restored.status, 0);
    assert!(restored.stderr.contains("is an append-only log"), "{}", restored.stderr);
    assert_only_adopted_rows_are_missing(&copy);
}

#[test]
fn triggers_disabled_round_the_guard_while_loading_are_found() {
    let (db, copy) = (source(), shared().bare_db("disable_triggers"));
    copy.psql(&shared().pg_dump(db.name(), &["--schema-only"]).ok().stdout).ok();
    let data = shared().pg_dump(db.name(), &["--data-only", "--disable-triggers"]).ok().stdout;
    let events = copy.value("SELECT string_agg(quote_ident(evtname), ' ') FROM pg_event_trigger");
    let switch =
        |to: &str| events.split(' ').fold(String::new(), |sql, e| sql + &format!("ALTER EVENT TRIGGER {e} {to};\n"));
    copy.psql(&format!("{}{data}", switch("DISABLE"))).ok();
    copy.psql(&switch("ENABLE ALWAYS")).ok();
    assert_eq!(entries(&copy), entries(&db));
    // What the dump says after each table's rows, ENABLE TRIGGER ALL, has turned ENABLE ALWAYS into plain ENABLE.
    assert_eq!(copy.value("SELECT string_agg(DISTINCT problem, ' ') FROM notary.findings('audit')"), "guard_off");
    assert_eq!(copy.value("SELECT count(*) FROM notary.verify() WHERE NOT intact"), "6");
    let guard = "SELECT guard FROM notary.logs WHERE log = 'audit'::regclass";
    assert!(copy.value(guard).contains("trigger \"~notary_append\" is not ENABLE ALWAYS"), "{}", copy.value(guard));
    // The remedy.
    let always = ["append", "keep", "block"].map(|t| format!("ENABLE ALWAYS TRIGGER \"~notary_{t}\"")).join(", ");
    copy.psql(&format!("ALTER TABLE audit {always}")).ok();
    assert_eq!(copy.value(guard), "complete");
    copy.psql("INSERT INTO audit (who) VALUES ('after')").ok();
    assert_eq!(copy.value("SELECT intact FROM notary.verify('audit')"), "t");
}

#[test]
fn a_collation_that_has_another_oid_in_the_copy_is_the_same_one() {
    let make = "SET allow_system_table_mods = on; CREATE COLLATION pg_catalog.imported FROM \"C\"";
    let (db, copy) = (fresh_db("imported"), shared().bare_db("imported_copy"));
    db.client().batch_execute(make).unwrap();
    db.client()
        .batch_execute(
            "CREATE TABLE audit (k text COLLATE imported) PARTITION BY LIST (k);
             CREATE TABLE low PARTITION OF audit FOR VALUES IN ('a'); SELECT notary.protect('audit');
             INSERT INTO audit VALUES ('a')",
        )
        .unwrap();
    copy.client().batch_execute(make).unwrap();
    // As if it had come with initdb.
    copy.client().batch_execute("UPDATE pg_collation SET oid = 15999 WHERE collname = 'imported'").unwrap();
    let dump = dump(&db, &["-Fc"]);
    shared().pg_restore(copy.name(), &["--exit-on-error", &dump], b"").ok();
    assert_intact(&copy);
}

#[test]
fn a_view_under_the_name_of_a_log_that_was_left_out_is_not_that_log() {
    let (db, copy) = (source(), shared().bare_db("view"));
    let dump = dump(&db, &["-Fc", "-T", "audit"]);
    shared().pg_restore(copy.name(), &["--exit-on-error", &dump], b"").ok();
    for other in ["VIEW audit AS SELECT * FROM aaa.early", "MATERIALIZED VIEW audit AS SELECT * FROM aaa.early"] {
        copy.psql(&format!("CREATE {other}")).ok();
        assert_intact(&copy);
        copy.psql(&format!("DROP {}", other.split(" AS").next().unwrap())).ok();
    }
    copy.psql("CREATE TABLE audit (id int)").ok();
    assert_intact(&copy);
    assert_eq!(
        err(copy.client().batch_execute("SELECT * FROM notary.verify('audit')")).message,
        "public.audit is not a log"
    );
}
