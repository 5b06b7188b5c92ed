//! Refused: statements and commands on a log as a table.

use crate::scene::{Scene, no, run, superuser_only};

#[test]
fn changing_statements() {
    let scene = Scene::new("guard_changes");
    run(
        &mut scene.session(false),
        "CREATE TABLE front (id int); CREATE RULE changes AS ON INSERT TO front DO INSTEAD UPDATE app SET note = 'x' WHERE id = NEW.id;
         CREATE RULE removes AS ON DELETE TO front DO ALSO DELETE FROM part",
    );
    let attempts = [
        no("INSERT INTO front VALUES (1)", "UPDATE"),
        no("DELETE FROM front", "DELETE"),
        no("UPDATE app SET note = 'x'", "UPDATE"),
        no("UPDATE app SET note = 'x' WHERE false", "UPDATE"),
        no("UPDATE app SET notary_hash = notary_hash", "UPDATE"),
        no("DELETE FROM app", "DELETE"),
        no("DELETE FROM app WHERE id = 2", "DELETE"),
        no("TRUNCATE app", "TRUNCATE"),
        no("TRUNCATE actor CASCADE", "TRUNCATE"),
        no("TRUNCATE plain, app RESTART IDENTITY", "TRUNCATE"),
        no("UPDATE seen SET note = 'x'", "UPDATE"),
        no("DELETE FROM seen", "DELETE"),
        no(
            "MERGE INTO app USING (VALUES (1)) v (id) ON app.id = v.id WHEN MATCHED THEN UPDATE SET note = 'x'",
            "UPDATE",
        ),
        no("MERGE INTO app USING (VALUES (1)) v (id) ON app.id = v.id WHEN MATCHED THEN DELETE", "DELETE"),
        no("INSERT INTO app (id) VALUES (1) ON CONFLICT (notary_chain, notary_seq) DO UPDATE SET note = 'x'", "UPDATE"),
        no("WITH gone AS (DELETE FROM app RETURNING *) SELECT * FROM gone", "DELETE"),
        no("UPDATE part SET note = 'x'", "UPDATE"),
        no("UPDATE part SET id = 150 WHERE id = 1", "UPDATE"),
        no("DELETE FROM part WHERE id = 100", "DELETE"),
        no("DELETE FROM part_2a", "DELETE"),
        no("DELETE FROM ONLY part", "DELETE"),
        no("TRUNCATE part", "TRUNCATE"),
        no("TRUNCATE ONLY part_1", "TRUNCATE"),
        superuser_only("SET session_replication_role = replica; DELETE FROM app", "DELETE"),
        superuser_only("SET session_replication_role = replica; TRUNCATE app", "TRUNCATE"),
        superuser_only("DELETE FROM notary.journal", "DELETE"),
        superuser_only("UPDATE notary.journal SET reason = 'x'", "UPDATE"),
        superuser_only("TRUNCATE notary.journal", "TRUNCATE"),
    ];
    scene.refuses(&attempts);
    scene.refuses_other_roles(&attempts);
}

