//! Nobody else notices: other users, other tables, restores.

use crate::scene::{Scene, run};

#[test]
fn an_ordinary_user_notices_nothing() {
    let scene = Scene::new("guard_stranger");
    let stranger = scene.db.role("stranger");
    run(
        &mut scene.session(true),
        &format!(
            "REVOKE ALL ON SCHEMA notary FROM PUBLIC; GRANT CREATE ON DATABASE \"{}\" TO \"{stranger}\";
             GRANT SELECT, REFERENCES ON app, part TO \"{stranger}\"",
            scene.db.name()
        ),
    );
    for command in [
        "CREATE SCHEMA mine CREATE TABLE t (id int PRIMARY KEY, note text DEFAULT 'n') CREATE VIEW v AS SELECT id FROM t",
        "SET search_path = mine; ALTER TABLE t ADD COLUMN d text DEFAULT 'f', ALTER COLUMN note TYPE varchar USING 'x'",
        "SET search_path = mine; ALTER TABLE t RENAME COLUMN d TO e; ALTER TABLE t DROP COLUMN e",
        "CREATE TABLE mine.like_log (LIKE app INCLUDING ALL); INSERT INTO mine.like_log (id) VALUES (1);
         UPDATE mine.like_log SET id = 2; DELETE FROM mine.like_log; TRUNCATE mine.like_log;
         ALTER TABLE mine.like_log DROP COLUMN notary_hash; DROP TABLE mine.like_log",
        "CREATE TABLE mine.copied AS SELECT * FROM app; ALTER TABLE mine.copied ALTER COLUMN id TYPE text; DROP TABLE mine.copied",
        "CREATE TEMP TABLE tmp (i int) ON COMMIT DROP; CREATE TEMP TABLE kept (i serial); CREATE TEMP TABLE heir () INHERITS (kept)",
        "CREATE TEMP TABLE again (LIKE part INCLUDING ALL)",
        "DISCARD ALL",
        "CREATE FUNCTION mine.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER \"~z\" BEFORE INSERT ON mine.t FOR EACH ROW EXECUTE FUNCTION mine.f()",
        "ALTER TABLE mine.t DISABLE TRIGGER ALL; ALTER TABLE mine.t ENABLE TRIGGER USER; ALTER TABLE mine.t SET UNLOGGED",
        "CREATE RULE r AS ON DELETE TO mine.t DO INSTEAD NOTHING",
        "CREATE TYPE mine.e AS ENUM ('a'); ALTER TYPE mine.e RENAME VALUE 'a' TO 'b'; ALTER TYPE mine.e RENAME TO f",
        "CREATE TABLE mine.p (i int) PARTITION BY HASH (i); CREATE TABLE mine.p1 PARTITION OF mine.p FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        "ALTER TABLE mine.p DETACH PARTITION mine.p1 CONCURRENTLY",
        "CREATE INDEX CONCURRENTLY i ON mine.t (note)",
        "REINDEX TABLE CONCURRENTLY mine.t",
        "DROP INDEX CONCURRENTLY mine.i",
        "VACUUM FULL mine.t",
        "DROP TABLE IF EXISTS nowhere.nothing, nothing; DROP INDEX IF EXISTS nothing; DROP FUNCTION IF EXISTS nothing(int)",
        "CREATE TABLE mine.refers (id int); CREATE MATERIALIZED VIEW mine.m AS SELECT count(*) FROM app",
        "REFRESH MATERIALIZED VIEW mine.m",
        "CREATE UNIQUE INDEX ON mine.m (count); REFRESH MATERIALIZED VIEW CONCURRENTLY mine.m",
        "CREATE EXTENSION hstore SCHEMA mine; CREATE TABLE mine.h (h mine.hstore); DROP EXTENSION hstore CASCADE",
        "ALTER SCHEMA mine RENAME TO still_mine",
        "ALTER TYPE still_mine.f SET SCHEMA public; DROP TYPE public.f",
        "DROP SCHEMA still_mine CASCADE",
        "DROP OWNED BY CURRENT_USER",
    ] {
        run(&mut scene.db.client_as(&stranger), command);
    }
    // The end of a session with temporary tables goes through the same hook.
    assert!(!scene.db.cluster().log_contents().contains("PANIC"));
    scene.still_appends().expect("the logs are unharmed");
}

#[test]
fn an_unrelated_schema_goes_with_all_that_is_in_it() {
    let scene = Scene::new("guard_unrelated");
    run(
        &mut scene.session(false),
        "CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY); CREATE TABLE s.b (id int REFERENCES s.a ON DELETE CASCADE);
         CREATE VIEW s.of_log AS SELECT * FROM app;
         CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER from_s BEFORE INSERT ON app FOR EACH ROW EXECUTE FUNCTION s.f();
         DROP SCHEMA s CASCADE",
    );
    scene.still_appends().expect("the logs are unharmed");
}

