//! What PostgreSQL believes before it looks, what nobody may take over, and what no check may fall for.

use notary_tests::verdict::{assert_found, behind_the_guard, findings};
use notary_tests::{err, fresh_db};

const AUDIT: &str =
    "CREATE TABLE audit (id int); SELECT notary.protect('audit'); INSERT INTO audit SELECT generate_series(1, 5)";

/// Edits the catalogs, checks in a new session what is found, and edits back.
fn edited(name: &str, there: &str, back: &str, expected: &[&str]) {
    let db = fresh_db(name);
    db.client().batch_execute(AUDIT).unwrap();
    db.client().batch_execute(there).unwrap();
    assert_found(&mut db.client(), "audit", expected);
    db.client().batch_execute(back).unwrap();
    assert_found(&mut db.client(), "audit", &[]);
}

#[test]
fn a24_triggers_that_pg_class_denies() {
    let set = |to| format!("UPDATE pg_class SET relhastriggers = {to} WHERE oid = 'audit'::regclass");
    edited("denied_triggers", &set("false"), &set("true"), &["guard_off"]);
}

#[test]
fn a33_an_index_that_pg_class_denies() {
    let set = |to| format!("UPDATE pg_class SET relhasindex = {to} WHERE oid = 'audit'::regclass");
    edited("denied_index", &set("false"), &set("true"), &["guard_off"]);
    let db = fresh_db("denied_index_insert");
    db.client().batch_execute(AUDIT).unwrap();
    db.client().batch_execute(&set("false")).unwrap();
    // Without the index a writer would not see where the chain ends.
    let error = err(db.client().batch_execute("INSERT INTO audit VALUES (6)"));
    assert_eq!(error.code, "55000", "{error}");
}

#[test]
fn a28_a_log_that_pg_class_calls_something_else() {
    for kind in ["v", "f", "c", "m", "S", "t"] {
        let set = |to| format!("UPDATE pg_class SET relkind = '{to}' WHERE relname = 'audit'");
        edited(&format!("kind_{}", kind.to_lowercase()), &set(kind), &set("r"), &["guard_off"]);
    }
}

#[test]
fn a39d_event_triggers_for_fewer_commands() {
    let set = |name: &str, to: &str| format!("UPDATE pg_event_trigger SET evttags = {to} WHERE evtname = '{name}'");
    edited("tags", &set("notary_guard_start", "'{CREATE SCHEMA}'"), &set("notary_guard_start", "NULL"), &["guard_off"]);
    let whole = "'{CREATE TABLE,ALTER TABLE,CREATE SCHEMA}'";
    edited(
        "tags_too",
        &set("notary_new_partitions", "'{CREATE TABLE}'"),
        &set("notary_new_partitions", whole),
        &["guard_off"],
    );
}

#[test]
fn a39c_functions_of_the_check_bound_to_others() {
    let set = |to: &str| format!("UPDATE pg_proc SET prosrc = '{to}' WHERE oid = 'notary.verify'::regproc");
    let db = fresh_db("rebound");
    db.client().batch_execute(AUDIT).unwrap();
    db.client().batch_execute(&set("notary_findings")).unwrap();
    let found = findings(&mut db.client(), "audit");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].detail.contains("notary.verify()"), "{found:#?}");
}