#[test]
fn drops() {
    let scene = Scene::new("guard_drops");
    let owned = "DROP OWNED BY CURRENT_USER CASCADE";
    let schema = "CREATE SCHEMA s; ALTER TABLE app SET SCHEMA s; DROP SCHEMA s CASCADE";
    scene.refuses(&[
        no("DROP TABLE app", "DROP TABLE"),
        no("DROP TABLE app CASCADE", "DROP TABLE"),
        no("DROP TABLE IF EXISTS nowhere.nothing, plain, public.app CASCADE", "DROP TABLE"),
        no("DROP TABLE part", "DROP TABLE"),
        no("DROP TABLE part_1", "DROP TABLE"),
        no("DROP TABLE part_2 CASCADE", "DROP TABLE"),
        no(schema, "DROP SCHEMA"),
        superuser_only("DROP SCHEMA public CASCADE", "DROP SCHEMA"),
        no("DO $$ BEGIN DROP TABLE app CASCADE; END $$", "DROP TABLE"),
        no("DO $$ BEGIN EXECUTE 'DROP VIEW seen'; EXECUTE 'DROP TABLE app'; END $$", "DROP TABLE"),
        no("DROP TYPE mood CASCADE", "DROP TYPE"),
        no("DROP DOMAIN feeling CASCADE", "DROP DOMAIN"),
        no("ALTER TABLE app DROP CONSTRAINT app_notary_chain_notary_seq_key", "DROP CONSTRAINT"),
        no("ALTER TABLE part_1 DROP CONSTRAINT part_1_notary_chain_notary_seq_key", "DROP CONSTRAINT"),
        no("DROP INDEX app_notary_chain_notary_seq_key", "DROP INDEX"),
        no("DROP INDEX CONCURRENTLY app_notary_chain_notary_seq_key", "DROP INDEX"),
        no("DROP INDEX app_notary_chain_notary_seq_key CASCADE", "DROP INDEX"),
        superuser_only("DROP TABLE notary.journal", "DROP TABLE"),
    ]);
    let error = notary_tests::err(scene.session(false).batch_execute(owned));
    assert_eq!(error.code, "55000", "{error}");
    assert!(error.message.starts_with("DROP OWNED is refused"), "{error}");
    let error =
        notary_tests::err(scene.session(true).batch_execute(&format!("DROP OWNED BY \"{}\" CASCADE", scene.owner)));
    assert_eq!(error.code, "55000", "{error}");
    scene.still_appends().expect("the log is unharmed");
}

#[test]
fn triggers() {
    let (disable, enable, rename, create) = ("DISABLE TRIGGER", "ENABLE TRIGGER", "RENAME TRIGGER", "CREATE TRIGGER");
    Scene::new("guard_triggers").refuses(&[
        no("DROP TRIGGER \"~notary_append\" ON app", "DROP TRIGGER"),
        no("DROP TRIGGER IF EXISTS \"~notary_keep\" ON app CASCADE", "DROP TRIGGER"),
        no("DROP TRIGGER \"~notary_block\" ON app", "DROP TRIGGER"),
        no("DROP TRIGGER \"~notary_block\" ON part", "DROP TRIGGER"),
        no("DROP TRIGGER \"~notary_append\" ON part_2a", "DROP TRIGGER"),
        no("ALTER TABLE app DISABLE TRIGGER \"~notary_append\"", disable),
        no("ALTER TABLE app DISABLE TRIGGER \"~notary_keep\"", disable),
        // An owner may not touch the foreign key's own triggers.
        superuser_only("ALTER TABLE app DISABLE TRIGGER ALL", disable),
        no("ALTER TABLE app DISABLE TRIGGER USER", disable),
        no("ALTER TABLE part DISABLE TRIGGER ALL", disable),
        no("ALTER TABLE part_1 DISABLE TRIGGER USER", disable),
        superuser_only("ALTER TABLE app ENABLE TRIGGER ALL", enable),
        no("ALTER TABLE app ENABLE TRIGGER USER", enable),
        no("ALTER TABLE app ENABLE TRIGGER \"~notary_keep\"", enable),
        no("ALTER TABLE app ENABLE REPLICA TRIGGER \"~notary_keep\"", enable),
        no("ALTER TABLE part_2 ENABLE TRIGGER ALL", enable),
        no("ALTER TRIGGER \"~notary_append\" ON app RENAME TO \"~zzz\"", rename),
        no("ALTER TRIGGER \"~notary_block\" ON part RENAME TO b", rename),
        no("ALTER TRIGGER early ON app RENAME TO \"~zzz\"", rename),
        no("ALTER TRIGGER early ON app RENAME TO \"é\"", rename),
        no("CREATE TRIGGER \"~z\" BEFORE INSERT ON app FOR EACH ROW EXECUTE FUNCTION nothing()", create),
        no("CREATE TRIGGER \"é\" BEFORE INSERT OR UPDATE ON app FOR EACH ROW EXECUTE FUNCTION nothing()", create),
        no("CREATE TRIGGER \"~z\" BEFORE INSERT ON part FOR EACH ROW EXECUTE FUNCTION nothing()", create),
        no("CREATE TRIGGER \"~z\" BEFORE INSERT ON part_1 FOR EACH ROW EXECUTE FUNCTION nothing()", create),
        no(
            "CREATE OR REPLACE TRIGGER \"~~after\" BEFORE INSERT ON app FOR EACH ROW EXECUTE FUNCTION nothing()",
            create,
        ),
        no(
            "CREATE OR REPLACE TRIGGER \"~notary_append\" BEFORE INSERT ON app FOR EACH ROW EXECUTE FUNCTION nothing()",
            "CREATE OR REPLACE TRIGGER",
        ),
        no(
            "CREATE OR REPLACE TRIGGER \"~notary_keep\" BEFORE DELETE ON app FOR EACH ROW WHEN (false) EXECUTE FUNCTION nothing()",
            "CREATE OR REPLACE TRIGGER",
        ),
        superuser_only(
            "CREATE TRIGGER again BEFORE INSERT ON app FOR EACH ROW EXECUTE FUNCTION notary.append('max_chains=unlimited')",
            create,
        ),
        superuser_only("ALTER TRIGGER \"~notary_keep\" ON app DEPENDS ON EXTENSION plpgsql", "DEPENDS ON EXTENSION"),
        superuser_only("ALTER TABLE notary.journal DISABLE TRIGGER ALL", disable),
    ]);
}

