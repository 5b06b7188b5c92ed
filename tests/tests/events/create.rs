//! `notary.create_log`: where the table comes to be, who may do what to it, and that nothing is left of one that failed.

use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;
use notary_tests::{SqlError, fresh_db};

/// Names as SQL writes them, with a schema or without.
const NAMES: [&str; 16] = [
    "plain",
    "app.audit",
    "UpperCase",
    r#""Odd Name""#,
    r#""a.b""#,
    r#"app."a.b""#,
    r#""quo""te""#,
    r#""it's""#,
    r#""%TIME%""#,
    r#""%LOG%""#,
    r#""%%WORDS%_idx""#,
    "\"semi;\nDROP TABLE plain;\n--\"",
    r#""$1 $$ /* -- \ ""#,
    r#""ä ö 漢字""#,
    r#""select""#,
    "a_name_of_sixty_three_bytes_a_name_of_sixty_three_bytes_a_name_",
];

#[test]
fn a_log_is_made_under_the_name_that_was_given() {
    let db = fresh_db("names");
    let mut client = db.client();
    run(&mut client, "CREATE SCHEMA app");
    for name in NAMES {
        let made = client.query_one("SELECT notary.create_log($1)::text", &[&name]);
        let made: String = made.unwrap_or_else(|e| panic!("{name}: {}", SqlError::of(&e))).get(0);
        let same = client.query_one("SELECT $1::text::regclass = $2::text::regclass", &[&name, &made]).unwrap();
        assert!(same.get::<_, bool>(0), "{name} became {made}");
        run(&mut client, &format!("INSERT INTO {made} (action) VALUES ('a')"));
        let wanted = format!("INSERT INTO {made} (action) VALUES ('a') RETURNING actor");
        assert_eq!(texts(&mut client, &wanted), ["postgres"]);
        let literal = made.replace('\'', "''");
        assert_found(&mut client, &literal, &[]);
        let indexes = format!("SELECT count(*) FROM pg_index WHERE indrelid = '{literal}'::regclass AND indisvalid");
        assert_eq!(texts(&mut client, &indexes), ["12"], "{name}");
    }
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.logs"), [(NAMES.len() + 1).to_string()]);
    // What is too long is cut, as CREATE TABLE does it.
    let long = "b".repeat(100);
    assert_eq!(texts(&mut client, &format!("SELECT notary.create_log('{long}')")), ["b".repeat(63)]);
}

#[test]
fn a_name_without_a_schema_goes_where_create_table_would_put_it() {
    let db = fresh_db("path");
    let mut client = db.client();
    run(&mut client, "CREATE SCHEMA app; SET search_path = nowhere, app, public");
    assert_eq!(texts(&mut client, "SELECT notary.create_log('audit')"), ["audit"]);
    assert_eq!(texts(&mut client, "SELECT 'audit'::regclass = 'app.audit'::regclass"), ["t"]);
    run(&mut client, "SET search_path = ''");
    assert_eq!(refused(&mut client, "SELECT notary.create_log('audit')").code, "3F000");
    // Somebody's function or type of that name, found first by the caller's path, is not called.
    run(
        &mut client,
        "CREATE SCHEMA evil; CREATE TYPE evil.jsonb AS (x int); CREATE TYPE evil.inet AS (x int);
         CREATE FUNCTION evil.btrim(text) RETURNS text LANGUAGE sql AS 'SELECT (1/0)::text';
         SET search_path = evil, pg_catalog, app; SELECT notary.create_log('public.safe')",
    );
    let types =
        "SELECT DISTINCT t.typnamespace::regnamespace FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t
                 ON t.oid = a.atttypid WHERE a.attrelid = 'public.safe'::regclass";
    assert_eq!(texts(&mut client, types), ["pg_catalog"]);
}