#[test]
fn an_index_that_runs_backwards_is_not_taken_for_ours() {
    let db = fresh_db("backwards");
    let mut client = db.client();
    client.batch_execute(AUDIT).unwrap();
    client.batch_execute("CREATE UNIQUE INDEX backwards ON audit (notary_chain, notary_seq DESC)").unwrap();
    let drop = "ALTER TABLE audit DROP CONSTRAINT audit_notary_chain_notary_seq_key";
    assert_eq!(err(client.batch_execute(drop)).code, "55000");
    client.batch_execute("REINDEX INDEX CONCURRENTLY audit_notary_chain_notary_seq_key").unwrap();
    db.client().batch_execute("INSERT INTO audit VALUES (6)").unwrap();
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn a_copy_of_a_log_s_entries_does_not_become_that_log() {
    let db = fresh_db("stolen");
    let mut owner = db.client();
    owner.batch_execute(AUDIT).unwrap();
    let uuid = db.value("SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass");
    let thief = db.role("thief");
    owner
        .batch_execute(&format!(
            "GRANT SELECT ON audit TO {thief}; SELECT notary.unprotect('audit', 'maintenance');
             GRANT CREATE ON SCHEMA public TO {thief}"
        ))
        .unwrap();
    let mut client = db.client_as(&thief);
    client.batch_execute("CREATE TABLE copy AS TABLE audit").unwrap();
    assert_eq!(err(client.batch_execute("SELECT notary.protect('copy')")).code, "42809");
    // Nor does a new table under its old name.
    owner
        .batch_execute("ALTER TABLE audit RENAME TO older; CREATE TABLE audit (id int); SELECT notary.protect('audit')")
        .unwrap();
    assert_ne!(db.value("SELECT uuid FROM notary.logs WHERE log = 'audit'::regclass"), uuid);
    owner.batch_execute("SELECT notary.protect('older')").unwrap();
    assert_eq!(db.value("SELECT uuid FROM notary.logs WHERE log = 'older'::regclass"), uuid);
    assert_found(&mut owner, "older", &[]);
}

#[test]
fn protecting_again_without_an_unprotect_launders_nothing() {
    let db = fresh_db("laundered");
    db.client().batch_execute(AUDIT).unwrap();
    behind_the_guard(&db, &["UPDATE audit SET id = 66 WHERE id = 3"]);
    let drop = "UPDATE pg_event_trigger SET evtenabled = 'D'; DELETE FROM pg_trigger WHERE tgname LIKE '~notary%' AND tgrelid = 'audit'::regclass;
                DELETE FROM pg_depend WHERE refobjid = 'audit'::regclass AND classid = 'pg_trigger'::regclass";
    db.client().batch_execute(drop).unwrap();
    db.client().batch_execute("UPDATE pg_event_trigger SET evtenabled = 'A'").unwrap();
    let mut client = db.client();
    // A check of all sees the table that lost its triggers.
    assert_eq!(db.value("SELECT intact FROM notary.verify() WHERE log = 'audit'::regclass"), "f");
    assert_ne!(db.value("SELECT guard FROM notary.logs WHERE log = 'audit'::regclass"), "complete");
    client.batch_execute("SELECT notary.protect('audit')").unwrap();
    assert_found(&mut client, "audit", &["value_changed 1/3"]);
}

#[test]
fn a_restored_copy_that_was_attested_misses_a_log_that_goes() {
    let db = fresh_db("attested");
    let mut client = db.client();
    client.batch_execute(AUDIT).unwrap();
    // As in a restored copy: all that is remembered comes from another database.
    behind_the_guard(
        &db,
        &[
            "UPDATE notary.segment SET database = 'elsewhere/1'",
            "UPDATE notary.journal SET details = jsonb_set(details, '{database}', '\"elsewhere/1\"')",
        ],
    );
    client.batch_execute("SELECT notary.attest('audit')").unwrap();
    let round = "UPDATE pg_event_trigger SET evtenabled = 'D'";
    db.client().batch_execute(round).unwrap();
    db.client().batch_execute("DROP TABLE audit").unwrap();
    db.client().batch_execute("UPDATE pg_event_trigger SET evtenabled = 'A'").unwrap();
    assert_eq!(db.value("SELECT count(*) FROM notary.verify() WHERE log IS NULL AND NOT intact"), "1");
}

/// With each of these beside ours, dropping the constraint is refused, inserts go on, and nothing is found; without ours,
/// it is.
#[track_caller]
fn is_not_taken_for_ours(name: &str, index: &str) {
    let db = fresh_db(name);
    let mut client = db.client();
    client.batch_execute(AUDIT).unwrap();
    client.batch_execute(index).unwrap();
    let drop = "ALTER TABLE audit DROP CONSTRAINT audit_notary_chain_notary_seq_key";
    assert_eq!(err(client.batch_execute(drop)).code, "55000");
    // Ours becomes the younger one.
    client.batch_execute("REINDEX INDEX CONCURRENTLY audit_notary_chain_notary_seq_key").unwrap();
    db.client().batch_execute("INSERT INTO audit VALUES (6)").unwrap();
    assert_found(&mut db.client(), "audit", &[]);
    behind_the_guard(&db, &[drop]);
    assert_found(&mut db.client(), "audit", &["guard_off"]);
    assert_eq!(err(db.client().batch_execute("INSERT INTO audit VALUES (7)")).code, "55000");
}

#[test]
fn an_index_with_more_columns_is_not_taken_for_ours() {
    let index = "CREATE UNIQUE INDEX other ON audit (notary_chain, notary_seq) INCLUDE (id)";
    is_not_taken_for_ours("include_more", index);
    let db = fresh_db("include");
    let mut client = db.client();
    client.batch_execute("CREATE TABLE audit (id int); SELECT notary.protect('audit')").unwrap();
    client.batch_execute("CREATE UNIQUE INDEX other ON audit (notary_chain) INCLUDE (notary_seq)").unwrap();
    let drop = "ALTER TABLE audit DROP CONSTRAINT audit_notary_chain_notary_seq_key";
    assert_eq!(err(client.batch_execute(drop)).code, "55000");
    db.client().batch_execute("INSERT INTO audit VALUES (1)").unwrap();
    assert_found(&mut db.client(), "audit", &[]);
    behind_the_guard(&db, &[drop]);
    assert_found(&mut db.client(), "audit", &["guard_off"]);
}

#[test]
fn an_index_over_some_rows_is_not_taken_for_ours() {
    let index = "CREATE UNIQUE INDEX other ON audit (notary_chain, notary_seq) WHERE id > 1";
    is_not_taken_for_ours("partial", index);
}

#[test]
fn an_index_by_another_order_is_not_taken_for_ours() {
    let index = "CREATE FUNCTION backwards(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT btint4cmp($2, $1)';
        CREATE OPERATOR CLASS backwards FOR TYPE int USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =,
            OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 backwards(int, int);
        CREATE UNIQUE INDEX other ON audit (notary_chain backwards, notary_seq)";
    is_not_taken_for_ours("opclass", index);
}

#[test]
fn a_partial_index_that_was_there_before_is_no_constraint() {
    let db = fresh_db("partial_before");
    db.client()
        .batch_execute(
            "CREATE TABLE audit (id int, notary_chain int, notary_seq bigint, notary_time timestamptz, notary_prev bytea,
                 notary_hash bytea);
             CREATE UNIQUE INDEX other ON audit (notary_chain, notary_seq) WHERE id > 1",
        )
        .unwrap();
    db.client().batch_execute("SELECT notary.protect('audit')").unwrap();
    db.client().batch_execute("INSERT INTO audit VALUES (1), (2)").unwrap();
    assert_found(&mut db.client(), "audit", &[]);
}

