//! Columns named as PII: their values stand nowhere in the log, and the hash there is the one that is documented.

use crate::{scene, since};
use notary_tests::talk::{refused, run, texts};
use notary_tests::verdict::assert_found;
use notary_tests::{Database, shared};
use postgres::Client;

/// What must not be found anywhere.
const SECRET: &str = "jane.roe@example.com";

/// Neither the log's rows nor an export nor a dump of it hold the secret, however spelt.
#[track_caller]
fn assert_nowhere(db: &Database<'_>) {
    let mut client = db.client();
    let in_rows = "SELECT count(*) FROM audit AS e WHERE e::text ~* 'jane|roe@|6a616e652e726f65|amFuZS5yb2U'";
    assert_eq!(texts(&mut client, in_rows), ["0"]);
    run(&mut client, "SET notary.origin = 'db.example.com'");
    run(&mut client, "CALL notary.seal('audit')");
    let export = texts(&mut client, "SELECT notary.export('audit')").join("\n");
    let dump = shared().pg_dump(db.name(), &["-t", "audit", "-t", "notary.journal"]).ok().stdout;
    for text in [export, dump] {
        assert!(text.contains("hmac:") && !text.contains("jane") && !text.contains("roe@"), "it tells");
    }
}

/// HMAC-SHA256 by its definition, in SQL; psql's own functions only.
pub const HMAC: &str = "CREATE FUNCTION xored(key bytea, pad int) RETURNS bytea LANGUAGE sql AS
        $$SELECT decode(string_agg(lpad(to_hex((CASE WHEN i < length(key) THEN get_byte(key, i) ELSE 0 END) # pad), 2, '0'), '' ORDER BY i), 'hex')
          FROM generate_series(0, 63) AS i$$;
    CREATE FUNCTION hmac_of(value text) RETURNS text LANGUAGE sql AS
        $$SELECT 'hmac:' || encode(sha256(xored(key, 92) || sha256(xored(key, 54) || convert_to(value, 'UTF8'))), 'hex') FROM notary.pii_key$$";

#[test]
fn the_value_is_nowhere_in_the_log() {
    let db = scene("nowhere");
    let mut client = db.client();
    run(
        &mut client,
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY, email text, tags text[], doc jsonb, j json, raw bytea, n int);
             SELECT notary.track('t', 'audit', pii => '{{email,tags,doc,j,raw}}');
             CREATE TABLE by_mail (email text PRIMARY KEY, v int); SELECT notary.track('by_mail', 'audit', pii => '{{email}}');
             CREATE TABLE two (email text, k int, v int, PRIMARY KEY (email, k)); SELECT notary.track('two', 'audit', pii => '{{email}}', full_rows => true);
             INSERT INTO t VALUES (1, '{SECRET}', '{{{SECRET}}}', '{{\"a\": \"{SECRET}\"}}', '{{\"a\": \"{SECRET}\"}}', '{SECRET}', 1);
             UPDATE t SET email = upper(email), tags = array_append(tags, 'x'); UPDATE t SET n = 2; UPDATE t SET email = NULL; DELETE FROM t;
             INSERT INTO by_mail VALUES ('{SECRET}', 1); UPDATE by_mail SET v = 2; UPDATE by_mail SET email = 'x' || email; DELETE FROM by_mail;
             INSERT INTO two VALUES ('{SECRET}', 1, 1); UPDATE two SET v = 2; DELETE FROM two"
        ),
    );
    assert_nowhere(&db);
    // Flagged where such a column is told of, and only there.
    let flags = "SELECT regexp_replace(action, '.*\\.(.*)\\..*', '\\1') || ' ' || pii || coalesce(' ' || pii_fields::text, '') FROM audit
                 WHERE resource_type = 'public.t' ORDER BY id";
    assert_eq!(
        texts(&mut client, flags),
        [
            "t true {email,tags,doc,j,raw}",
            "t true {email,tags}",
            "t false",
            "t true {email}",
            "t true {email,tags,doc,j,raw}",
        ]
    );
    // NULL is no value: it stays NULL.
    assert_eq!(
        texts(&mut client, "SELECT new_value FROM audit WHERE new_value = '{\"email\": null}'"),
        [r#"{"email": null}"#]
    );
    // A key that is PII names the row by its hash.
    assert_eq!(
        texts(
            &mut client,
            "SELECT DISTINCT resource_id ~ '^hmac:[0-9a-f]{64}$' FROM audit WHERE resource_type = 'public.by_mail'"
        ),
        ["t"]
    );
    assert_eq!(
        texts(
            &mut client,
            "SELECT DISTINCT resource_id ~ '^\\[\"hmac:[0-9a-f]{64}\", 1\\]$' FROM audit WHERE resource_type = 'public.two'"
        ),
        ["t"]
    );
    assert_found(&mut client, "audit", &[]);
}

#[test]
fn the_hash_is_hmac_sha256_of_the_value_s_json() {
    let db = scene("hash");
    let mut client = db.client();
    run(&mut client, HMAC);
    run(
        &mut client,
        r#"CREATE TABLE t (id int PRIMARY KEY, a text, b int, c jsonb, d bytea, e timestamptz, f numeric, g bool, h text[], i float8);
           SELECT notary.track('t', 'audit', pii => '{a,b,c,d,e,f,g,h,i}');
           SET timezone = 'Asia/Tokyo'; SET bytea_output = 'escape';
           INSERT INTO t VALUES (1, E'é"\\\n漢', 42, '{"b": 1, "a": [1.50]}', '\x00ff', '2026-11-20 16:07:00.5Z', 1.50, true, '{a,NULL}', 'NaN');
           RESET ALL; CREATE TABLE u (id int PRIMARY KEY, a text); SELECT notary.track('u', 'audit', pii => '{a}'); INSERT INTO u SELECT 1, a FROM t"#,
    );
    for (column, json) in [
        ("a", r#""é\"\\\n漢""#),
        ("b", "42"),
        ("c", r#"{"a": [1.50], "b": 1}"#),
        ("d", r#""\\x00ff""#),
        ("e", r#""2026-11-20T16:07:00.500000Z""#),
        ("f", "1.50"),
        ("g", "true"),
        ("h", r#"["a", null]"#),
        ("i", r#""NaN""#),
    ] {
        let sql = format!("SELECT new_value ->> '{column}' = hmac_of($1) FROM audit WHERE resource_type = 'public.t'");
        assert!(client.query_one(&sql, &[&json]).unwrap().get::<_, bool>(0), "{column}: {json}");
    }
    assert_eq!(
        texts(&mut client, "SELECT count(DISTINCT new_value ->> 'a') FROM audit"),
        ["1"],
        "the same in all tables"
    );
    // Another database has another key.
    let other = scene("hash");
    run(
        &mut other.client(),
        "CREATE TABLE t (a text); SELECT notary.track('t', 'audit', pii => '{a}'); INSERT INTO t VALUES ('x')",
    );
    run(&mut client, "INSERT INTO u VALUES (2, 'x')");
    let hash = texts(
        &mut client,
        "SELECT new_value ->> 'a' FROM audit WHERE resource_type = 'public.u' AND resource_id = '2'",
    );
    assert_ne!(hash, texts(&mut other.client(), "SELECT new_value ->> 'a' FROM audit"));
}

#[test]
fn the_key_is_the_superusers() {
    let db = scene("key");
    let owner = db.role("owner");
    run(&mut db.client(), &format!("GRANT INSERT ON audit TO \"{owner}\""));
    let mut client = db.client_as(&owner);
    assert_eq!(db.value("SELECT count(*) FROM notary.pii_key"), "0", "made when it is needed");
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY, a text); SELECT notary.track('t', 'audit', pii => '{a}'); INSERT INTO t VALUES (1, 'x')",
    );
    assert_eq!(db.value("SELECT count(*) || ' ' || min(length(key)) FROM notary.pii_key"), "1 32");
    for sql in [
        "SELECT * FROM notary.pii_key",
        "UPDATE notary.pii_key SET key = 'x'",
        "DELETE FROM notary.pii_key",
        "INSERT INTO notary.pii_key VALUES ('x')",
    ] {
        assert_eq!(refused(&mut client, sql).code, "42501", "{sql}");
    }
    let before = db.value("SELECT key FROM notary.pii_key");
    run(&mut client, "CREATE TABLE u (id int PRIMARY KEY, a text); SELECT notary.track('u', 'audit', pii => '{a}')");
    assert_eq!(db.value("SELECT key FROM notary.pii_key"), before);
    // Without the key nothing is written in the clear.
    run(&mut db.client(), "DELETE FROM notary.pii_key");
    assert_eq!(refused(&mut db.client_as(&owner), "INSERT INTO t VALUES (2, 'y')").code, "55000");
    assert_eq!(refused(&mut db.client(), "INSERT INTO notary.pii_key VALUES ('short')").code, "23514");
}

#[test]
fn neither_errors_nor_answers_tell() {
    let db = scene("errors");
    let (mut client, notices) = db.client_with_notices("postgres");
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY, email text); SELECT notary.track('t', 'audit', pii => '{email}')",
    );
    run(
        &mut client,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no: %', NEW; END$$;
         CREATE TRIGGER a BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION fail()",
    );
    let error = refused(&mut client, &format!("INSERT INTO t VALUES (1, '{SECRET}')"));
    assert!(error.message.contains("hmac:") && !format!("{error} {}", error.context).contains("jane"), "{error}");
    refused(&mut client, "DROP TABLE t");
    run(
        &mut client,
        &format!("DROP TRIGGER a ON audit; INSERT INTO t VALUES (1, '{SECRET}'); SELECT notary.untrack('t', 'a test')"),
    );
    assert!(!notices.take().join("\n").contains("jane"));
    assert_nowhere(&db);
}

/// All the ways in which a column gets another name; each time the old plan is in use in two sessions.
#[test]
fn pii_stays_pii_under_any_name() {
    for (name, change) in [
        ("table", "ALTER TABLE t RENAME COLUMN email TO mail"),
        ("table_only", "ALTER TABLE ONLY t RENAME email TO mail"),
        ("view", "ALTER VIEW t RENAME COLUMN email TO mail"),
        ("matview", "ALTER MATERIALIZED VIEW t RENAME COLUMN email TO mail"),
        ("foreign", "ALTER FOREIGN TABLE t RENAME COLUMN email TO mail"),
        ("twice", "ALTER TABLE t RENAME email TO x; ALTER TABLE t RENAME id TO email; ALTER TABLE t RENAME x TO mail; ALTER TABLE t RENAME email TO id"),
        ("function", "DO $$BEGIN ALTER TABLE t RENAME email TO mail; END$$"),
        ("savepoint", "BEGIN; SAVEPOINT s; ALTER TABLE t RENAME email TO other; ROLLBACK TO s; ALTER TABLE t RENAME email TO mail; COMMIT"),
        ("caught", "DO $$BEGIN BEGIN ALTER TABLE t RENAME email TO other; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END;
                    ALTER TABLE t RENAME email TO mail; END$$"),
        ("quoted", "ALTER TABLE t RENAME email TO \"a \"\"b\"\" \\ c\"; ALTER TABLE t RENAME \"a \"\"b\"\" \\ c\" TO mail"),
        ("others", "CREATE FUNCTION ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN CREATE TEMP TABLE noted (i int); DROP TABLE noted; END$$;
                    CREATE EVENT TRIGGER aaa ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION ddl();
                    ALTER TABLE t RENAME COLUMN email TO mail"),
    ] {
        let db = scene(name);
        let (mut client, mut other) = (db.client(), db.client());
        run(
            &mut client,
            "CREATE TABLE t (id int PRIMARY KEY, email text, pw text);
             SELECT notary.track('t', 'audit', pii => '{email}', exclude => '{pw}')",
        );
        let insert = |client: &mut Client, id: i32| run(client, &format!("INSERT INTO t VALUES ({id}, '{SECRET}', 'hunter2')"));
        insert(&mut client, 1);
        insert(&mut other, 2);
        run(&mut client, change);
        insert(&mut client, 3);
        insert(&mut other, 4);
        insert(&mut db.client(), 5);
        run(&mut client, "ALTER TABLE t RENAME pw TO mail2");
        insert(&mut client, 6);
        insert(&mut other, 7);
        assert_nowhere(&db);
        let wrong = "SELECT count(*) FROM audit WHERE new_value::text ~ 'hunter2' OR NOT pii OR new_value ? 'mail2'";
        assert_eq!(texts(&mut client, wrong), ["0"], "{name}");
        assert_eq!(texts(&mut client, "SELECT pii::text || exclude::text FROM notary.tracked"), ["{mail}{mail2}"], "{name}");
        assert_eq!(texts(&mut client, "SELECT count(*) FROM audit WHERE pii_fields = '{mail}' AND new_value ->> 'mail' ~ '^hmac:'"), ["5"], "{name}");
        assert_found(&mut client, "audit", &[]);
        // A column that is made later under the old name is none.
        run(&mut client, "ALTER TABLE t ADD COLUMN email text; UPDATE t SET email = 'public'");
        assert_eq!(texts(&mut client, "SELECT count(*) FROM audit WHERE new_value = '{\"email\": \"public\"}' AND NOT pii"), ["7"], "{name}");
    }
}

#[test]
fn pii_of_typed_tables_and_of_children_stays_so() {
    let db = scene("typed");
    let (mut client, mut mark) = (db.client(), 0);
    run(
        &mut client,
        &format!(
            "CREATE TYPE person AS (id int, email text); CREATE TABLE typed OF person; SELECT notary.track('typed', 'audit', pii => '{{email}}');
             INSERT INTO typed VALUES (1, '{SECRET}'); ALTER TYPE person RENAME ATTRIBUTE email TO mail CASCADE; INSERT INTO typed VALUES (2, '{SECRET}');
             CREATE TABLE parent (id int, email text); CREATE TABLE child () INHERITS (parent); SELECT notary.track('child', 'audit', pii => '{{email}}');
             INSERT INTO child VALUES (1, '{SECRET}'); ALTER TABLE parent RENAME email TO mail; INSERT INTO child VALUES (2, '{SECRET}')"
        ),
    );
    assert_eq!(since(&mut client, &mut mark).len(), 4);
    assert_nowhere(&db);
    assert_eq!(texts(&mut client, "SELECT pii FROM notary.tracked"), ["{mail}", "{mail}"]);
}

/// What a command that failed left behind is nothing to the next one.
#[test]
fn a_rename_that_failed_leaves_nothing_behind() {
    let db = scene("failed_rename");
    let (mut client, mut other) = (db.client(), db.client());
    run(
        &mut client,
        "CREATE TABLE par (id int, email text, phone text); CREATE TABLE a () INHERITS (par); CREATE TABLE b (mail text) INHERITS (par);
         SELECT notary.track('a', 'audit', pii => '{email,phone}'); CREATE TABLE anything (id int)",
    );
    assert_eq!(refused(&mut other, "ALTER TABLE par RENAME email TO mail").code, "42701");
    run(&mut client, "ALTER TABLE b DROP mail");
    run(&mut client, "ALTER TABLE par RENAME email TO mail; ALTER TABLE par RENAME phone TO email");
    run(&mut other, "ALTER TABLE anything ADD COLUMN n int");
    assert_eq!(texts(&mut client, "SELECT pii FROM notary.tracked"), ["{mail,email}"]);
    for client in [&mut client, &mut other] {
        run(client, &format!("INSERT INTO a VALUES (1, '{SECRET}', '{SECRET}')"));
    }
    assert_nowhere(&db);
    assert_found(&mut client, "audit", &[]);
}

/// Event triggers fire in the order of their names, and the renaming command is still under way.
#[test]
fn what_an_event_trigger_writes_is_kept_out_under_the_new_name() {
    let db = scene("event_trigger");
    let mut client = db.client();
    run(
        &mut client,
        &format!(
            "CREATE TABLE t (id serial PRIMARY KEY, email text, pw text); SELECT notary.track('t', 'audit', pii => '{{email}}', exclude => '{{pw}}');
             CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO t VALUES (DEFAULT, '{SECRET}', '{SECRET}'); END$$;
             CREATE EVENT TRIGGER a_note ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION note();
             ALTER TABLE t RENAME email TO mail; ALTER TABLE t RENAME pw TO word"
        ),
    );
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit WHERE new_value ->> 'mail' ~ '^hmac:'"), ["2"]);
    assert_nowhere(&db);
    // Not even with all of them off.
    run(
        &mut client,
        &format!(
            "UPDATE pg_event_trigger SET evtenabled = 'D' WHERE evtname ~ '^notary'; ALTER TABLE t RENAME mail TO email;
             INSERT INTO t VALUES (DEFAULT, '{SECRET}', '{SECRET}'); UPDATE pg_event_trigger SET evtenabled = 'A' WHERE evtname ~ '^notary'"
        ),
    );
    assert_nowhere(&db);
    assert_found(&mut client, "audit", &[]);
}

/// A column that is computed from one that is kept out would show it.
#[test]
fn what_is_generated_from_pii_is_pii() {
    let db = scene("generated");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY, email text, pw text, low text GENERATED ALWAYS AS (lower(email)) STORED,
             n int GENERATED ALWAYS AS (id + 1) STORED)",
    );
    for (arguments, source) in [("pii => '{email}'", "email"), ("exclude => '{email}'", "email")] {
        let error = refused(&mut client, &format!("SELECT notary.track('t', 'audit', {arguments})"));
        assert_eq!(error.code, "55000", "{error}");
        assert!(error.detail.contains("\"low\"") && error.detail.contains(source), "{error}");
        assert!(error.hint.contains("\"low\""), "{error}");
    }
    run(
        &mut client,
        "SELECT notary.track('t', 'audit', pii => '{email}', exclude => '{low,pw}'); SELECT notary.untrack('t', 'a test')",
    );
    run(&mut client, "SELECT notary.track('t', 'audit', pii => '{email,low}', exclude => '{pw}')");
    // Those that come later, in a session that knows the table already, and under another name.
    let mut other = db.client();
    run(&mut other, "INSERT INTO t VALUES (1, 'Ann@example.com', 'secret')");
    run(
        &mut client,
        "ALTER TABLE t ADD COLUMN up text GENERATED ALWAYS AS (upper(email || coalesce(id, 0))) STORED,
             ADD COLUMN pw_too text GENERATED ALWAYS AS (pw || 'x') STORED; ALTER TABLE t RENAME email TO mail; ALTER TABLE t RENAME up TO loud",
    );
    run(
        &mut other,
        "INSERT INTO t VALUES (2, 'Bob@example.com', 'secret'); UPDATE t SET mail = 'Eve@example.com'; DELETE FROM t",
    );
    assert_eq!(texts(&mut client, "SELECT count(*) FROM audit AS e WHERE e::text ~* 'example|secret'"), ["0"]);
    assert_eq!(
        texts(
            &mut client,
            "SELECT new_value ->> 'n' || pii_fields::text || (new_value ->> 'loud' ~ '^hmac:') FROM audit WHERE resource_id = '2' AND action ~ 'insert'"
        ),
        ["3{mail,low,loud}true"]
    );
}

#[test]
fn an_excluded_key_is_told() {
    let db = scene("excluded_key");
    let (mut client, notices) = db.client_with_notices("postgres");
    run(
        &mut client,
        "CREATE TABLE t (a int, b int, c int, PRIMARY KEY (a, b)); SELECT notary.track('t', 'audit', exclude => '{b}')",
    );
    let said = notices.take();
    assert!(said[0].ends_with("\"b\" of its primary key is excluded, so that events do not name the row"), "{said:#?}");
    run(&mut client, "INSERT INTO t VALUES (1, 2, 3)");
    assert_eq!(texts(&mut client, "SELECT resource_id FROM audit"), ["NULL"]);
}