#[test]
fn storage_rules_keys_and_trees() {
    Scene::new("guard_trees").refuses(&[
        no("ALTER TABLE app SET UNLOGGED", "SET UNLOGGED"),
        no("ALTER TABLE part_1 SET UNLOGGED", "SET UNLOGGED"),
        superuser_only(
            "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler; ALTER TABLE app SET ACCESS METHOD other",
            "SET ACCESS METHOD",
        ),
        no("CREATE RULE r AS ON UPDATE TO app DO INSTEAD NOTHING", "CREATE RULE"),
        no("CREATE RULE r AS ON INSERT TO app DO INSTEAD NOTHING", "CREATE RULE"),
        no("CREATE RULE r AS ON DELETE TO part DO ALSO SELECT 1", "CREATE RULE"),
        no("CREATE OR REPLACE RULE r AS ON INSERT TO part_1 DO ALSO NOTIFY x", "CREATE RULE"),
        no("ALTER TABLE app ADD FOREIGN KEY (actor) REFERENCES actor ON DELETE CASCADE", "ADD FOREIGN KEY"),
        no("ALTER TABLE app ADD FOREIGN KEY (actor) REFERENCES actor ON DELETE SET NULL", "ADD FOREIGN KEY"),
        no("ALTER TABLE app ADD FOREIGN KEY (actor) REFERENCES actor ON UPDATE SET DEFAULT NOT VALID", "ADD FOREIGN KEY"),
        no("ALTER TABLE part ADD FOREIGN KEY (id) REFERENCES actor ON UPDATE CASCADE", "ADD FOREIGN KEY"),
        no("CREATE TABLE child () INHERITS (app)", "INHERIT"),
        no("ALTER TABLE heir INHERIT app", "INHERIT"),
        no("CREATE TABLE parent (id int); ALTER TABLE app INHERIT parent", "INHERIT"),
        no("CREATE TYPE row_of_log AS (id int, note text, notary_chain int, notary_seq bigint, notary_time timestamptz, \
            notary_prev bytea, notary_hash bytea); ALTER TABLE tree_log OF row_of_log", "ALTER TABLE OF"),
        no("ALTER TABLE part DETACH PARTITION part_1", "DETACH PARTITION"),
        no("ALTER TABLE part DETACH PARTITION part_1 CONCURRENTLY", "DETACH PARTITION"),
        no("ALTER TABLE part DETACH PARTITION part_2", "DETACH PARTITION"),
        no("ALTER TABLE part_2 DETACH PARTITION part_2a", "DETACH PARTITION"),
        no("ALTER TABLE tree ATTACH PARTITION tree_log FOR VALUES FROM (0) TO (10)", "ATTACH PARTITION"),
        superuser_only(
            "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; \
             CREATE FOREIGN TABLE part_f PARTITION OF part FOR VALUES FROM (500) TO (600) SERVER s",
            "CREATE FOREIGN TABLE",
        ),
        superuser_only("ALTER TABLE notary.journal RENAME TO other", "RENAME TABLE"),
        superuser_only("ALTER TABLE notary.journal SET SCHEMA public", "SET SCHEMA"),
    ]);
}