#[test]
fn a33_a_condition_given_to_the_unique_index() {
    let set = |to: &str| {
        format!(
            "UPDATE pg_index SET indpred = {to} WHERE indexrelid = 'audit_notary_chain_notary_seq_key'::regclass;
             DROP TABLE IF EXISTS pattern"
        )
    };
    let pattern = "CREATE TABLE pattern (id int); CREATE INDEX pattern_index ON pattern (id) WHERE id > 1;";
    let there = set("(SELECT indpred FROM pg_index WHERE indexrelid = 'pattern_index'::regclass)");
    edited("condition", &format!("{pattern} {there}"), &set("NULL"), &["guard_off"]);
}

#[test]
fn a39d_dependencies_of_triggers_deleted() {
    let db = fresh_db("loose_triggers");
    db.client().batch_execute(AUDIT).unwrap();
    let delete = "DELETE FROM pg_depend WHERE classid = 'pg_trigger'::regclass
        AND refobjid IN ('notary.append'::regproc, 'notary.refuse'::regproc)";
    db.client().batch_execute(delete).unwrap();
    assert_found(&mut db.client(), "audit", &["guard_off", "guard_off", "guard_off"]);
    // And the guard does not go by them.
    for sql in [
        "ALTER FUNCTION notary.unprotect(regclass, text) RENAME TO other",
        "DROP EXTENSION pg_notary CASCADE",
        "DROP FUNCTION notary.append() CASCADE",
    ] {
        assert_eq!(err(db.client().batch_execute(sql)).code, "55000", "{sql}");
    }
}

#[test]
fn a39d_members_of_the_extension_set_free() {
    let from =
        "FROM pg_depend WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_notary')
        AND objid IN ('notary.verify'::regproc, 'notary.segment'::regclass)";
    let there = format!("CREATE TABLE kept AS SELECT * {from}; DELETE {from}");
    edited("members", &there, "INSERT INTO pg_depend SELECT * FROM kept", &["guard_off", "guard_off"]);
}

#[test]
fn a39d_an_event_trigger_that_calls_a_function_of_the_same_text() {
    let db = fresh_db("same_text");
    db.client().batch_execute(AUDIT).unwrap();
    db.client()
        .batch_execute(
            "CREATE FUNCTION handle() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
             CREATE LANGUAGE fake HANDLER handle;
             CREATE FUNCTION g() RETURNS event_trigger LANGUAGE fake AS 'notary_guard_start'",
        )
        .unwrap();
    let set = |to: &str| {
        format!("UPDATE pg_event_trigger SET evtfoid = '{to}'::regproc WHERE evtname = 'notary_guard_start'")
    };
    db.client().batch_execute(&set("g")).unwrap();
    assert_found(&mut db.client(), "audit", &["guard_off"]);
    db.client().batch_execute(&set("notary.guard_start")).unwrap();
    assert_found(&mut db.client(), "audit", &[]);
    // And the function itself bound to that language.
    let language = |to: &str| {
        format!(
            "UPDATE pg_proc SET prolang = (SELECT oid FROM pg_language WHERE lanname = '{to}') WHERE oid = 'notary.guard_start'::regproc"
        )
    };
    db.client().batch_execute("UPDATE pg_language SET lanname = CASE lanname WHEN 'c' THEN 'was c' ELSE 'c' END WHERE lanname IN ('c', 'fake')").unwrap();
    db.client().batch_execute(&language("c")).unwrap();
    let found = findings(&mut db.client(), "audit");
    assert!(found.iter().any(|f| f.detail.contains("notary.guard_start()")), "{found:#?}");
}
