//! Nobody's functions get a superuser's rights through protect and unprotect: not when a superuser protects an ordinary
//! role's table, and not when that role calls on its own table functions that work with the superuser's rights inside.

use super::{assert_intact, run, texts};
use notary_tests::{Database, fresh_db};
use postgres::Client;

/// What the attacker's functions do wherever they are called: note who they are, and reach for more. Volatile work
/// hides behind an immutable face, so that PostgreSQL folds and indexes it.
const ATTACK: &str = "
    CREATE TABLE witness (place text, who name, outcome text);
    CREATE FUNCTION attempt(place text, command text) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE outcome text := 'done';
    BEGIN
        BEGIN EXECUTE command; EXCEPTION WHEN OTHERS THEN outcome := SQLSTATE; END;
        INSERT INTO public.witness VALUES (place, current_user, outcome);
    END $$;
    CREATE FUNCTION attack(place text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM public.attempt(place, format('ALTER ROLE %I SUPERUSER', 'ROLE'));
        PERFORM public.attempt(place, 'RESET ROLE');
        PERFORM public.attempt(place, 'SET ROLE postgres');
        PERFORM public.attempt(place, 'SET SESSION AUTHORIZATION postgres');
        PERFORM public.attempt(place, 'CREATE EXTENSION file_fdw');
        PERFORM public.attempt(place, 'CREATE TEMP TABLE left_behind (a int)');
        PERFORM public.attempt(place, 'DECLARE later CURSOR WITH HOLD FOR SELECT public.attempt(''cursor'', ''SET ROLE postgres'')');
        PERFORM public.attempt(place, 'INSERT INTO public.queue VALUES (1)');
    END $$;
    CREATE TABLE queue (a int);
    CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.attempt('at commit', format('ALTER ROLE %I SUPERUSER', 'ROLE')); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON queue DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION at_commit();
    CREATE FUNCTION trap(place text, value int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM public.attack(place); RETURN value; END $$;
    CREATE FUNCTION holds(place text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM public.attack(place); RETURN true; END $$;
    CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.attack('trigger ' || TG_NAME); RETURN NEW; END $$;
    CREATE FUNCTION wrong_equal(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM public.attack('operator'); RETURN true; END $$;
    CREATE FUNCTION wrong_equal(bigint, bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM public.attack('operator'); RETURN true; END $$;
    CREATE OPERATOR = (leftarg = int, rightarg = int, function = wrong_equal);
    CREATE OPERATOR = (leftarg = bigint, rightarg = bigint, function = wrong_equal);
    CREATE FUNCTION sha256(bytea) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN PERFORM public.attack('sha256'); RETURN ''; END $$;
    CREATE DOMAIN trapped AS int CHECK (holds('domain'));
    CREATE TABLE t (a int DEFAULT trap('default', 0), b trapped, g int GENERATED ALWAYS AS (trap('generated', a)) STORED,
                    CHECK (holds('check')), CHECK (trap('check of a', a) IS NOT NULL));
    CREATE INDEX ON t (trap('expression', a));
    CREATE INDEX ON t ((a + trap('folded expression', 1)));
    CREATE INDEX ON t (a) WHERE trap('predicate', a) IS NOT NULL;
    CREATE INDEX ON t (a) WHERE holds('folded predicate');
    CREATE STATISTICS st ON trap('statistics', a), (a + trap('folded statistics', 1)) FROM t;
    ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (holds('policy'));
    CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION fire();
    CREATE TRIGGER s AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON t FOR EACH STATEMENT EXECUTE FUNCTION fire();
    CREATE CONSTRAINT TRIGGER d AFTER INSERT OR UPDATE OR DELETE ON t DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION fire();
    INSERT INTO t (a, b) VALUES (1, 1), (2, 2), (3, 3)";

/// The attacker's role, his table, and a session of his.
fn attacker(name: &str) -> (Database<'static>, String, Client) {
    let db = fresh_db(name);
    let role = db.role("mallory");
    // PostgreSQL's workers that build an index would run his functions, which cannot run there.
    run(&mut db.client(), &format!("ALTER DATABASE \"{}\" SET max_parallel_maintenance_workers = 0", db.name()));
    let mut client = db.client_as(&role);
    run(&mut client, &ATTACK.replace("'ROLE'", &format!("'{role}'")));
    run(&mut client, "TRUNCATE witness");
    (db, role, client)
}

/// Everything that was called was called as the attacker, and nothing that it reached for was granted.
#[track_caller]
fn assert_nothing_lent(db: &Database<'_>, role: &str) {
    let mut client = db.client();
    // By the columns only: to plan a query of t would be to walk into the trap ourselves.
    let lent = format!(
        "SELECT DISTINCT concat_ws(' ', place, who, outcome) FROM witness WHERE who <> '{role}' OR
                        (outcome = 'done' AND place NOT LIKE 'called by%')"
    );
    assert_eq!(texts(&mut client, &lent), Vec::<String>::new());
    let special = format!("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = '{role}'");
    assert_eq!(texts(&mut client, &special), ["f"]);
}

#[test]
fn a_superuser_who_protects_and_unprotects_lends_nothing() {
    let (db, role, mut mallory) = attacker("rights_superuser");
    let mut superuser = db.client();
    run(&mut superuser, "SET search_path = public, pg_catalog; SET constraint_exclusion = on");
    run(&mut superuser, "SELECT notary.protect('t')");
    assert_nothing_lent(&db, &role);
    let called = texts(&mut mallory, "SELECT DISTINCT place FROM witness ORDER BY 1");
    assert!(called.iter().any(|p| p == "expression"), "the index was built by the owner's functions: {called:?}");
    assert!(!called.iter().any(|p| p.starts_with("trigger") || p == "default"), "{called:?}");
    for sql in [
        "SELECT * FROM notary.verify('t')",
        "SELECT * FROM notary.verify('t', workers => 2)",
        "SELECT * FROM notary.findings('t')",
        "SELECT * FROM notary.notices('t')",
        "SELECT * FROM notary.logs",
        "SELECT notary.header('t')",
        "SELECT notary.attest('t')",
        "SELECT notary.assert_intact('t')",
        "SELECT notary.unprotect('t', 'a test')",
        "SELECT notary.protect('t')",
    ] {
        run(&mut superuser, sql);
        assert_nothing_lent(&db, &role);
    }
    // The trap has teeth: a superuser who so much as plans a query of the table walks into it.
    run(&mut superuser, "BEGIN; EXPLAIN SELECT a FROM t");
    let caught = "SELECT DISTINCT place FROM witness WHERE who = 'postgres' AND outcome = 'done'";
    assert!(texts(&mut superuser, caught).contains(&"folded expression".to_owned()));
    run(&mut superuser, "ROLLBACK");
}

#[test]
fn the_owner_cannot_make_his_own_calls_run_as_a_superuser() {
    let (db, role, mut mallory) = attacker("rights_owner");
    // Planning is where folded constants run; every plan of his own table shall run them as him.
    run(&mut mallory, "SET search_path = public, pg_catalog; SET constraint_exclusion = on");
    let statements = [
        "SELECT notary.protect('t')",
        "ALTER TABLE t DISABLE ROW LEVEL SECURITY",
        "SELECT * FROM notary.verify('t')",
        "SELECT * FROM notary.verify('t', workers => 2)",
        "SELECT * FROM notary.logs",
        "SELECT notary.line('t', 1, 1)",
        "SELECT notary.attest('t')",
        "SELECT notary.unprotect('t', 'a test')",
        "SELECT notary.protect('t')",
    ];
    for sql in statements {
        // The sessions' own user may SET ROLE to himself and RESET; only what needs more counts.
        run(&mut mallory, sql);
        let lent = format!("SELECT DISTINCT concat_ws(' ', place, who, outcome) FROM witness WHERE who <> '{role}'");
        assert_eq!(texts(&mut db.client(), &lent), Vec::<String>::new(), "{sql}");
        let special = format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{role}'");
        assert_eq!(texts(&mut db.client(), &special), ["f"], "{sql}");
    }
}

#[test]
fn a_writer_runs_the_owners_triggers_no_differently_than_before() {
    let db = fresh_db("rights_writer");
    let (owner, writer) = (db.role("owner"), db.role("writer"));
    run(
        &mut db.client_as(&owner),
        &format!(
            "CREATE TABLE t (a int, who name); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN NEW.who := current_user; RETURN NEW; END';
             CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
             GRANT INSERT, SELECT ON t TO \"{writer}\"; SELECT notary.protect('t')"
        ),
    );
    let mut client = db.client_as(&writer);
    run(&mut client, "INSERT INTO t (a) VALUES (1)");
    assert_eq!(texts(&mut client, "SELECT who FROM t"), [writer]);
    assert_intact(&mut client, "t", 1);
}

#[test]
fn a_prepared_schema_or_search_path_of_the_callers_changes_nothing() {
    let db = fresh_db("rights_path");
    let role = db.role("mallory");
    let mut mallory = db.client_as(&role);
    run(
        &mut mallory,
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1);
         CREATE TEMP TABLE pg_class (a int); CREATE TEMP TABLE pg_trigger (a int); CREATE TEMP TABLE segment (a int);
         CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz';
         CREATE FUNCTION public.quote_ident(text) RETURNS text LANGUAGE sql AS 'SELECT ''x''';
         SET search_path = pg_temp, public, pg_catalog",
    );
    run(&mut mallory, "SELECT notary.protect('t'); INSERT INTO t (a) VALUES (2)");
    run(
        &mut mallory,
        "SELECT notary.unprotect('t', 'a test'); INSERT INTO t (a) VALUES (3); SELECT notary.protect('t')",
    );
    assert_intact(&mut db.client(), "t", 3);
}

#[test]
fn nothing_is_stored_where_the_caller_may_not_store() {
    let db = fresh_db("rights_tablespace");
    let role = db.role("mallory");
    let mut client = db.client();
    run(&mut client, "SET allow_in_place_tablespaces = on");
    run(&mut client, "CREATE TABLESPACE rights_sec LOCATION ''");
    run(&mut client, "CREATE ACCESS METHOD rights_other TYPE TABLE HANDLER heap_tableam_handler");
    let mut mallory = db.client_as(&role);
    run(
        &mut mallory,
        "CREATE TABLE t (a int); SET default_tablespace = rights_sec; SET default_table_access_method = rights_other;
         SELECT notary.protect('t')",
    );
    let elsewhere = "SELECT relname::text FROM pg_class WHERE reltablespace <> 0 AND reltablespace <> 1664";
    assert_eq!(texts(&mut client, elsewhere), Vec::<String>::new());
    let settings = "SELECT current_setting('default_tablespace') || current_setting('default_table_access_method')";
    assert_eq!(texts(&mut mallory, settings), ["rights_secrights_other"]);
    assert_intact(&mut client, "notary.journal", 2);
    run(&mut mallory, "SELECT notary.unprotect('t', 'a test'); INSERT INTO t VALUES (1); SELECT notary.protect('t')");
    assert_eq!(texts(&mut client, elsewhere), Vec::<String>::new());
    assert_intact(&mut client, "t", 1);
    run(&mut client, "DROP TABLESPACE rights_sec");
}