#[test]
fn checks_that_decide_what_queries_look_at() {
    let scene = Scene::new("guard_checks");
    run(
        &mut scene.session(false),
        "CREATE FUNCTION holds(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
         CREATE OPERATOR @@@ (RIGHTARG = int, FUNCTION = holds);
         CREATE DOMAIN held AS int CHECK (holds(VALUE))",
    );
    let says = "ADD CHECK";
    scene.refuses(&[
        no("ALTER TABLE part ADD CHECK (holds(id))", says),
        no("ALTER TABLE part ADD CHECK (id > 0 OR @@@ id)", says),
        // A new partition would inherit it as valid.
        no("ALTER TABLE part ADD CHECK (holds(id)) NOT VALID", says),
        no("ALTER TABLE part_1 ADD CHECK (CASE WHEN id > 0 THEN holds(id) END)", says),
        no("ALTER TABLE part ADD COLUMN x int CHECK (holds(x))", says),
    ]);
    scene.allows(&[
        "ALTER TABLE part ADD CONSTRAINT built_in CHECK (id > 0 AND lower(note) <> 'x' AND length(note) < 100)",
        "ALTER TABLE part_1 ADD CONSTRAINT later CHECK (id >= 0) NOT VALID",
        "ALTER TABLE part_1 VALIDATE CONSTRAINT later",
        "ALTER TABLE part ADD COLUMN x held",
        "ALTER TABLE app ADD CONSTRAINT of_users CHECK (holds(id))",
        "CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM (200) TO (300)",
    ]);
    let error = notary_tests::err(
        scene
            .session(false)
            .batch_execute("CREATE TABLE part_4 PARTITION OF part (CHECK (holds(id))) FOR VALUES FROM (300) TO (400)"),
    );
    assert_eq!(error.code, "42809", "{error}");
}

#[test]
fn an_index_that_failed_to_build_can_go() {
    let scene = Scene::new("guard_ccnew");
    run(
        &mut scene.session(true),
        "CREATE UNIQUE INDEX spare ON app (notary_chain, notary_seq);
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'spare'::regclass",
    );
    run(&mut scene.session(false), "DROP INDEX spare");
    scene.still_appends().expect("the log is unharmed");
}

#[test]
fn an_index_of_the_users_that_serves_as_ours_is_kept() {
    let scene = Scene::new("guard_late");
    // The unique index that a user made before protection serves as ours; a deferrable constraint out of it would not.
    run(
        &mut scene.session(false),
        "CREATE TABLE mine (id int, notary_chain int, notary_seq bigint, notary_time timestamptz, notary_prev bytea,
            notary_hash bytea);
         CREATE UNIQUE INDEX mine_key ON mine (notary_chain, notary_seq);
         SELECT notary.protect('mine')",
    );
    let error = notary_tests::err(scene.session(true).batch_execute(
        "ALTER TABLE mine ADD CONSTRAINT late UNIQUE USING INDEX mine_key DEFERRABLE INITIALLY DEFERRED",
    ));
    assert_eq!(error.code, "55000", "{error}");
    for drop in ["DROP INDEX mine_key", "DROP INDEX CONCURRENTLY mine_key"] {
        let error = notary_tests::err(scene.session(false).batch_execute(drop));
        assert_eq!(error.code, "55000", "{error}");
        assert_eq!(
            scene.db.value("SELECT indisvalid AND indislive FROM pg_index WHERE indexrelid = 'mine_key'::regclass"),
            "t"
        );
    }
}