#[test]
fn what_cannot_be_made_is_refused_and_leaves_nothing() {
    let db = fresh_db("refused");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE taken (i int); CREATE VIEW a_view AS SELECT 1 AS i; CREATE SEQUENCE a_seq;
         CREATE TYPE a_type AS (i int); SELECT notary.create_log('there')",
    );
    let count = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    let before = texts(&mut client, count);
    for (call, code) in [
        ("notary.create_log('taken')", "42P07"),
        ("notary.create_log('a_view')", "42P07"),
        ("notary.create_log('a_seq')", "42P07"),
        ("notary.create_log('there')", "42P07"),
        ("notary.create_log(NULL)", "22023"),
        ("notary.create_log('')", "42602"),
        ("notary.create_log('  ')", "42602"),
        ("notary.create_log('a..b')", "42602"),
        ("notary.create_log('\"')", "42602"),
        ("notary.create_log('\"\"')", "42601"),
        ("notary.create_log('a b')", "42602"),
        ("notary.create_log('a; DROP TABLE taken')", "42602"),
        ("notary.create_log('nowhere.audit')", "3F000"),
        ("notary.create_log('otherdb.public.audit')", "0A000"),
        ("notary.create_log('a.b.c.d')", "42601"),
        ("notary.create_log('pg_temp.audit')", "42809"),
        ("notary.create_log('audit', writer => 'nobody_here')", "42704"),
    ] {
        let error = refused(&mut client, &format!("SELECT {call}"));
        assert_eq!(error.code, code, "{call}: {error}");
        if matches!(code, "42P07" | "3F000") {
            assert!(!error.detail.is_empty() && !error.hint.is_empty(), "{call}: {error}");
        }
    }
    let error = refused(&mut client, "SELECT notary.create_log('\"No where\".audit')");
    assert_eq!(
        (error.message.as_str(), error.hint.as_str()),
        ("schema \"No where\" does not exist", "CREATE SCHEMA \"No where\" makes it.")
    );
    run(&mut client, "BEGIN READ ONLY");
    assert_eq!(refused(&mut client, "SELECT notary.create_log('audit')").code, "25006");
    run(&mut client, "ROLLBACK");
    let stranger = db.role("stranger");
    run(&mut client, &format!("CREATE SCHEMA closed; REVOKE CREATE ON SCHEMA public FROM \"{stranger}\""));
    let mut theirs = db.client_as(&stranger);
    for name in ["audit", "closed.audit", "notary.audit", "pg_catalog.audit"] {
        assert_eq!(refused(&mut theirs, &format!("SELECT notary.create_log('{name}')")).code, "42501", "{name}");
    }
    assert_eq!(texts(&mut client, count), before);
    assert_eq!(texts(&mut client, "SELECT count(*) FROM notary.logs"), ["2"]);
    // Rolled back, it is gone.
    run(&mut client, "BEGIN; SELECT notary.create_log('audit'); ROLLBACK");
    assert_eq!(texts(&mut client, "SELECT to_regclass('audit')"), ["NULL"]);
}