#[test]
fn a_database_with_logs_can_be_dropped() {
    let scene = Scene::new("guard_dropdb");
    let name = scene.db.name().to_owned();
    run(&mut scene.db.cluster().client("postgres"), &format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
}

#[test]
fn a_dump_restores_with_the_guard_active() {
    let scene = Scene::new("guard_dump");
    let cluster = scene.db.cluster();
    for args in [&["-Fc"][..], &["-Fp"][..]] {
        let dump = cluster.pg_dump(scene.db.name(), args).ok();
        let copy = cluster.bare_db("guard_restored");
        if args == ["-Fp"] {
            copy.psql(&dump.stdout).ok();
        } else {
            cluster.pg_restore(copy.name(), &["--exit-on-error"], &dump.stdout_bytes).ok();
        }
        let rows = "SELECT string_agg(a::text, ';' ORDER BY id) FROM app a";
        assert_eq!(scene.db.value(rows), copy.value(rows));
        let guards = "SELECT count(*) FROM pg_trigger WHERE tgenabled = 'A' AND NOT tgisinternal";
        assert_eq!(scene.db.value(guards), copy.value(guards));
        let error = notary_tests::err(copy.client().batch_execute("DELETE FROM part"));
        assert_eq!(error.code, "55000", "{error}");
    }
}

#[test]
fn a_restore_is_not_asked_for_completeness() {
    // What pg_restore does, step by step, each in a session of its own and with the guard active.
    let scene = Scene::new("guard_steps");
    let mut arguments = scene.session(true);
    let definition: String = arguments
        .query_one(
            "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'app'::regclass AND tgname = '~notary_append'",
            &[],
        )
        .expect("the trigger is there")
        .get(0);
    let create = definition.replace(" ON public.app ", " ON public.restored ");
    for step in [
        "CREATE TABLE restored (LIKE app INCLUDING GENERATED)",
        "ALTER TABLE ONLY restored ALTER COLUMN at SET DEFAULT now()",
        "INSERT INTO restored (id, notary_chain) SELECT id, notary_chain FROM app",
        &create,
        "CREATE TRIGGER \"~notary_keep\" BEFORE DELETE OR UPDATE ON restored FOR EACH ROW EXECUTE FUNCTION notary.refuse()",
        "ALTER TABLE restored ENABLE ALWAYS TRIGGER \"~notary_append\"",
        "ALTER TABLE restored ENABLE ALWAYS TRIGGER \"~notary_keep\"",
        "ALTER TABLE ONLY restored ADD CONSTRAINT restored_key UNIQUE (notary_chain, notary_seq)",
        "ALTER TABLE restored CLUSTER ON restored_key",
        "CREATE TRIGGER \"~notary_block\" BEFORE DELETE OR UPDATE OR TRUNCATE ON restored FOR EACH STATEMENT EXECUTE FUNCTION notary.refuse()",
        "ALTER TABLE restored ENABLE ALWAYS TRIGGER \"~notary_block\"",
        "ALTER TABLE restored OWNER TO postgres",
    ] {
        run(&mut scene.session(true), step);
    }
}

#[test]
fn partitions_are_protected_though_the_guards_own_event_trigger_is_off() {
    let scene = Scene::new("guard_start_off");
    run(&mut scene.session(true), "ALTER EVENT TRIGGER notary_guard_start DISABLE");
    let bounds = "FOR VALUES FROM (200) TO (300)";
    run(&mut scene.session(false), &format!("CREATE TABLE part_3 PARTITION OF part {bounds}"));
    run(&mut scene.session(true), "ALTER EVENT TRIGGER notary_guard_start ENABLE ALWAYS");
    let guards = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'part_3'::regclass AND tgenabled = 'A'";
    assert_eq!(scene.db.value(guards), "3");
    // A partition that was rolled back, and one made inside CREATE SCHEMA.
    let mut client = scene.session(false);
    run(&mut client, "BEGIN; CREATE TABLE part_4 PARTITION OF part FOR VALUES FROM (300) TO (400); ROLLBACK");
    run(&mut client, "CREATE SCHEMA s CREATE TABLE part_5 PARTITION OF public.part FOR VALUES FROM (500) TO (600)");
    assert_eq!(scene.db.value(&guards.replace("part_3", "s.part_5")), "3");
}

#[test]
fn writing_to_other_tables_does_not_even_load_the_library() {
    let scene = Scene::new("guard_unloaded");
    let mut client = scene.session(false);
    // The library brings this setting along.
    let loaded = "SELECT count(*) FROM pg_settings WHERE name = 'notary.restore'";
    let is_loaded = |client: &mut postgres::Client| client.query_one(loaded, &[]).unwrap().get::<_, i64>(0) == 1;
    assert!(!is_loaded(&mut client));
    for statement in [
        "INSERT INTO plain VALUES (1, 'a'), (2, 'b')",
        "UPDATE plain SET note = 'c' WHERE id = 1",
        "INSERT INTO plain SELECT id, note FROM app",
        "DELETE FROM plain",
        "SELECT * FROM app JOIN part USING (id)",
    ] {
        run(&mut client, statement);
    }
    assert!(!is_loaded(&mut client), "something of pg_notary ran");
    run(&mut client, "INSERT INTO app (id) VALUES (3)");
    assert!(is_loaded(&mut client), "the test can tell");
}

#[test]
fn who_makes_functions_of_our_names_guards_nothing() {
    // The library is loaded, and the extension is not in this database.
    let db = notary_tests::shared().bare_db("guard_lookalike");
    let role = db.role("lookalike");
    run(&mut db.client(), &format!("GRANT CREATE ON DATABASE \"{}\" TO \"{role}\"", db.name()));
    let preloaded = || {
        let mut config = db.cluster().config(db.name());
        config.options("-c session_preload_libraries=pg_notary").connect(postgres::NoTls).unwrap()
    };
    run(
        &mut db.client_as(&role),
        "CREATE SCHEMA notary; CREATE TABLE public.mine (id int);
         CREATE FUNCTION notary.append() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE FUNCTION notary.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER t BEFORE INSERT ON public.mine FOR EACH ROW EXECUTE FUNCTION notary.append()",
    );
    run(&mut preloaded(), "ALTER TABLE mine ADD COLUMN d int DEFAULT 1");
    run(&mut preloaded(), "DROP TRIGGER t ON mine; DROP TABLE mine; DROP SCHEMA notary CASCADE");
}