#[test]
fn a_writer_inserts_and_a_reader_reads_and_neither_does_more() {
    let db = fresh_db("grants");
    let owner = db.role("owner");
    let (reader, other) = (db.role("reader"), db.role("other"));
    let writer = format!("{} \"the writer\"", db.name());
    let mut client = db.client_as(&owner);
    // As a role's name is written in SQL.
    let quoted = format!("\"{}\"", writer.replace('"', "\"\""));
    run(&mut db.client(), &format!("CREATE ROLE {quoted} LOGIN"));
    run(&mut client, &format!("SELECT notary.create_log('audit', writer => '{quoted}', reader => '\"{reader}\"')"));
    assert_eq!(
        texts(&mut client, "SELECT tableowner FROM pg_tables WHERE tablename = 'audit'"),
        std::slice::from_ref(&owner)
    );

    let mut writing = db.client_as(&writer);
    run(&mut writing, "INSERT INTO audit (actor, action) VALUES ('ann', 'a')");
    assert_eq!(texts(&mut writing, "INSERT INTO audit (action) VALUES ('b') RETURNING id").len(), 1);
    assert_eq!(texts(&mut writing, r#"SELECT notary.log_event('audit', '{"action": "c"}')"#).len(), 1);
    for sql in [
        "INSERT INTO audit (action) VALUES ('d') RETURNING action",
        "INSERT INTO audit (action) VALUES ('d') RETURNING *",
        "INSERT INTO audit (action) VALUES ('d') RETURNING notary_seq",
        "SELECT action FROM audit",
        "SELECT * FROM audit",
        "SELECT notary_hash FROM audit",
        "COPY audit TO STDOUT",
        "UPDATE audit SET action = 'x'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "ALTER TABLE audit ADD COLUMN x int",
        "CREATE TRIGGER a BEFORE INSERT ON audit EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "SELECT notary.unprotect('audit', 'me')",
    ] {
        assert_eq!(refused(&mut writing, sql).code, "42501", "writer: {sql}");
    }

    assert_eq!(refused(&mut writing, "DROP TABLE audit").code, "55000", "whoever it is");

    let mut reading = db.client_as(&reader);
    assert_eq!(texts(&mut reading, "SELECT action FROM audit ORDER BY action"), ["a", "b", "c"]);
    assert_eq!(texts(&mut reading, "SELECT intact FROM notary.verify('audit')"), ["t"]);
    for sql in [
        "INSERT INTO audit (action) VALUES ('x')",
        r#"SELECT notary.log_event('audit', '{"action": "x"}')"#,
        r#"SELECT * FROM notary.log_events('audit', '[{"action": "x"}]')"#,
        "UPDATE audit SET action = 'x'",
        "DELETE FROM audit",
    ] {
        assert_eq!(refused(&mut reading, sql).code, "42501", "reader: {sql}");
    }
    let mut others = db.client_as(&other);
    for sql in
        ["SELECT id FROM audit", "INSERT INTO audit (action) VALUES ('x')", "SELECT * FROM notary.findings('audit')"]
    {
        assert_eq!(refused(&mut others, sql).code, "42501", "other: {sql}");
    }
    // The owner is no better off than any other log's.
    for sql in ["UPDATE audit SET action = 'x'", "DELETE FROM audit", "TRUNCATE audit", "DROP TABLE audit"] {
        assert_eq!(refused(&mut client, sql).code, "55000", "owner: {sql}");
    }
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn every_column_says_what_it_is() {
    let db = crate::scene("comments");
    let silent =
        "SELECT attname FROM pg_attribute WHERE attrelid = 'audit'::regclass AND attnum > 0 AND NOT attisdropped
                  AND coalesce(length(col_description(attrelid, attnum)), 0) < 10";
    assert_eq!(texts(&mut db.client(), silent), [""; 0]);
    assert!(db.value("SELECT obj_description('audit'::regclass)").contains("event log"));
    let functions =
        "SELECT proname FROM pg_proc WHERE pronamespace = 'notary'::regnamespace AND obj_description(oid) IS NULL";
    assert_eq!(texts(&mut db.client(), functions), [""; 0]);
}

#[test]
fn values_that_no_column_holds_are_refused() {
    let db = crate::scene("checks");
    let mut client = db.client();
    for (sql, code) in [
        ("INSERT INTO audit (actor) VALUES ('ann')", "23502"),
        ("INSERT INTO audit (action) VALUES ('')", "23514"),
        ("INSERT INTO audit (action, actor_type) VALUES ('a', 'robot')", "23514"),
        ("INSERT INTO audit (action, result) VALUES ('a', 'ok')", "23514"),
        ("INSERT INTO audit (action, notary_seq) VALUES ('a', 1)", "55000"),
    ] {
        assert_eq!(refused(&mut client, sql).code, code, "{sql}");
    }
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit"), ["0"]);
}
